#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "vault/loop.h"
#include "vault/message.h"
#include "vault/result.h"
#include "vault/token.h"

enum { ROUNDS = 20 };

static const unsigned types[] = {
#define TYPE_NUMBER(name, number, fds) number,
    PROTOCOL(TYPE_NUMBER)};
enum { TYPES = sizeof(types) / sizeof(types[0]) };

static struct message sent, received; /* too large for the stack */

/* ---- Messages of random content, from the tables. ---- */

static uint32_t random_state = 1;

static uint32_t draw(uint32_t below) {
    random_state = random_state * 1664525u + 1013904223u;
    return (random_state >> 8) % below;
}

static void draw_bytes(uint8_t *to, size_t n) {
    for (size_t i = 0; i < n; i++)
        to[i] = (uint8_t)draw(256);
}

/* 0 to max bytes of clean text, the whole width of UTF-8. */
static void draw_text(char *to, size_t max) {
    static const char *pieces[] = {"a", "Z", " ", "-", "/", "\xc3\xb8", "\xe2\x82\xac", "\xf0\x9f\xa7\xac"};
    size_t want = draw((uint32_t)max + 1), n = 0;
    for (;;) {
        const char *piece = pieces[draw(8)];
        size_t size = strlen(piece);
        if (n + size > want)
            break;
        copy_bytes(to + n, max + 1 - n, piece, size);
        n += size;
    }
    to[n] = '\0';
}

/* `most` bounds variable fields: SIZE_MAX for their own maximum. */
static void draw_field(const struct field *f, uint8_t *record, size_t most) {
    size_t max = f->max < most ? f->max : most;
    uint32_t n;
    struct secret *key = NULL;
    switch (f->kind) {
    case FIELD_U8: draw_bytes(record + f->offset, 1); break;
    case FIELD_U32: draw_bytes(record + f->offset, 4); break;
    case FIELD_U64: draw_bytes(record + f->offset, 8); break;
    case FIELD_FIXED: draw_bytes(record + f->offset, f->max); break;
    case FIELD_STR: draw_text((char *)record + f->offset, max); break;
    case FIELD_BYTES:
        n = draw((uint32_t)max + 1);
        copy_bytes(record + f->size_offset, sizeof(n), &n, sizeof(n));
        draw_bytes(record + f->offset, n);
        break;
    case FIELD_KEY:
        assert_int_equal(secret_new(&key, SECRET_KEY_SIZE), VAULT_OK);
        draw_bytes(secret_edit(key), SECRET_KEY_SIZE);
        copy_bytes(record + f->offset, sizeof(key), &key, sizeof(key));
        break;
    }
}

/* All members of the union start where this one does. */
static uint8_t *body(struct message *m) {
    return (uint8_t *)&m->done;
}

static void draw_message(struct message *m, unsigned type, size_t most) {
    const struct layout *l = message_layout(type);
    message_init(m, type, draw(1u << 24));
    for (size_t i = 0; i < l->count; i++)
        draw_field(&l->fields[i], body(m), most);
}

static void fill_to_the_limit(struct message *m, unsigned type) {
    const struct layout *l = message_layout(type);
    message_init(m, type, UINT64_MAX);
    for (const struct field *f = l->fields; f < l->fields + l->count; f++) {
        uint32_t n = (uint32_t)f->max;
        if (f->kind == FIELD_STR) {
            for (size_t i = 0; i < f->max; i++)
                body(m)[f->offset + i] = 'x';
        } else {
            draw_field(f, body(m), SIZE_MAX);
        }
        if (f->kind == FIELD_BYTES)
            copy_bytes(body(m) + f->size_offset, sizeof(n), &n, sizeof(n));
    }
}

