/* One HTTP exchange with the vault, by libcurl, on the Unix socket or on TLS 1.3. */
#ifndef VAULTCTL_HTTP_H
#define VAULTCTL_HTTP_H

#include <jansson.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connection.h"
#include "outcome.h"
#include "progress.h"

struct session; /* a connection that is kept between requests; opaque */

enum { HTTP_HEADERS = 4, HTTP_TEXT = 256 };

struct http_request {
    const char *method;
    const char *path;                  /* encoded, with its query */
    const char *headers[HTTP_HEADERS]; /* "Name: value", up to the first NULL */
    const char *type;                  /* Content-Type of the body; NULL: no body */
    const char *body;
    size_t body_size;
    int upload;          /* descriptor to send from, if upload_size is not negative and body is NULL */
    int64_t upload_size; /* exact; -1: no upload */
    /* Takes the body of a 2xx answer in pieces; false ends the exchange. NULL: it is gathered. */
    bool (*sink)(void *context, const void *bytes, size_t n);
    void *context;
    struct progress *progress; /* moves with the upload or the download; NULL: none */
};

struct http_answer {
    long status;                /* 0: there was no answer */
    char request_id[HTTP_TEXT]; /* headers; empty: not sent */
    char repr_digest[HTTP_TEXT];
    char content_range[HTTP_TEXT];
    int64_t size; /* Content-Length; -1: not told */
    char *body;   /* gathered and terminated; owned, NULL if there was none */
    size_t body_size;
    json_t *document;          /* the body, if it was a JSON object; owned */
    bool cut;                  /* a good answer began, and broke off */
    bool sink_failed;          /* the sink said no */
    char error[2 * HTTP_TEXT]; /* what went wrong, for people; empty if it is in the document */
};

/* Prepares a session. Its connection's strings must outlive it. NULL if libcurl has no memory. */
struct session *session_open(const struct connection *connection);
/* Accepts NULL. */
void session_close(struct session *s);
/* Sends the request and takes the answer. Always fills *ret, which answer_clear empties. OUTCOME_DONE: a whole 2xx
 * answer. Otherwise the outcome, with ret->error or ret->document telling why. */
enum outcome http_exchange(struct session *s, const struct http_request *request, struct http_answer *ret);
void answer_clear(struct http_answer *a);

/* Set by a signal: the exchange in progress ends, and so does every loop that waits. */
extern volatile sig_atomic_t interrupted;

#endif
