/* A key ring file as it lies on the disk: parsed before anything about it is known to be genuine. Most inputs have a
 * wrong checksum, so each is tried a second time with the right one, and a third time as what somebody with the root
 * key could have sealed, so that also the body is any bytes. */
#include <sodium.h>
#include <stdlib.h>

#include "keys/keyring_internal.h"
#include "taken.h"
#include "vault/buffer.h"
#include "vault/result.h"
#include "vault/wrap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool parse(const uint8_t *bytes, size_t n, struct ring_head *ret) {
    if (ring_head_parse(bytes, n, ret) != VAULT_OK)
        return false;
    if (ret->epoch == 0 || ret->bytes != bytes || ret->head_size + ret->sealed_size + RING_CHECKSUM != n)
        abort();
    return true;
}

static void open_ring(const struct ring_head *head, const struct secret *root) {
    struct keyring *k = NULL;
    if (ring_open(head, root, &k) != VAULT_OK)
        return;
    fuzz_taken++;
    if (keyring_count(k) == 0 || keyring_newest(k) == 0)
        abort();
    keyring_free(&k);
}

static void set_checksum(uint8_t *bytes, size_t n) {
    if (crypto_generichash(bytes + n - RING_CHECKSUM, RING_CHECKSUM, bytes, n - RING_CHECKSUM, NULL, 0) != 0)
        abort();
}

/* The bytes that lie in the place of the sealed body, but for the last ones, as the body. */
static void seal_body(uint8_t *bytes, const struct ring_head *head, const struct secret *root) {
    static uint8_t body[RING_FILE_MAX];
    size_t n = head->sealed_size - SEAL_OVERHEAD;
    copy_bytes(body, sizeof(body), bytes + head->head_size, n);
    if (seal_bytes(root, bytes, head->head_size, body, n, bytes + head->head_size) != VAULT_OK)
        abort();
    set_checksum(bytes, head->head_size + head->sealed_size + RING_CHECKSUM);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct secret *root;
    static uint8_t fixed[RING_FILE_MAX];
    struct ring_head head;
    if (root == NULL && (secret_start() != VAULT_OK || secret_new(&root, SECRET_KEY_SIZE) != VAULT_OK))
        abort();
    if (parse(data, size, &head))
        open_ring(&head, root);
    if (size < RING_CHECKSUM || size > sizeof(fixed))
        return 0;
    copy_bytes(fixed, sizeof(fixed), data, size);
    set_checksum(fixed, size);
    if (!parse(fixed, size, &head))
        return 0;
    open_ring(&head, root);
    seal_body(fixed, &head, root);
    if (!parse(fixed, size, &head))
        abort();
    open_ring(&head, root);
    return 0;
}