static void assert_field_equal(const struct field *f, const uint8_t *a, const uint8_t *b) {
    static const size_t widths[] = {[FIELD_U8] = 1, [FIELD_U32] = 4, [FIELD_U64] = 8};
    struct secret *key_a, *key_b;
    switch (f->kind) {
    case FIELD_STR: assert_string_equal((const char *)a + f->offset, (const char *)b + f->offset); break;
    case FIELD_BYTES:
        assert_memory_equal(a + f->size_offset, b + f->size_offset, sizeof(uint32_t));
        assert_memory_equal(a + f->offset, b + f->offset, f->max);
        break;
    case FIELD_KEY:
        copy_bytes(&key_a, sizeof(key_a), a + f->offset, sizeof(key_a));
        copy_bytes(&key_b, sizeof(key_b), b + f->offset, sizeof(key_b));
        assert_true(secret_equal(key_a, key_b));
        break;
    case FIELD_FIXED: assert_memory_equal(a + f->offset, b + f->offset, f->max); break;
    default: assert_memory_equal(a + f->offset, b + f->offset, widths[f->kind]);
    }
}

static void assert_messages_equal(struct message *a, struct message *b) {
    const struct layout *l = message_layout(a->type);
    assert_int_equal(a->type, b->type);
    assert_int_equal(a->id, b->id);
    for (const struct field *f = l->fields; f < l->fields + l->count; f++)
        assert_field_equal(f, body(a), body(b));
}

static size_t encode(const struct message *m, uint8_t to[MESSAGE_MAX]) {
    size_t used = 0;
    assert_int_equal(message_encode(m, to, MESSAGE_MAX, &used), VAULT_OK);
    return used;
}

/* ---- Encoding. ---- */

static void message_numbers_and_limits_are_as_declared(void **state) {
    (void)state;
    for (size_t i = 0; i < TYPES; i++) {
        assert_non_null(message_layout(types[i]));
        assert_true(message_fd_limit(types[i]) <= MESSAGE_FDS);
        for (size_t j = 0; j < i; j++)
            assert_int_not_equal(types[i], types[j]);
    }
    assert_string_equal(message_name(MSG_open), "open");
    assert_string_equal(message_name(0), "unknown");
    assert_null(message_layout(0xffff));
    assert_int_equal(message_fd_limit(0xffff), 0);
}

static void message_of_every_type_survives_its_encoding(void **state) {
    (void)state;
    static uint8_t bytes[MESSAGE_MAX], again[MESSAGE_MAX];
    for (size_t i = 0; i < TYPES * ROUNDS; i++) {
        draw_message(&sent, types[i % TYPES], i < TYPES ? 0 : SIZE_MAX);
        size_t n = encode(&sent, bytes);
        assert_int_equal(message_decode(&received, bytes, n), VAULT_OK);
        assert_messages_equal(&sent, &received);
        assert_int_equal(encode(&received, again), n);
        assert_memory_equal(bytes, again, n);
        message_clear(&sent);
        message_clear(&received);
    }
}

static void message_of_every_type_fits_when_every_field_is_full(void **state) {
    (void)state;
    static uint8_t bytes[MESSAGE_MAX];
    for (size_t i = 0; i < TYPES; i++) {
        fill_to_the_limit(&sent, types[i]);
        size_t n = encode(&sent, bytes);
        assert_int_equal(message_decode(&received, bytes, n), VAULT_OK);
        message_clear(&sent);
        message_clear(&received);
    }
}

static void message_cut_anywhere_or_followed_by_a_byte_is_refused(void **state) {
    (void)state;
    static uint8_t bytes[MESSAGE_MAX];
    for (size_t i = 0; i < TYPES; i++) {
        draw_message(&sent, types[i], 20);
        size_t n = encode(&sent, bytes);
        for (size_t cut = 0; cut < n; cut++) {
            assert_int_equal(message_decode(&received, bytes, cut), VAULT_E_PROTOCOL);
            if (cut < MESSAGE_HEAD)
                continue;
            struct writer length = writer_of(bytes + 4, 4); /* the head agrees with the cut */
            write_u32(&length, (uint32_t)(cut - MESSAGE_HEAD));
            assert_int_equal(message_decode(&received, bytes, cut), VAULT_E_PROTOCOL);
        }
        struct writer length = writer_of(bytes + 4, 4);
        write_u32(&length, (uint32_t)(n + 1 - MESSAGE_HEAD));
        bytes[n] = 0;
        assert_int_equal(message_decode(&received, bytes, n + 1), VAULT_E_PROTOCOL);
        message_clear(&sent);
    }
}

