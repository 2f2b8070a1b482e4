#include "vaultd/worker/tls_gate.h"

#include <limits.h>

#include "vault/log.h"
#include "vault/loop.h"
#include "vault/result.h"

/* The gate closes the channel of a worker that broke its protocol. */
static int gate_result(int result) {
    return result == VAULT_E_CLOSED ? VAULT_E_PROTOCOL : result;
}

int gate_receive_chain(int channel, int timeout_ms, struct msg_tls_certificate *ret) {
    static struct message m;
    int result = gate_result(channel_receive_wait(channel, &m, timeout_ms));
    if (result != VAULT_OK)
        return result;
    if (m.type == MSG_tls_certificate)
        *ret = m.tls_certificate;
    else
        result = VAULT_E_PROTOCOL;
    message_clear(&m);
    return result;
}

static int time_left(const struct tls_gate *g) {
    uint64_t now = loop_now_ms();
    uint64_t left = g->deadline > now ? g->deadline - now : 0;
    return left > INT_MAX ? INT_MAX : (int)left;
}

static int fail(struct tls_gate *g, int result) {
    if (g->failure == VAULT_OK && result < 0)
        g->failure = gate_result(result);
    return g->failure;
}

void gate_tell_message(struct tls_gate *g, bool from_client, const void *message, size_t n) {
    struct msg_tls_message *told = &g->message.tls_message;
    if (g->failure != VAULT_OK)
        return;
    if (n > sizeof(told->message)) {
        fail(g, VAULT_E_LIMIT);
        return;
    }
    message_init(&g->message, MSG_tls_message, 0);
    told->from_client = from_client ? 1 : 0;
    told->message_size = (uint32_t)n;
    copy_bytes(told->message, sizeof(told->message), message, n);
    fail(g, channel_send_wait(g->channel, &g->message, time_left(g)));
}

/* Sends the question in g->message and receives its answer there, which must be of this type. */
static int ask(struct tls_gate *g, enum message_type answer) {
    uint64_t id = g->message.id;
    int result = channel_send_wait(g->channel, &g->message, time_left(g));
    if (result != VAULT_OK)
        return fail(g, result);
    result = channel_receive_wait(g->channel, &g->message, time_left(g));
    if (result == VAULT_OK && (g->message.type != answer || g->message.id != id)) {
        message_clear(&g->message);
        result = VAULT_E_PROTOCOL;
    }
    return fail(g, result);
}

int gate_sign(struct tls_gate *g, uint8_t *to, size_t size, size_t *ret_n) {
    if (g->failure != VAULT_OK)
        return g->failure;
    message_init(&g->message, MSG_tls_sign, ++g->last_id);
    int result = ask(g, MSG_tls_signature);
    if (result != VAULT_OK)
        return result;
    const struct msg_tls_signature *signature = &g->message.tls_signature;
    if (signature->signature_size > size)
        return fail(g, VAULT_E_PROTOCOL);
    copy_bytes(to, size, signature->signature, signature->signature_size);
    *ret_n = signature->signature_size;
    return VAULT_OK;
}

int gate_ask_verdict(struct tls_gate *g, bool proven, uint8_t *ret_alert) {
    if (g->failure != VAULT_OK)
        return g->failure;
    message_init(&g->message, MSG_tls_verdict_wanted, ++g->last_id);
    g->message.tls_verdict_wanted.proven = proven ? 1 : 0;
    int result = ask(g, MSG_tls_verdict);
    if (result != VAULT_OK)
        return result;
    const struct msg_tls_verdict *verdict = &g->message.tls_verdict;
    if (verdict->good == 1)
        return VAULT_OK;
    log_info("the gate refused the client: %s", verdict->reason);
    g->denied = true;
    *ret_alert = verdict->alert;
    return VAULT_DENIED;
}
