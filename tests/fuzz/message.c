/* One packet from an untrusted peer. What is accepted has exactly one encoding: writing it again gives the same bytes.
 */
#include <stdlib.h>
#include <string.h>

#include "taken.h"
#include "vault/message.h"
#include "vault/result.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static bool started;
    static struct message m;
    static uint8_t again[MESSAGE_MAX];
    size_t used = 0;
    if (!started && secret_start() != VAULT_OK)
        abort();
    started = true;
    if (message_decode(&m, data, size) != VAULT_OK) {
        if (m.type != 0)
            abort();
        return 0;
    }
    fuzz_taken++;
    if (message_encode(&m, again, sizeof(again), &used) != VAULT_OK || used != size || memcmp(again, data, size) != 0)
        abort();
    message_clear(&m);
    return 0;
}
