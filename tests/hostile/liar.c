/* A worker that was taken over by its client, with the client's first byte. It is the real worker, its main() and its
 * sandbox included, until it has its client: the linker puts the two functions below in the place of the worker's own
 * (tests/hostile/liar.cmake). A client that starts with a TLS record is served honestly. Any other says in one line
 * what it wants:
 *
 *   record                          shake hands honestly, then send the handshake as it went, and end
 *   LIE SUBJECT NAME SIZE           lie to the gate with the recording that follows (SIZE bytes), then open that file
 *
 * A recording is a list of u8 from_client ‖ u32 size ‖ handshake message. What came of a lie goes to the log, since the
 * gate and the monitor decide over the socket's end. */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vault/log.h"
#include "vault/loop.h"
#include "vault/message.h"
#include "vault/result.h"
#include "vaultd/worker/stream.h"
#include "vaultd/worker/tls.h"
#include "vaultd/worker/tls_gate.h"

enum { MONITOR = 4, RECORDING_MAX = 1 << 18, LINE_MAX_SIZE = 512, ANSWER_MS = 5000, TLS_RECORD = 0x16 };
enum { FROM_SERVER = 0, FROM_CLIENT = 1, CERTIFICATE = 11, PROOF = 15 };

struct order {
    char lie[33];
    char subject[NAME_MAX_SIZE + 1];
    char name[NAME_MAX_SIZE + 1];
    size_t size; /* of the recording */
};

struct told {
    uint8_t from_client;
    const uint8_t *bytes;
    uint32_t size;
};

void __real_gate_tell_message(struct tls_gate *g, bool from_client, const void *message, size_t n);
void __wrap_gate_tell_message(struct tls_gate *g, bool from_client, const void *message, size_t n);
int __real_stream_open_tls(int socket, int gate, uint32_t handshake_ms, uint32_t idle_ms, struct stream **ret);
int __wrap_stream_open_tls(int socket, int gate, uint32_t handshake_ms, uint32_t idle_ms, struct stream **ret);

static uint8_t victim[RECORDING_MAX]; /* what the victim's handshake was */
static size_t victim_size;
static uint8_t own[RECORDING_MAX]; /* what the present one is */
static size_t own_size;
static bool swap_certificate, swap_proof;

/* --- recordings --- */

static bool next_told(struct reader *r, struct told *ret) {
    ret->from_client = read_u8(r);
    ret->size = read_u32(r);
    ret->bytes = read_view(r, ret->size);
    return ret->bytes != NULL && ret->size > 0;
}

static bool find_told(uint8_t from_client, uint8_t type, struct told *ret) {
    struct reader r = reader_of(victim, victim_size);
    while (r.left > 0 && next_told(&r, ret))
        if (ret->from_client == from_client && ret->bytes[0] == type)
            return true;
    return false;
}

static void record(bool from_client, const void *message, size_t n) {
    struct writer w = writer_of(own + own_size, sizeof(own) - own_size);
    write_u8(&w, from_client ? FROM_CLIENT : FROM_SERVER);
    write_u32(&w, (uint32_t)n);
    write_bytes(&w, message, n);
    if (!w.bad)
        own_size += w.used;
}

static bool is_swapped(bool from_client, uint8_t type) {
    return from_client && ((type == CERTIFICATE && swap_certificate) || (type == PROOF && swap_proof));
}

void __wrap_gate_tell_message(struct tls_gate *g, bool from_client, const void *message, size_t n) {
    const uint8_t *bytes = message;
    struct told instead;
    record(from_client, message, n);
    if (is_swapped(from_client, bytes[0]) && find_told(FROM_CLIENT, bytes[0], &instead))
        __real_gate_tell_message(g, true, instead.bytes, instead.size);
    else
        __real_gate_tell_message(g, from_client, message, n);
}

/* --- lies --- */

/* Plays the victim's handshake to the gate. The server's CertificateVerify of that day is played as it was, or with the
 * signature that the gate gives now. */
static int replay(int gate, bool ask_to_sign, bool fresh) {
    static struct tls_gate g;
    uint8_t proof[8 + TLS_SIGNATURE_MAX];
    uint8_t alert = 0;
    struct reader r = reader_of(victim, victim_size);
    struct told t;
    g = (struct tls_gate){.channel = gate, .deadline = loop_now_ms() + ANSWER_MS};
    while (r.left > 0 && next_told(&r, &t)) {
        bool is_proof = t.from_client == FROM_SERVER && t.bytes[0] == PROOF;
        size_t n = 0;
        if (is_proof && ask_to_sign && gate_sign(&g, proof + 8, TLS_SIGNATURE_MAX, &n) != VAULT_OK)
            return g.failure;
        if (is_proof && fresh) {
            const uint8_t head[8] = {PROOF, 0, 0, (uint8_t)(n + 4), 0x04, 0x03, 0, (uint8_t)n};
            copy_bytes(proof, sizeof(proof), head, sizeof(head));
            __real_gate_tell_message(&g, false, proof, n + 8);
        } else
            __real_gate_tell_message(&g, t.from_client == FROM_CLIENT, t.bytes, t.size);
    }
    return gate_ask_verdict(&g, true, &alert);
}

/* A handshake with the attacker's own client, of which the gate is told what the swaps make of it. */
static int shake_hands(int socket, int gate) {
    static struct wire wire;
    struct tls *tls = NULL;
    wire = (struct wire){.socket = socket, .idle_ms = ANSWER_MS, .deadline = loop_now_ms() + ANSWER_MS};
    return tls_accept(&wire, gate, &tls); /* the session is kept open: the client's end must not be ours */
}

