/* The requests of one connection, one after the other. */
#ifndef VAULT_WORKER_SESSION_H
#define VAULT_WORKER_SESSION_H

#include "exchange.h"

/* Routes a request whose head is parsed, and serves it. VAULT_OK: answered. Negative: the connection is over. */
int serve_request(struct exchange *x);

#endif
