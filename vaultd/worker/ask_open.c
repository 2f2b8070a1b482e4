#include "ask.h"
#include "control.h"
#include "vault/result.h"

/* A place in the table, made free by closing the grant used longest ago. */
static struct grant *place_for_grant(struct worker *w) {
    struct grant *place = grants_free_place(&w->grants);
    if (place == NULL) {
        place = grants_oldest(&w->grants);
        control_drain(w);
        ask_grant_close(w, place);
    }
    return place;
}

int ask_open(struct worker *w, const char *purpose, struct grant **ret) {
    struct msg_open question = w->request.open;
    struct grant *place = place_for_grant(w);
    ask_start(w, MSG_open);
    w->request.open = question;
    int result = ask(w, MSG_grant);
    if (result != VAULT_OK)
        return result;
    struct msg_grant *granted = &w->reply.grant;
    if (question.action == OPEN_READ && granted->chunks != blob_chunks(granted->size))
        worker_fault(w, "a grant with a wrong number of chunks", VAULT_E_PROTOCOL);
    result = grants_add(&w->grants, place, &question, purpose, granted);
    message_clear(&w->reply);
    if (result != VAULT_OK)
        worker_fault(w, "a grant's key could not be used", result);
    *ret = place;
    return VAULT_OK;
}
