#include <stdlib.h>
#include <unistd.h>

#include "vault/log.h"
#include "vault/result.h"
#include "vaultd/gate/gate_internal.h"

/* A full handshake has 13 messages at the most; HANDSHAKE_MS is far above any deadline that the worker keeps. */
enum { MESSAGES_MAX = 32, MESSAGES_PER_TURN = 8, HANDSHAKE_MS = 120000 };

static void close_channel(struct worker *w) {
    loop_remove(w->gate->loop, &w->watch);
    if (w->channel >= 0)
        close(w->channel);
    w->channel = -1;
    handshake_free(&w->handshake);
    server_free(&w->server);
}

static void free_worker(struct worker *w) {
    close_channel(w);
    presented_clear(&w->identity);
    free(w);
}

/* The worker is cut off at once; its client socket is the supervisor's to reset, who is told first: a worker that sees
 * the cut could else end by itself before. */
static void end_worker(struct worker *w, enum worker_end why, const char *what) {
    struct message *out = &w->gate->out;
    log_warning("worker ended: worker=%llu %s", (unsigned long long)w->id, what);
    message_init(out, MSG_worker_kill, 0);
    out->worker_kill.worker = w->id;
    out->worker_kill.why = (uint8_t)why;
    gate_tell_supervisor(w->gate);
    close_channel(w);
}

static void end_by_result(struct worker *w, int result) {
    if (result == VAULT_E_PROTOCOL)
        end_worker(w, WORKER_MISBEHAVED, "it broke the protocol");
    else
        end_worker(w, WORKER_FAULTY, vault_result_name(result));
}

/* A worker that does not take its answer misbehaves; one that is gone will be reported by the supervisor. */
static void answer(struct worker *w) {
    int result = channel_send(w->channel, &w->gate->out);
    if (result == VAULT_E_CLOSED)
        close_channel(w);
    else if (result != VAULT_OK)
        end_by_result(w, result == VAULT_E_LIMIT ? VAULT_E_PROTOCOL : result);
}

static int take_message(struct worker *w, const struct msg_tls_message *m) {
    if (++w->messages > MESSAGES_MAX || m->from_client > 1)
        return VAULT_E_PROTOCOL;
    if (w->verdict_given)
        return VAULT_OK;
    if (w->handshake == NULL) {
        int result = handshake_new(w->server, &w->handshake);
        if (result != VAULT_OK)
            return result;
        w->deadline_ms = loop_now_ms() + HANDSHAKE_MS;
    }
    return handshake_message(w->handshake, m->from_client == 1, m->message, m->message_size);
}

static int take_sign(struct worker *w, uint64_t id) {
    struct msg_tls_signature *signature = &w->gate->out.tls_signature;
    size_t size = 0;
    if (w->handshake == NULL)
        return VAULT_E_PROTOCOL;
    message_init(&w->gate->out, MSG_tls_signature, id);
    int result = handshake_sign(w->handshake, signature->signature, &size);
    if (result != VAULT_OK)
        return result;
    signature->signature_size = (uint32_t)size;
    answer(w);
    return VAULT_OK;
}

static void answer_verdict(struct worker *w, uint64_t id, const struct refusal *refusal) {
    struct msg_tls_verdict *verdict = &w->gate->out.tls_verdict;
    message_init(&w->gate->out, MSG_tls_verdict, id);
    verdict->good = refusal == NULL;
    if (refusal != NULL) {
        verdict->alert = refusal->alert;
        copy_string(verdict->reason, sizeof(verdict->reason), refusal->reason);
    }
    answer(w);
}

/* Asks the present trust, and refuses the client for good if the answer is no. */
static int check_chain(struct worker *w, struct client_name *ret_name) {
    struct refusal refusal;
    int result = trust_check(anchors_trust(w->gate->anchors), handshake_presented(w->handshake)->chain, time(NULL),
                             ret_name, &refusal);
    if (result == VAULT_DENIED)
        handshake_refuse(w->handshake, &refusal);
    return result;
}

static int answer_chain_wanted(struct worker *w, uint64_t id) {
    struct client_name name;
    int result = VAULT_DENIED;
    if (w->chain_asked || handshake_proven(w->handshake))
        return VAULT_E_PROTOCOL;
    w->chain_asked = true;
    if (handshake_refusal(w->handshake) == NULL) {
        if (handshake_presented(w->handshake) == NULL)
            return VAULT_E_PROTOCOL;
        result = check_chain(w, &name);
    }
    if (result < 0)
        return result;
    answer_verdict(w, id, handshake_refusal(w->handshake));
    return VAULT_OK;
}

static void tell_identity(struct worker *w, const struct client_name *name) {
    struct message *out = &w->gate->out;
    w->identity = handshake_take_presented(w->handshake);
    w->not_after = name->not_after;
    message_init(out, MSG_identity, 0);
    out->identity.worker = w->id;
    copy_string(out->identity.san, sizeof(out->identity.san), name->san);
    COPY_ARRAY(out->identity.fingerprint, w->identity.fingerprint);
    out->identity.not_after = name->not_after;
    gate_tell_monitor(w->gate);
}

