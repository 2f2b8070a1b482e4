/* Small documents in request bodies. */
#ifndef VAULT_WORKER_SERVE_H
#define VAULT_WORKER_SERVE_H

#include "exchange.h"

enum { DOCUMENT_MAX = 65536 };

/* Room for a document and one byte more; there is one, wiped after use. */
char *document_buffer(void);
/* Reads the whole body into it. VAULT_AGAIN: it is there. Anything else: answered, or the connection is over. */
int read_document(struct exchange *x, char *to, size_t *ret_n);

#endif
