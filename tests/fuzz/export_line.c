/* Any bytes as a line of records.jsonl and of proofs.jsonl. */
#include <stdlib.h>
#include <string.h>

#include "taken.h"
#include "vault/result.h"
#include "vaultd/audit/export_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const uint8_t name_key[NAME_KEY];
    if (size > RECORD_LINE_MAX)
        return 0;
    struct export_record record;
    static struct export_block block;
    const char *fault = NULL;
    int result = export_record_parse((const char *)data, size, name_key, &record, &fault);
    fuzz_taken += result == VAULT_OK;
    /* A canonical line starts as it must and holds no newline outside a string: none at all. */
    if (result == VAULT_OK && (size == 0 || data[0] != '{' || memchr(data, '\n', size) != NULL))
        abort();
    if (result != VAULT_OK && fault == NULL)
        abort();
    fault = NULL;
    result = export_block_parse((const char *)data, size, &block, &fault);
    fuzz_taken += result == VAULT_OK;
    if ((result == VAULT_OK && (block.proof.count > MERKLE_PROOF_MAX || block.leaf_count == 0 ||
                                block.leaf_count > AUDIT_BLOCK || block.leaf_count > block.proof.seq + 1)) ||
        (result != VAULT_OK && fault == NULL))
        abort();
    return 0;
}
