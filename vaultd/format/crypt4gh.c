#include "vault/crypt4gh.h"

#include <sodium.h>
#include <stdbool.h>
#include <string.h>

#include "crypt4gh_internal.h"
#include "vault/buffer.h"
#include "vault/result.h"
#include "vault/segment.h"

enum {
    MAGIC = 8,
    VERSION = 1,
    METHOD = 0,      /* of a packet: X25519, BLAKE2b, ChaCha20-Poly1305 */
    TYPE_KEY = 0,    /* of a payload; 1 is an edit list */
    DATA_METHOD = 0, /* of a body: ChaCha20-Poly1305 segments */
    PREFIX = MAGIC + 4 + 4,
    PAYLOAD = 4 + 4 + SECRET_KEY_SIZE,
    PACKET = 4 + 4 + CRYPT4GH_KEY + PAYLOAD + SEGMENT_OVERHEAD,
    PACKET_MIN = 4 + 4 /* length and method; what follows is the method's matter */
};

static const char magic[MAGIC + 1] = "crypt4gh";

_Static_assert(CRYPT4GH_HEADER == PREFIX + PACKET, "a header of one packet");
_Static_assert(CRYPT4GH_SMALL_MAX == CRYPT4GH_HEADER + CRYPT4GH_CONTENT_MAX + SEGMENT_OVERHEAD, "and one segment");
_Static_assert(crypto_kx_PUBLICKEYBYTES == CRYPT4GH_KEY && crypto_kx_SECRETKEYBYTES == CRYPT4GH_KEY, "X25519 keys");
_Static_assert(crypto_kx_SESSIONKEYBYTES == SECRET_KEY_SIZE, "the key exchange makes cipher keys");
_Static_assert((int)SEGMENT_PLAIN <= (int)SECRET_MAX, "each payload fits a secret");

/* A packet of a method that this program knows; pointers into the container. */
struct packet {
    const uint8_t *writer; /* public key */
    const uint8_t *sealed;
    size_t size;
};

struct container {
    uint32_t packets; /* as the header counts them */
    uint32_t known;   /* of them in `at` */
    struct packet at[CRYPT4GH_PACKETS_MAX];
    const uint8_t *body;
    size_t body_size;
};

/* Whoever opens: a pair of keys. */
struct identity {
    const struct secret *private_key;
    uint8_t public_key[CRYPT4GH_KEY];
};

int crypt4gh_box_seal(const struct secret *key, const uint8_t *plain, size_t n, uint8_t *to) {
    uint8_t nonce[NONCE_SIZE];
    struct cipher *c = NULL;
    int result = cipher_new(&c, key);
    if (result != VAULT_OK)
        return result;
    randombytes_buf(nonce, sizeof(nonce));
    result = segment_seal(c, nonce, 0, plain, n, to);
    cipher_free(&c);
    return result;
}

int crypt4gh_box_open(const struct secret *key, const uint8_t *sealed, size_t n, struct secret **ret) {
    CLEANUP_SECRET struct secret *plain = NULL;
    struct cipher *c = NULL;
    if (n <= SEGMENT_OVERHEAD || n > SEGMENT_SEALED)
        return VAULT_E_LIMIT;
    int result = secret_new(&plain, n - SEGMENT_OVERHEAD);
    if (result == VAULT_OK)
        result = cipher_new(&c, key);
    if (result == VAULT_OK) /* the nonce in front is its own base: nothing else says which one it must be */
        result = segment_open(c, sealed, 0, sealed, n, secret_edit(plain));
    cipher_free(&c);
    if (result == VAULT_OK)
        *ret = secret_move(&plain);
    return result;
}

/* The header key of the writer, the server of libsodium's key exchange. The other direction's key has no use here.
 * VAULT_E_CRYPTO: the reader's key is of small order. */
static int writer_key(const uint8_t writer[CRYPT4GH_KEY], const struct secret *writer_private,
                      const uint8_t reader[CRYPT4GH_KEY], struct secret **ret) {
    CLEANUP_SECRET struct secret *key = NULL;
    CLEANUP_SECRET struct secret *unused = NULL;
    int result = secret_new(&key, SECRET_KEY_SIZE);
    if (result == VAULT_OK)
        result = secret_new(&unused, SECRET_KEY_SIZE);
    if (result != VAULT_OK)
        return result;
    if (crypto_kx_server_session_keys(secret_edit(unused), secret_edit(key), writer, secret_view(writer_private),
                                      reader) != 0)
        return VAULT_E_CRYPTO;
    *ret = secret_move(&key);
    return VAULT_OK;
}

