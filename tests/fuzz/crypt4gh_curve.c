/* For the mass execution of Crypt4GH containers, nearly all of whose time is X25519's: what was computed once for a
 * pair of keys is not computed again. */
#include <sodium.h>
#include <stdbool.h>
#include <string.h>

#include "vault/buffer.h"

enum { KEY = 32, KNOWN_MAX = 64 };

int __real_crypto_kx_client_session_keys(unsigned char *rx, unsigned char *tx, const unsigned char *client_pk,
                                         const unsigned char *client_sk, const unsigned char *server_pk);
int __wrap_crypto_kx_client_session_keys(unsigned char *rx, unsigned char *tx, const unsigned char *client_pk,
                                         const unsigned char *client_sk, const unsigned char *server_pk);
int __real_crypto_scalarmult_base(unsigned char *q, const unsigned char *n);
int __wrap_crypto_scalarmult_base(unsigned char *q, const unsigned char *n);

static struct exchange {
    uint8_t client[KEY], server[KEY], rx[KEY], tx[KEY];
    int result;
} known[KNOWN_MAX];
static size_t known_count, oldest;

static const struct exchange *find(const unsigned char *client, const unsigned char *server) {
    for (size_t i = 0; i < known_count; i++)
        if (memcmp(known[i].server, server, KEY) == 0 && memcmp(known[i].client, client, KEY) == 0)
            return &known[i];
    return NULL;
}

int __wrap_crypto_kx_client_session_keys(unsigned char *rx, unsigned char *tx, const unsigned char *client_pk,
                                         const unsigned char *client_sk, const unsigned char *server_pk) {
    const struct exchange *found = find(client_pk, server_pk);
    if (found == NULL) {
        struct exchange e = {0};
        COPY_ARRAY(e.client, client_pk);
        COPY_ARRAY(e.server, server_pk);
        e.result = __real_crypto_kx_client_session_keys(e.rx, e.tx, client_pk, client_sk, server_pk);
        size_t i = known_count < KNOWN_MAX ? known_count++ : oldest++ % KNOWN_MAX;
        known[i] = e;
        found = &known[i];
    }
    if (found->result == 0) {
        copy_bytes(rx, KEY, found->rx, KEY);
        copy_bytes(tx, KEY, found->tx, KEY);
    }
    return found->result;
}

int __wrap_crypto_scalarmult_base(unsigned char *q, const unsigned char *n) {
    static uint8_t private[KEY], public[KEY];
    static bool there;
    if (!there || memcmp(private, n, KEY) != 0) {
        int result = __real_crypto_scalarmult_base(public, n);
        COPY_ARRAY(private, n);
        there = result == 0;
        if (!there)
            return result;
    }
    copy_bytes(q, KEY, public, KEY);
    return 0;
}
