/* Errands to the token: a process of its own does one and ends. The supervisor starts it and gives us the channel to
 * it; nobody waits meanwhile. */
#include <string.h>
#include <unistd.h>

#include "opening.h"
#include "vault/log.h"
#include "vault/result.h"

enum { TELL_MS = 5000 };

_Static_assert(SEAL_TOKEN_KEY == (int)TOKEN_KEY_ID && SEAL_TOKEN_WRAPPED == (int)TOKEN_WRAPPED &&
                   SEAL_VAULT_ID == (int)ID_SIZE,
               "a seal keeps what the token gives");

void errand_clear(struct errand *e) {
    secret_free(&e->root);
    *e = (struct errand){.kind = ERRAND_NONE};
}

static struct errand errand_move(struct errand *from) {
    struct errand e = *from;
    *from = (struct errand){.kind = ERRAND_NONE};
    return e;
}

static void close_channel(struct monitor *m) {
    struct errands *r = &m->errands;
    loop_remove(m->loop, &r->watch);
    if (r->open)
        close(r->channel);
    r->open = false;
}

/* Without a word to the supervisor this process is of no use: another one begins again. */
static void want_token(struct monitor *m) {
    static struct message wanted;
    message_init(&wanted, MSG_token_wanted, ++m->errands.id);
    wanted.token_wanted.by_itself = m->errands.now.by_itself;
    if (channel_send_wait(m->control, &wanted, TELL_MS) != VAULT_OK) {
        m->stop = true;
        m->exit_status = 1;
    }
}

void errand_run(struct monitor *m, struct errand *e) {
    struct errands *r = &m->errands;
    if (r->now.kind != ERRAND_NONE) { /* that is a sweep, and soon over */
        errand_clear(&r->next);
        r->next = errand_move(e);
        return;
    }
    r->now = errand_move(e);
    want_token(m);
}

void errands_forget(struct monitor *m) {
    close_channel(m);
    errand_clear(&m->errands.now);
    errand_clear(&m->errands.next);
}

/* The errand is over: what comes of it may begin another, and one that waits is next. */
static void conclude(struct monitor *m, const struct errand_end *end) {
    struct errand done = errand_move(&m->errands.now);
    close_channel(m);
    if (end->rule != NULL)
        log_error("token: refused rule=%s problem=\"%s\"", end->rule, end->problem);
    token_conclude(m, &done, end);
    errand_clear(&done);
    if (m->errands.now.kind == ERRAND_NONE && m->errands.next.kind != ERRAND_NONE) {
        struct errand next = errand_move(&m->errands.next);
        errand_run(m, &next);
    }
}

static void conclude_refused(struct monitor *m, const char *rule, const char *problem) {
    struct errand_end end = {.rule = rule};
    (void)format_string(end.problem, sizeof(end.problem), "%s", problem);
    conclude(m, &end);
}

/* ---- what the token says ---- */

/* The token's word is a number; what it means is said here. */
static void conclude_token_refused(struct monitor *m, const struct msg_token_refused *refused) {
    static const struct {
        const char *rule, *text;
    } why[] = {
        [TOKEN_NO_MODULE] = {"token-module",
                             "The token's module cannot be loaded, or is no PKCS#11 module that starts"},
        [TOKEN_NOT_THERE] = {"token-not-there", "There is no token that the configuration's URI selects"},
        [TOKEN_AMBIGUOUS] = {"token-ambiguous", "The configuration's URI selects more than one token"},
        [TOKEN_PIN_MALFORMED] = {"token-pin-malformed", "The token's PIN must be one line of 1 to 255 bytes"},
        [TOKEN_PIN_WRONG] = {"token-pin-wrong", "The token refused the PIN; it was tried once"},
        [TOKEN_PIN_LOCKED] = {"token-pin-locked", "The token's PIN is locked"},
        [TOKEN_NO_KEY] = {"token-key-missing", "The token does not have the key that the root key is sealed by"},
        [TOKEN_KEY_EXPOSED] = {"token-key-exposed", "The key is not one that cannot leave the token, and is not used"},
        [TOKEN_NO_MECHANISM] = {"token-mechanism", "The token cannot make AES keys or has no AES-GCM"},
        [TOKEN_NOT_OPENED] = {"token-key-wrong", "The token's key does not open the seal"},
        [TOKEN_NONSENSE] = {"token-nonsense", "The token's answer makes no sense"},
        [TOKEN_FAILED] = {"token-failed", "The token could not do what it was asked for"},
    };
    struct errand_end end = {.rule = NULL};
    size_t number = refused->why;
    if (number == TOKEN_GRANTED || number >= sizeof(why) / sizeof(why[0]))
        number = TOKEN_NONSENSE;
    end.rule = why[number].rule;
    (void)format_string(end.problem, sizeof(end.problem),
                        refused->detail != 0 ? "%s (the module returned 0x%llx)." : "%s.", why[number].text,
                        (unsigned long long)refused->detail);
    conclude(m, &end);
}

