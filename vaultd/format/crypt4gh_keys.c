#include <errno.h>
#include <openssl/evp.h>
#include <sodium.h>
#include <stdbool.h>
#include <string.h>

#include "crypt4gh_internal.h"
#include "vault/buffer.h"
#include "vault/crypt4gh.h"
#include "vault/result.h"
#include "vault/segment.h"

enum {
    LINE_MAX_SIZE = 64, /* of a BEGIN or END line */
    MAGIC = 7,
    SALT = 16,
    OPTIONS = 4 + SALT, /* of a kdf: rounds, salt */
    BLOB = CRYPT4GH_KEY + SEGMENT_OVERHEAD,
    ROUNDS_MAX = 10000000, /* of PBKDF2: some seconds */
    SCRYPT_N = 16384,
    SCRYPT_R = 8,
    SCRYPT_P = 1,
    ENCODED_MAX = 256
};

static const char magic[MAGIC + 1] = "c4gh-v1";
static const char public_label[] = "CRYPT4GH PUBLIC KEY";
static const char private_label[] = "CRYPT4GH PRIVATE KEY";
static const char encrypted_label[] = "CRYPT4GH ENCRYPTED PRIVATE KEY";
static const char space[] = " \t\r\n";
static const char kdf_none[] = "none";
static const char cipher_none[] = "none";
static const char cipher_chacha[] = "chacha20_poly1305";

/* The strings of a private key file; each reader spans one, in memory of the decoded file. */
struct key_file {
    struct reader kdf;
    struct reader options; /* empty without a kdf */
    struct reader cipher;
    struct reader blob;
};

/* How a key comes from a passphrase. `rounds` is as the file says. Errors: VAULT_E_LIMIT, VAULT_E_CRYPTO,
 * VAULT_E_MEMORY. */
typedef int derive_fn(const struct secret *passphrase, uint32_t rounds, const uint8_t salt[SALT],
                      uint8_t to[SECRET_KEY_SIZE]);

/* The format fixes the parameters, and tools write 0 into the field of rounds. */
static int derive_scrypt(const struct secret *passphrase, uint32_t rounds, const uint8_t salt[SALT],
                         uint8_t to[SECRET_KEY_SIZE]) {
    (void)rounds;
    if (crypto_pwhash_scryptsalsa208sha256_ll(secret_view(passphrase), secret_size(passphrase), salt, SALT, SCRYPT_N,
                                              SCRYPT_R, SCRYPT_P, to, SECRET_KEY_SIZE) == 0)
        return VAULT_OK;
    return errno == ENOMEM ? VAULT_E_MEMORY : VAULT_E_CRYPTO;
}

static int derive_pbkdf2(const struct secret *passphrase, uint32_t rounds, const uint8_t salt[SALT],
                         uint8_t to[SECRET_KEY_SIZE]) {
    if (rounds == 0 || rounds > ROUNDS_MAX)
        return VAULT_E_LIMIT;
    int done = PKCS5_PBKDF2_HMAC((const char *)secret_view(passphrase), (int)secret_size(passphrase), salt, SALT,
                                 (int)rounds, EVP_sha256(), SECRET_KEY_SIZE, to);
    return done == 1 ? VAULT_OK : VAULT_E_CRYPTO;
}

static const struct {
    const char *name;
    derive_fn *derive;
} kdfs[] = {{"scrypt", derive_scrypt}, {"pbkdf2_hmac_sha256", derive_pbkdf2}};

static bool is_space(uint8_t c) {
    return c != '\0' && strchr(space, c) != NULL;
}

static void trim(struct reader *text) {
    for (; text->left > 0 && is_space(text->at[0]); text->left--)
        text->at++;
    while (text->left > 0 && is_space(text->at[text->left - 1]))
        text->left--;
}

static bool take_start(struct reader *text, const char *start) {
    const uint8_t *at = read_view(text, strlen(start));
    return at != NULL && memcmp(at, start, strlen(start)) == 0;
}

static bool take_end(struct reader *text, const char *end) {
    size_t n = strlen(end);
    if (text->left < n || memcmp(text->at + text->left - n, end, n) != 0)
        return false;
    text->left -= n;
    return true;
}

/* What lies between the BEGIN and the END line of this label, with nothing but space around them. A NUL is refused
 * here: the decoder would take it for space. */
static bool armoured(struct reader text, const char *label, struct reader *ret) {
    char begin[LINE_MAX_SIZE];
    char end[LINE_MAX_SIZE];
    if (text.left == 0 || text.left > CRYPT4GH_KEY_FILE_MAX ||
        !format_string(begin, sizeof(begin), "-----BEGIN %s-----", label) ||
        !format_string(end, sizeof(end), "\n-----END %s-----", label))
        return false;
    trim(&text);
    if (!take_start(&text, begin) || !take_end(&text, end) || text.left == 0 || !is_space(text.at[0]) ||
        memchr(text.at, '\0', text.left) != NULL)
        return false;
    *ret = text;
    return true;
}

