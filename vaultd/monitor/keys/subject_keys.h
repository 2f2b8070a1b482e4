/* A subject's key and the data keys under it.
 *
 * Keys of a subject are numbered from 1. A turn to the next number (turns.c) keeps the key before it until every data
 * key is wrapped under the new one; meanwhile `turning` is set, and each data key says which of the two it is under. */
#ifndef VAULT_MONITOR_SUBJECT_KEYS_H
#define VAULT_MONITOR_SUBJECT_KEYS_H

#include "vaultd/monitor/monitor.h"

/* Gives the subject a fresh key, wrapped under the active generation; the value is not stored yet. With one that it
 * had, this begins a turn (VAULT_E_STATE if one is under way). VAULT_E_DAMAGED, VAULT_E_CRYPTO, VAULT_E_MEMORY. */
int subject_key_give(struct monitor *m, struct subject_value *s);
/* Wraps what the subject has under another generation; the value is not stored yet. `owner`: the hash that it is stored
 * under. Errors as above. */
int subject_key_rewrap(struct monitor *m, struct subject_value *s, const uint8_t owner[HASH_SIZE], uint32_t generation);
/* Wraps it for another hash of the same subject, which its wraps are bound to. Errors as above. */
int subject_key_move(struct monitor *m, struct subject_value *s, const uint8_t from[HASH_SIZE],
                     const uint8_t to[HASH_SIZE]);
/* Forgets the key before, at the end of a turn; with `all` the key too. The value is not stored yet. */
void subject_key_forget(struct subject_value *s, bool all);

/* A data key, wrapped under the subject's key of that number. VAULT_E_DAMAGED if any link of the chain is. */
int data_key_open(struct monitor *m, const struct subject_value *s, const uint8_t blob[ID_SIZE], uint32_t number,
                  const uint8_t wrapped[WRAP_SIZE], struct secret **ret);
/* Wraps a data key under the subject's newest key. */
int data_key_wrap(struct monitor *m, const struct subject_value *s, const uint8_t blob[ID_SIZE],
                  const struct secret *key, uint8_t ret[WRAP_SIZE]);
/* Both: from the key of *number to the newest, unless it is under that. */
int data_key_rewrap(struct monitor *m, const struct subject_value *s, const uint8_t blob[ID_SIZE], uint32_t *number,
                    uint8_t wrapped[WRAP_SIZE]);

#endif
