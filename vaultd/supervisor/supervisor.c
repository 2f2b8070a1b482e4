#include "supervisor.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "notify.h"
#include "vault/buffer.h"
#include "vault/log.h"
#include "vault/result.h"

static const char *seal_text(const struct supervisor *s) {
    static const char *const texts[] = {"not initialised", "sealed", "unsealed"};
    return texts[s->seal];
}

/* For `systemctl status`; only when it changed, and not at every client: a full queue there would block us. */
static void show_status(const struct supervisor *s, uint64_t now) {
    static char shown[200];
    static uint64_t shown_at;
    char text[200];
    static const char *const phases[] = {"starting", "serving", "waiting to start again", "draining", "ended"};
    format_string(text, sizeof(text), "%s; %s; %u clients", phases[s->phase], seal_text(s), s->serving);
    if (strcmp(text, shown) == 0 || now - shown_at < TICK_MS)
        return;
    shown_at = now;
    copy_string(shown, sizeof(shown), text);
    notify_status(text);
}

static void log_counters(const struct supervisor *s) {
    log_info("metrics: clients_total=%llu refused_total=%llu killed_total=%llu crashes_total=%llu",
             (unsigned long long)s->counters.clients, (unsigned long long)s->counters.refused,
             (unsigned long long)s->counters.killed, (unsigned long long)s->counters.crashes);
}

static void drain(struct supervisor *s) {
    if (s->phase == PHASE_DRAINING) {
        log_notice("drain: a second signal: not waiting for clients any longer");
        s->deadline = 0;
        return;
    }
    bool running = s->phase == PHASE_SERVING;
    s->phase = running ? PHASE_DRAINING : PHASE_OVER;
    s->deadline = loop_now_ms() + (uint64_t)s->config->limits.drain_seconds * 1000;
    notify_stopping();
    clients_unwatch(s);
    listeners_close(s->config, &s->listeners);
    work_end(s);
    log_notice("drain: no new clients: clients=%u", s->serving);
}

static void reload(struct supervisor *s) {
    notify_reloading();
    if (s->phase == PHASE_SERVING)
        core_renew(s);
    notify_ready();
}

static void on_signal(void *context) {
    struct supervisor *s = context;
    struct signalfd_siginfo info;
    if (read(s->signals, &info, sizeof(info)) != (ssize_t)sizeof(info))
        return;
    if (info.ssi_signo == SIGHUP)
        reload(s);
    else
        drain(s);
}

static int take_signals(struct supervisor *s) {
    sigset_t wanted;
    sigemptyset(&wanted);
    sigaddset(&wanted, SIGTERM);
    sigaddset(&wanted, SIGINT);
    sigaddset(&wanted, SIGHUP);
    if (sigprocmask(SIG_BLOCK, &wanted, NULL) != 0 || signal(SIGPIPE, SIG_IGN) == SIG_ERR)
        return VAULT_E_IO;
    s->signals = signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
    return s->signals < 0 ? VAULT_E_IO : loop_add(s->loop, s->signals, 0, on_signal, s, &s->signal_watch);
}

/* Three descriptors for each worker, and what starting one takes. */
static void raise_files(const struct limits *l) {
    struct rlimit now;
    rlim_t wanted = 3 * ((rlim_t)l->workers + l->waiting) + 256;
    if (getrlimit(RLIMIT_NOFILE, &now) != 0 || now.rlim_cur >= wanted)
        return;
    now.rlim_cur = now.rlim_max < wanted ? now.rlim_max : wanted;
    if (setrlimit(RLIMIT_NOFILE, &now) != 0 || now.rlim_cur < wanted)
        log_warning("limits: too few open files for every worker: have=%llu wanted=%llu",
                    (unsigned long long)now.rlim_cur, (unsigned long long)wanted);
}

/* A start that fails for its files or memory is tried again like one whose disk failed. */
static void start_again(struct supervisor *s, uint64_t now) {
    uint64_t delay = 0;
    if (s->phase != PHASE_RESTING || now < s->deadline || core_start(s) == VAULT_OK)
        return;
    restart_after(&s->restart, now, true, &delay);
    s->deadline = now + delay;
}

static void drain_step(struct supervisor *s, uint64_t now) {
    if (s->phase != PHASE_DRAINING || (s->serving > 0 && now < s->deadline))
        return;
    if (s->serving > 0)
        log_notice("drain: ending clients that did not finish: clients=%u", s->serving);
    workers_end_all(s, WORKER_ENDED, true);
    if (s->phase == PHASE_DRAINING)
        s->phase = PHASE_OVER;
}

/* What time brings; after every turn of the loop. */
static void tick(struct supervisor *s) {
    static uint64_t looked_at;
    uint64_t now = loop_now_ms();
    notify_alive(now);
    core_check_deadlines(s, now);
    token_check_deadline(s, now);
    courier_check_deadline(s, now);
    start_again(s, now);
    drain_step(s, now);
    workers_refill(s, now);
    clients_watch(s);
    if (now - looked_at >= TICK_MS && s->phase == PHASE_SERVING) {
        looked_at = now;
        core_renew_changed(s);
    }
    show_status(s, now);
}

/* How long the loop may sleep. */
static int patience(const struct supervisor *s) {
    uint64_t now = loop_now_ms();
    uint64_t until = now + TICK_MS;
    bool dated = s->phase == PHASE_RESTING || s->phase == PHASE_DRAINING;
    if (dated && s->deadline < until)
        until = s->deadline;
    if (helper_runs(&s->token.helper) && s->token.deadline < until)
        until = s->token.deadline;
    if (helper_runs(&s->courier.helper) && s->courier.deadline < until)
        until = s->courier.deadline;
    if (s->accept_from > now && s->accept_from < until)
        until = s->accept_from;
    return until > now ? (int)(until - now) : 0;
}

static void run(struct supervisor *s) {
    while (s->phase != PHASE_OVER) {
        if (loop_turn(s->loop, patience(s)) != VAULT_OK) {
            log_error("loop: error=%s", strerror(errno));
            s->status = 1;
            s->phase = PHASE_OVER;
        } else {
            tick(s);
        }
    }
    workers_end_all(s, WORKER_ENDED, false);
    core_end(s);
    log_counters(s);
    log_notice("ended: status=%d", s->status);
}

int supervisor_run(const struct config *config) {
    struct supervisor *s = calloc(1, sizeof(*s));
    int status = 1;
    if (s == NULL)
        return status;
    s->config = config;
    s->signals = -1;
    notify_start();
    raise_files(&config->limits);
    if (loop_new(&s->loop) != VAULT_OK || take_signals(s) != VAULT_OK) {
        log_error("start: error=%s", strerror(errno));
    } else if (listeners_open(config, &s->listeners) == VAULT_OK) {
        if (core_start(s) == VAULT_OK) {
            run(s);
            status = s->status;
        }
        clients_unwatch(s);
        listeners_close(config, &s->listeners);
    }
    message_clear(&s->message);
    loop_remove(s->loop, &s->signal_watch);
    loop_free(&s->loop);
    if (s->signals >= 0)
        close(s->signals);
    free(s);
    return status;
}
