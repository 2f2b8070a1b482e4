/* TLS 1.3 on the client's socket, with the gate's help. The only file that uses OpenSSL's TLS is tls.c. */
#ifndef VAULT_WORKER_TLS_H
#define VAULT_WORKER_TLS_H

#include "vaultd/worker/wire.h"

struct tls;

/* As stream_prepare. */
int tls_prepare(int gate);
/* As stream_open_tls, over a wire that outlives the session and whose deadline is set. */
int tls_accept(struct wire *wire, int gate, struct tls **ret);
/* As the stream functions of the same name; the time until which is the wire's deadline. */
int tls_read(struct tls *t, void *to, size_t n, size_t *ret_n);
int tls_write(struct tls *t, const void *from, size_t n);
bool tls_pending(struct tls *t);
/* Sends close_notify if the session is whole. */
void tls_finish(struct tls *t);
/* Accepts NULL and a pointer to NULL. */
void tls_free(struct tls **t);

#endif
