/* Names, as the index knows them: keyed hashes. */
#ifndef VAULT_MONITOR_NAMES_H
#define VAULT_MONITOR_NAMES_H

#include "vaultd/monitor/monitor.h"

/* What a keyed hash of a name is of. */
enum name_kind {
    NAME_SUBJECT = 1,
    NAME_FILE,
    NAME_DATASET,
    NAME_SERVICE,
    NAME_SAN,
    NAME_PROJECT,
    NAME_ETHICS,
    NAME_CHAIN_SUBJECT,
    NAME_CHAIN_SERVICE,
    NAME_CHAIN_PROJECT
};

/* Keyed hash of a name, under which the index knows it now: while the name key makes way for another, under the one of
 * both that its owner has by now. `subject`: whose file has this name (NAME_FILE), or is in this dataset
 * (NAME_DATASET); else NULL. */
void name_hash(const struct monitor *m, enum name_kind kind, const char *name, const char *subject,
               uint8_t ret[HASH_SIZE]);
/* The same under this key. */
void name_hash_under(const struct secret *key, enum name_kind kind, const char *name, const char *subject,
                     uint8_t ret[HASH_SIZE]);
/* Those under which files of a dataset may be listed: how many, 1 or 2. */
unsigned dataset_hashes(const struct monitor *m, const char *dataset, uint8_t ret[2][HASH_SIZE]);
/* Tells places of the entries of a database: the same number as long as none has moved to under another name key. */
uint64_t names_moves(const struct monitor *m, enum index_db db);
/* Whether it is the name of an administrator on the Unix socket, which no service can have. */
bool name_is_local(const char *name);

#endif
