/* The stream to the client: over TLS in a worker's process behind a real gate, and plain in this one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/gate_rig.h"
#include "vault/loop.h"
#include "vault/result.h"

enum { BULK = 3 * 1024 * 1024 + 12345 };

static struct rig rig;
static struct identity identity;

static int start(void **state) {
    (void)state;
    rig_start(&rig, 0, 86400);
    identity = issue(&rig.authority, &(struct wanted){.san = "URI:urn:vault:service:clinic"});
    return 0;
}

static int stop(void **state) {
    (void)state;
    identity_free(&identity);
    rig_stop(&rig);
    return 0;
}

/* Connects with these processes on both sides, and expects what the worker's one came to. */
static void expect_worker(struct client client, int result) {
    struct outcome o;
    client.identity = &identity;
    rig_connect(&rig, &client, NULL, NULL, &o);
    assert_int_equal(o.worker, result);
    assert_int_equal(o.client, 0);
    outcome_clear(&o);
}

/* --- bulk --- */

static uint8_t pattern(size_t i) {
    return (uint8_t)(i * 31 + i / 251);
}

static int read_all(struct stream *s, uint8_t *to, size_t n) {
    size_t got = 1;
    while (n > 0 && got > 0) {
        int result = stream_read(s, to, n, 0, &got);
        if (result != VAULT_OK)
            return result;
        to += got;
        n -= got;
    }
    return n == 0 ? VAULT_OK : VAULT_E_FORMAT;
}

static int echo_bulk(struct stream *s) {
    uint8_t *bytes = malloc(BULK);
    int result = bytes == NULL ? VAULT_E_MEMORY : read_all(s, bytes, BULK);
    if (result == VAULT_OK)
        result = stream_write(s, bytes, 100); /* a small one first */
    if (result == VAULT_OK)
        result = stream_write(s, bytes + 100, BULK - 100);
    free(bytes);
    return result;
}

static int send_and_compare(SSL *ssl) {
    uint8_t *bytes = malloc(BULK);
    size_t n = 0;
    for (size_t i = 0; i < BULK; i++)
        bytes[i] = pattern(i);
    if (SSL_write_ex(ssl, bytes, BULK, &n) != 1 || n != BULK)
        return 1;
    for (size_t at = 0; at < BULK; at += n) {
        if (SSL_read_ex(ssl, bytes, BULK, &n) != 1)
            return 2;
        for (size_t i = 0; i < n; i++)
            if (bytes[i] != pattern(at + i))
                return 3;
    }
    free(bytes);
    /* then the orderly end */
    return SSL_read_ex(ssl, &n, 1, &n) == 0 && SSL_get_error(ssl, 0) == SSL_ERROR_ZERO_RETURN ? 0 : 4;
}

static void stream_carries_bulk_whole_and_ends_in_order(void **state) {
    (void)state;
    expect_worker((struct client){.talk = send_and_compare, .serve = echo_bulk}, VAULT_OK);
}

/* --- ends --- */

static int read_one(struct stream *s) {
    uint8_t byte;
    size_t n = 1;
    int result = stream_read(s, &byte, 1, 0, &n);
    return result == VAULT_OK && n == 0 ? VAULT_NOT_FOUND : result; /* stands for the orderly end */
}

static int end_in_order(SSL *ssl) {
    SSL_shutdown(ssl);
    return 0;
}

static int cut(SSL *ssl) {
    return shutdown(SSL_get_fd(ssl), SHUT_WR);
}

static int cut_after_record_head(SSL *ssl) {
    static const uint8_t head[] = {23, 3, 3, 1, 0, 9, 9};
    return write(SSL_get_fd(ssl), head, sizeof(head)) == (ssize_t)sizeof(head) ? cut(ssl) : 1;
}

static int send_nonsense(SSL *ssl) {
    static const uint8_t record[5 + 32] = {23, 3, 3, 0, 32};
    char byte;
    if (write(SSL_get_fd(ssl), record, sizeof(record)) != (ssize_t)sizeof(record))
        return 1;
    return SSL_read(ssl, &byte, 1) <= 0 ? 0 : 2; /* the worker's alert */
}

static int stay_silent(SSL *ssl) {
    struct pollfd p = {.fd = SSL_get_fd(ssl), .events = POLLIN};
    return poll(&p, 1, 10000) == 1 ? 0 : 1;
}

static void stream_read_tells_an_end_from_a_cut(void **state) {
    (void)state;
    expect_worker((struct client){.talk = end_in_order, .serve = read_one}, VAULT_NOT_FOUND);
    expect_worker((struct client){.talk = cut, .serve = read_one}, VAULT_E_CLOSED);
    expect_worker((struct client){.talk = cut_after_record_head, .serve = read_one}, VAULT_E_CLOSED);
    expect_worker((struct client){.talk = send_nonsense, .serve = read_one}, VAULT_E_IO);
}

