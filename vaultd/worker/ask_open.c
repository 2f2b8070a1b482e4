#include "ask.h"
#include "control.h"
#include "vault/result.h"

/* A place in the table: a free one, or that of the grant used longest ago. Its key is wiped before anything is asked:
 * the monitor may close it, whatever the answer is, if something ends the new one before it is told. */
static struct grant *place_for_grant(struct worker *w) {
    struct grant *place = grants_free_place(&w->grants);
    if (place != NULL)
        return place;
    control_drain(w);
    place = grants_oldest(&w->grants);
    grants_closing(place, &w->grants.closing);
    content_drop(&w->content, place->id);
    grants_forget(place);
    return place;
}

static void add_closing(const struct msg_grant_close *closing, struct msg_open *question) {
    COPY_ARRAY(question->closing, closing->grant);
    question->closing_bytes = closing->bytes;
    question->closing_ranges = closing->ranges;
}

int ask_open(struct worker *w, const char *purpose, struct grant **ret) {
    struct msg_open question = w->request.open;
    struct grant *place = place_for_grant(w);
    add_closing(&w->grants.closing, &question);
    ask_start(w, MSG_open);
    w->request.open = question;
    int result = ask(w, MSG_grant);
    if (result != VAULT_OK)
        return result;
    struct msg_grant *granted = &w->reply.grant;
    if (question.action == OPEN_READ && granted->chunks != blob_chunks(granted->size))
        worker_fault(w, "a grant with a wrong number of chunks", VAULT_E_PROTOCOL);
    wipe(&w->grants.closing, sizeof(w->grants.closing));
    result = grants_add(&w->grants, place, &question, purpose, granted);
    message_clear(&w->reply);
    if (result != VAULT_OK)
        worker_fault(w, "a grant's key could not be used", result);
    *ret = place;
    return VAULT_OK;
}
