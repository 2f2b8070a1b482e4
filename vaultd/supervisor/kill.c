#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "notify.h"
#include "supervisor.h"
#include "vault/buffer.h"
#include "vault/log.h"
#include "vault/result.h"

static const char *end_name(enum worker_end why) {
    static const char *const names[] = {"ended", "revoked", "misbehaved", "sealed", "faulty"};
    return names[why];
}

/* What the kernel still holds for the client is thrown away at close, and the client gets a reset. */
static void reset_client(const struct worker *w) {
    const struct linger reset = {.l_onoff = 1, .l_linger = 0};
    if (w->client >= 0 && setsockopt(w->client, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)) != 0)
        log_error("worker: its client cannot be reset: worker=%llu error=%s", (unsigned long long)w->id,
                  strerror(errno));
}

/* Ends the connection now, whoever else has its socket: a process that is being born has a copy of it until it executes
 * its program, and what the kernel still holds would go on to the client until then. A Unix socket is not ended so. */
static void abort_client(const struct worker *w) {
    const struct sockaddr nowhere = {.sa_family = AF_UNSPEC};
    reset_client(w);
    if (w->client >= 0 && connect(w->client, &nowhere, sizeof(nowhere)) != 0)
        (void)shutdown(w->client, SHUT_RDWR);
}

/* The option is the socket's, so the worker can set it too. A reset is what an honest worker asks for when it cuts an
 * answer short. A time to linger would make our close wait that long. */
static void close_as_asked(const struct worker *w) {
    struct linger found = {0};
    const struct linger none = {0};
    socklen_t n = sizeof(found);
    if (w->client < 0 || getsockopt(w->client, SOL_SOCKET, SO_LINGER, &found, &n) != 0 || found.l_onoff == 0)
        return;
    if (found.l_linger == 0)
        abort_client(w);
    else
        (void)setsockopt(w->client, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
}

static bool tell_gone(struct supervisor *s, enum child_kind to, uint64_t id, enum worker_end how) {
    message_init(&s->message, MSG_worker_gone, 0);
    s->message.worker_gone.worker = id;
    s->message.worker_gone.how = (uint8_t)how;
    return core_tell(s, to);
}

/* The worker is dead: closes its client and tells of it, the store first: the monitor has what the worker left
 * unpublished removed, and no put of the dead must be taken up after that. */
static void bury(struct worker *w, enum worker_end how) {
    struct supervisor *s = w->supervisor;
    uint64_t id = w->id;
    worker_forget(w);
    if (tell_gone(s, CHILD_STORE, id, how) && tell_gone(s, CHILD_MONITOR, id, how))
        tell_gone(s, CHILD_GATE, id, how);
}

/* A worker that dies before it had anything to do would be started again at once, and again. */
static void note_death(struct worker *w, const siginfo_t *end) {
    struct supervisor *s = w->supervisor;
    char text[100] = "";
    char line[160];
    bool crashed = child_crashed(end);
    if (w->kind == 0)
        s->spares_from = loop_now_ms() + SPARE_RETRY_MS;
    bool by_itself = end->si_code == CLD_EXITED || end->si_status == SIGALRM;
    if (by_itself && !crashed && w->kind != 0)
        return;
    child_end_text(end, text, sizeof(text));
    if (crashed)
        s->counters.crashes++;
    format_string(line, sizeof(line), "%s: %s: worker=%llu crashes_total=%llu", crashed ? "crashed" : "ended early",
                  text, (unsigned long long)w->id, (unsigned long long)s->counters.crashes);
    event_log(LOG_LEVEL_ERROR, "worker", "worker", line);
}

/* The same after an end by force. */
static void bury_killed(struct worker *w, enum worker_end why) {
    abort_client(w); /* now that it cannot be taken back */
    w->supervisor->counters.killed++;
    bury(w, why);
}

void worker_died(void *worker) {
    struct worker *w = worker;
    siginfo_t end;
    int result = child_reap(&w->process, &end);
    if (result == VAULT_AGAIN)
        return;
    if (result != VAULT_OK) {
        worker_end_by_force(w, WORKER_FAULTY);
        return;
    }
    if (w->killed) {
        if (child_crashed(&end)) /* before it could be killed */
            note_death(w, &end);
        bury_killed(w, w->why);
        return;
    }
    note_death(w, &end);
    if (end.si_code != CLD_EXITED)
        abort_client(w); /* an answer cut short must not look whole */
    else
        close_as_asked(w);
    bury(w, child_crashed(&end) ? WORKER_FAULTY : WORKER_ENDED);
}

void worker_end_by_force(struct worker *w, enum worker_end why) {
    siginfo_t end;
    reset_client(w);
    if (child_kill(&w->process, &end) != VAULT_OK)
        log_error("worker: cannot be waited for: worker=%llu", (unsigned long long)w->id);
    bury_killed(w, w->killed ? w->why : why);
}

static struct worker *worker_find(const struct supervisor *s, uint64_t id) {
    struct worker *w = s->workers;
    while (w != NULL && w->id != id)
        w = w->next;
    return w;
}

static bool begin_to_kill(struct worker *w, enum worker_end why) {
    reset_client(w);
    w->killed = child_signal(&w->process, SIGKILL) == VAULT_OK;
    w->why = why;
    return w->killed;
}

void worker_kill_asked(struct supervisor *s, enum child_kind by, uint64_t id, uint8_t why) {
    struct worker *w = worker_find(s, id);
    if (w == NULL) {
        tell_gone(s, by, id, WORKER_ENDED);
        return;
    }
    if (w->killed)
        return; /* all are told once it is dead */
    log_notice("worker: ended by force: worker=%llu why=%s by=%s", (unsigned long long)id,
               end_name((enum worker_end)why), child_name(by));
    /* One that waits could be given a client before it is dead. */
    if (w->kind == 0 || !begin_to_kill(w, (enum worker_end)why))
        worker_end_by_force(w, (enum worker_end)why);
}

static struct worker *find_waiting(const struct supervisor *s) {
    struct worker *w = s->workers;
    while (w != NULL && w->kind != 0)
        w = w->next;
    return w;
}

void workers_end_waiting(struct supervisor *s) {
    for (struct worker *w = find_waiting(s); w != NULL; w = find_waiting(s))
        worker_end_by_force(w, WORKER_ENDED);
}

void workers_end_all(struct supervisor *s, enum worker_end why, bool tell) {
    for (struct worker *w = s->workers; w != NULL; w = w->next) { /* all signals first: they die side by side */
        reset_client(w);
        (void)child_signal(&w->process, SIGKILL);
    }
    while (s->workers != NULL) {
        siginfo_t end;
        if (tell) {
            worker_end_by_force(s->workers, why);
            continue;
        }
        child_kill(&s->workers->process, &end);
        abort_client(s->workers);
        worker_forget(s->workers);
    }
}
