/* A subject's key and the data keys under it.
 *
 * Keys of a subject are numbered from 1, and each is an entry of its own: a rotation of the key-encryption key touches
 * nothing else. A turn to the next number (turns.c) keeps the key before it until every data key is wrapped under the
 * new one; meanwhile `turning` is set, and each data key says which of the two it is under. An entry that the subject's
 * value does not speak of opens nothing. */
#ifndef VAULT_MONITOR_SUBJECT_KEYS_H
#define VAULT_MONITOR_SUBJECT_KEYS_H

#include "vaultd/monitor/monitor.h"

/* Gives the subject a fresh key, wrapped under the active generation; the subject's value is not stored yet. With one
 * that it had, this begins a turn (VAULT_E_STATE if one is under way). VAULT_E_DAMAGED, VAULT_E_CRYPTO, VAULT_E_MEMORY,
 * and those of the index. */
int subject_key_give(struct monitor *m, struct subject_value *s);
/* The generation that the key in use is wrapped under; 0 if it was shredded. VAULT_E_DAMAGED. */
int subject_key_generation(struct monitor *m, const struct subject_value *s, uint32_t *ret);
/* Wraps the next keys after `after` (*size 0: from the start), up to `most`, under another generation, never an older
 * one; `after` becomes the last of them, *ret_done and *ret_damaged how many they were. VAULT_NOT_FOUND: all are. */
int subject_keys_rewrap(struct monitor *m, uint32_t generation, uint64_t most, uint8_t after[INDEX_KEY_MAX],
                        size_t *size, uint64_t *ret_done, uint64_t *ret_damaged);
/* Moves them to another hash of the same subject, which their wraps are bound to; a trial only opens them.
 * VAULT_E_DAMAGED. */
int subject_keys_move(struct monitor *m, const struct subject_value *s, const uint8_t from[HASH_SIZE],
                      const uint8_t to[HASH_SIZE], bool trial);
/* Forgets the key before, at the end of a turn; with `all` the one in use too. The subject's value is not stored yet.
 */
int subject_keys_forget(struct monitor *m, struct subject_value *s, bool all);

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
