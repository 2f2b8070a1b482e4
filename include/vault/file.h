/* Files that a process was given open. */
#ifndef VAULT_FILE_H
#define VAULT_FILE_H

#include <stddef.h>

/* Reads from the start, wherever the offset is (one descriptor may be handed out twice): all of it, or the first `size`
 * bytes, so that one byte more than the most tells a file that is too long. VAULT_E_IO. */
int fd_read(int fd, void *to, size_t size, size_t *ret_n);

#endif
