#include "ask.h"
#include "control.h"
#include "vault/result.h"

/* A place in the table: a free one, or that of the grant used longest ago, which is closed with this request if it is
 * granted. */
static struct grant *place_for_grant(struct worker *w, struct msg_open *question) {
    struct grant *place = grants_free_place(&w->grants);
    if (place != NULL)
        return place;
    control_drain(w);
    place = grants_oldest(&w->grants);
    COPY_ARRAY(question->closing, place->id);
    question->closing_bytes = place->bytes;
    question->closing_ranges = place->ranges;
    return place;
}

/* What the grant in this place was. It may be gone by now: revoked while the answer was under way. */
static void leave(struct worker *w, struct grant *place) {
    if (!place->used)
        return;
    content_drop(&w->content, place->id);
    grants_forget(place);
}

int ask_open(struct worker *w, const char *purpose, struct grant **ret) {
    struct msg_open question = w->request.open;
    struct grant *place = place_for_grant(w, &question);
    ask_start(w, MSG_open);
    w->request.open = question;
    int result = ask(w, MSG_grant);
    if (result != VAULT_OK)
        return result;
    struct msg_grant *granted = &w->reply.grant;
    if (question.action == OPEN_READ && granted->chunks != blob_chunks(granted->size))
        worker_fault(w, "a grant with a wrong number of chunks", VAULT_E_PROTOCOL);
    leave(w, place);
    result = grants_add(&w->grants, place, &question, purpose, granted);
    message_clear(&w->reply);
    if (result != VAULT_OK)
        worker_fault(w, "a grant's key could not be used", result);
    *ret = place;
    return VAULT_OK;
}
