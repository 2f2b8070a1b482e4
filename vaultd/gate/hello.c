#include "vaultd/gate/hello.h"

#include <string.h>

#include "vault/result.h"
#include "vaultd/gate/tls_wire.h"

enum { RANDOM_SIZE = 32, SESSION_MAX = 32, LEGACY_VERSION = 0x0303, TLS_1_3 = 0x0304 };
enum { EXTENSION_SUPPORTED_VERSIONS = 43, EXTENSION_COOKIE = 44, EXTENSION_KEY_SHARE = 51 };

/* SHA-256 of "HelloRetryRequest": the random value of a ServerHello that is one. RFC 8446, 4.1.3. */
static const uint8_t retry_random[RANDOM_SIZE] = {0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c,
                                                  0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb,
                                                  0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c};

static const EVP_MD *hash_of(uint16_t suite) {
    switch (suite) {
    case 0x1301: /* AES-128-GCM */
    case 0x1303: /* ChaCha20-Poly1305 */ return EVP_sha256();
    case 0x1302: /* AES-256-GCM */ return EVP_sha384();
    default: return NULL;
    }
}

/* Each extension at most once, none but these. Their absence matters: without pre_shared_key the handshake is
 * authenticated by certificates, and without supported_versions it is not TLS 1.3. */
static bool extensions_are_good(struct reader list, bool retry) {
    unsigned versions = 0;
    unsigned shares = 0;
    unsigned cookies = 0;
    while (!list.bad && list.left > 0) {
        uint32_t type = read_number(&list, 2);
        struct reader value = read_vector(&list, 2);
        if (type == EXTENSION_SUPPORTED_VERSIONS)
            versions += read_number(&value, 2) == TLS_1_3 && read_done(&value) ? 1 : 2;
        else if (type == EXTENSION_KEY_SHARE)
            shares++;
        else if (type == EXTENSION_COOKIE)
            cookies++;
        else
            return false;
    }
    if (list.bad || versions != 1 || shares > 1 || cookies > 1)
        return false;
    return retry || (shares == 1 && cookies == 0);
}

int hello_parse(struct reader body, struct hello *ret) {
    uint32_t version = read_number(&body, 2);
    uint8_t random[RANDOM_SIZE];
    read_bytes(&body, random, sizeof(random));
    struct reader session = read_vector(&body, 1);
    struct hello hello = {.suite = (uint16_t)read_number(&body, 2)};
    uint32_t compression = read_number(&body, 1);
    struct reader extensions = read_vector(&body, 2);
    if (!read_done(&body) || version != LEGACY_VERSION || session.left > SESSION_MAX || compression != 0)
        return VAULT_E_PROTOCOL;
    hello.hash = hash_of(hello.suite);
    hello.retry = memcmp(random, retry_random, sizeof(random)) == 0;
    if (hello.hash == NULL || !extensions_are_good(extensions, hello.retry))
        return VAULT_E_PROTOCOL;
    *ret = hello;
    return VAULT_OK;
}