/* Constant time in what is decoded. */
static bool decode(struct reader base64, uint8_t *to, size_t size, size_t *ret_n) {
    return sodium_base642bin(to, size, (const char *)base64.at, base64.left, space, ret_n, NULL,
                             sodium_base64_VARIANT_ORIGINAL) == 0;
}

int crypt4gh_public_key_read(const void *text, size_t n, uint8_t ret[CRYPT4GH_KEY]) {
    uint8_t key[CRYPT4GH_KEY];
    struct reader base64;
    size_t size = 0;
    if (!armoured(reader_of(text, n), public_label, &base64) || !decode(base64, key, sizeof(key), &size) ||
        size != sizeof(key))
        return VAULT_E_FORMAT;
    copy_bytes(ret, CRYPT4GH_KEY, key, sizeof(key));
    return VAULT_OK;
}

/* A string with its length before it, big-endian. */
static struct reader read_string(struct reader *r) {
    size_t n = (size_t)read_u8(r) << 8;
    n |= read_u8(r);
    const uint8_t *at = read_view(r, n);
    return reader_of(at, at == NULL ? 0 : n);
}

static bool is_string(struct reader r, const char *text) {
    return r.left == strlen(text) && memcmp(r.at, text, r.left) == 0;
}

static int read_key_file(struct reader r, struct key_file *ret) {
    struct key_file f = {0};
    if (!take_start(&r, magic))
        return VAULT_E_FORMAT;
    f.kdf = read_string(&r);
    if (!is_string(f.kdf, kdf_none))
        f.options = read_string(&r);
    f.cipher = read_string(&r);
    f.blob = read_string(&r);
    if (r.left > 0)
        (void)read_string(&r); /* a comment, for people */
    if (!read_done(&r))
        return VAULT_E_FORMAT;
    *ret = f;
    return VAULT_OK;
}

static int take_key(struct reader bytes, struct secret **ret) {
    if (bytes.left != CRYPT4GH_KEY)
        return VAULT_E_FORMAT;
    int result = secret_new(ret, CRYPT4GH_KEY);
    if (result == VAULT_OK)
        read_bytes(&bytes, secret_edit(*ret), CRYPT4GH_KEY);
    return result;
}

static derive_fn *find_kdf(struct reader name) {
    for (size_t i = 0; i < sizeof(kdfs) / sizeof(kdfs[0]); i++)
        if (is_string(name, kdfs[i].name))
            return kdfs[i].derive;
    return NULL;
}

static int derive_key(derive_fn *derive, struct reader options, const struct secret *passphrase, struct secret **ret) {
    CLEANUP_SECRET struct secret *key = NULL;
    int result = secret_new(&key, SECRET_KEY_SIZE);
    if (result == VAULT_OK)
        result = derive(passphrase, get_be32(options.at), options.at + 4, secret_edit(key));
    if (result == VAULT_OK)
        *ret = secret_move(&key);
    return result;
}

static int open_encrypted(const struct key_file *f, const struct secret *passphrase, struct secret **ret) {
    CLEANUP_SECRET struct secret *key = NULL;
    derive_fn *derive = find_kdf(f->kdf);
    if (derive == NULL)
        return VAULT_E_LIMIT;
    if (f->options.left != OPTIONS || f->blob.left != BLOB)
        return VAULT_E_FORMAT;
    if (passphrase == NULL)
        return VAULT_NOT_FOUND;
    int result = derive_key(derive, f->options, passphrase, &key);
    if (result != VAULT_OK)
        return result;
    result = crypt4gh_box_open(key, f->blob.at, f->blob.left, ret);
    return result == VAULT_E_DAMAGED ? VAULT_DENIED : result;
}

/* A kdf without a cipher, or a cipher without a kdf, is what no tool means. */
static int open_key_file(const struct key_file *f, const struct secret *passphrase, struct secret **ret) {
    bool sealed = !is_string(f->cipher, cipher_none);
    if (sealed && !is_string(f->cipher, cipher_chacha))
        return VAULT_E_LIMIT;
    if (sealed == is_string(f->kdf, kdf_none))
        return VAULT_E_FORMAT;
    return sealed ? open_encrypted(f, passphrase, ret) : take_key(f->blob, ret);
}

