/* A key ring file as it lies on the disk: parsed before anything about it is known to be genuine. Most inputs have a
 * wrong checksum, so each is tried a second time with the right one, and what passes is opened. */
#include <sodium.h>
#include <stdlib.h>

#include "keys/keyring_internal.h"
#include "vault/buffer.h"
#include "vault/result.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void parse_and_open(const uint8_t *bytes, size_t n, const struct secret *root) {
    struct ring_head head;
    struct keyring *k = NULL;
    if (ring_head_parse(bytes, n, &head) != VAULT_OK)
        return;
    if (head.epoch == 0 || head.bytes != bytes || head.head_size + head.sealed_size + RING_CHECKSUM != n)
        abort();
    if (ring_open(&head, root, &k) == VAULT_OK && (keyring_count(k) == 0 || keyring_newest(k) == 0))
        abort();
    keyring_free(&k);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct secret *root;
    static uint8_t fixed[RING_FILE_MAX];
    if (root == NULL && (secret_start() != VAULT_OK || secret_new(&root, SECRET_KEY_SIZE) != VAULT_OK))
        abort();
    parse_and_open(data, size, root);
    if (size < RING_CHECKSUM || size > sizeof(fixed))
        return 0;
    copy_bytes(fixed, sizeof(fixed), data, size);
    if (crypto_generichash(fixed + size - RING_CHECKSUM, RING_CHECKSUM, fixed, size - RING_CHECKSUM, NULL, 0) != 0)
        abort();
    parse_and_open(fixed, size, root);
    return 0;
}
