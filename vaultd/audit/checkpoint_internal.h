/* Verifier keys, inside the audit library. docs/format-audit.md. */
#ifndef AUDIT_CHECKPOINT_INTERNAL_H
#define AUDIT_CHECKPOINT_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "vault/checkpoint.h"

enum { VKEY_ID = 4, VKEY_PUBLIC = 32, NOTE_SIGNATURE = 64 };

struct vkey {
    char name[CHECKPOINT_ORIGIN_MAX + 1];
    uint8_t id[VKEY_ID];
    uint8_t public_key[VKEY_PUBLIC];
};

/* What a key is for: the byte before it in a verifier key string. */
enum key_kind { KEY_SIGNS = 0x01, KEY_COSIGNS = 0x04 };

/* VAULT_E_FORMAT: no verifier key string of an Ed25519 key of this kind, or its key ID is not the key's. */
int vkey_parse(const char *text, enum key_kind kind, struct vkey *ret);

/* A piece of a note; `at` is not terminated. */
struct piece {
    const char *at;
    size_t n;
};

enum { SIGNATURES_MAX = 100, SIGNATURE_BYTES_MAX = 1024 /* of signers whose algorithm is not known here */ };

struct note_signature {
    struct piece line, name;
    uint8_t bytes[SIGNATURE_BYTES_MAX]; /* key ID ‖ signature */
    size_t size;
};

/* Origin, size, root and the empty line. Moves *at to the first signature. VAULT_E_FORMAT. */
int note_body(const char **at, struct checkpoint *ret);
/* The next signature line. VAULT_NOT_FOUND: there is no more text; VAULT_E_FORMAT. */
int note_signature_next(const char **at, struct note_signature *ret);
/* Whether it says that it is by this key. */
bool note_signed_by(const struct note_signature *s, const struct vkey *v);
/* Strict base64 of exactly n bytes. */
bool base64_exact(uint8_t *to, size_t n, const char *text, size_t text_size);
/* The secret key of a seed in libsodium's form (seed ‖ public key), and its public key. VAULT_E_LIMIT (no seed),
 * VAULT_E_MEMORY, VAULT_E_CRYPTO. */
int key_pair(const struct secret *seed, struct secret **ret_key, uint8_t ret_public[VKEY_PUBLIC]);

#endif
