#include "supervisor.h"
#include "vault/log.h"
#include "vault/result.h"

static bool tell_monitor(struct supervisor *s, const struct worker *w) {
    message_init(&s->message, MSG_worker_client, 0);
    s->message.worker_client.worker = w->id;
    s->message.worker_client.kind = PEER_NOBODY;
    return core_tell(s, CHILD_MONITOR);
}

/* Clients go first: it takes none of the places that are kept for administrators, and not the last one. */
static bool has_place(const struct supervisor *s) {
    const struct limits *l = &s->config->limits;
    return s->phase == PHASE_SERVING && s->serving + l->unix_slots + 1 < l->workers;
}

void work_wanted(struct supervisor *s) {
    struct worker *w = has_place(s) ? worker_take(s) : NULL;
    if (w == NULL)
        return;
    worker_begin(w, PEER_NOBODY);
    if (!tell_monitor(s, w))
        return;
    message_init(&s->message, MSG_work, 0);
    if (channel_send(w->process.control, &s->message) != VAULT_OK)
        worker_end_by_force(w, WORKER_FAULTY);
}

static struct worker *find_working(const struct supervisor *s) {
    struct worker *w = s->workers;
    while (w != NULL && w->kind != PEER_NOBODY)
        w = w->next;
    return w;
}

void work_end(struct supervisor *s) {
    for (struct worker *w = find_working(s); w != NULL; w = find_working(s))
        worker_end_by_force(w, WORKER_ENDED);
}
