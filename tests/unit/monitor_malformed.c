/* The monitor against very many packets that are wrong: each ends the worker that sent it, and nobody else.
 * monitor_malformed [PACKETS] */
#include "monitor_rig.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "malformed.h"
#include "vault/log.h"
#include "vault/result.h"

enum { LOOK_EVERY = 1000 };

static unsigned long rounds;
static const uint16_t own[] = {
#define TYPE_OF(name, number, fds) number,
    PROTOCOL_ADMIN(TYPE_OF)
#undef TYPE_OF
        MSG_open,
    MSG_page_get,
    MSG_grant_close,
    MSG_revoked,
    MSG_upload_create,
    MSG_upload_announce,
    MSG_upload_page,
    MSG_upload_commit,
    MSG_upload_abort,
    MSG_file_list,
    MSG_file_show,
    MSG_inquire,
    MSG_request_show,
    MSG_refusal,
};
static struct mill mill = {.state = 1, .own = own, .own_count = sizeof(own) / sizeof(own[0])};

static struct peer someone(unsigned long n) {
    static const char *const names[] = {SAN_OF("depositor"), SAN_OF("clinic"), SAN_OF("research"), SAN_OF("nobody")};
    return peer_tls(names[n % 4]);
}

/* Whether the worker was ended; nobody else ever is. */
static bool is_ended(const struct peer *p) {
    struct heard h = supervisor_heard();
    assert_true(h.killed <= 1);
    assert_false(m.stop);
    if (h.killed == 1) {
        assert_int_equal(h.last_killed, p->number);
        assert_int_equal(h.why, WORKER_MISBEHAVED);
    }
    return h.killed == 1;
}

static void look(void) {
    request(&root, MSG_status);
    assert_int_equal(ask_status(&root), 200);
}

static void wrong_packet_ends_its_worker_and_nobody_else(void **state) {
    (void)state;
    struct peer p = someone(0);
    (void)supervisor_heard();
    for (unsigned long n = 1; n <= rounds; n++) {
        enum wrong kind = mill_make(&mill);
        assert_int_equal(send(p.channel, mill.packet, mill.size, MSG_NOSIGNAL), mill.size);
        turn();
        if (is_ended(&p)) {
            mill.ended[kind]++;
            peer_end(&p);
            p = someone(n);
            (void)supervisor_heard();
        } else {
            assert_int_equal(kind, WELL_FORMED);
            mill.answered[kind] += received(&p) != NULL ? 1 : 0;
        }
        if (n % LOOK_EVERY == 0)
            look();
    }
    look();
    assert_true(mill.answered[WELL_FORMED] > 0); /* control: what ends a worker is what is wrong */
    assert_true(mill_sent_all(&mill));
    close(p.channel);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(wrong_packet_ends_its_worker_and_nobody_else, vault_set_up, rig_tear_down)};
    log_start("test");
    rounds = mill_rounds(argc, argv, 4000);
    if (secret_start() != VAULT_OK)
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    mill_report(&mill, "monitor");
    return failed;
}