int crypt4gh_private_key_read(const void *text, size_t n, const struct secret *passphrase, struct secret **ret) {
    CLEANUP_SECRET struct secret *bytes = NULL;
    struct reader base64;
    struct key_file f;
    size_t size = 0;
    bool plain = armoured(reader_of(text, n), private_label, &base64);
    if (!plain && !armoured(reader_of(text, n), encrypted_label, &base64))
        return VAULT_E_FORMAT;
    int result = secret_new(&bytes, base64.left);
    if (result != VAULT_OK)
        return result;
    if (!decode(base64, secret_edit(bytes), secret_size(bytes), &size))
        return VAULT_E_FORMAT;
    struct reader decoded = reader_of(secret_view(bytes), size);
    if (plain && size == CRYPT4GH_KEY) /* shorter than each file with strings */
        return take_key(decoded, ret);
    result = read_key_file(decoded, &f);
    return result == VAULT_OK ? open_key_file(&f, passphrase, ret) : result;
}

static void write_string(struct writer *w, const void *from, size_t n) {
    write_u8(w, (uint8_t)(n >> 8));
    write_u8(w, (uint8_t)n);
    write_bytes(w, from, n);
}

static void write_name(struct writer *w, const char *name) {
    write_string(w, name, strlen(name));
}

static void encode_plain(const struct secret *key, struct writer *w) {
    write_name(w, kdf_none);
    write_name(w, cipher_none);
    write_string(w, secret_view(key), CRYPT4GH_KEY);
}

static int encode_encrypted(const struct secret *key, const struct secret *passphrase, struct writer *w) {
    CLEANUP_SECRET struct secret *under = NULL;
    uint8_t options[OPTIONS] = {0};
    uint8_t blob[BLOB];
    randombytes_buf(options + 4, SALT);
    int result = derive_key(derive_scrypt, reader_of(options, OPTIONS), passphrase, &under);
    if (result == VAULT_OK)
        result = crypt4gh_box_seal(under, secret_view(key), CRYPT4GH_KEY, blob);
    if (result != VAULT_OK)
        return result;
    write_name(w, "scrypt");
    write_string(w, options, sizeof(options));
    write_name(w, cipher_chacha);
    write_string(w, blob, sizeof(blob));
    return VAULT_OK;
}

/* The bytes as a file with this label, base64 in one line. */
static int armour(const char *label, const uint8_t *bytes, size_t n, struct secret **ret) {
    CLEANUP_SECRET struct secret *base64 = NULL;
    char begin[LINE_MAX_SIZE];
    char end[LINE_MAX_SIZE];
    if (!format_string(begin, sizeof(begin), "-----BEGIN %s-----\n", label) ||
        !format_string(end, sizeof(end), "\n-----END %s-----\n", label))
        return VAULT_E_LIMIT;
    size_t size = sodium_base64_ENCODED_LEN(n, sodium_base64_VARIANT_ORIGINAL); /* counts a NUL */
    int result = secret_new(&base64, size);
    if (result == VAULT_OK)
        result = secret_new(ret, strlen(begin) + size - 1 + strlen(end));
    if (result != VAULT_OK)
        return result;
    sodium_bin2base64((char *)secret_edit(base64), size, bytes, n, sodium_base64_VARIANT_ORIGINAL);
    struct writer w = writer_of(secret_edit(*ret), secret_size(*ret));
    write_bytes(&w, begin, strlen(begin));
    write_bytes(&w, secret_view(base64), size - 1);
    write_bytes(&w, end, strlen(end));
    return VAULT_OK;
}

static int private_file(const struct secret *key, const struct secret *passphrase, struct secret **ret) {
    CLEANUP_SECRET struct secret *encoded = NULL;
    int result = secret_new(&encoded, ENCODED_MAX);
    if (result != VAULT_OK)
        return result;
    struct writer w = writer_of(secret_edit(encoded), ENCODED_MAX);
    write_bytes(&w, magic, MAGIC);
    if (passphrase != NULL)
        result = encode_encrypted(key, passphrase, &w);
    else
        encode_plain(key, &w);
    return result == VAULT_OK ? armour(private_label, secret_view(encoded), w.used, ret) : result;
}

int crypt4gh_key_pair(const struct secret *passphrase, char ret_public[CRYPT4GH_KEY_FILE_MAX],
                      struct secret **ret_private) {
    CLEANUP_SECRET struct secret *key = NULL;
    CLEANUP_SECRET struct secret *public_text = NULL; /* no secret, but made by the same hand */
    uint8_t public_key[CRYPT4GH_KEY];
    int result = secret_new(&key, CRYPT4GH_KEY);
    if (result == VAULT_OK && crypto_kx_keypair(public_key, secret_edit(key)) != 0)
        result = VAULT_E_CRYPTO;
    if (result == VAULT_OK)
        result = armour(public_label, public_key, sizeof(public_key), &public_text);
    if (result == VAULT_OK)
        result = private_file(key, passphrase, ret_private);
    if (result != VAULT_OK)
        return result;
    size_t n = secret_size(public_text);
    copy_bytes(ret_public, CRYPT4GH_KEY_FILE_MAX - 1, secret_view(public_text), n);
    ret_public[n] = '\0';
    return VAULT_OK;
}
