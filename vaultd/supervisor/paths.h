/* Opening what children get as descriptors, with the checks that only whoever may open it can make. */
#ifndef VAULT_SUPERVISOR_PATHS_H
#define VAULT_SUPERVISOR_PATHS_H

#include <stddef.h>

#include "config.h"

enum { PROBLEM_SIZE = 200 };

/* What group and others may do with a file: whatever; not write to it; nothing. */
enum file_care { FILE_OPEN, FILE_GUARDED, FILE_SECRET };

/* A regular file, for reading, which has that care. On failure `problem` says what is wrong, without errno. VAULT_E_IO,
 * VAULT_DENIED. */
int open_file(const char *path, enum file_care care, int *ret, char problem[PROBLEM_SIZE]);
/* A directory that `owner` (where set) owns and nobody else may write to. Errors as above. */
int open_directory(const char *path, const struct identity *owner, int *ret, char problem[PROBLEM_SIZE]);
/* The file of a secret, readable by its owner only. Errors as above. */
int open_credential(const struct credential *c, int *ret, char problem[PROBLEM_SIZE]);
/* Opens everything once, to find out at the start: logs each problem. VAULT_E_IO. */
int paths_check(const struct config *c);

#endif
