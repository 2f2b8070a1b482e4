#include "http_reply.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ask.h"
#include "connection.h"
#include "route.h"
#include "vault/result.h"

static const struct {
    unsigned status;
    const char *phrase;
} phrases[] = {{200, "OK"},
               {201, "Created"},
               {202, "Accepted"},
               {206, "Partial Content"},
               {400, "Bad Request"},
               {401, "Unauthorized"},
               {403, "Forbidden"},
               {404, "Not Found"},
               {405, "Method Not Allowed"},
               {406, "Not Acceptable"},
               {408, "Request Timeout"},
               {409, "Conflict"},
               {410, "Gone"},
               {411, "Length Required"},
               {413, "Content Too Large"},
               {414, "URI Too Long"},
               {415, "Unsupported Media Type"},
               {416, "Range Not Satisfiable"},
               {417, "Expectation Failed"},
               {422, "Unprocessable Content"},
               {423, "Locked"},
               {429, "Too Many Requests"},
               {431, "Request Header Fields Too Large"},
               {500, "Internal Server Error"},
               {501, "Not Implemented"},
               {503, "Service Unavailable"},
               {505, "HTTP Version Not Supported"},
               {507, "Insufficient Storage"}};

static const char *phrase_of(unsigned status) {
    for (size_t i = 0; i < sizeof(phrases) / sizeof(phrases[0]); i++)
        if (phrases[i].status == status)
            return phrases[i].phrase;
    return "Other";
}

static void append(struct reply *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void append_list(struct reply *r, const char *format, va_list arguments) __attribute__((format(printf, 2, 0)));

static void append_list(struct reply *r, const char *format, va_list arguments) {
    size_t room = sizeof(r->head) - r->used;
    int n = vsnprintf(r->head + r->used, room, format, arguments);
    if (n < 0 || (size_t)n >= room) {
        r->bad = true;
        return;
    }
    r->used += (size_t)n;
}

static void append(struct reply *r, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    append_list(r, format, arguments);
    va_end(arguments);
}

void reply_field(struct reply *r, const char *name, const char *format, ...) {
    va_list arguments;
    append(r, "%s: ", name);
    va_start(arguments, format);
    append_list(r, format, arguments);
    va_end(arguments);
    append(r, "\r\n");
}

static void append_date(struct reply *r) {
    time_t now = time(NULL);
    struct tm parts;
    char text[40];
    if (gmtime_r(&now, &parts) != NULL && strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &parts) > 0)
        reply_field(r, "Date", "%s", text);
}

void reply_start(struct reply *r, const struct exchange *x, unsigned status) {
    char id[2 * ID_SIZE + 1];
    hex_encode(id, sizeof(id), x->request, ID_SIZE);
    *r = (struct reply){0};
    append(r, "HTTP/1.1 %u %s\r\n", status, phrase_of(status));
    append_date(r);
    reply_field(r, "Request-Id", "%s", id);
    if (x->has_seq)
        reply_field(r, "Audit-Seq", "%llu", (unsigned long long)x->seq);
    reply_field(r, "Cache-Control", "no-store");
    reply_field(r, "X-Content-Type-Options", "nosniff");
    if (!exchange_reusable(x))
        reply_field(r, "Connection", "close");
}

int reply_send_head(struct exchange *x, struct reply *r) {
    append(r, "\r\n");
    if (r->bad)
        return VAULT_E_STATE;
    return connection_write(x->w, r->head, r->used);
}

int reply_send(struct exchange *x, struct reply *r, const void *body, size_t n) {
    reply_field(r, "Content-Length", "%zu", n);
    size_t joined = n;
    if (x->head_only || r->bad || n > sizeof(r->head) - r->used - 3)
        joined = 0;
    append(r, "\r\n");
    if (r->bad)
        return VAULT_E_STATE;
    /* A small answer leaves in one piece. */
    copy_bytes(r->head + r->used, sizeof(r->head) - r->used, body, joined);
    int result = connection_write(x->w, r->head, r->used + joined);
    if (result == VAULT_OK && !x->head_only && joined < n)
        result = connection_write(x->w, body, n);
    return result;
}

static int send_json(struct exchange *x, struct reply *r, unsigned status, const void *json, size_t n) {
    reply_field(r, "Content-Type", "%s", status >= 400 ? "application/problem+json" : "application/json");
    return reply_send(x, r, json, n);
}

static int send_problem(struct exchange *x, struct reply *r, unsigned status, const char *type, const char *rule,
                        const char *detail) {
    json_t *document = json_pack("{s:s, s:s, s:i, s:s, s:[{s:s, s:s}]}", "type", type, "title", phrase_of(status),
                                 "status", (int)status, "detail", detail, "reasons", "rule", rule, "text", detail);
    char *text = document == NULL ? NULL : json_dumps(document, JSON_COMPACT);
    json_decref(document);
    if (text == NULL)
        return VAULT_E_MEMORY;
    int result = send_json(x, r, status, text, strlen(text));
    free(text);
    return result;
}

int reply_problem(struct exchange *x, unsigned status, const char *rule, const char *detail) {
    struct reply r;
    reply_start(&r, x, status);
    return send_problem(x, &r, status, "about:blank", rule, detail);
}

int reply_integrity(struct exchange *x) {
    struct reply r;
    reply_start(&r, x, 500);
    return send_problem(x, &r, 500, "urn:vault:problem:integrity", "integrity",
                        "what is stored is damaged; nothing of it was sent");
}

/* From here on the answer speaks of what the monitor said, an `answer` in w->reply. */
static void take_record(struct exchange *x) {
    const struct msg_answer *answer = &x->w->reply.answer;
    exchange_about(x, answer->request);
    if (answer->seq > 0)
        exchange_recorded(x, answer->seq - 1);
}

/* What works while the vault is sealed is told what is wrong with it even then. */
static bool works_sealed(const struct route *route) {
    return route != NULL && (route->type == MSG_status || route->type == MSG_init || route->type == MSG_unseal);
}

/* VAULT_DENIED: the monitor's answer goes out instead. */
static int record_refusal(struct exchange *x, unsigned status, const char *rule, const char *detail) {
    int result = ask_refusal(x->w, status, rule, detail);
    if (result == VAULT_OK)
        take_record(x);
    return x->w->reply.answer.status == 423 && works_sealed(x->route) ? VAULT_OK : result;
}

int reply_refusal(struct exchange *x, unsigned status, const char *rule, const char *detail) {
    if (record_refusal(x, status, rule, detail) != VAULT_OK)
        return reply_relay(x);
    return reply_problem(x, status, rule, detail);
}

int reply_refusal_field(struct exchange *x, unsigned status, const char *rule, const char *detail, const char *name,
                        const char *value) {
    struct reply r;
    if (record_refusal(x, status, rule, detail) != VAULT_OK)
        return reply_relay(x);
    reply_start(&r, x, status);
    reply_field(&r, name, "%s", value);
    return send_problem(x, &r, status, "about:blank", rule, detail);
}

int reply_relay(struct exchange *x) {
    struct reply r;
    const struct msg_answer *answer = &x->w->reply.answer;
    take_record(x);
    reply_start(&r, x, answer->status);
    return send_json(x, &r, answer->status, answer->json, answer->json_size);
}
