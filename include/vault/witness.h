/* Witnesses of a log: what one is sent (C2SP tlog-witness), and its signature under a checkpoint (C2SP
 * tlog-cosignature, version 1, Ed25519). docs/format-audit.md. */
#ifndef VAULT_WITNESS_H
#define VAULT_WITNESS_H

#include "vault/checkpoint.h"

enum {
    WITNESSES_MOST = 8,
    COSIGNATURE_LINE_MAX = 352, /* the longest name, and base64 of key ID, time and signature */
    WITNESS_REQUEST_MAX = 8192  /* a number, 63 hashes, an empty line, the checkpoint */
};

struct witness_key {
    char name[CHECKPOINT_ORIGIN_MAX + 1];
    uint8_t id[4];
    uint8_t public_key[32];
};

/* Of a verifier key string: name+hex8(keyID)+base64(0x04 ‖ public key). VAULT_E_FORMAT, also where the key ID is not
 * the key's. */
int witness_key_parse(const char *vkey, struct witness_key *ret);
/* Finds this key's cosignature of the note's checkpoint among signature lines, and verifies it. *ret_line: that line,
 * without its newline; *ret_time: when it was made, seconds since 1970. VAULT_E_FORMAT (of the note; lines that are
 * none), VAULT_NOT_FOUND (none by this key), VAULT_E_DAMAGED (one that is not good). */
int cosignature_take(const char *lines, const char *note, const struct witness_key *key,
                     char ret_line[COSIGNATURE_LINE_MAX], uint64_t *ret_time);
/* The body of an add-checkpoint request: the checkpoint of the note follows the log's tree of size `old`, by this
 * consistency proof. VAULT_E_LIMIT: more than 63 hashes, or a note that is too long. */
int witness_request(uint64_t old, uint8_t (*proof)[MERKLE_HASH], size_t count, const char *note,
                    char ret[WITNESS_REQUEST_MAX]);

#endif
