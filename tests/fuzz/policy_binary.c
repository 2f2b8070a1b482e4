/* Any bytes as an encoded policy: what is taken has one encoding, these very bytes, and decides without harm. */
#include <stdlib.h>
#include <string.h>

#include "taken.h"
#include "vault/decision.h"
#include "vault/result.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decide_all(const struct policy *policy) {
    struct consent consent = {.treatment = 1, .recontact = 1};
    struct decision d;
    for (unsigned action = 0; action < ACTION_COUNT; action++)
        for (uint8_t kind = 0; kind <= PURPOSE_RESEARCH; kind++) {
            struct purpose purpose = {.purpose = kind};
            struct question q = {.action = (enum action)action,
                                 .purpose = &purpose,
                                 .service = {.known = true, .name = "s", .roles = UINT32_MAX, .purposes = UINT32_MAX},
                                 .subject = {.known = true, .consent = &consent},
                                 .file = {true, "D1", "a,b"},
                                 .policy = policy};
            decide(&q, &d);
            if (d.reason_count == 0)
                abort();
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct policy policy;
    static uint8_t bytes[BLOCK_MAX];
    size_t used;
    if (policy_decode(&policy, data, size) != VAULT_OK)
        return 0;
    fuzz_taken++;
    decide_all(&policy);
    if (policy_encode(&policy, bytes, sizeof(bytes), &used) != VAULT_OK)
        return 0; /* longer than any message */
    if (used != size || memcmp(bytes, data, size) != 0)
        abort();
    return 0;
}
