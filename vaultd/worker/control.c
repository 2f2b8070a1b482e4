#include "control.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "connection.h"
#include "upload.h"
#include "vault/loop.h"
#include "vault/result.h"

/* The answer to ask_ahead, if it is that. */
static bool take_ahead(struct worker *w, struct message *m) {
    if (w->ahead == 0 || m->id != w->ahead || w->ahead_came)
        return false;
    message_clear(&w->reply);
    w->reply = *m;
    m->type = 0; /* what it owned is the reply's */
    m->fd_count = 0;
    w->ahead_came = true;
    return true;
}

void control_take(struct worker *w, struct message *m) {
    if (take_ahead(w, m))
        return;
    if (w->writing != NULL && upload_take_answer(w->writing, m))
        return;
    if (m->type != MSG_revoke || m->id != 0)
        worker_fault(w, "unexpected message from the monitor", VAULT_E_PROTOCOL);
    uint8_t id[ID_SIZE];
    COPY_ARRAY(id, m->revoke.grant);
    message_clear(m);
    bool queued = w->stream != NULL && !stream_drained(w->stream);
    if (queued || (w->is_active && memcmp(w->active, id, ID_SIZE) == 0))
        worker_reset(w);
    /* A grant that is not there was closed while the revocation was under way: acknowledged all the same. */
    struct grant *grant = grants_by_id(&w->grants, id);
    if (grant != NULL)
        grants_forget(grant);
    content_drop(&w->content, id);
    message_init(m, MSG_revoked, 0);
    COPY_ARRAY(m->revoked.grant, id);
    int result = channel_send_wait(w->monitor, m, 1000);
    message_clear(m);
    if (result != VAULT_OK)
        worker_fault(w, "acknowledging a revocation failed", result);
}

/* Small beside `request` and `reply`, which may be in use when a revocation comes. */
static struct message *scratch(void) {
    static struct message m;
    return &m;
}

void control_check(struct worker *w) {
    struct message *m = scratch();
    int result;
    while ((result = channel_receive(w->monitor, m)) == VAULT_OK)
        control_take(w, m);
    if (result != VAULT_AGAIN)
        worker_fault(w, "the monitor's channel failed", result);
}

void control_drain(struct worker *w) {
    enum { STEP_MS = 2 }; /* TCP tells of an acknowledgement in no way that poll could wait for */
    uint64_t until = connection_until(w, w->idle_ms);
    while (w->stream != NULL && !stream_drained(w->stream)) {
        if (loop_now_ms() >= until)
            worker_reset(w);
        struct pollfd polls[] = {{.fd = w->monitor, .events = POLLIN}, {.fd = w->supervisor, .events = POLLIN}};
        (void)poll(polls, 2, STEP_MS);
        if (polls[1].revents != 0)
            worker_fault(w, "the supervisor is gone", VAULT_E_CLOSED);
        control_check(w);
    }
}

static int milliseconds_until(uint64_t until_ms) {
    uint64_t now = loop_now_ms();
    uint64_t left = until_ms > now ? until_ms - now : 0;
    return left > 3600000 ? 3600000 : (int)left;
}

int control_wait(struct worker *w, int fd, uint64_t until_ms) {
    struct pollfd polls[] = {{.fd = fd, .events = POLLIN},
                             {.fd = w->monitor == fd ? -1 : w->monitor, .events = POLLIN},
                             {.fd = w->supervisor, .events = POLLIN}};
    for (;;) {
        int n = poll(polls, 3, milliseconds_until(until_ms));
        if (n < 0 && errno != EINTR)
            worker_fault(w, "poll failed", VAULT_E_IO);
        if (n > 0 && polls[2].revents != 0)
            worker_fault(w, "the supervisor is gone", VAULT_E_CLOSED);
        if (n > 0)
            return polls[1].revents != 0 ? VAULT_AGAIN : VAULT_OK;
        if (loop_now_ms() >= until_ms)
            return VAULT_E_TIMEOUT;
    }
}
