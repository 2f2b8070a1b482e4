/* One request and its answer. */
#ifndef VAULT_WORKER_EXCHANGE_H
#define VAULT_WORKER_EXCHANGE_H

#include "body.h"
#include "http_parse.h"
#include "worker.h"

struct route;

enum { ROUTE_ARGUMENTS = 2 };

/* A `{name}` of the route's pattern, and the path segment there, still encoded. */
struct argument {
    struct view name, value;
};

struct exchange {
    struct worker *w;
    struct http_head head; /* points into head_bytes */
    struct body body;
    bool head_only; /* HEAD: the answer has no body */
    bool close;     /* the connection ends after this answer */
    uint8_t request[ID_SIZE];
    bool has_seq;
    uint64_t seq;
    const struct route *route;
    size_t argument_count;
    struct argument arguments[ROUTE_ARGUMENTS];
    uint8_t head_bytes[HTTP_HEAD_MAX];
};

/* The connection can carry another request after this one. */
bool exchange_reusable(const struct exchange *x);
/* The answer speaks of this request and audit record (vault/protocol/access.h). A zero id leaves the random one. */
void exchange_about(struct exchange *x, const uint8_t request[ID_SIZE]);
void exchange_recorded(struct exchange *x, uint64_t seq);

#endif