static void message_with_a_bad_head_is_refused(void **state) {
    (void)state;
    static uint8_t bytes[MESSAGE_MAX];
    static const struct {
        size_t at;
        uint8_t value;
    } faults[] = {{0, 0}, {0, 2}, {1, 1}, {2, 0}, {3, 0x7f}, {4, 0}, {4, 2}, {5, 1}, {7, 0x80}};
    message_init(&sent, MSG_done, 5);
    size_t n = encode(&sent, bytes);
    assert_int_equal(n, MESSAGE_HEAD + 1);
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        uint8_t good = bytes[faults[i].at];
        bytes[faults[i].at] = faults[i].value;
        assert_int_equal(message_decode(&received, bytes, n), VAULT_E_PROTOCOL);
        assert_int_equal(received.type, 0);
        bytes[faults[i].at] = good;
    }
    assert_int_equal(message_decode(&received, bytes, n), VAULT_OK);
    message_clear(&received);
}

static void message_that_does_not_fit_is_not_encoded(void **state) {
    (void)state;
    static uint8_t bytes[MESSAGE_MAX];
    size_t used = 7;
    message_init(&sent, MSG_block, 1);
    sent.block.bytes_size = BLOCK_MAX + 1;
    assert_int_equal(message_encode(&sent, bytes, sizeof(bytes), &used), VAULT_E_LIMIT);
    sent.block.bytes_size = 10;
    assert_int_equal(message_encode(&sent, bytes, MESSAGE_HEAD + 10, &used), VAULT_E_LIMIT);
    assert_int_equal(message_encode(&sent, bytes, 3, &used), VAULT_E_LIMIT);
    assert_int_equal(used, 7);
    message_init(&sent, MSG_grant, 1); /* without its key */
    assert_int_equal(message_encode(&sent, bytes, sizeof(bytes), &used), VAULT_E_LIMIT);
    message_clear(&sent);
}

/* ---- Channels. ---- */

struct ends {
    int a, b;
};

static int open_channel(void **state) {
    static struct ends ends;
    int pair[2];
    assert_int_equal(channel_pair(pair), VAULT_OK);
    ends = (struct ends){pair[0], pair[1]};
    *state = &ends;
    return 0;
}

static int close_channel(void **state) {
    struct ends *e = *state;
    if (e->a >= 0)
        close(e->a);
    if (e->b >= 0)
        close(e->b);
    message_clear(&sent);
    message_clear(&received);
    return 0;
}