/* The trust may have changed since the chain was asked about, so it is checked here, too: this is what counts. */
static int answer_identity_wanted(struct worker *w, uint64_t id) {
    struct client_name name;
    int result = VAULT_DENIED;
    if (handshake_refusal(w->handshake) == NULL) {
        if (!handshake_proven(w->handshake))
            return VAULT_E_PROTOCOL;
        result = check_chain(w, &name);
    }
    if (result < 0)
        return result;
    w->verdict_given = true;
    if (result == VAULT_OK)
        tell_identity(w, &name);
    if (w->gate->fault == VAULT_OK)
        answer_verdict(w, id, handshake_refusal(w->handshake));
    handshake_free(&w->handshake);
    server_free(&w->server);
    return VAULT_OK;
}

static int take_verdict_wanted(struct worker *w, uint64_t id, uint8_t proven) {
    if (w->handshake == NULL || proven > 1)
        return VAULT_E_PROTOCOL;
    return proven == 1 ? answer_identity_wanted(w, id) : answer_chain_wanted(w, id);
}

static int take(struct worker *w, const struct message *m) {
    switch ((int)m->type) {
    case MSG_tls_message: return take_message(w, &m->tls_message);
    case MSG_tls_sign: return take_sign(w, m->id);
    case MSG_tls_verdict_wanted: return take_verdict_wanted(w, m->id, m->tls_verdict_wanted.proven);
    default: return VAULT_E_PROTOCOL;
    }
}

static void on_worker(void *context) {
    struct worker *w = context;
    struct message *in = &w->gate->in;
    for (int i = 0; i < MESSAGES_PER_TURN && w->channel >= 0 && w->gate->fault == VAULT_OK; i++) {
        int result = channel_receive(w->channel, in);
        if (result == VAULT_AGAIN)
            return;
        if (result == VAULT_OK) {
            result = take(w, in);
            message_clear(in);
        }
        if (result == VAULT_E_CLOSED)
            close_channel(w);
        else if (result != VAULT_OK)
            end_by_result(w, result);
    }
}

static struct worker **find(struct gate *g, uint64_t id) {
    struct worker **at = &g->workers;
    while (*at != NULL && (*at)->id != id)
        at = &(*at)->next;
    return at;
}

int worker_add(struct gate *g, uint64_t id, int channel) {
    struct worker *w = *find(g, id) == NULL ? calloc(1, sizeof(*w)) : NULL;
    if (w == NULL) {
        close(channel);
        return *find(g, id) == NULL ? VAULT_E_MEMORY : VAULT_E_PROTOCOL;
    }
    *w = (struct worker){.gate = g, .id = id, .channel = channel, .server = server_share(g->server)};
    int result = loop_add(g->loop, channel, 2, on_worker, w, &w->watch);
    if (result != VAULT_OK) {
        free_worker(w);
        return result;
    }
    w->next = g->workers;
    g->workers = w;
    message_init(&g->out, MSG_tls_certificate, 0);
    server_chain(g->server, &g->out.tls_certificate);
    answer(w);
    return VAULT_OK;
}

void worker_remove(struct gate *g, uint64_t id) {
    struct worker **at = find(g, id);
    struct worker *w = *at;
    if (w == NULL)
        return;
    *at = w->next;
    free_worker(w);
}

void workers_clear(struct gate *g) {
    while (g->workers != NULL)
        worker_remove(g, g->workers->id);
}

static void lose_identity(struct worker *w, const char *reason) {
    struct message *out = &w->gate->out;
    log_notice("identity lost: worker=%llu %s", (unsigned long long)w->id, reason);
    presented_clear(&w->identity);
    message_init(out, MSG_identity_lost, 0);
    out->identity_lost.worker = w->id;
    copy_string(out->identity_lost.reason, sizeof(out->identity_lost.reason), reason);
    gate_tell_monitor(w->gate);
}

void workers_verify_again(struct gate *g) {
    for (struct worker *w = g->workers; w != NULL && g->fault == VAULT_OK; w = w->next) {
        struct client_name name;
        struct refusal refusal = {0, "certificate could not be verified again"};
        if (w->identity.chain == NULL)
            continue;
        if (trust_check(anchors_trust(g->anchors), w->identity.chain, time(NULL), &name, &refusal) == VAULT_OK)
            w->not_after = name.not_after;
        else
            lose_identity(w, refusal.reason);
    }
}

void workers_tick(struct gate *g, time_t now) {
    uint64_t now_ms = loop_now_ms();
    for (struct worker *w = g->workers; w != NULL && g->fault == VAULT_OK; w = w->next) {
        if (w->identity.chain != NULL && (uint64_t)now > w->not_after)
            lose_identity(w, "certificate has expired");
        if (w->handshake != NULL && now_ms > w->deadline_ms)
            end_worker(w, WORKER_MISBEHAVED, "its handshake does not end");
    }
}
