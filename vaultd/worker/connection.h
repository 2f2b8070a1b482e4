/* Bytes from and to the client, with the worker's deadlines, while the monitor may speak at any time. */
#ifndef VAULT_WORKER_CONNECTION_H
#define VAULT_WORKER_CONNECTION_H

#include "worker.h"

/* Bytes received and not yet taken. */
const uint8_t *connection_waiting(const struct worker *w, size_t *ret_n);
void connection_take(struct worker *w, size_t n);
/* Receives at least one more byte behind those waiting, before until_ms. VAULT_E_LIMIT: no room. VAULT_E_CLOSED: the
 * client's end, orderly or not. VAULT_E_TIMEOUT, VAULT_E_IO. */
int connection_fill(struct worker *w, uint64_t until_ms);
/* Reads 1 to n bytes, first those that wait. Errors as above. */
int connection_read(struct worker *w, void *to, size_t n, uint64_t until_ms, size_t *ret_n);
/* Sends all n bytes; looks for revocations first. Resets the client and ends the process when its whole time is over.
 * VAULT_E_CLOSED, VAULT_E_TIMEOUT, VAULT_E_IO. */
int connection_write(struct worker *w, const void *from, size_t n);
/* Now plus so many milliseconds, but not past the end of the connection. */
uint64_t connection_until(const struct worker *w, uint32_t ms);

#endif