/* The same key for the reader, the client. VAULT_DENIED: the writer's key is of small order, so nobody has this key. */
static int reader_key(const struct identity *reader, const uint8_t writer[CRYPT4GH_KEY], struct secret **ret) {
    CLEANUP_SECRET struct secret *key = NULL;
    CLEANUP_SECRET struct secret *unused = NULL;
    int result = secret_new(&key, SECRET_KEY_SIZE);
    if (result == VAULT_OK)
        result = secret_new(&unused, SECRET_KEY_SIZE);
    if (result != VAULT_OK)
        return result;
    if (crypto_kx_client_session_keys(secret_edit(key), secret_edit(unused), reader->public_key,
                                      secret_view(reader->private_key), writer) != 0)
        return VAULT_DENIED;
    *ret = secret_move(&key);
    return VAULT_OK;
}

/* The payload of a data key, sealed under the header key into PAYLOAD + SEGMENT_OVERHEAD bytes. */
static int seal_payload(const struct secret *header_key, const struct secret *data_key, uint8_t *to) {
    CLEANUP_SECRET struct secret *payload = NULL;
    int result = secret_new(&payload, PAYLOAD);
    if (result != VAULT_OK)
        return result;
    struct writer w = writer_of(secret_edit(payload), PAYLOAD);
    write_u32(&w, TYPE_KEY);
    write_u32(&w, DATA_METHOD);
    write_bytes(&w, secret_view(data_key), SECRET_KEY_SIZE);
    return crypt4gh_box_seal(header_key, secret_view(payload), PAYLOAD, to);
}

/* A key pair for one header; its private key ends here, so that not even the writer can open the packet again. */
static int fresh_writer(const uint8_t reader[CRYPT4GH_KEY], uint8_t ret_writer[CRYPT4GH_KEY], struct secret **ret_key) {
    CLEANUP_SECRET struct secret *writer_private = NULL;
    int result = secret_new(&writer_private, CRYPT4GH_KEY);
    if (result != VAULT_OK)
        return result;
    if (crypto_kx_keypair(ret_writer, secret_edit(writer_private)) != 0)
        return VAULT_E_CRYPTO;
    return writer_key(ret_writer, writer_private, reader, ret_key);
}

int crypt4gh_header(const uint8_t recipient[CRYPT4GH_KEY], const struct secret *data_key,
                    uint8_t ret[CRYPT4GH_HEADER]) {
    CLEANUP_SECRET struct secret *header_key = NULL;
    uint8_t writer[CRYPT4GH_KEY];
    uint8_t sealed[PAYLOAD + SEGMENT_OVERHEAD];
    if (secret_size(data_key) != SECRET_KEY_SIZE)
        return VAULT_E_LIMIT;
    int result = fresh_writer(recipient, writer, &header_key);
    if (result == VAULT_OK)
        result = seal_payload(header_key, data_key, sealed);
    if (result != VAULT_OK)
        return result;
    struct writer w = writer_of(ret, CRYPT4GH_HEADER);
    write_bytes(&w, magic, MAGIC);
    write_u32(&w, VERSION);
    write_u32(&w, 1);
    write_u32(&w, PACKET);
    write_u32(&w, METHOD);
    write_bytes(&w, writer, sizeof(writer));
    write_bytes(&w, sealed, sizeof(sealed));
    return VAULT_OK;
}

int crypt4gh_seal(const uint8_t recipient[CRYPT4GH_KEY], const struct secret *content, uint8_t ret[CRYPT4GH_SMALL_MAX],
                  size_t *ret_size) {
    CLEANUP_SECRET struct secret *data_key = NULL;
    uint8_t bytes[CRYPT4GH_SMALL_MAX];
    size_t n = secret_size(content);
    if (n > CRYPT4GH_CONTENT_MAX)
        return VAULT_E_LIMIT;
    int result = secret_random(&data_key, SECRET_KEY_SIZE);
    if (result == VAULT_OK)
        result = crypt4gh_header(recipient, data_key, bytes);
    if (result == VAULT_OK)
        result = crypt4gh_box_seal(data_key, secret_view(content), n, bytes + CRYPT4GH_HEADER);
    if (result != VAULT_OK)
        return result;
    *ret_size = CRYPT4GH_HEADER + n + SEGMENT_OVERHEAD;
    copy_bytes(ret, CRYPT4GH_SMALL_MAX, bytes, *ret_size);
    return VAULT_OK;
}

