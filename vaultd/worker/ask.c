#include "ask.h"

#include "control.h"
#include "upload.h"
#include "vault/loop.h"
#include "vault/result.h"

enum { SLOW_ANSWER_MS = 120000, SEND_MS = 10000 };

/* What waits for streams to end, or derives keys from scratch, may take longer. */
static uint64_t patience(enum message_type type) {
    switch (type) {
    case MSG_consent_withdraw:
    case MSG_consent_set:
    case MSG_subject_change:
    case MSG_opt_outs:
    case MSG_service_revoke:
    case MSG_project_close:
    case MSG_ethics_revoke:
    case MSG_policy_load:
    case MSG_pending_approve:
    case MSG_init:
    case MSG_unseal:
    case MSG_seal: return SLOW_ANSWER_MS;
    default: return ANSWER_MS;
    }
}

void ask_start(struct worker *w, enum message_type type) {
    message_clear(&w->request);
    message_clear(&w->reply);
    message_init(&w->request, type, 0);
}

static uint64_t send_request(struct worker *w, int channel) {
    message_clear(&w->reply);
    w->request.id = ++w->last_id;
    int result = channel_send_wait(channel, &w->request, SEND_MS);
    message_clear(&w->request);
    if (result != VAULT_OK)
        worker_fault(w, "a message could not be sent", result);
    return w->last_id;
}

/* Waits for the next message on a channel; those that the monitor sends unasked are handled on the way. */
static void receive_reply(struct worker *w, int channel, uint64_t until_ms) {
    for (;;) {
        int result = channel_receive(channel, &w->reply);
        if (result == VAULT_OK && channel == w->monitor && w->reply.id == 0) {
            control_take(w, &w->reply);
            continue;
        }
        if (result == VAULT_OK)
            return;
        if (result == VAULT_AGAIN)
            result = control_wait(w, channel, until_ms);
        if (result == VAULT_AGAIN)
            control_check(w);
        if (result < 0)
            worker_fault(w, channel == w->monitor ? "no answer from the monitor" : "no answer from the store", result);
    }
}

uint64_t monitor_send(struct worker *w) {
    return send_request(w, w->monitor);
}

static int judge_reply(struct worker *w, uint64_t id, enum message_type expected) {
    if (w->reply.id != id)
        worker_fault(w, "the monitor answered what was not asked", VAULT_E_PROTOCOL);
    if (w->reply.type == expected)
        return VAULT_OK;
    if (w->reply.type != MSG_answer)
        worker_fault(w, "the monitor gave another kind of answer", VAULT_E_PROTOCOL);
    return VAULT_DENIED;
}

int ask(struct worker *w, enum message_type expected) {
    uint64_t until = loop_now_ms() + patience(w->request.type);
    uint64_t id = monitor_send(w);
    receive_reply(w, w->monitor, until);
    return judge_reply(w, id, expected);
}

void ask_ahead(struct worker *w) {
    w->ahead_came = false;
    w->ahead = monitor_send(w);
}

int ask_end(struct worker *w, enum message_type expected) {
    uint64_t id = w->ahead;
    w->ahead = 0;
    if (!w->ahead_came)
        receive_reply(w, w->monitor, loop_now_ms() + ANSWER_MS);
    return judge_reply(w, id, expected);
}

uint64_t store_send(struct worker *w) {
    return send_request(w, w->store);
}

void store_receive(struct worker *w) {
    message_clear(&w->reply);
    receive_reply(w, w->store, loop_now_ms() + ANSWER_MS);
}

void ask_store(struct worker *w, enum message_type expected) {
    uint64_t id = store_send(w);
    store_receive(w);
    while (w->writing != NULL && w->reply.type == MSG_receipt) { /* of a put that was under way */
        upload_take_receipt(w->writing);
        store_receive(w);
    }
    if (w->reply.id != id || w->reply.type != expected)
        worker_fault(w, "the store answered what was not asked", VAULT_E_PROTOCOL);
}
