/* What the files of the index share. LMDB is theirs alone. */
#ifndef VAULT_INDEX_INTERNAL_H
#define VAULT_INDEX_INTERNAL_H

#include "vault/index.h"

/* The one place where LMDB's errors become results. */
int result_of(int error);

#endif
