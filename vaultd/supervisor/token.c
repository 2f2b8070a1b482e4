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
    if (!listened_to || core_tell(s, CHILD_MONITOR))
        start_next(s);
}

/* It gets the PIN as an open file. */
static int start(struct supervisor *s, int pin, int *ret_task) {
    struct token_child *t = &s->token;
    const struct token_config *c = &s->config->token;
    message_init(&s->message, MSG_token_setup, 0);
    copy_string(s->message.token_setup.module, sizeof(s->message.token_setup.module), c->module);
    copy_string(s->message.token_setup.uri, sizeof(s->message.token_setup.uri), c->uri);
    s->message.fds[0] = pin;
    s->message.fd_count = 1;
    t->late = false;
    t->deadline = loop_now_ms() + (uint64_t)c->seconds * 1000;
    t->helper.ended = bury;
    return helper_start(s, &t->helper, CHILD_TOKEN, ret_task);
}

static void start_and_tell(struct supervisor *s, int pin) {
    uint64_t id = s->token.now.id;
    int task = -1;
    if (start(s, pin, &task) != VAULT_OK) {
        tell_problem(s, id, "token-not-started", "The process for the token could not be started; see the log.");
        return;
    }
    message_init(&s->message, MSG_token_channel, id);
    core_tell_with(s, CHILD_MONITOR, &task, 1);
    close(task);
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
    if (!helper_runs(&s->token.helper))
        start_next(s);
}

void token_check_deadline(struct supervisor *s, uint64_t now) {
    if (!helper_runs(&s->token.helper) || now < s->token.deadline)
        return;
    s->token.late = true;
    helper_kill(&s->token.helper);
}

void token_orphaned(struct supervisor *s) {
    s->token.now.id = s->token.next.id = 0;
}

void token_end(struct supervisor *s) {
    uint64_t now = loop_now_ms();
    token_orphaned(s);
    if (!helper_runs(&s->token.helper))
        return;
    helper_wait(&s->token.helper, s->token.deadline > now ? (int)(s->token.deadline - now) : 0);
}
