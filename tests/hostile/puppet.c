/* A worker that its client has taken over and plays like a puppet: it makes any system call, and reads and writes any
 * memory, as the client orders. It is the real worker, its main(), its walls and its TLS included; the linker puts the
 * functions below in the place of the worker's own (puppet.cmake). A client that starts with a TLS record is served
 * honestly. Any other first says in one line when it takes over, and in vaultd-worker-unwalled which walls are off:
 *
 *   take MOMENT [WALL,WALL...]
 *
 *   first      nothing of TLS has been read yet; the orders come over the bare socket
 *   handshake  TLS is up, and the gate has told the monitor who the client is
 *   grant      an honest request has been given its grant
 *   stream     in the middle of an answer: the file's second object has just been opened
 *   upload     an honest deposit has its upload and its shared buffers
 *
 * From then on orders are u8 op and little-endian u64 (tests/behaviour/puppet.py has the other end). The answer to the
 * take-over itself is MARK, behind what had been sent of an honest answer. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "ask.h"
#include "tests/hostile/walls.h"
#include "vault/log.h"
#include "vault/result.h"

enum { LINE_SIZE = 256, TLS_RECORD = 0x16, SCRATCH_SIZE = 1 << 18, CALL_WORDS = 7, CALLS_MAX = 4, CHILD_STATUS = 42 };
enum { OP_CALL = 'C', OP_REPEAT = 'R', OP_POKE = 'P', OP_PEEK = 'K', OP_SCRATCH = 'A', OP_GO_ON = 'G' };

static const uint8_t MARK[] = "\0taken over\0";

int __real_stream_open_tls(int socket, int gate, uint32_t handshake_ms, uint32_t idle_ms, struct stream **ret);
int __wrap_stream_open_tls(int socket, int gate, uint32_t handshake_ms, uint32_t idle_ms, struct stream **ret);
int __real_ask_open(struct worker *w, const char *purpose, struct grant **ret);
int __wrap_ask_open(struct worker *w, const char *purpose, struct grant **ret);
int __real_ask_object(struct worker *w, const struct chunk *chunk, const uint8_t token[HASH_SIZE], int *ret_fd);
int __wrap_ask_object(struct worker *w, const struct chunk *chunk, const uint8_t token[HASH_SIZE], int *ret_fd);
int __real_ask_buffers(struct worker *w, const uint8_t upload[ID_SIZE], const uint8_t token[HASH_SIZE]);
int __wrap_ask_buffers(struct worker *w, const uint8_t upload[ID_SIZE], const uint8_t token[HASH_SIZE]);

static char moment[16];
static int bare = -1;       /* the client's socket, before TLS */
static struct stream *held; /* its stream, afterwards */
static uint8_t scratch[SCRATCH_SIZE];

/* --- what the client says --- */

static bool take(void *to, size_t n) {
    uint8_t *at = to;
    while (n > 0) {
        size_t got = 0;
        ssize_t raw = held == NULL ? recv(bare, at, n, 0) : 0;
        if (held == NULL)
            got = raw > 0 ? (size_t)raw : 0;
        else if (stream_read(held, at, n, 0, &got) != VAULT_OK)
            return false;
        if (got == 0)
            return false;
        at += got;
        n -= got;
    }
    return true;
}