static void stream_read_waits_idle_time_at_most(void **state) {
    uint64_t before = loop_now_ms();
    (void)state;
    expect_worker((struct client){.talk = stay_silent, .serve = read_one, .idle_ms = 300}, VAULT_E_TIMEOUT);
    assert_true(loop_now_ms() - before >= 290);
}

/* A record's head and a part of it, a byte at a time, until the other side has spoken: there is never a pause. */
static int drip(SSL *ssl) {
    static const uint8_t head[] = {23, 3, 3, 0x40, 0};
    struct pollfd p = {.fd = SSL_get_fd(ssl), .events = POLLIN};
    uint8_t byte = 0;
    for (size_t i = 0; poll(&p, 1, 5) == 0; i++)
        if (write(p.fd, i < sizeof(head) ? &head[i] : &byte, 1) != 1)
            return 1;
    return SSL_read(ssl, &byte, 1) == 1 && byte == '!' ? 0 : 2;
}

static int read_until(struct stream *s) {
    uint8_t byte;
    size_t n = 0;
    int result = stream_read(s, &byte, 1, loop_now_ms() + 300, &n);
    int written = stream_write(s, "!", 1);
    return written == VAULT_OK ? result : written;
}

static void record_that_drips_ends_at_the_deadline_and_leaves_the_stream_writable(void **state) {
    (void)state;
    expect_worker((struct client){.talk = drip, .serve = read_until, .idle_ms = 60000}, VAULT_E_TIMEOUT);
}

static int write_much(struct stream *s) {
    static uint8_t bytes[1 << 20];
    int result = VAULT_OK;
    for (int i = 0; i < 64 && result == VAULT_OK; i++)
        result = stream_write(s, bytes, sizeof(bytes));
    return result;
}

static int read_nothing(SSL *ssl) {
    (void)ssl;
    poll(NULL, 0, 1500);
    return 0;
}

static void stream_write_waits_idle_time_at_most(void **state) {
    (void)state;
    expect_worker((struct client){.talk = read_nothing, .serve = write_much, .idle_ms = 300}, VAULT_E_TIMEOUT);
}

/* --- the handshake's deadline --- */

/* The beginning of a ClientHello, a byte at a time: no single wait is long. */
static int dribble(int socket) {
    static const uint8_t start_of_hello[] = {22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3};
    for (size_t i = 0; i < 40; i++) {
        uint8_t byte = i < sizeof(start_of_hello) ? start_of_hello[i] : 7;
        if (write(socket, &byte, 1) != 1)
            return 0; /* the worker is gone, as it should be */
        poll(NULL, 0, 50);
    }
    return 1;
}

static int say_nothing(int socket) {
    struct pollfd p = {.fd = socket, .events = POLLIN};
    return poll(&p, 1, 10000) == 1 ? 0 : 1;
}

static void handshake_has_one_deadline(void **state) {
    uint64_t before = loop_now_ms();
    (void)state;
    expect_worker((struct client){.raw = dribble, .handshake_ms = 400}, VAULT_E_TIMEOUT);
    assert_true(loop_now_ms() - before >= 390);
    expect_worker((struct client){.raw = say_nothing, .handshake_ms = 300}, VAULT_E_TIMEOUT);
}

static int speak_http(int socket) {
    uint8_t byte;
    if (write(socket, "GET / HTTP/1.1\r\n\r\n", 18) != 18)
        return 1;
    return read(socket, &byte, 1) == 0 ? 0 : 2; /* an orderly end: it would not understand an alert */
}

static int hang_up(int socket) {
    return shutdown(socket, SHUT_RDWR);
}

static void handshake_reports_what_failed(void **state) {
    (void)state;
    expect_worker((struct client){.raw = speak_http}, VAULT_DENIED);
    expect_worker((struct client){.raw = hang_up}, VAULT_E_CLOSED);
}

/* --- what is pending --- */

/* Two records and half a third in one write; then, when told, the rest. */
static int send_records(SSL *ssl) {
    int socket = SSL_get_fd(ssl);
    BIO *memory = BIO_new(BIO_s_mem());
    char *bytes = NULL;
    char byte = 0;
    SSL_set0_wbio(ssl, memory);
    if (SSL_write(ssl, "a", 1) != 1 || SSL_write(ssl, "b", 1) != 1 || SSL_write(ssl, "c", 1) != 1)
        return 1;
    long n = BIO_get_mem_data(memory, &bytes);
    if (write(socket, bytes, (size_t)n - 5) != n - 5 || SSL_read(ssl, &byte, 1) != 1)
        return 2;
    return write(socket, bytes + n - 5, 5) == 5 && SSL_read(ssl, &byte, 1) == 1 ? 0 : 3;
}

