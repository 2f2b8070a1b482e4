/* Answers: status line, header fields, body. */
#ifndef VAULT_WORKER_HTTP_REPLY_H
#define VAULT_WORKER_HTTP_REPLY_H

#include "exchange.h"

enum { REPLY_HEAD_MAX = 4096 };

struct reply {
    char head[REPLY_HEAD_MAX];
    size_t used;
    bool bad; /* it did not fit */
};

/* Status line and the fields that every answer has. */
void reply_start(struct reply *r, const struct exchange *x, unsigned status);
void reply_field(struct reply *r, const char *name, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Sends the head alone. VAULT_E_STATE: it did not fit; and as connection_write. */
int reply_send_head(struct exchange *x, struct reply *r);
/* Sends the head with Content-Length n, and the body unless the request was HEAD. */
int reply_send(struct exchange *x, struct reply *r, const void *body, size_t n);

/* A whole answer with a problem document of the worker's own; `rule` and `detail` make its one reason. It is not
 * recorded: for faults of ours, for clients that stall, for what is no request, and where it was recorded before. */
int reply_problem(struct exchange *x, unsigned status, const char *rule, const char *detail);
/* The same, with type urn:vault:problem:integrity and status 500. */
int reply_integrity(struct exchange *x);
/* The same for a request that the worker turns away by itself, with a status from 400 to 499: the monitor records it
 * first, and if it has another answer, that one is relayed instead. No text may lie in w->request or w->reply. */
int reply_refusal(struct exchange *x, unsigned status, const char *rule, const char *detail);
/* reply_refusal with one more header field. */
int reply_refusal_field(struct exchange *x, unsigned status, const char *rule, const char *detail, const char *name,
                        const char *value);
/* w->reply, an `answer`, as it is. */
int reply_relay(struct exchange *x);

#endif