static int open_files(void) {
    int n = 0;
    for (int fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/* Sends raw bytes with raw descriptors, as a hostile peer would. */
static void send_raw(int channel, const void *bytes, size_t n, int fd, size_t fd_count) {
    union {
        char bytes[CMSG_SPACE(sizeof(int) * 64)];
        struct cmsghdr aligned;
    } control = {{0}};
    struct iovec part = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = n};
    struct msghdr head = {.msg_iov = &part, .msg_iovlen = 1};
    if (fd_count > 0) {
        head.msg_control = control.bytes;
        head.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
        struct cmsghdr *c = CMSG_FIRSTHDR(&head);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
        for (size_t i = 0; i < fd_count; i++)
            copy_bytes(CMSG_DATA(c) + i * sizeof(int), sizeof(int), &fd, sizeof(int));
    }
    assert_int_equal(sendmsg(channel, &head, 0), n);
}

static void channel_carries_every_type_in_order(void **state) {
    struct ends *e = *state;
    for (size_t i = 0; i < TYPES; i++) {
        draw_message(&sent, types[i], SIZE_MAX);
        assert_int_equal(channel_send(e->a, &sent), VAULT_OK);
        assert_int_equal(channel_receive(e->b, &received), VAULT_OK);
        assert_messages_equal(&sent, &received);
        assert_int_equal(received.fd_count, 0);
        message_clear(&sent);
        message_clear(&received);
    }
    assert_int_equal(channel_receive(e->b, &received), VAULT_AGAIN);
}

static void channel_carries_descriptors_close_on_exec(void **state) {
    struct ends *e = *state;
    int pipes[2];
    char byte = 0;
    assert_int_equal(pipe(pipes), 0);
    message_init(&sent, MSG_trust, 0);
    sent.fds[0] = pipes[0];
    sent.fds[1] = pipes[1];
    sent.fd_count = 2;
    assert_int_equal(channel_send(e->a, &sent), VAULT_OK);
    message_clear(&sent); /* closes the originals */
    assert_int_equal(channel_receive(e->b, &received), VAULT_OK);
    assert_int_equal(received.fd_count, 2);
    assert_int_equal(received.fds[2], -1);
    assert_int_equal(fcntl(received.fds[0], F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    assert_int_equal(write(received.fds[1], "x", 1), 1);
    assert_int_equal(read(received.fds[0], &byte, 1), 1);
    int before = open_files();
    message_clear(&received);
    assert_int_equal(open_files(), before - 2);
}

static void channel_refuses_to_send_descriptors_where_none_belong(void **state) {
    struct ends *e = *state;
    message_init(&sent, MSG_done, 0);
    sent.fds[0] = e->a;
    sent.fd_count = 1;
    assert_int_equal(channel_send(e->a, &sent), VAULT_E_STATE);
    sent.fd_count = 0;
    assert_int_equal(channel_receive(e->b, &received), VAULT_AGAIN);
}

static void channel_refuses_and_closes_descriptors_too_many(void **state) {
    struct ends *e = *state;
    static const struct {
        unsigned type;
        size_t fds;
    } cases[] = {{MSG_done, 1}, {MSG_worker_new, 2}, {MSG_gate_setup, 6}, {MSG_gate_setup, 7}, {MSG_done, 64}};
    static uint8_t bytes[MESSAGE_MAX];
    int before = open_files();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        draw_message(&sent, cases[i].type, 0);
        size_t n = encode(&sent, bytes);
        send_raw(e->a, bytes, n, e->a, cases[i].fds);
        assert_int_equal(channel_receive(e->b, &received), VAULT_E_PROTOCOL);
        assert_int_equal(received.type, 0);
        assert_int_equal(open_files(), before);
        message_clear(&sent);
    }
}

static void channel_closes_descriptors_of_malformed_and_empty_packets(void **state) {
    struct ends *e = *state;
    int before = open_files();
    send_raw(e->a, "nonsense", 8, e->a, 3);
    assert_int_equal(channel_receive(e->b, &received), VAULT_E_PROTOCOL);
    assert_int_equal(open_files(), before);
    send_raw(e->a, "", 0, e->a, 3);
    assert_int_equal(channel_receive(e->b, &received), VAULT_E_CLOSED);
    assert_int_equal(open_files(), before);
}

static void channel_refuses_a_packet_whose_descriptors_found_no_room(void **state) {
    struct ends *e = *state;
    struct rlimit limit, tight;
    int next = dup(e->a);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    message_init(&sent, MSG_worker_new, 0);
    sent.fds[0] = next;
    sent.fd_count = 1;
    assert_int_equal(channel_send(e->a, &sent), VAULT_OK);
    message_clear(&sent);
    tight = (struct rlimit){.rlim_cur = (rlim_t)next, .rlim_max = limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    int result = channel_receive(e->b, &received);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(result, VAULT_E_PROTOCOL);
}

static void channel_refuses_a_packet_over_the_maximum(void **state) {
    struct ends *e = *state;
    static uint8_t bytes[MESSAGE_MAX + 1];
    struct writer w = writer_of(bytes, sizeof(bytes));
    write_u8(&w, 1);
    write_u8(&w, 0);
    write_u16(&w, MSG_block);
    write_u32(&w, MESSAGE_MAX - MESSAGE_HEAD);
    send_raw(e->a, bytes, sizeof(bytes), -1, 0);
    assert_int_equal(channel_receive(e->b, &received), VAULT_E_PROTOCOL);
}

static void channel_tells_that_its_peer_is_gone(void **state) {
    struct ends *e = *state;
    message_init(&sent, MSG_done, 9);
    assert_int_equal(channel_send(e->a, &sent), VAULT_OK);
    close(e->a);
    e->a = -1;
    assert_int_equal(channel_receive(e->b, &received), VAULT_OK); /* what was sent before still arrives */
    assert_int_equal(received.id, 9);
    message_clear(&received);
    assert_int_equal(channel_receive(e->b, &received), VAULT_E_CLOSED);
    assert_int_equal(channel_receive_wait(e->b, &received, 1000), VAULT_E_CLOSED);
    assert_int_equal(channel_send(e->b, &sent), VAULT_E_CLOSED);
    assert_int_equal(channel_send_wait(e->b, &sent, 1000), VAULT_E_CLOSED);
}

static void channel_tells_that_its_peer_went_without_reading(void **state) {
    struct ends *e = *state;
    message_init(&sent, MSG_done, 9);
    assert_int_equal(channel_send(e->b, &sent), VAULT_OK);
    close(e->a);
    e->a = -1;
    assert_int_equal(channel_receive(e->b, &received), VAULT_E_CLOSED);
}

static void channel_with_a_full_queue_refuses_and_does_not_block(void **state) {
    struct ends *e = *state;
    int count = 0, result;
    fill_to_the_limit(&sent, MSG_block);
    while ((result = channel_send(e->a, &sent)) == VAULT_OK)
        count++;
    assert_int_equal(result, VAULT_E_LIMIT);
    assert_true(count >= 2); /* several of the largest fit */
    uint64_t start = loop_now_ms();
    assert_int_equal(channel_send_wait(e->a, &sent, 50), VAULT_E_TIMEOUT);
    assert_true(loop_now_ms() - start >= 49);
    for (int i = 0; i < count; i++) {
        assert_int_equal(channel_receive(e->b, &received), VAULT_OK);
        message_clear(&received);
    }
    assert_int_equal(channel_send_wait(e->a, &sent, 50), VAULT_OK);
}

static void channel_receive_waits_no_longer_than_told(void **state) {
    struct ends *e = *state;
    uint64_t start = loop_now_ms();
    assert_int_equal(channel_receive_wait(e->b, &received, 30), VAULT_E_TIMEOUT);
    assert_true(loop_now_ms() - start >= 29);
    message_init(&sent, MSG_done, 3);
    assert_int_equal(channel_send(e->a, &sent), VAULT_OK);
    assert_int_equal(channel_receive_wait(e->b, &received, 0), VAULT_OK);
}

static void channel_ends_do_not_pass_an_exec(void **state) {
    struct ends *e = *state;
    assert_int_equal(fcntl(e->a, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    assert_int_equal(fcntl(e->b, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
}

/* ---- The loop. ---- */

struct probe {
    struct loop *loop;
    struct watch *watch;
    struct probe *victim; /* removed by this one's handler, if set */
    int ends[2];
    int number;
};

enum { PROBES = 200 };
static struct probe probes[PROBES];
static int order[PROBES * 2];
static size_t calls;

static void run_probe(void *context) {
    struct probe *p = context;
    order[calls++] = p->number;
    if (p->victim != NULL)
        loop_remove(p->loop, &p->victim->watch);
}

static struct loop *loop_of(size_t count, unsigned (*priority_of)(size_t)) {
    struct loop *l = NULL;
    calls = 0;
    assert_int_equal(loop_new(&l), VAULT_OK);
    for (size_t i = 0; i < count; i++) {
        probes[i] = (struct probe){.loop = l, .number = (int)i};
        assert_int_equal(pipe(probes[i].ends), 0);
        assert_int_equal(loop_add(l, probes[i].ends[0], priority_of(i), run_probe, &probes[i], &probes[i].watch),
                         VAULT_OK);
        assert_int_equal(write(probes[i].ends[1], "x", 1), 1);
    }
    return l;
}

static void end_loop(struct loop *l, size_t count) {
    loop_free(&l);
    assert_null(l);
    for (size_t i = 0; i < count; i++) {
        close(probes[i].ends[0]);
        close(probes[i].ends[1]);
    }
}

/* The last one added is the most urgent. */
static unsigned last_first(size_t i) {
    return i == PROBES - 1 ? 0 : i % 2 == 0 ? 2 : 1;
}

static unsigned same(size_t i) {
    (void)i;
    return 1;
}

static void loop_runs_the_urgent_first_however_many_are_ready(void **state) {
    (void)state;
    struct loop *l = loop_of(PROBES, last_first);
    assert_int_equal(loop_turn(l, 0), VAULT_OK);
    assert_int_equal(calls, PROBES);
    assert_int_equal(order[0], PROBES - 1);
    for (size_t i = 1; i < PROBES; i++)
        assert_int_equal(last_first((size_t)order[i]), i < PROBES / 2 ? 1 : 2);
    end_loop(l, PROBES);
}

static void loop_does_not_call_a_watch_that_was_removed_in_the_same_turn(void **state) {
    (void)state;
    struct loop *l = loop_of(2, same);
    probes[0].victim = &probes[1];
    probes[1].victim = &probes[0];
    assert_int_equal(loop_turn(l, 0), VAULT_OK);
    assert_int_equal(calls, 1);
    assert_int_equal(loop_turn(l, 0), VAULT_OK);
    assert_int_equal(calls, 2);
    end_loop(l, 2);
}

static void loop_lets_a_watch_remove_itself(void **state) {
    (void)state;
    struct loop *l = loop_of(3, same);
    for (size_t i = 0; i < 3; i++)
        probes[i].victim = &probes[i];
    assert_int_equal(loop_turn(l, 0), VAULT_OK);
    assert_int_equal(calls, 3);
    assert_int_equal(loop_turn(l, 0), VAULT_OK);
    assert_int_equal(calls, 3);
    loop_remove(l, &probes[0].watch); /* NULL by now */
    end_loop(l, 3);
}

static void loop_waits_and_wakes_for_a_hang_up(void **state) {
    (void)state;
    char byte;
    struct loop *l = loop_of(1, same);
    assert_int_equal(read(probes[0].ends[0], &byte, 1), 1);
    uint64_t start = loop_now_ms();
    assert_int_equal(loop_turn(l, 20), VAULT_OK);
    assert_int_equal(calls, 0);
    assert_true(loop_now_ms() - start >= 19);
    close(probes[0].ends[1]);
    assert_int_equal(loop_turn(l, 1000), VAULT_OK);
    assert_int_equal(calls, 1);
    probes[0].ends[1] = dup(probes[0].ends[0]); /* for end_loop to close */
    end_loop(l, 1);
}

static void loop_refuses_unknown_priorities_and_descriptors(void **state) {
    (void)state;
    struct watch *w = NULL;
    struct loop *l = NULL;
    assert_int_equal(loop_new(&l), VAULT_OK);
    assert_int_equal(loop_add(l, 0, LOOP_PRIORITIES, run_probe, NULL, &w), VAULT_E_STATE);
    assert_int_equal(loop_add(l, -1, 0, run_probe, NULL, &w), VAULT_E_IO);
    assert_null(w);
    loop_free(&l);
    loop_free(&l);
    loop_free(NULL);
}

/* ---- Tokens. ---- */

static void token_is_bound_to_every_field_of_its_claim(void **state) {
    (void)state;
    CLEANUP_SECRET struct secret *key = NULL, *other = NULL;
    uint8_t token[HASH_SIZE];
    const struct token_claim claim = {.kind = TOKEN_PUT, .worker = 1, .upload = {2}, .address = {3}, .length = 4};
    assert_int_equal(secret_random(&key, SECRET_KEY_SIZE), VAULT_OK);
    assert_int_equal(secret_random(&other, SECRET_KEY_SIZE), VAULT_OK);
    token_make(key, &claim, token);
    assert_true(token_check(key, &claim, token));
    assert_false(token_check(other, &claim, token));
    struct token_claim forged[5] = {claim, claim, claim, claim, claim};
    forged[0].kind = TOKEN_RECEIPT;
    forged[1].worker = 2;
    forged[2].upload[15] = 1;
    forged[3].address[31] = 1;
    forged[4].length = 5;
    for (size_t i = 0; i < 5; i++)
        assert_false(token_check(key, &forged[i], token));
    for (size_t i = 0; i < HASH_SIZE; i++) {
        token[i] ^= 1;
        assert_false(token_check(key, &claim, token));
        token[i] ^= 1;
    }
}

/* Writes the seeds of the fuzz corpus: one small message of each type. */
static int write_seeds(const char *folder) {
    static uint8_t bytes[MESSAGE_MAX];
    int dir = open(folder, O_RDONLY | O_DIRECTORY);
    assert_true(dir >= 0);
    for (size_t i = 0; i < TYPES; i++) {
        draw_message(&sent, types[i], 24);
        size_t n = encode(&sent, bytes);
        int fd = openat(dir, message_name(types[i]), O_WRONLY | O_CREAT | O_TRUNC, 0644);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, bytes, n), n);
        assert_int_equal(close(fd), 0);
        message_clear(&sent);
    }
    return close(dir);
}

#define WITH_CHANNEL(test) cmocka_unit_test_setup_teardown(test, open_channel, close_channel)

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(message_numbers_and_limits_are_as_declared),
        cmocka_unit_test(message_of_every_type_survives_its_encoding),
        cmocka_unit_test(message_of_every_type_fits_when_every_field_is_full),
        cmocka_unit_test(message_cut_anywhere_or_followed_by_a_byte_is_refused),
        cmocka_unit_test(message_with_a_bad_head_is_refused),
        cmocka_unit_test(message_that_does_not_fit_is_not_encoded),
        WITH_CHANNEL(channel_carries_every_type_in_order),
        WITH_CHANNEL(channel_carries_descriptors_close_on_exec),
        WITH_CHANNEL(channel_refuses_to_send_descriptors_where_none_belong),
        WITH_CHANNEL(channel_refuses_and_closes_descriptors_too_many),
        WITH_CHANNEL(channel_closes_descriptors_of_malformed_and_empty_packets),
        WITH_CHANNEL(channel_refuses_a_packet_whose_descriptors_found_no_room),
        WITH_CHANNEL(channel_refuses_a_packet_over_the_maximum),
        WITH_CHANNEL(channel_tells_that_its_peer_is_gone),
        WITH_CHANNEL(channel_tells_that_its_peer_went_without_reading),
        WITH_CHANNEL(channel_with_a_full_queue_refuses_and_does_not_block),
        WITH_CHANNEL(channel_receive_waits_no_longer_than_told),
        WITH_CHANNEL(channel_ends_do_not_pass_an_exec),
        cmocka_unit_test(loop_runs_the_urgent_first_however_many_are_ready),
        cmocka_unit_test(loop_does_not_call_a_watch_that_was_removed_in_the_same_turn),
        cmocka_unit_test(loop_lets_a_watch_remove_itself),
        cmocka_unit_test(loop_waits_and_wakes_for_a_hang_up),
        cmocka_unit_test(loop_refuses_unknown_priorities_and_descriptors),
        cmocka_unit_test(token_is_bound_to_every_field_of_its_claim),
    };
    if (secret_start() != VAULT_OK)
        return 1;
    if (argc == 3 && strcmp(argv[1], "--seeds") == 0)
        return write_seeds(argv[2]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
