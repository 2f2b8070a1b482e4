#include <stdlib.h>
#include <string.h>

#include "ask.h"
#include "http_reply.h"
#include "route.h"
#include "serve.h"
#include "session.h"
#include "vault/result.h"

int read_document(struct exchange *x, char *to, size_t *ret_n) {
    if (x->head.has_length && x->head.length > DOCUMENT_MAX)
        return reply_refusal(x, 413, "body", "the document is longer than 64 KiB");
    int result = body_read_full(x->w, &x->body, to, DOCUMENT_MAX + 1, ret_n);
    if (result == VAULT_E_FORMAT)
        return reply_refusal(x, 400, "body", "malformed chunked coding");
    if (result == VAULT_E_TIMEOUT)
        return reply_problem(x, 408, "body", "the document stopped coming");
    if (result != VAULT_OK)
        return result;
    if (*ret_n > DOCUMENT_MAX)
        return reply_refusal(x, 413, "body", "the document is longer than 64 KiB");
    return VAULT_AGAIN;
}

char *document_buffer(void) {
    static char buffer[DOCUMENT_MAX + 1];
    return buffer;
}

/* The body as a JSON object; none at all is the empty object. VAULT_AGAIN: go on, else answered. */
static int read_json(struct exchange *x, json_t **ret) {
    char *text = document_buffer();
    size_t n = 0;
    json_error_t error;
    int result = read_document(x, text, &n);
    if (result != VAULT_AGAIN)
        return result;
    *ret = n == 0 ? json_object() : json_loadb(text, n, JSON_REJECT_DUPLICATES, &error);
    wipe(text, n);
    if (json_is_object(*ret))
        return VAULT_AGAIN;
    char problem[100] = "the body is no JSON object";
    if (*ret == NULL && n > 0)
        format_string(problem, sizeof(problem), "%s in line %d, column %d",
                      json_error_code(&error) == json_error_duplicate_key ? "a member is there twice"
                                                                          : "malformed JSON",
                      error.line, error.column);
    json_decref(*ret);
    *ret = NULL;
    return reply_refusal(x, 400, "body", problem);
}

/* Fills w->request from the request. VAULT_AGAIN: go on, else answered. */
static int fill_message(struct exchange *x) {
    const struct route *route = x->route;
    struct member_problem problem;
    json_t *body = NULL;
    int result = route->body == BODY_JSON ? read_json(x, &body) : VAULT_AGAIN;
    if (result != VAULT_AGAIN)
        return result;
    ask_start(x->w, route->type);
    /* The members of the message's union share their address. */
    result = members_fill(x, route->members, route->member_count, body, &x->w->request.done, &problem);
    json_decref(body);
    if (result != VAULT_OK)
        return reply_refusal(x, problem.status, "request", problem.text);
    return VAULT_AGAIN;
}

int serve_request(struct exchange *x) {
    char allow[80];
    int result = route_find(x, allow, sizeof(allow));
    if (result == VAULT_NOT_FOUND)
        return reply_refusal(x, 404, "path", "there is no such resource");
    if (result == VAULT_DENIED)
        return reply_refusal_field(x, 405, "method", "this resource has no such method", "Allow", allow);
    if (x->route->body == BODY_NONE && !body_finished(&x->body))
        return reply_refusal(x, 400, "body", "this request has no body");
    result = fill_message(x);
    return result == VAULT_AGAIN ? x->route->handler(x) : result;
}

int serve_relay(struct exchange *x) {
    (void)ask(x->w, MSG_answer);
    return reply_relay(x);
}

int serve_inquiry(struct exchange *x) {
    static const uint8_t none[ID_SIZE];
    const struct msg_inquire *m = &x->w->request.inquire;
    bool by_id = memcmp(m->file, none, ID_SIZE) != 0;
    if (by_id == (m->subject[0] != '\0') || (by_id && m->name[0] != '\0'))
        return reply_refusal(x, 400, "request", "either member `file` or member `subject` must be there");
    return serve_relay(x);
}
