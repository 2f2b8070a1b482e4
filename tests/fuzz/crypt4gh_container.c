/* A Crypt4GH container of anybody, opened with the harness's key. Few mutated inputs get past a tag, so each is tried
 * again as what somebody who knows the public key could have sealed: a byte with the length of a payload, the payload
 * of a first packet, and the content; a good second packet makes it openable. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "taken.h"
#include "vault/buffer.h"
#include "vault/crypt4gh.h"
#include "vault/result.h"
#include "vault/segment.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PREFIX = 16, PAYLOAD_MAX = 255, KEY_PAYLOAD = 8 + SECRET_KEY_SIZE, UNTOUCHED = 77 };

static struct secret *private_key;
static struct cipher *packet_cipher; /* of the header key of `writer` */
static struct cipher *body_cipher;
static uint8_t writer[CRYPT4GH_KEY];
static uint8_t header[CRYPT4GH_HEADER]; /* its packet is the second one */

static void need(bool good) {
    if (!good)
        abort();
}

static struct cipher *cipher_of(struct secret *key) {
    struct cipher *c = NULL;
    need(cipher_new(&c, key) == VAULT_OK);
    secret_free(&key);
    return c;
}

static void make_keys(void) {
    uint8_t public_key[CRYPT4GH_KEY], writer_private[CRYPT4GH_KEY], unused[32];
    struct secret *header_key = NULL, *data_key = NULL;
    need(secret_start() == VAULT_OK && secret_new(&private_key, CRYPT4GH_KEY) == VAULT_OK &&
         secret_new(&header_key, SECRET_KEY_SIZE) == VAULT_OK && secret_new(&data_key, SECRET_KEY_SIZE) == VAULT_OK);
    memset(secret_edit(private_key), 1, CRYPT4GH_KEY);
    memset(secret_edit(data_key), 2, SECRET_KEY_SIZE);
    memset(writer_private, 3, sizeof(writer_private));
    need(crypto_scalarmult_base(public_key, secret_view(private_key)) == 0 &&
         crypto_scalarmult_base(writer, writer_private) == 0 &&
         crypto_kx_server_session_keys(unused, secret_edit(header_key), writer, writer_private, public_key) == 0 &&
         crypt4gh_header(public_key, data_key, header) == VAULT_OK);
    packet_cipher = cipher_of(header_key);
    body_cipher = cipher_of(data_key);
}

/* What the format says of the result, of any bytes. */
static int open_any(const uint8_t *bytes, size_t n, struct secret **ret) {
    unsigned packets = UNTOUCHED;
    int result = crypt4gh_open(bytes, n, private_key, ret, &packets);
    need(result == VAULT_OK || result == VAULT_DENIED || result == VAULT_E_FORMAT || result == VAULT_E_DAMAGED ||
         result == VAULT_E_LIMIT);
    need((result == VAULT_OK) == (*ret != NULL));
    need(result != VAULT_E_FORMAT || packets == UNTOUCHED);
    need(result != VAULT_OK || (packets > 0 && packets <= CRYPT4GH_PACKETS_MAX));
    return result;
}

static void write_segment(struct writer *w, struct cipher *c, const uint8_t *plain, size_t n) {
    static const uint8_t nonce[NONCE_SIZE] = {4};
    static uint8_t sealed[SEGMENT_SEALED];
    need(segment_seal(c, nonce, 0, plain, n, sealed) == VAULT_OK);
    write_bytes(w, sealed, n + SEGMENT_OVERHEAD);
}

static void open_sealed(const uint8_t *payload, size_t payload_size, const uint8_t *content, size_t content_size) {
    static const uint8_t key_start[8] = {0};
    static uint8_t bytes[2 * CRYPT4GH_SMALL_MAX];
    struct secret *opened = NULL;
    struct writer w = writer_of(bytes, sizeof(bytes));
    write_bytes(&w, header, PREFIX - 4);
    write_u32(&w, 2);
    write_u32(&w, (uint32_t)(8 + sizeof(writer) + payload_size + SEGMENT_OVERHEAD));
    write_u32(&w, 0);
    write_bytes(&w, writer, sizeof(writer));
    write_segment(&w, packet_cipher, payload, payload_size);
    write_bytes(&w, header + PREFIX, CRYPT4GH_HEADER - PREFIX);
    write_segment(&w, body_cipher, content, content_size);
    bool key = payload_size >= KEY_PAYLOAD && memcmp(payload, key_start, sizeof(key_start)) == 0;
    need(!w.bad && open_any(bytes, w.used, &opened) == (key ? VAULT_OK : VAULT_E_FORMAT));
    if (!key)
        return;
    fuzz_taken++;
    need(secret_size(opened) == content_size && memcmp(secret_view(opened), content, content_size) == 0);
    secret_free(&opened);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct secret *content = NULL;
    if (private_key == NULL)
        make_keys();
    if (open_any(data, size, &content) == VAULT_OK)
        fuzz_taken++;
    secret_free(&content);
    if (size < 3 || data[0] == 0 || size <= 1u + data[0] || size - 1 - data[0] > CRYPT4GH_CONTENT_MAX)
        return 0;
    open_sealed(data + 1, data[0], data + 1 + data[0], size - 1 - data[0]);
    return 0;
}
