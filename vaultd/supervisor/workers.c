#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "supervisor.h"
#include "vault/log.h"
#include "vault/result.h"

/* A worker's four channels: [0] is our side's end, [1] the worker's, in the order of its descriptors. */
enum { TO_SUPERVISOR, TO_MONITOR, TO_STORE, TO_GATE, CHANNELS };

static void close_channels(int pairs[CHANNELS][2]) {
    for (int i = 0; i < CHANNELS; i++)
        for (int end = 0; end < 2; end++)
            if (pairs[i][end] >= 0)
                close(pairs[i][end]);
}

static int open_channels(int pairs[CHANNELS][2]) {
    int result = VAULT_OK;
    for (int i = 0; i < CHANNELS; i++)
        pairs[i][0] = pairs[i][1] = -1;
    for (int i = 0; result == VAULT_OK && i < CHANNELS; i++)
        result = channel_pair(pairs[i]);
    if (result != VAULT_OK)
        close_channels(pairs);
    return result;
}

/* A worker says nothing but that it is ready. */
static void worker_talks(void *context) {
    struct worker *w = context;
    struct supervisor *s = w->supervisor;
    message_clear(&s->message);
    int result = channel_receive(w->process.control, &s->message);
    if (result == VAULT_AGAIN || (result == VAULT_OK && s->message.type == MSG_ready))
        return;
    if (result == VAULT_E_CLOSED) { /* it is about to die */
        loop_remove(s->loop, &w->talk);
        return;
    }
    log_warning("worker: broke its protocol: worker=%llu result=%s", (unsigned long long)w->id,
                vault_result_name(result));
    message_clear(&s->message); /* it may have brought descriptors */
    worker_end_by_force(w, WORKER_MISBEHAVED);
}

static void link_worker(struct supervisor *s, struct worker *w) {
    w->next = s->workers;
    if (w->next != NULL)
        w->next->previous = w;
    s->workers = w;
    s->waiting++;
}

void worker_begin(struct worker *w, enum peer_kind kind) {
    w->kind = kind;
    w->supervisor->waiting--;
    w->supervisor->serving++;
    if (kind == PEER_TLS)
        w->supervisor->serving_tls++;
}

void worker_forget(struct worker *w) {
    struct supervisor *s = w->supervisor;
    *(w->previous != NULL ? &w->previous->next : &s->workers) = w->next;
    if (w->next != NULL)
        w->next->previous = w->previous;
    loop_remove(s->loop, &w->death);
    loop_remove(s->loop, &w->talk);
    if (w->kind == 0)
        s->waiting--;
    else
        s->serving--;
    if (w->kind == PEER_TLS)
        s->serving_tls--;
    if (w->client >= 0)
        close(w->client);
    close(w->process.control);
    close(w->process.pidfd);
    free(w);
}

/* Starts the process and watches it; it is not in the list yet. */
static int start_process(struct supervisor *s, struct worker *w, int pairs[CHANNELS][2]) {
    const int given[CHANNELS] = {pairs[TO_SUPERVISOR][1], pairs[TO_MONITOR][1], pairs[TO_STORE][1], pairs[TO_GATE][1]};
    siginfo_t end;
    int result = child_spawn(s->config, CHILD_WORKER, given, CHANNELS, &w->process);
    if (result != VAULT_OK)
        return result;
    result = loop_add(s->loop, w->process.pidfd, 1, worker_died, w, &w->death);
    if (result == VAULT_OK)
        result = loop_add(s->loop, pairs[TO_SUPERVISOR][0], 1, worker_talks, w, &w->talk);
    if (result == VAULT_OK) {
        w->process.control = pairs[TO_SUPERVISOR][0];
        pairs[TO_SUPERVISOR][0] = -1;
        return VAULT_OK;
    }
    loop_remove(s->loop, &w->death);
    child_kill(&w->process, &end);
    close(w->process.pidfd);
    return result;
}

static bool introduce(struct supervisor *s, uint64_t id, enum child_kind to, int channel) {
    message_init(&s->message, MSG_worker_new, 0);
    s->message.worker_new.worker = id;
    s->message.fds[0] = channel;
    s->message.fd_count = 1;
    bool told = core_tell(s, to);
    s->message.fds[0] = -1;
    s->message.fd_count = 0;
    return told;
}

/* NULL after a fault, which was logged; a core child that could not be told has ended everything. */
static struct worker *worker_start(struct supervisor *s) {
    int pairs[CHANNELS][2];
    struct worker *w = calloc(1, sizeof(*w));
    if (w == NULL || open_channels(pairs) != VAULT_OK) {
        log_error("worker: not started: error=%s", strerror(errno));
        free(w);
        return NULL;
    }
    *w = (struct worker){.supervisor = s, .id = ++s->last_worker, .client = -1};
    if (start_process(s, w, pairs) != VAULT_OK) {
        close_channels(pairs);
        free(w);
        return NULL;
    }
    link_worker(s, w);
    bool told = introduce(s, w->id, CHILD_MONITOR, pairs[TO_MONITOR][0]) &&
                introduce(s, w->id, CHILD_STORE, pairs[TO_STORE][0]) &&
                introduce(s, w->id, CHILD_GATE, pairs[TO_GATE][0]);
    close_channels(pairs);
    return told ? w : NULL;
}

void workers_refill(struct supervisor *s, uint64_t now) {
    const struct limits *l = &s->config->limits;
    while (s->phase == PHASE_SERVING && s->waiting < l->waiting && s->waiting + s->serving < l->workers &&
           now >= s->spares_from)
        if (worker_start(s) == NULL)
            s->spares_from = now + SPARE_RETRY_MS;
}

struct worker *worker_take(struct supervisor *s) {
    struct worker *oldest = NULL;
    for (struct worker *w = s->workers; w != NULL; w = w->next)
        if (w->kind == 0)
            oldest = w; /* the list is newest first; the oldest has had the most time to get ready */
    return oldest != NULL ? oldest : worker_start(s);
}
