/* Which request is which message, and who serves it: one table. */
#ifndef VAULT_WORKER_ROUTE_H
#define VAULT_WORKER_ROUTE_H

#include "exchange.h"
#include "members.h"
#include "vault/message.h"

enum route_body { BODY_NONE, BODY_JSON, BODY_RAW /* the handler reads it */ };

/* Serves a request whose members are in w->request, and sends the answer. VAULT_OK: answered. Anything negative: the
 * connection is over. */
typedef int route_handler(struct exchange *x);

struct route {
    const char *method;
    const char *pattern; /* "/v1/subjects/{subject}" */
    route_handler *handler;
    enum message_type type;
    enum route_body body;
    const struct member *members;
    size_t member_count;
};

/* Finds the route, and fills x->route and x->arguments. VAULT_NOT_FOUND: no such path. VAULT_DENIED: no such method
 * there; `allow` then lists those that are. A HEAD is a GET. */
int route_find(struct exchange *x, char *allow, size_t allow_size);

extern const struct route routes[];
extern const size_t route_count;

/* The handlers. */
int serve_relay(struct exchange *x);      /* ask; relay the answer */
int serve_content(struct exchange *x);    /* get.c */
int serve_deposit(struct exchange *x);    /* put.c */
int serve_consent(struct exchange *x);    /* serve_documents.c */
int serve_policy(struct exchange *x);     /* serve_documents.c */
int serve_inquiry(struct exchange *x);    /* serve_admin.c */
int serve_audit_tail(struct exchange *x); /* serve_audit.c */
int serve_metrics(struct exchange *x);
int serve_audit_range(struct exchange *x);        /* serve_audit.c */
int serve_audit_chain(struct exchange *x);        /* serve_audit.c */
int serve_audit_chain_proofs(struct exchange *x); /* serve_audit.c */

#endif
