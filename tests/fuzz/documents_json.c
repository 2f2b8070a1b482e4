/* Any bytes as a consent document: what is taken passes the monitor's check and survives its encoding. */
#include <stdlib.h>
#include <string.h>

#include "taken.h"
#include "vault/result.h"
#include "vault/parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct consent consent;
    char problem[CONSENT_PROBLEM] = "";
    const char *field;
    uint8_t bytes[2048];
    if (consent_parse((const char *)data, size, "S-0001", &consent, problem) != VAULT_OK) {
        if (problem[0] == '\0' || !text_is_clean(problem, strlen(problem)))
            abort();
        return 0;
    }
    fuzz_taken++;
    struct writer w = writer_of(bytes, sizeof(bytes));
    layout_encode(&layout_consent, &consent, &w);
    if (consent_check(&consent, &field) != VAULT_OK || w.bad)
        abort();
    return 0;
}
