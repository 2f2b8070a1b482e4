/* Any bytes as a Purpose header: what is taken has a canonical text, which is taken for the same purpose. */
#include <stdlib.h>
#include <string.h>

#include "taken.h"
#include "vault/result.h"
#include "vault/parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct purpose purpose, again;
    char problem[PURPOSE_PROBLEM] = "", text[512], back[512];
    char *header = strndup((const char *)data, size);
    if (header == NULL)
        return 0;
    int result = purpose_parse(header, &purpose, problem);
    free(header);
    if (result != VAULT_OK) {
        if (problem[0] == '\0' || !text_is_clean(problem, strlen(problem)))
            abort();
        return 0;
    }
    fuzz_taken++;
    if (purpose_check(&purpose) != VAULT_OK || !purpose_text(&purpose, text, sizeof(text)) ||
        purpose_parse(text, &again, problem) != VAULT_OK || !purpose_text(&again, back, sizeof(back)) ||
        strcmp(text, back) != 0)
        abort();
    return 0;
}
