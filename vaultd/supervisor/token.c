/* vaultd-token: one process for one task, asked for by the monitor and ended by force when it takes too long. It gets
 * the PIN as an open file; the task and its answer pass on a channel between it and the monitor. */
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

/* Tells the monitor of its end. */
static void bury(struct supervisor *s, const siginfo_t *end) {
    struct msg_token_gone *gone = &s->message.token_gone;
    char text[100] = "";
    message_init(&s->message, MSG_token_gone, s->token.id);
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
    core_tell(s, CHILD_MONITOR);
}

static void token_died(void *context) {
    struct supervisor *s = context;
    siginfo_t end = {0};
    int result = child_reap(&s->token.process, &end);
    if (result == VAULT_OK)
        bury(s, &end);
    else if (result != VAULT_AGAIN)
        token_end(s);
}

static int start(struct supervisor *s, uint64_t id, const struct ends *e, int pin) {
    struct token_child *t = &s->token;
    siginfo_t end;
    int result = send_setup(s, e, pin);
    if (result == VAULT_OK)
        result = child_spawn(s->config, CHILD_TOKEN, &e->control[1], 1, &t->process);
    if (result != VAULT_OK)
        return result;
    t->id = id;
    t->late = false;
    t->deadline = loop_now_ms() + (uint64_t)s->config->token.seconds * 1000;
    result = loop_add(s->loop, t->process.pidfd, 1, token_died, s, &t->death);
    if (result != VAULT_OK) {
        child_kill(&t->process, &end);
        forget(s);
    }
    return result;
}

static void start_and_tell(struct supervisor *s, uint64_t id, int pin) {
    struct ends e = {{-1, -1}, {-1, -1}};
    int result = channel_pair(e.control);
    if (result == VAULT_OK)
        result = channel_pair(e.task);
    if (result == VAULT_OK)
        result = start(s, id, &e, pin);
    if (result == VAULT_OK) {
        message_init(&s->message, MSG_token_channel, id);
        core_tell_with(s, CHILD_MONITOR, &e.task[0], 1);
    } else {
        tell_problem(s, id, "token-not-started", "The process for the token could not be started; see the log.");
    }
    close_ends(&e);
}

void token_wanted(struct supervisor *s, uint64_t id, bool by_itself) {
    char problem[PROBLEM_SIZE] = "";
    int pin = -1;
    token_end(s); /* the monitor has done with it */
    if (!by_itself)
        s->token.pin_refused = false;
    if (!s->config->token.set) {
        tell_problem(s, id, "token-not-configured", "No token is configured.");
    } else if (s->token.pin_refused) { /* a token locks itself after a few wrong PINs */
        tell_problem(s, id, "token-pin-not-tried",
                     "The token refused its PIN before, and it is not tried again until somebody asks for it.");
    } else if (open_credential(&s->config->token.pin, &pin, problem) != VAULT_OK) {
        tell_problem(s, id, "token-pin-unreadable", problem);
    } else {
        start_and_tell(s, id, pin);
        close(pin);
    }
}

void token_check_deadline(struct supervisor *s, uint64_t now) {
    siginfo_t end = {0};
    if (s->token.process.pid == 0 || now < s->token.deadline)
        return;
    s->token.late = true;
    if (child_kill(&s->token.process, &end) == VAULT_OK)
        bury(s, &end);
    else
        forget(s);
}

void token_end(struct supervisor *s) {
    siginfo_t end = {0};
    if (s->token.process.pid == 0)
        return;
    if (child_kill(&s->token.process, &end) == VAULT_OK)
        (void)ended_in_order(s, &end);
    forget(s);
}