static int second_identity(int socket, int gate) {
    int result = shake_hands(socket, gate);
    log_notice("liar: first identity: result=%s", vault_result_name(result));
    return result == VAULT_OK ? replay(gate, true, false) : result;
}

static int tell_lie(const char *lie, int socket, int gate) {
    swap_certificate = strcmp(lie, "chain") == 0 || strcmp(lie, "proof") == 0;
    swap_proof = strcmp(lie, "proof") == 0;
    if (swap_certificate || strcmp(lie, "truth") == 0)
        return shake_hands(socket, gate);
    if (strcmp(lie, "second") == 0)
        return second_identity(socket, gate);
    if (strcmp(lie, "second-quiet") == 0)
        return shake_hands(socket, gate) == VAULT_OK ? replay(gate, false, false) : VAULT_E_STATE;
    if (strcmp(lie, "replay") == 0)
        return replay(gate, true, false);
    if (strcmp(lie, "replay-unsigned") == 0)
        return replay(gate, false, false);
    if (strcmp(lie, "replay-fresh") == 0)
        return replay(gate, true, true);
    return VAULT_AGAIN; /* none: the gate is not spoken to at all */
}

/* Asks for the victim's file, whatever the gate said. */
static void open_file(const struct order *o) {
    static struct message m;
    message_init(&m, MSG_open, 1);
    m.open.action = OPEN_READ;
    m.open.purpose = PURPOSE_TREATMENT;
    copy_string(m.open.subject, sizeof(m.open.subject), o->subject);
    copy_string(m.open.name, sizeof(m.open.name), o->name);
    int result = channel_send_wait(MONITOR, &m, ANSWER_MS);
    message_clear(&m);
    if (result == VAULT_OK)
        result = channel_receive_wait(MONITOR, &m, ANSWER_MS);
    if (result != VAULT_OK)
        log_notice("liar: lie=%s got=nothing result=%s", o->lie, vault_result_name(result));
    else if (m.type == MSG_grant)
        log_notice("liar: lie=%s got=grant key=%s size=%llu", o->lie, m.grant.key != NULL ? "yes" : "no",
                   (unsigned long long)m.grant.size);
    else
        log_notice("liar: lie=%s got=%s status=%u", o->lie, message_name(m.type),
                   m.type == MSG_answer ? m.answer.status : 0);
    message_clear(&m);
}

/* --- orders --- */

static bool receive_all(int socket, void *to, size_t n) {
    uint8_t *at = to;
    while (n > 0) {
        ssize_t got = recv(socket, at, n, 0);
        if (got <= 0)
            return false;
        at += got;
        n -= (size_t)got;
    }
    return true;
}

static bool receive_line(int socket, char line[LINE_MAX_SIZE]) {
    for (size_t n = 0; n < LINE_MAX_SIZE; n++) {
        if (!receive_all(socket, line + n, 1))
            return false;
        if (line[n] == '\n') {
            line[n] = '\0';
            return true;
        }
    }
    return false;
}

/* The next word of the line, which must be shorter than `size`. */
static const char *take_word(const char *line, char *to, size_t size) {
    size_t n = line == NULL ? 0 : strcspn(line, " ");
    if (n == 0 || n >= size)
        return NULL;
    copy_bytes(to, size, line, n);
    to[n] = '\0';
    return line + n + strspn(line + n, " ");
}

static bool parse_order(const char *line, struct order *ret) {
    char size[8] = "";
    line = take_word(line, ret->lie, sizeof(ret->lie));
    line = take_word(line, ret->subject, sizeof(ret->subject));
    line = take_word(line, ret->name, sizeof(ret->name));
    if (take_word(line, size, sizeof(size)) == NULL)
        return false;
    for (const char *c = size; *c != '\0'; c++) {
        if (*c < '0' || *c > '9')
            return false;
        ret->size = ret->size * 10 + (size_t)(*c - '0');
    }
    return ret->size <= sizeof(victim);
}

static _Noreturn void follow_order(int socket, int gate, const char *line) {
    struct order o = {.size = 0};
    if (!parse_order(line, &o) || !receive_all(socket, victim, o.size)) {
        log_error("liar: the order cannot be read");
        _exit(0);
    }
    victim_size = o.size;
    int result = tell_lie(o.lie, socket, gate);
    log_notice("liar: lie=%s gate=%s", o.lie, result == VAULT_AGAIN ? "not asked" : vault_result_name(result));
    open_file(&o);
    _exit(0);
}

int __wrap_stream_open_tls(int socket, int gate, uint32_t handshake_ms, uint32_t idle_ms, struct stream **ret) {
    char line[LINE_MAX_SIZE];
    uint8_t first = 0;
    if (recv(socket, &first, 1, MSG_PEEK) != 1 || first == TLS_RECORD)
        return __real_stream_open_tls(socket, gate, handshake_ms, idle_ms, ret);
    if (!receive_line(socket, line))
        return VAULT_E_CLOSED;
    if (strcmp(line, "record") != 0)
        follow_order(socket, gate, line);
    int result = __real_stream_open_tls(socket, gate, handshake_ms, idle_ms, ret);
    if (result != VAULT_OK)
        return result;
    result = stream_write(*ret, own, own_size);
    stream_close(ret);
    return result == VAULT_OK ? VAULT_E_CLOSED : result;
}
