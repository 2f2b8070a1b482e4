/* vaultd-token: one process for one task, asked for by the monitor and ended by force when it takes too long, and for
 * no other reason: a module that is killed while it writes can lose its token. It gets the PIN as an open file; the
 * task and its answer pass on a channel between it and the monitor. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "paths.h"
#include "supervisor.h"
#include "vault/buffer.h"
#include "vault/log.h"
#include "vault/result.h"

enum { EXIT_PIN = 3 }; /* of vaultd-token: it has answered that the PIN is wrong or locked */

static void tell_problem(struct supervisor *s, uint64_t id, const char *rule, const char *problem) {
    log_error("token: not started: rule=%s problem=\"%s\"", rule, problem);
    message_init(&s->message, MSG_token_channel, id);
    copy_string(s->message.token_channel.rule, sizeof(s->message.token_channel.rule), rule);
    copy_string(s->message.token_channel.problem, sizeof(s->message.token_channel.problem), problem);
    core_tell(s, CHILD_MONITOR);
}

/* Its channels: [0] is the supervisor's or the monitor's end. */
struct ends {
    int control[2], task[2];
};

static void close_ends(const struct ends *e) {
    const int all[] = {e->control[0], e->control[1], e->task[0], e->task[1]};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        if (all[i] >= 0)
            close(all[i]);
}

static int send_setup(struct supervisor *s, const struct ends *e, int pin) {
    const struct token_config *c = &s->config->token;
    message_init(&s->message, MSG_token_setup, 0);
    copy_string(s->message.token_setup.module, sizeof(s->message.token_setup.module), c->module);
    copy_string(s->message.token_setup.uri, sizeof(s->message.token_setup.uri), c->uri);
    s->message.fds[0] = pin;
    s->message.fds[1] = e->task[1];
    s->message.fd_count = 2;
    int result = channel_send(e->control[0], &s->message);
    s->message.fd_count = 0; /* lent */
    return result;
}

/* Forgets a process that is dead. */
static void forget(struct supervisor *s) {
    struct token_child *t = &s->token;
    loop_remove(s->loop, &t->death);
    if (t->process.pidfd >= 0)
        close(t->process.pidfd);
    t->process = (struct child){.pid = 0, .pidfd = -1, .control = -1};
}

/* It has answered, and said by its status whether the PIN was refused. */
static bool ended_in_order(struct supervisor *s, const siginfo_t *end) {
    bool of_pin = end->si_code == CLD_EXITED && end->si_status == EXIT_PIN;
    s->token.pin_refused |= of_pin;
    return of_pin || (end->si_code == CLD_EXITED && end->si_status == 0);
}

static void start_next(struct supervisor *s);

/* Tells the monitor of its end, and starts the next. */
static void bury(struct supervisor *s, const siginfo_t *end) {
    struct msg_token_gone *gone = &s->message.token_gone;
    char text[100] = "";
    bool listened_to = s->token.now.id != 0;
    message_init(&s->message, MSG_token_gone, s->token.now.id);
    if (s->token.late) {
        copy_string(gone->rule, sizeof(gone->rule), "token-timeout");
        format_string(gone->problem, sizeof(gone->problem), "The token did not answer within %u seconds.",
                      s->config->token.seconds);
    } else if (!ended_in_order(s, end)) {
        child_end_text(end, text, sizeof(text));
        copy_string(gone->rule, sizeof(gone->rule), "token-crashed");
        format_string(gone->problem, sizeof(gone->problem), "The process of the token's module %s.", text);
    }
    if (gone->problem[0] != '\0')
        log_error("token: %s", gone->problem);
    forget(s);
    if (!listened_to || core_tell(s, CHILD_MONITOR))
        start_next(s);
}

/* Ends it by force. */
static void end_now(struct supervisor *s) {
    siginfo_t end = {0};
    if (child_kill(&s->token.process, &end) == VAULT_OK)
        bury(s, &end);
    else
        forget(s);
}

static void token_died(void *context) {
    struct supervisor *s = context;
    siginfo_t end = {0};
    int result = child_reap(&s->token.process, &end);
    if (result == VAULT_OK)
        bury(s, &end);
    else if (result != VAULT_AGAIN)
        end_now(s);
}

static int start(struct supervisor *s, const struct ends *e, int pin) {
    struct token_child *t = &s->token;
    siginfo_t end;
    int result = send_setup(s, e, pin);
    if (result == VAULT_OK)
        result = child_spawn(s->config, CHILD_TOKEN, &e->control[1], 1, &t->process);
    if (result != VAULT_OK)
        return result;
    t->late = false;
    t->deadline = loop_now_ms() + (uint64_t)s->config->token.seconds * 1000;
    result = loop_add(s->loop, t->process.pidfd, 1, token_died, s, &t->death);
    if (result != VAULT_OK) {
        child_kill(&t->process, &end);
        forget(s);
    }
    return result;
}

static void start_and_tell(struct supervisor *s, int pin) {
    uint64_t id = s->token.now.id;
    struct ends e = {{-1, -1}, {-1, -1}};
    int result = channel_pair(e.control);
    if (result == VAULT_OK)
        result = channel_pair(e.task);
    if (result == VAULT_OK)
        result = start(s, &e, pin);
    if (result == VAULT_OK) {
        message_init(&s->message, MSG_token_channel, id);
        core_tell_with(s, CHILD_MONITOR, &e.task[0], 1);
    } else {
        tell_problem(s, id, "token-not-started", "The process for the token could not be started; see the log.");
    }
    close_ends(&e);
}

/* What was wanted while the one before was still there. */
static void start_next(struct supervisor *s) {
    char problem[PROBLEM_SIZE] = "";
    int pin = -1;
    s->token.now = s->token.next;
    s->token.next.id = 0;
    uint64_t id = s->token.now.id;
    if (id == 0)
        return;
    if (!s->token.now.by_itself)
        s->token.pin_refused = false;
    if (!s->config->token.set) {
        tell_problem(s, id, "token-not-configured", "No token is configured.");
    } else if (s->token.pin_refused) { /* a token locks itself after a few wrong PINs */
        tell_problem(s, id, "token-pin-not-tried",
                     "The token refused its PIN before, and it is not tried again until somebody asks for it.");
    } else if (open_credential(&s->config->token.pin, &pin, problem) != VAULT_OK) {
        tell_problem(s, id, "token-pin-unreadable", problem);
    } else {
        start_and_tell(s, pin);
        close(pin);
    }
}

void token_wanted(struct supervisor *s, uint64_t id, bool by_itself) {
    s->token.next = (struct token_want){.id = id, .by_itself = by_itself};
    if (s->token.process.pid == 0)
        start_next(s);
}

void token_check_deadline(struct supervisor *s, uint64_t now) {
    if (s->token.process.pid == 0 || now < s->token.deadline)
        return;
    s->token.late = true;
    end_now(s);
}

void token_orphaned(struct supervisor *s) {
    s->token.now.id = s->token.next.id = 0;
}

void token_end(struct supervisor *s) {
    siginfo_t end = {0};
    uint64_t now = loop_now_ms();
    token_orphaned(s);
    if (s->token.process.pid == 0)
        return;
    (void)child_wait(&s->token.process, s->token.deadline > now ? (int)(s->token.deadline - now) : 0, &end);
    forget(s);
}