static bool give(const void *from, size_t n) {
    const uint8_t *at = from;
    if (held != NULL)
        return stream_write(held, from, n) == VAULT_OK;
    while (n > 0) {
        ssize_t sent = send(bare, at, n, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        at += sent;
        n -= (size_t)sent;
    }
    return true;
}

/* --- what it can have done --- */

/* As the kernel answers: negative is an error. A child of a fork has shown that it lives, and ends. */
static int64_t do_call(const uint64_t words[CALL_WORDS]) {
    static pid_t self;
    if (self == 0)
        self = getpid();
    long result = syscall((long)words[0], words[1], words[2], words[3], words[4], words[5], words[6]);
    if (result == -1)
        return -errno;
    if (result == 0 && getpid() != self)
        _exit(CHILD_STATUS);
    return result;
}

static bool order_call(void) {
    uint64_t words[CALL_WORDS];
    if (!take(words, sizeof(words)))
        return false;
    int64_t result = do_call(words);
    return give(&result, sizeof(result));
}

/* Makes the call, waiting while a queue is full or empty. */
static int64_t do_patiently(const uint64_t words[CALL_WORDS]) {
    static const struct timespec rest = {.tv_nsec = 1000000};
    int64_t result;
    while ((result = do_call(words)) == -EAGAIN)
        nanosleep(&rest, NULL);
    return result;
}

/* The same calls one after the other, again and again, up to the first that fails. The answer is the number of whole
 * rounds, and what the last call gave. */
static bool order_repeat(void) {
    uint64_t rounds[2]; /* how many at the most, of how many calls */
    uint64_t words[CALLS_MAX][CALL_WORDS];
    int64_t answer[2] = {0, 0};
    if (!take(rounds, sizeof(rounds)) || rounds[1] > CALLS_MAX || !take(words, rounds[1] * sizeof(words[0])))
        return false;
    while ((uint64_t)answer[0] < rounds[0] && answer[1] >= 0) {
        for (uint64_t i = 0; i < rounds[1] && answer[1] >= 0; i++)
            answer[1] = do_patiently(words[i]);
        answer[0] += answer[1] >= 0 ? 1 : 0;
    }
    return give(answer, sizeof(answer));
}

static bool order_poke(void) {
    uint64_t where[2];
    int64_t done = 0;
    return take(where, sizeof(where)) && take((void *)(uintptr_t)where[0], where[1]) && give(&done, sizeof(done));
}

static bool order_peek(void) {
    uint64_t where[2];
    return take(where, sizeof(where)) && give((const void *)(uintptr_t)where[0], where[1]);
}

static bool order_scratch(void) {
    uint64_t where = (uint64_t)(uintptr_t)scratch;
    return give(&where, sizeof(where));
}

/* Follows orders until told to go on with honest work. */
static void be_played(void) {
    uint8_t op = 0;
    bool good = give(MARK, sizeof(MARK) - 1);
    while (good && take(&op, 1)) {
        switch (op) {
        case OP_CALL: good = order_call(); break;
        case OP_REPEAT: good = order_repeat(); break;
        case OP_POKE: good = order_poke(); break;
        case OP_PEEK: good = order_peek(); break;
        case OP_SCRATCH: good = order_scratch(); break;
        case OP_GO_ON: return;
        default: good = false;
        }
    }
    _exit(0);
}

static bool is_now(const char *name) {
    if (strcmp(moment, name) != 0)
        return false;
    moment[0] = '\0'; /* once */
    return true;
}

/* --- when --- */

static bool take_line(char line[LINE_SIZE]) {
    for (size_t n = 0; n < LINE_SIZE; n++) {
        if (!take(line + n, 1))
            return false;
        if (line[n] == '\n') {
            line[n] = '\0';
            return true;
        }
    }
    return false;
}

static bool parse_line(const char *line, const char **ret_walls_off) {
    static const char start[] = "take ";
    if (strncmp(line, start, strlen(start)) != 0)
        return false;
    line += strlen(start);
    size_t n = strcspn(line, " ");
    if (n >= sizeof(moment))
        return false;
    copy_bytes(moment, sizeof(moment), line, n);
    *ret_walls_off = line + n + strspn(line + n, " ");
    return true;
}

int __wrap_stream_open_tls(int socket, int gate, uint32_t handshake_ms, uint32_t idle_ms, struct stream **ret) {
    char line[LINE_SIZE] = "";
    const char *walls_off = "";
    uint8_t first = 0;
    bare = socket;
    bool honest = recv(socket, &first, 1, MSG_PEEK) != 1 || first == TLS_RECORD;
    if (!honest && (!take_line(line) || !parse_line(line, &walls_off)))
        return VAULT_E_CLOSED;
    if (walls_up(walls_off) != VAULT_OK) {
        log_error("puppet: its walls cannot be put up");
        return VAULT_E_PROTOCOL;
    }
    if (is_now("first"))
        be_played();
    int result = __real_stream_open_tls(socket, gate, handshake_ms, idle_ms, ret);
    if (result != VAULT_OK)
        return result;
    held = *ret;
    if (is_now("handshake"))
        be_played();
    return result;
}

int __wrap_ask_open(struct worker *w, const char *purpose, struct grant **ret) {
    int result = __real_ask_open(w, purpose, ret);
    if (result == VAULT_OK && is_now("grant"))
        be_played();
    return result;
}

int __wrap_ask_object(struct worker *w, const struct chunk *chunk, const uint8_t token[HASH_SIZE], int *ret_fd) {
    static unsigned objects;
    int result = __real_ask_object(w, chunk, token, ret_fd);
    if (result == VAULT_OK && ++objects == 2 && is_now("stream"))
        be_played();
    return result;
}

int __wrap_ask_buffers(struct worker *w, const uint8_t upload[ID_SIZE], const uint8_t token[HASH_SIZE]) {
    int result = __real_ask_buffers(w, upload, token);
    if (result == VAULT_OK && is_now("upload"))
        be_played();
    return result;
}