static int see_pending(struct stream *s) {
    uint8_t bytes[8];
    size_t n = 0;
    if (stream_read(s, bytes, sizeof(bytes), 0, &n) != VAULT_OK || n != 1 || bytes[0] != 'a')
        return VAULT_NOT_FOUND;
    if (!stream_pending(s) || stream_read(s, bytes, sizeof(bytes), 0, &n) != VAULT_OK || bytes[0] != 'b')
        return VAULT_EXISTS;
    if (stream_pending(s)) /* half a record is not pending */
        return VAULT_SEALED;
    if (stream_write(s, "+", 1) != VAULT_OK || stream_read(s, bytes, sizeof(bytes), 0, &n) != VAULT_OK ||
        bytes[0] != 'c')
        return VAULT_AGAIN;
    return stream_pending(s) ? VAULT_DENIED : stream_write(s, "+", 1);
}

static void stream_pending_means_whole_records(void **state) {
    (void)state;
    expect_worker((struct client){.talk = send_records, .serve = see_pending}, VAULT_OK);
}

/* --- plain --- */

static void plain_stream_reads_writes_and_ends(void **state) {
    struct stream *s = NULL;
    uint8_t bytes[8];
    int ends[2];
    size_t n = 0;
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    assert_int_equal(stream_open_plain(ends[0], 200, &s), VAULT_OK);
    assert_int_equal(stream_fd(s), ends[0]);
    assert_int_equal(write(ends[1], "abc", 3), 3);
    assert_int_equal(stream_read(s, bytes, sizeof(bytes), 0, &n), VAULT_OK);
    assert_int_equal(n, 3);
    assert_false(stream_pending(s));
    assert_int_equal(stream_read(s, bytes, sizeof(bytes), 0, &n), VAULT_E_TIMEOUT);
    assert_int_equal(stream_write(s, "xyz", 3), VAULT_OK);
    assert_int_equal(read(ends[1], bytes, sizeof(bytes)), 3);
    assert_int_equal(shutdown(ends[1], SHUT_WR), 0);
    assert_int_equal(stream_read(s, bytes, sizeof(bytes), 0, &n), VAULT_OK);
    assert_int_equal(n, 0);
    stream_close(&s);
    assert_null(s);
    assert_int_equal(read(ends[1], bytes, sizeof(bytes)), 0);
    close(ends[1]);
}

static void plain_stream_write_fails_without_a_reader(void **state) {
    static uint8_t bytes[1 << 20];
    struct stream *s = NULL;
    int ends[2];
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    assert_int_equal(stream_open_plain(ends[0], 100, &s), VAULT_OK);
    assert_int_equal(stream_write(s, bytes, sizeof(bytes)), VAULT_E_TIMEOUT);
    close(ends[1]);
    assert_int_equal(stream_write(s, bytes, sizeof(bytes)), VAULT_E_CLOSED);
    stream_abort(&s);
    assert_null(s);
    stream_abort(&s);
    stream_close(&s);
}

struct listener {
    int channel;
    unsigned heard;
};

static void hear(void *context) {
    struct listener *l = context;
    uint8_t byte;
    l->heard++;
    assert_int_equal(read(l->channel, &byte, 1), 1);
}

static void stream_hears_its_channel_while_the_client_keeps_it_waiting(void **state) {
    static uint8_t bytes[1 << 20];
    struct stream *s = NULL;
    int ends[2];
    int channel[2];
    size_t n = 0;
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, channel), 0);
    assert_int_equal(stream_open_plain(ends[0], 100, &s), VAULT_OK);
    struct listener l = {.channel = channel[0]};
    stream_listen(s, channel[0], hear, &l);
    assert_int_equal(write(channel[1], "1", 1), 1);
    assert_int_equal(stream_write(s, "a", 1), VAULT_OK);
    assert_int_equal(l.heard, 0); /* nothing had to wait */
    assert_int_equal(stream_write(s, bytes, sizeof(bytes)), VAULT_E_TIMEOUT);
    assert_int_equal(l.heard, 1);
    assert_int_equal(write(channel[1], "23", 2), 2);
    assert_int_equal(stream_read(s, bytes, 1, 0, &n), VAULT_E_TIMEOUT);
    assert_int_equal(l.heard, 2);
    stream_abort(&s);
    close(ends[1]);
    close(channel[0]);
    close(channel[1]);
}

#define WITH_GATE(test) cmocka_unit_test_setup_teardown(test, start, stop)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_GATE(stream_carries_bulk_whole_and_ends_in_order),
        WITH_GATE(stream_read_tells_an_end_from_a_cut),
        WITH_GATE(stream_read_waits_idle_time_at_most),
        WITH_GATE(record_that_drips_ends_at_the_deadline_and_leaves_the_stream_writable),
        WITH_GATE(stream_write_waits_idle_time_at_most),
        WITH_GATE(handshake_has_one_deadline),
        WITH_GATE(handshake_reports_what_failed),
        WITH_GATE(stream_pending_means_whole_records),
        cmocka_unit_test(plain_stream_reads_writes_and_ends),
        cmocka_unit_test(stream_hears_its_channel_while_the_client_keeps_it_waiting),
        cmocka_unit_test(plain_stream_write_fails_without_a_reader),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
