/* Checkpoints: C2SP tlog-checkpoint bodies in C2SP signed notes, with Ed25519 keys. docs/format-audit.md. */
#ifndef VAULT_CHECKPOINT_H
#define VAULT_CHECKPOINT_H

#include <stddef.h>
#include <stdint.h>

#include "vault/merkle.h"
#include "vault/secret.h"

enum { CHECKPOINT_ORIGIN_MAX = 200, CHECKPOINT_TEXT_MAX = 4096, CHECKPOINT_VKEY_MAX = 320, CHECKPOINT_SEED = 32 };

struct checkpoint {
    char origin[CHECKPOINT_ORIGIN_MAX + 1];
    uint64_t size;
    uint8_t root[MERKLE_HASH];
};

/* Key names (here always the origin): no spaces, no '+', no newline, not empty. */
/* The verifier key string of an Ed25519 seed: name+hex8(keyID)+base64(0x01 ‖ public key). VAULT_E_FORMAT,
 * VAULT_E_LIMIT. */
int checkpoint_vkey(const char *name, const struct secret *seed, char ret_vkey[CHECKPOINT_VKEY_MAX]);
/* The signed note, terminated. VAULT_E_FORMAT (bad origin), VAULT_E_LIMIT. */
int checkpoint_sign(const struct checkpoint *c, const struct secret *seed, char ret_note[CHECKPOINT_TEXT_MAX]);
/* Parses a note and verifies it against a verifier key: unknown signers are ignored, the key's own signature must be
 * there and good. VAULT_E_FORMAT (note or vkey), VAULT_E_DAMAGED (no good signature by this key). */
int checkpoint_verify(const char *note, const char *vkey, struct checkpoint *ret);

/* The same, and where the key's name is that of a restored log (ORIGIN/epoch-K) also a checkpoint, by the same public
 * key, of a log that it continues: of ORIGIN, or of ORIGIN/epoch-J with J below K. */
int checkpoint_verify_earlier(const char *note, const char *vkey, struct checkpoint *ret);
/* The origin of a log that goes on, since a restore, in this epoch of the key ring (0: it was never restored).
 * VAULT_E_LIMIT. */
int checkpoint_origin(const char *origin, uint32_t epoch, char ret[CHECKPOINT_ORIGIN_MAX + 1]);
/* And back: the epoch in a name of the log that began as `origin`; 0: it is that. VAULT_E_FORMAT: of another log. */
int checkpoint_epoch(const char *name, const char *origin, uint32_t *ret);

#endif
