/* Monitor and backup: one task, one answer, on a channel of its own. No descriptors. */
#ifndef VAULT_PROTOCOL_BACKUP_H
#define VAULT_PROTOCOL_BACKUP_H

#include "vault/protocol/common.h"

/* Copy the index, mark the copy as one, verify it by this key, and give it its name. Not while the index is resealed.
 */
#define FIELDS_backup_copy(F, R)                                                                                       \
    F(R, KEY, key, 0)                                                                                                  \
    F(R, U32, generation, 0) /* of that key */
#define FIELDS_backup_copied(F, R)                                                                                     \
    F(R, STR, name, 64) /* of the folder */                                                                            \
    F(R, U64, epoch, 0) /* what follows is as the copy says it */                                                      \
    F(R, U32, oldest, 0)                                                                                               \
    F(R, U32, newest, 0)                                                                                               \
    F(R, U64, records, 0)                                                                                              \
    F(R, U64, entries, 0)                                                                                              \
    F(R, U64, objects, 0)                                                                                              \
    F(R, U64, bytes, 0)

/* Put the copy in the index's place, where there is none. */
#define FIELDS_backup_restore(F, R) FIELDS_nothing(F, R)
#define FIELDS_backup_restored(F, R) F(R, U64, bytes, 0)

/* Instead of either answer; nothing is left of it then. */
#define FIELDS_backup_refused(F, R)                                                                                    \
    F(R, STR, rule, 32)                                                                                                \
    F(R, STR, problem, 200)

#define PROTOCOL_BACKUP(M)                                                                                             \
    M(backup_copy, 0x0801, 0)                                                                                          \
    M(backup_copied, 0x0802, 0)                                                                                        \
    M(backup_restore, 0x0803, 0)                                                                                       \
    M(backup_restored, 0x0804, 0)                                                                                      \
    M(backup_refused, 0x0805, 0)

#endif
