#include "helper.h"

#include <unistd.h>

#include "supervisor.h"
#include "vault/result.h"

/* Its channels: [0] is our end, or the monitor's. */
struct ends {
    int control[2], task[2];
};

static void close_end(int *fd) {
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void close_ends(struct ends *e) {
    close_end(&e->control[0]);
    close_end(&e->control[1]);
    close_end(&e->task[0]);
    close_end(&e->task[1]);
}

bool helper_runs(const struct helper *h) {
    return h->process.pid != 0;
}

/* Of a process that is dead. */
static void forget(struct helper *h) {
    loop_remove(h->supervisor->loop, &h->death);
    if (h->process.pidfd >= 0)
        close(h->process.pidfd);
    h->process = (struct child){.pid = 0, .pidfd = -1, .control = -1};
}

void helper_kill(struct helper *h) {
    siginfo_t end = {0};
    int result = child_kill(&h->process, &end);
    forget(h);
    if (result == VAULT_OK)
        h->ended(h->supervisor, &end);
}

void helper_wait(struct helper *h, int timeout_ms) {
    siginfo_t end = {0};
    (void)child_wait(&h->process, timeout_ms, &end);
    forget(h);
}

static void on_death(void *context) {
    struct helper *h = context;
    siginfo_t end = {0};
    int result = child_reap(&h->process, &end);
    if (result == VAULT_OK) {
        forget(h);
        h->ended(h->supervisor, &end);
    } else if (result != VAULT_AGAIN) {
        helper_kill(h);
    }
}

/* The setup waits in the channel for the process that is started next. */
static int send_setup(struct supervisor *s, const struct ends *e) {
    struct message *setup = &s->message;
    setup->fds[setup->fd_count++] = e->task[1];
    int result = channel_send(e->control[0], setup);
    for (size_t i = 0; i < setup->fd_count; i++)
        setup->fds[i] = -1; /* lent */
    setup->fd_count = 0;
    return result;
}

static int start(struct supervisor *s, struct helper *h, enum child_kind kind, const struct ends *e) {
    siginfo_t end;
    int result = send_setup(s, e);
    if (result == VAULT_OK)
        result = child_spawn(s->config, kind, &e->control[1], 1, &h->process);
    if (result != VAULT_OK)
        return result;
    h->supervisor = s;
    result = loop_add(s->loop, h->process.pidfd, 1, on_death, h, &h->death);
    if (result != VAULT_OK) {
        (void)child_kill(&h->process, &end);
        forget(h);
    }
    return result;
}

int helper_start(struct supervisor *s, struct helper *h, enum child_kind kind, int *ret_task) {
    struct ends e = {{-1, -1}, {-1, -1}};
    int result = channel_pair(e.control);
    if (result == VAULT_OK)
        result = channel_pair(e.task);
    if (result == VAULT_OK)
        result = start(s, h, kind, &e);
    if (result == VAULT_OK) {
        *ret_task = e.task[0];
        e.task[0] = -1;
    }
    close_ends(&e);
    return result;
}

bool helper_fault(const siginfo_t *end, char *to, size_t size) {
    if (end->si_code == CLD_EXITED && end->si_status == 0)
        return false;
    child_end_text(end, to, size);
    return true;
}
