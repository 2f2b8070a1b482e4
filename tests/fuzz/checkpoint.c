/* Any text as a signed note: refused, or accepted with a body that signs to the same text again. */
#include <stdlib.h>
#include <string.h>

#include "taken.h"
#include "vault/buffer.h"
#include "vault/checkpoint.h"
#include "vault/result.h"
#include "vault/secret.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct secret *seed;
    static char vkey[CHECKPOINT_VKEY_MAX];
    uint8_t bytes[CHECKPOINT_SEED];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)i;
    if (seed == NULL && (secret_start() != VAULT_OK || secret_take(&seed, bytes, sizeof(bytes)) != VAULT_OK ||
                         checkpoint_vkey("vault.example/audit", seed, vkey) != VAULT_OK))
        abort();
    char *note = malloc(size + 1);
    if (note == NULL)
        return 0;
    copy_bytes(note, size, data, size);
    note[size] = '\0';
    struct checkpoint c;
    char again[CHECKPOINT_TEXT_MAX];
    if (checkpoint_verify(note, vkey, &c) == VAULT_OK) {
        fuzz_taken++;
        /* Ed25519 is deterministic: our signature line must be in what was accepted. */
        if (checkpoint_sign(&c, seed, again) != VAULT_OK || strstr(note, strstr(again, "\n\n") + 2) == NULL)
            abort();
    }
    (void)checkpoint_verify("vault.example/audit\n1\n", note, &c);
    free(note);
    return 0;
}
