/* The store against very many packets that are wrong: each ends the worker that sent it, and nobody else.
 * store_malformed [PACKETS] */
#include "store_fixture.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "malformed.h"
#include "vault/log.h"
#include "vault/result.h"

enum { LOOK_EVERY = 1000, TURNS = 3 };

static unsigned long rounds;
static const uint16_t own[] = {MSG_object_get, MSG_buffers_get, MSG_object_put};
static struct mill mill = {.state = 2, .own = own, .own_count = sizeof(own) / sizeof(own[0])};

static void some_turns(struct rig *r) {
    for (int i = 0; i < TURNS; i++)
        store_turn(r->store, 0);
    assert_int_equal(store_exit_status(r->store), -1);
}

/* Whether the worker was ended; nobody else ever is. */
static bool is_ended(struct rig *r, const struct hand *h) {
    message_clear(&msg);
    if (channel_receive(r->control, &msg) != VAULT_OK)
        return false;
    assert_int_equal(msg.type, MSG_worker_kill);
    assert_int_equal(msg.worker_kill.worker, h->number);
    assert_int_equal(msg.worker_kill.why, WORKER_MISBEHAVED);
    return true;
}

static void wrong_packet_ends_its_worker_and_nobody_else(void **state) {
    struct rig *r = *state;
    uint8_t address[HASH_SIZE];
    struct hand honest = worker_born(r, 1);
    attach(r, &honest);
    assert_int_equal(put_object(r, &honest, 0, 128, 1, address), STORE_DONE);
    struct hand h = worker_born(r, 2);
    for (unsigned long n = 1; n <= rounds; n++) {
        enum wrong kind = mill_make(&mill);
        assert_int_equal(send(h.channel, mill.packet, mill.size, MSG_NOSIGNAL), mill.size);
        some_turns(r);
        if (is_ended(r, &h)) {
            mill.ended[kind]++;
            worker_died(&h);
            h = worker_born(r, 2 + n);
        } else {
            assert_int_equal(kind, WELL_FORMED);
            message_clear(&msg);
            mill.answered[kind] += channel_receive(h.channel, &msg) == VAULT_OK ? 1 : 0;
        }
        if (n % LOOK_EVERY == 0)
            assert_int_equal(get_object(r, &honest, address), STORE_DONE);
    }
    assert_int_equal(get_object(r, &honest, address), STORE_DONE);
    assert_true(mill.answered[WELL_FORMED] > 0); /* control: what ends a worker is what is wrong */
    assert_true(mill_sent_all(&mill));
    worker_died(&h);
    worker_died(&honest);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(wrong_packet_ends_its_worker_and_nobody_else, rig_start, rig_stop)};
    log_start("test");
    rounds = mill_rounds(argc, argv, 4000);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    mill_report(&mill, "store");
    return failed;
}
