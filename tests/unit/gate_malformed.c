/* The gate against very many packets that are wrong: each ends the worker that sent it, and nobody else.
 * gate_malformed [PACKETS] */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "malformed.h"
#include "tests/unit/gate_rig.h"
#include "vault/log.h"
#include "vault/result.h"

enum { LOOK_EVERY = 1000 };

static unsigned long rounds;
static struct rig rig;
static const uint16_t own[] = {MSG_tls_message, MSG_tls_sign, MSG_tls_verdict_wanted};
static struct mill mill = {.state = 3, .own = own, .own_count = sizeof(own) / sizeof(own[0])};

/* What the gate takes from a worker that has said nothing yet: an honest client's first message. */
static void keep_hello(const struct recording *r) {
    static struct message hello;
    size_t first = recording_find(r, true, 1);
    message_init(&hello, MSG_tls_message, 1);
    hello.tls_message.from_client = 1;
    hello.tls_message.message_size = (uint32_t)r->messages[first].n;
    copy_bytes(hello.tls_message.message, sizeof(hello.tls_message.message), r->messages[first].bytes,
               r->messages[first].n);
    mill.good = &hello;
}

/* An honest client is known by its certificate. */
static void look(void) {
    const struct wanted wanted = {.san = "URI:urn:vault:service:clinic", .start = -60, .end = 86400};
    struct identity identity = issue(&rig.authority, &wanted);
    const struct client client = {.identity = &identity};
    struct outcome outcome;
    rig_forget(&rig);
    rig_connect(&rig, &client, NULL, NULL, &outcome);
    assert_int_equal(outcome.client, 0);
    assert_int_equal(rig.identities, 1);
    assert_int_equal(rig.kills, 0);
    close(outcome.channel);
    keep_hello(&outcome.recording);
    outcome_clear(&outcome);
    identity_free(&identity);
}

static void wrong_packet_ends_its_worker_and_nobody_else(void **state) {
    (void)state;
    rig_start(&rig, 0, 86400);
    look();
    int worker = rig_worker(&rig);
    uint64_t number = rig.last_worker; /* looking makes workers of its own */
    for (unsigned long n = 1; n <= rounds; n++) {
        enum wrong kind = mill_make(&mill);
        rig_forget(&rig);
        assert_int_equal(send(worker, mill.packet, mill.size, MSG_NOSIGNAL), mill.size);
        rig_pump(&rig);
        assert_int_equal(rig.identities, 0);
        assert_true(rig.kills == 1 || kind == WELL_FORMED);
        if (rig.kills == 1) {
            assert_int_equal(rig.kill.worker, number);
            assert_int_equal(rig.kill.why, WORKER_MISBEHAVED);
            mill.ended[kind]++;
            close(worker);
            worker = rig_worker(&rig);
            number = rig.last_worker;
        } else {
            mill.answered[kind]++;
        }
        if (n % LOOK_EVERY == 0)
            look();
    }
    assert_true(mill.answered[WELL_FORMED] > 0); /* control: what ends a worker is what is wrong */
    assert_true(mill_sent_all(&mill));
    close(worker);
    look();
    rig_stop(&rig);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(wrong_packet_ends_its_worker_and_nobody_else)};
    log_start("test");
    rounds = mill_rounds(argc, argv, 4000);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    mill_report(&mill, "gate");
    return failed;
}
