/* The process that carries one request to a witness: started by the supervisor, spoken to on a channel of its own, and
 * forgotten when it has answered. */
#include <string.h>
#include <unistd.h>

#include "vault/log.h"
#include "vault/result.h"
#include "witness_internal.h"

enum { TELL_MS = 5000 };

static void close_channel(struct monitor *m) {
    struct courier *c = &m->witnesses->courier;
    loop_remove(m->loop, &c->watch);
    if (c->open)
        close(c->channel);
    c->open = false;
}

void courier_stop(struct monitor *m) {
    close_channel(m);
    m->witnesses->courier.runs = false;
}

/* Without a word to the supervisor this process is of no use: another one begins again. */
void courier_start(struct monitor *m) {
    static struct message wanted;
    struct courier *c = &m->witnesses->courier;
    courier_stop(m);
    c->runs = true;
    message_init(&wanted, MSG_courier_wanted, ++c->id);
    wanted.courier_wanted.witness = (uint8_t)m->witnesses->at;
    if (channel_send_wait(m->control, &wanted, TELL_MS) != VAULT_OK) {
        m->stop = true;
        m->exit_status = 1;
    }
}

static void conclude(struct monitor *m, const struct msg_courier_brought *brought) {
    courier_stop(m);
    round_answered(m, brought);
}

static void conclude_failed(struct monitor *m, const char *problem) {
    static struct msg_courier_brought none;
    none = (struct msg_courier_brought){.status = 0};
    copy_string(none.problem, sizeof(none.problem), problem);
    conclude(m, &none);
}

/* A channel that ends says nothing: the supervisor tells why the process did. */
static void on_process(void *context) {
    static struct message in;
    struct monitor *m = context;
    int result = channel_receive(m->witnesses->courier.channel, &in);
    if (result == VAULT_AGAIN)
        return;
    if (result == VAULT_OK && in.type == MSG_courier_brought)
        conclude(m, &in.courier_brought);
    else
        loop_remove(m->loop, &m->witnesses->courier.watch);
    message_clear(&in);
}

static int send_request(struct monitor *m) {
    static struct message out;
    const struct courier *c = &m->witnesses->courier;
    size_t n = strlen(c->body);
    message_init(&out, MSG_courier_carry, c->id);
    copy_bytes(out.courier_carry.body, sizeof(out.courier_carry.body), c->body, n);
    out.courier_carry.body_size = (uint32_t)n;
    return channel_send(c->channel, &out);
}

static bool is_awaited(const struct monitor *m, const struct message *in) {
    return m->witnesses != NULL && m->witnesses->courier.runs && in->id == m->witnesses->courier.id;
}

void courier_channel(struct monitor *m, struct message *in) {
    if (!is_awaited(m, in) || m->witnesses->courier.open)
        return;
    struct courier *c = &m->witnesses->courier;
    if (in->fd_count != 1) {
        conclude_failed(m, in->courier_channel.problem);
        return;
    }
    c->channel = in->fds[0];
    c->open = true;
    in->fd_count = 0;
    int result = loop_add(m->loop, c->channel, 1, on_process, m, &c->watch);
    if (result == VAULT_OK)
        result = send_request(m);
    if (result != VAULT_OK) /* it has ended, and the supervisor tells how; or it ends without a request */
        close_channel(m);
}

/* It may have answered just before. */
void courier_gone(struct monitor *m, const struct message *in) {
    if (is_awaited(m, in) && m->witnesses->courier.watch != NULL)
        on_process(m);
    if (!is_awaited(m, in))
        return;
    const char *problem = in->courier_gone.problem;
    conclude_failed(m, problem[0] != '\0' ? problem : "The process for the witness ended without an answer.");
}
