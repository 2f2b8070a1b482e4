/* The body of the request being served. */
#ifndef VAULT_WORKER_BODY_H
#define VAULT_WORKER_BODY_H

#include "http_chunked.h"
#include "http_parse.h"
#include "worker.h"

/* No body may be longer: 1 TiB. */
#define BODY_MAX ((uint64_t)1 << 40)

struct body {
    bool chunked;
    bool continue_owed; /* the client waits for 100 Continue */
    bool failed;        /* malformed: nothing behind it can be trusted */
    uint64_t left;      /* not chunked */
    uint64_t taken;
    struct http_chunked chunks;
};

void body_start(struct body *b, const struct http_head *head);
/* All of it was taken (so what follows is the next request). */
bool body_finished(const struct body *b);
/* Reads 1 to n bytes; *ret_n 0 at the end. Says 100 Continue before the first. VAULT_E_FORMAT: malformed.
 * VAULT_E_LIMIT: over BODY_MAX. VAULT_E_TIMEOUT: stalled. VAULT_E_CLOSED, VAULT_E_IO. */
int body_read(struct worker *w, struct body *b, void *to, size_t n, size_t *ret_n);
/* Reads until n bytes are there or the body ends. Errors as above. */
int body_read_full(struct worker *w, struct body *b, void *to, size_t n, size_t *ret_n);

#endif
