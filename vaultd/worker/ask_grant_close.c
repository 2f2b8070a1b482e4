#include "ask.h"
#include "vault/result.h"

void ask_grant_close(struct worker *w, struct grant *grant) {
    ask_start(w, MSG_grant_close);
    struct msg_grant_close *closing = &w->request.grant_close;
    COPY_ARRAY(closing->grant, grant->id);
    closing->outcome = grant->outcome;
    closing->bytes = grant->bytes;
    closing->ranges = grant->ranges;
    COPY_ARRAY(closing->address, grant->damaged);
    content_drop(&w->content, grant->id);
    grants_forget(grant);
    /* An `answer` says that the monitor could not record it; the grant is over all the same, and the monitor closes
     * it itself with its upper bound when this worker is gone. */
    (void)ask(w, MSG_done);
}
