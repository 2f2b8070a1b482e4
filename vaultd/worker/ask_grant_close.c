#include <string.h>

#include "ask.h"
#include "vault/result.h"

/* An `answer` says that the monitor could not record it; the grant is over all the same, and the monitor closes it
 * itself with its upper bound when this worker is gone. */
static void ask_closing(struct worker *w, const struct msg_grant_close *closing) {
    ask_start(w, MSG_grant_close);
    w->request.grant_close = *closing;
    (void)ask(w, MSG_done);
}

void ask_grant_close(struct worker *w, struct grant *grant) {
    struct msg_grant_close closing;
    grants_closing(grant, &closing);
    content_drop(&w->content, grant->id);
    grants_forget(grant);
    ask_closing(w, &closing);
}

void ask_close_the_one_that_made_room(struct worker *w) {
    static const uint8_t none[ID_SIZE];
    struct msg_grant_close closing = w->grants.closing;
    wipe(&w->grants.closing, sizeof(w->grants.closing));
    if (memcmp(closing.grant, none, ID_SIZE) != 0)
        ask_closing(w, &closing);
}