/* The answer in hand, if it is one to this errand. */
static void take_answer(struct monitor *m, struct message *in) {
    struct errand *e = &m->errands.now;
    struct errand_end end = {.rule = NULL};
    if (e->kind == ERRAND_WRAP && in->type == MSG_token_wrapped &&
        memcmp(in->token_wrapped.key, e->vault, KEYRING_ID) == 0) {
        seal_by_token(in->token_wrapped.key, in->token_wrapped.wrapped, &e->seal);
        conclude(m, &end);
    } else if (e->kind == ERRAND_UNWRAP && in->type == MSG_token_unwrapped) {
        e->root = secret_move(&in->token_unwrapped.root);
        conclude(m, &end);
    } else if (e->kind == ERRAND_SWEEP && in->type == MSG_token_swept) {
        end.destroyed = in->token_swept.destroyed;
        conclude(m, &end);
    } else if (in->type == MSG_token_refused) {
        conclude_token_refused(m, &in->token_refused);
    } else {
        conclude_refused(m, "token-nonsense", "The token's answer makes no sense.");
    }
}

/* A channel that ends says nothing: the supervisor tells why the process did. */
static void on_token(void *context) {
    static struct message in;
    struct monitor *m = context;
    int result = channel_receive(m->errands.channel, &in);
    if (result == VAULT_AGAIN)
        return;
    if (result == VAULT_OK)
        take_answer(m, &in);
    else if (result == VAULT_E_CLOSED)
        loop_remove(m->loop, &m->errands.watch);
    else
        conclude_refused(m, "token-nonsense", "The token's answer makes no sense.");
    message_clear(&in);
}

/* ---- what the supervisor says ---- */

static int send_errand(struct monitor *m) {
    static struct message out;
    struct errand *e = &m->errands.now;
    static const enum message_type types[] = {
        [ERRAND_WRAP] = MSG_token_wrap, [ERRAND_UNWRAP] = MSG_token_unwrap, [ERRAND_SWEEP] = MSG_token_sweep};
    message_init(&out, types[e->kind], m->errands.id);
    if (e->kind == ERRAND_WRAP) {
        COPY_ARRAY(out.token_wrap.vault, e->vault);
        out.token_wrap.root = e->root;
    } else if (e->kind == ERRAND_UNWRAP) {
        COPY_ARRAY(out.token_unwrap.vault, e->vault);
        COPY_ARRAY(out.token_unwrap.key, e->seal.token_key);
        copy_bytes(out.token_unwrap.wrapped, TOKEN_WRAPPED, e->seal.wrapped, TOKEN_WRAPPED);
    } else {
        COPY_ARRAY(out.token_sweep.vault, e->vault);
        COPY_ARRAY(out.token_sweep.keep, e->seal.token_key);
    }
    int result = channel_send(m->errands.channel, &out);
    if (e->kind == ERRAND_WRAP)
        out.token_wrap.root = NULL; /* lent, not given */
    return result;
}

void errand_channel(struct monitor *m, struct message *in) {
    struct errands *r = &m->errands;
    if (r->now.kind == ERRAND_NONE || in->id != r->id || r->open)
        return;
    if (in->fd_count != 1) {
        conclude_refused(m, in->token_channel.rule, in->token_channel.problem);
        return;
    }
    r->channel = in->fds[0];
    r->open = true;
    in->fd_count = 0;
    int result = loop_add(m->loop, r->channel, 1, on_token, m, &r->watch);
    if (result == VAULT_OK)
        result = send_errand(m);
    if (result != VAULT_OK && result != VAULT_E_CLOSED) /* if it is dead already, the supervisor says why */
        conclude_refused(m, "token-failed", "The token could not be asked.");
}

/* It may have answered just before. */
void errand_gone(struct monitor *m, const struct message *in) {
    const struct msg_token_gone *gone = &in->token_gone;
    struct errands *r = &m->errands;
    if (r->watch != NULL)
        on_token(m);
    if (r->now.kind == ERRAND_NONE || in->id != r->id)
        return;
    if (gone->problem[0] != '\0')
        conclude_refused(m, gone->rule, gone->problem);
    else
        conclude_refused(m, "token-nonsense", "The token's process ended without an answer.");
}
