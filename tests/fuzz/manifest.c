/* manifest_decode over any bytes: what it accepts must encode back to the same bytes. */
#include <stdlib.h>
#include <string.h>

#include "taken.h"
#include "vault/buffer.h"
#include "vault/manifest.h"
#include "vault/result.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct manifest_page page;
    static uint8_t back[MANIFEST_PAGE];
    if (manifest_decode(&page, data, size) != VAULT_OK)
        return 0;
    fuzz_taken++;
    struct writer w = writer_of(back, sizeof(back));
    manifest_encode(&page, &w);
    if (w.bad || w.used != size || memcmp(back, data, size) != 0)
        abort();
    return 0;
}
