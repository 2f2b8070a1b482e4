/* Any bytes as a policy document: what is taken passes the monitor's check. */
#include <stdlib.h>
#include <string.h>

#include "taken.h"
#include "vault/result.h"
#include "vault/parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct policy policy;
    char problem[POLICY_PROBLEM] = "";
    struct policy_fault fault;
    if (policy_parse((const char *)data, size, &policy, problem) != VAULT_OK) {
        if (problem[0] == '\0' || !text_is_clean(problem, strlen(problem)))
            abort();
        return 0;
    }
    fuzz_taken++;
    if (policy_check(&policy, &fault) != VAULT_OK)
        abort();
    return 0;
}