/* A packet of another method is one that cannot be opened: it is ignored. */
static int read_packet(struct reader *r, struct container *c) {
    uint32_t length = read_u32(r);
    if (length < PACKET_MIN)
        return VAULT_E_FORMAT;
    struct reader packet = reader_of(read_view(r, length - 4), length - 4);
    if (r->bad)
        return VAULT_E_FORMAT;
    if (read_u32(&packet) != METHOD)
        return VAULT_OK;
    struct packet *p = &c->at[c->known];
    p->writer = read_view(&packet, CRYPT4GH_KEY);
    p->sealed = packet.at;
    p->size = packet.left;
    if (packet.bad || p->size <= SEGMENT_OVERHEAD)
        return VAULT_E_FORMAT;
    if (p->size > SEGMENT_SEALED)
        return VAULT_E_LIMIT;
    c->known++;
    return VAULT_OK;
}

static int read_prefix(struct reader *r, uint32_t *ret_packets) {
    const uint8_t *start = read_view(r, MAGIC);
    if (start == NULL || memcmp(start, magic, MAGIC) != 0 || read_u32(r) != VERSION)
        return VAULT_E_FORMAT;
    uint32_t packets = read_u32(r);
    if (r->bad)
        return VAULT_E_FORMAT;
    *ret_packets = packets;
    return packets > CRYPT4GH_PACKETS_MAX ? VAULT_E_LIMIT : VAULT_OK;
}

static int read_container(struct reader r, struct container *c) {
    int result = read_prefix(&r, &c->packets);
    for (uint32_t i = 0; result == VAULT_OK && i < c->packets; i++)
        result = read_packet(&r, c);
    if (result != VAULT_OK)
        return result;
    c->body = r.at;
    c->body_size = r.left;
    if (c->body_size <= SEGMENT_OVERHEAD || c->body_size > SEGMENT_SEALED)
        return VAULT_E_FORMAT;
    return c->body_size > CRYPT4GH_CONTENT_MAX + SEGMENT_OVERHEAD ? VAULT_E_LIMIT : VAULT_OK;
}

/* The data key of an opened packet; padding may follow it. An edit list, which says that not all of the content is
 * meant, and what is newer than this program are refused: to leave them out would change what the content is. */
static int read_payload(const struct secret *payload, struct secret **ret) {
    struct reader r = reader_of(secret_view(payload), secret_size(payload));
    uint32_t type = read_u32(&r);
    uint32_t method = read_u32(&r);
    if (type != TYPE_KEY || method != DATA_METHOD || r.left < SECRET_KEY_SIZE)
        return VAULT_E_FORMAT;
    int result = secret_new(ret, SECRET_KEY_SIZE);
    if (result == VAULT_OK)
        read_bytes(&r, secret_edit(*ret), SECRET_KEY_SIZE);
    return result;
}

/* VAULT_DENIED: the packet is not for this key. */
static int open_packet(const struct packet *p, const struct identity *reader, struct secret **ret_data_key) {
    CLEANUP_SECRET struct secret *header_key = NULL;
    CLEANUP_SECRET struct secret *payload = NULL;
    int result = reader_key(reader, p->writer, &header_key);
    if (result == VAULT_OK)
        result = crypt4gh_box_open(header_key, p->sealed, p->size, &payload);
    if (result == VAULT_E_DAMAGED)
        return VAULT_DENIED;
    return result == VAULT_OK ? read_payload(payload, ret_data_key) : result;
}

/* Tries every packet, also after the content is open: an edit list may come last. Each data key is tried on the body,
 * since a header may have more than one. */
static int open_content(const struct container *c, const struct identity *reader, struct secret **ret) {
    CLEANUP_SECRET struct secret *content = NULL;
    int outcome = VAULT_DENIED;
    for (uint32_t i = 0; i < c->known; i++) {
        CLEANUP_SECRET struct secret *data_key = NULL;
        int result = open_packet(&c->at[i], reader, &data_key);
        if (result == VAULT_DENIED || (result == VAULT_OK && content != NULL))
            continue;
        if (result == VAULT_OK)
            result = outcome = crypt4gh_box_open(data_key, c->body, c->body_size, &content);
        if (result != VAULT_OK && result != VAULT_E_DAMAGED)
            return result;
    }
    if (outcome == VAULT_OK)
        *ret = secret_move(&content);
    return outcome;
}

int crypt4gh_open(const void *container, size_t n, const struct secret *private_key, struct secret **ret_content,
                  unsigned *ret_packets) {
    struct container c = {0};
    struct identity reader = {.private_key = private_key};
    int result = read_container(reader_of(container, n), &c);
    if (result == VAULT_OK && (secret_size(private_key) != CRYPT4GH_KEY ||
                               crypto_scalarmult_base(reader.public_key, secret_view(private_key)) != 0))
        result = VAULT_E_CRYPTO;
    if (result == VAULT_OK)
        result = open_content(&c, &reader, ret_content);
    if (result != VAULT_E_FORMAT && ret_packets != NULL)
        *ret_packets = c.packets;
    return result;
}
