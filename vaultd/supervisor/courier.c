/* vaultd-courier: one process for one request to a witness, asked for by the monitor. It gets the witness's URL, which
 * the monitor never knows, and the authorities for TLS as an open file; it has the network and nothing else. Its time
 * is bounded. */
#include <string.h>
#include <unistd.h>

#include "paths.h"
#include "supervisor.h"
#include "vault/buffer.h"
#include "vault/log.h"
#include "vault/result.h"

enum { SLACK_MS = 5000 };

static void tell_problem(struct supervisor *s, uint64_t id, const char *rule, const char *problem) {
    log_error("courier: not started: rule=%s problem=\"%s\"", rule, problem);
    message_init(&s->message, MSG_courier_channel, id);
    copy_string(s->message.courier_channel.rule, sizeof(s->message.courier_channel.rule), rule);
    copy_string(s->message.courier_channel.problem, sizeof(s->message.courier_channel.problem), problem);
    core_tell(s, CHILD_MONITOR);
}

/* Tells the monitor of its end. */
static void bury(struct supervisor *s, const siginfo_t *end) {
    struct msg_courier_gone *gone = &s->message.courier_gone;
    char text[100] = "";
    message_init(&s->message, MSG_courier_gone, s->courier.id);
    if (s->courier.id == 0) /* it was ended, and nobody waits for it */
        return;
    if (helper_fault(end, text, sizeof(text))) {
        copy_string(gone->rule, sizeof(gone->rule), "courier-crashed");
        format_string(gone->problem, sizeof(gone->problem), "The process for the witness %s.", text);
        log_error("courier: %s", gone->problem);
    }
    core_tell(s, CHILD_MONITOR);
}

static void start(struct supervisor *s, uint64_t id, const struct witness_config *w, int authorities) {
    int task = -1;
    message_init(&s->message, MSG_courier_setup, 0);
    copy_string(s->message.courier_setup.url, sizeof(s->message.courier_setup.url), w->url);
    s->message.courier_setup.seconds = s->config->witnesses.seconds;
    if (authorities >= 0)
        s->message.fds[s->message.fd_count++] = authorities;
    s->courier.id = id;
    s->courier.deadline = loop_now_ms() + (uint64_t)s->config->witnesses.seconds * 1000 + SLACK_MS;
    s->courier.helper.ended = bury;
    if (helper_start(s, &s->courier.helper, CHILD_COURIER, &task) != VAULT_OK) {
        tell_problem(s, id, "courier-not-started", "The process for the witness could not be started; see the log.");
        return;
    }
    message_init(&s->message, MSG_courier_channel, id);
    core_tell_with(s, CHILD_MONITOR, &task, 1);
    close(task);
}

void courier_wanted(struct supervisor *s) {
    const struct witnesses_config *c = &s->config->witnesses;
    uint64_t id = s->message.id;
    uint8_t which = s->message.courier_wanted.witness;
    char problem[PROBLEM_SIZE] = "";
    int authorities = -1;
    courier_end(s);
    if (which >= c->count) {
        tell_problem(s, id, "no-such-witness", "No such witness is configured.");
    } else if (c->authorities[0] != '\0' && open_file(c->authorities, FILE_OPEN, &authorities, problem) != VAULT_OK) {
        tell_problem(s, id, "witness-authorities", problem);
    } else {
        start(s, id, &c->each[which], authorities);
        if (authorities >= 0)
            close(authorities);
    }
}

void courier_check_deadline(struct supervisor *s, uint64_t now) {
    if (helper_runs(&s->courier.helper) && now >= s->courier.deadline)
        helper_kill(&s->courier.helper);
}

void courier_end(struct supervisor *s) {
    s->courier.id = 0;
    if (helper_runs(&s->courier.helper))
        helper_kill(&s->courier.helper);
}
