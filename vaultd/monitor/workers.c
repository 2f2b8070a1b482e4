#include <stdlib.h>
#include <unistd.h>

#include "monitor.h"
#include "vaultd/monitor/table.h"
#include "vault/log.h"
#include "vault/result.h"

struct worker *worker_find(struct monitor *m, uint64_t number) {
    for (struct worker *w = m->workers; w != NULL; w = w->next)
        if (w->number == number)
            return w;
    return NULL;
}

static void let_go(struct worker *w) {
    loop_remove(w->monitor->loop, &w->watch);
    if (w->channel >= 0)
        close(w->channel);
    w->channel = -1;
}

void worker_kill(struct monitor *m, uint64_t number, enum worker_end why) {
    struct worker *w = worker_find(m, number);
    static struct message k;
    message_init(&k, MSG_worker_kill, 0);
    k.worker_kill.worker = number;
    k.worker_kill.why = (uint8_t)why;
    int result = channel_send_wait(m->control, &k, 5000);
    if (result != VAULT_OK) {
        log_error("worker: cannot have it ended result=\"%s\"", vault_result_name(result));
        m->stop = true; /* the supervisor ends everything when we end */
        m->exit_status = 1;
    }
    /* Nothing more is heard from it, and no key goes to it. The supervisor knows by now: a worker that sees its channel
     * closed could else end by itself before. */
    if (w != NULL && why == WORKER_MISBEHAVED)
        let_go(w);
}

/* One message per turn and worker, so that none starves the others. */
static void on_worker(void *context) {
    static struct message request;
    struct worker *w = context;
    struct monitor *m = w->monitor;
    uint64_t number = w->number;
    int result = channel_receive(w->channel, &request);
    if (result == VAULT_AGAIN)
        return;
    if (result != VAULT_OK) {
        let_go(w); /* its death, if that is what it is, is the supervisor's to tell */
        if (result != VAULT_E_CLOSED)
            worker_kill(m, w->number, WORKER_MISBEHAVED);
        return;
    }
    if (w->kind == 0 || (w->kind == PEER_TLS && !w->identified))
        monitor_hear_authorities(m);
    if (worker_find(m, number) == w && !m->stop) /* what was heard may be its death */
        table_dispatch(m, w, &request);
    message_clear(&request);
}

int worker_add(struct monitor *m, uint64_t number, int channel) {
    struct worker *w = calloc(1, sizeof(*w));
    if (w == NULL) {
        close(channel);
        return VAULT_E_MEMORY;
    }
    *w = (struct worker){.monitor = m, .number = number, .channel = channel, .next = m->workers};
    int result = loop_add(m->loop, channel, 2, on_worker, w, &w->watch);
    if (result != VAULT_OK) {
        close(channel);
        free(w);
        return result;
    }
    m->workers = w;
    return VAULT_OK;
}

void worker_remove(struct monitor *m, uint64_t number) {
    for (struct worker **at = &m->workers; *at != NULL; at = &(*at)->next) {
        struct worker *w = *at;
        if (w->number != number)
            continue;
        *at = w->next;
        let_go(w);
        free(w);
        return;
    }
}
