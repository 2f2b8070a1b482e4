/* The reserve: what is refused, what goes on, and how it comes back. The disk is a small tmpfs. */
#include "monitor_rig.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vaultd/monitor/care/space.h"
#include "vault/log.h"
#include "vault/result.h"

enum { DISK_KB = 4096, RESERVE = 1 << 20, SLICE = RESERVE / 8 };

static int set_up(void **state, uint64_t reserve) {
    rig_set_up(state);
    rig_reserve = reserve;
    if (!rig_small_disk(DISK_KB))
        return 0;
    rig_start(false);
    make_vault();
    make_world();
    return 0;
}

static int space_set_up(void **state) {
    return set_up(state, RESERVE);
}

static int bare_set_up(void **state) {
    return set_up(state, 0);
}

static int space_tear_down(void **state) {
    rig_reserve = 0;
    return rig_tear_down(state);
}

static const char *in_state(const char *name) {
    static char path[128];
    assert_true(format_string(path, sizeof(path), "%s/state/%s", rig_folder(), name));
    return path;
}

/* All but `leave` bytes. */
static void fill(off_t leave) {
    static const char zeros[4096];
    struct stat s;
    int fd = open(in_state("ballast"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    while (write(fd, zeros, sizeof(zeros)) > 0)
        continue;
    assert_int_equal(fstat(fd, &s), 0);
    assert_int_equal(ftruncate(fd, s.st_size - leave), 0);
    close(fd);
}

static void empty(void) {
    assert_int_equal(unlink(in_state("ballast")), 0);
}

static off_t reserve_on_disk(void) {
    struct stat s;
    assert_int_equal(stat(in_state("reserve"), &s), 0);
    assert_int_equal(s.st_blocks * 512, s.st_size); /* it holds what it says */
    return s.st_size;
}

static unsigned add_subject(const char *subject) {
    struct message *q = request(&root, MSG_subject_add);
    copy_string(q->subject_add.subject, sizeof(q->subject_add.subject), subject);
    return ask_status(&root);
}

static unsigned show_subject(void) {
    struct message *q = request(&root, MSG_subject_show);
    copy_string(q->subject_show.subject, sizeof(q->subject_show.subject), "S-1");
    return ask_status(&root);
}

static void wait_until_enough(void) {
    for (unsigned n = 0; n < 100 && m.space.state != SPACE_ENOUGH; n++)
        turns_for(50);
    assert_int_equal(m.space.state, SPACE_ENOUGH);
}

#define NEEDS_MOUNT                                                                                                    \
    if (m.loop == NULL)                                                                                                \
    skip()

static void reserve_is_made_at_start_and_kept(void **state) {
    (void)state;
    NEEDS_MOUNT;
    assert_int_equal(reserve_on_disk(), RESERVE);
    assert_int_equal(m.space.state, SPACE_ENOUGH);
    assert_int_equal(add_subject("S-2"), 201);
}

static void short_state_refuses_what_only_adds_and_keeps_its_reserve(void **state) {
    (void)state;
    NEEDS_MOUNT;
    fill(SLICE + SLICE / 2);
    assert_int_equal(add_subject("S-2"), 507);
    assert_int_equal(show_subject(), 200);
    assert_int_equal(reserve_on_disk(), RESERVE);
    request(&root, MSG_status);
    assert_true(says(ask(&root), "\"space\":\"short\""));
}

static void full_state_gives_back_only_what_is_needed(void **state) {
    (void)state;
    NEEDS_MOUNT;
    fill(0);
    assert_int_equal(show_subject(), 200);
    assert_int_equal(reserve_on_disk(), RESERVE - SLICE);
    assert_int_equal(add_subject("S-2"), 507);
    empty();
    wait_until_enough();
    assert_int_equal(reserve_on_disk(), RESERVE);
    assert_int_equal(add_subject("S-2"), 201);
}

enum { RECORDS = 200 };

/* How many of so many requests that must go on are recorded, with nothing else free. */
static unsigned recorded_on_a_full_disk(void) {
    unsigned recorded = 0;
    fill(0);
    for (unsigned n = 0; n < RECORDS; n++)
        recorded += show_subject() == 200;
    return recorded;
}

static void with_a_reserve_a_full_state_records_what_must_go_on(void **state) {
    (void)state;
    NEEDS_MOUNT;
    assert_int_equal(recorded_on_a_full_disk(), RECORDS);
}

/* The same without the layer: this is what the reserve is for. */
static void without_a_reserve_a_full_state_records_little(void **state) {
    (void)state;
    NEEDS_MOUNT;
    assert_true(recorded_on_a_full_disk() < RECORDS / 2);
}

static void a_little_space_is_for_the_reserve_first(void **state) {
    (void)state;
    NEEDS_MOUNT;
    fill(0);
    assert_int_equal(show_subject(), 200);
    fill(0);
    assert_int_equal(show_subject(), 200);
    assert_int_equal(reserve_on_disk(), RESERVE - 2 * SLICE);
    empty();
    fill(3 * SLICE);
    assert_int_equal(show_subject(), 200);
    assert_int_equal(reserve_on_disk(), RESERVE - SLICE);
    assert_int_equal(add_subject("S-2"), 507);
}

static void use_up(void) {
    for (unsigned n = 0; n < 16 && m.space.state != SPACE_NONE; n++) {
        fill(0);
        space_look(&m);
    }
    assert_int_equal(m.space.state, SPACE_NONE);
    assert_int_equal(reserve_on_disk(), 0);
}

static void used_up_reserve_refuses_all_but_the_status(void **state) {
    (void)state;
    NEEDS_MOUNT;
    use_up();
    uint64_t records = m.tree.size;
    assert_int_equal(show_subject(), 503);
    assert_int_equal(add_subject("S-2"), 503);
    withdraw_request(&root, "S-1");
    assert_int_equal(ask_status(&root), 503);
    request(&root, MSG_status);
    assert_true(says(ask(&root), "\"space\":\"none\""));
    request(&root, MSG_key_jobs);
    assert_int_equal(ask_status(&root), 200);
    assert_int_equal(m.tree.size, records);
    empty();
    wait_until_enough();
    assert_int_equal(reserve_on_disk(), RESERVE);
    assert_int_equal(show_subject(), 200);
}

/* The end of a deposit and of a read that cannot be recorded are made up for. */
static void gone_workers_are_settled_when_there_is_space(void **state) {
    uint8_t file[ID_SIZE];
    (void)state;
    NEEDS_MOUNT;
    struct peer depositor = peer_tls(SAN_OF("depositor"));
    struct peer clinic = peer_tls(SAN_OF("clinic"));
    deposit_file(&depositor, "S-1", "genome.cram", 100, 1, file);
    (void)open_file(&clinic, file);
    (void)deposit_begin(&depositor, "S-1", "other.cram");
    use_up();
    peer_end(&depositor);
    peer_end(&clinic);
    turns(3);
    assert_int_equal(m.space.state, SPACE_NONE);
    assert_non_null(m.grants);
    empty();
    wait_until_enough();
    for (unsigned n = 0; n < 100 && m.grants != NULL; n++)
        turns_for(50);
    assert_null(m.grants);
    assert_int_equal(audit_count("\"event\":\"deposit.close\"", "the connection ended", NULL), 1);
    assert_int_equal(audit_count("\"event\":\"read.close\"", "\"interrupted\"", "the connection ended", NULL), 1);
}

static void reserve_with_holes_holds_nothing_and_is_made_again(void **state) {
    (void)state;
    NEEDS_MOUNT;
    rig_stop();
    assert_int_equal(truncate(in_state("reserve"), 0), 0);
    assert_int_equal(truncate(in_state("reserve"), RESERVE), 0);
    assert_true(rig_start_unsealed());
    assert_int_equal(reserve_on_disk(), RESERVE);
}

static void reserve_that_is_gone_from_a_full_disk_is_made_when_there_is_space(void **state) {
    (void)state;
    NEEDS_MOUNT;
    rig_stop();
    assert_int_equal(unlink(in_state("reserve")), 0);
    fill(0);
    (void)rig_start_unsealed();
    assert_int_equal(m.space.state, SPACE_NONE);
    assert_false(m.stop);
    empty();
    wait_until_enough();
    assert_int_equal(reserve_on_disk(), RESERVE);
}

/* Inodes can run out before blocks do. */
static void reserve_that_no_inode_is_left_for_is_made_later(void **state) {
    char name[16];
    int fd = 0;
    (void)state;
    NEEDS_MOUNT;
    rig_stop();
    assert_int_equal(unlink(in_state("reserve")), 0);
    for (unsigned n = 0; fd >= 0; n++) {
        assert_true(format_string(name, sizeof(name), "file-%u", n));
        fd = open(in_state(name), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        if (fd >= 0)
            close(fd);
    }
    assert_true(rig_start_unsealed());
    assert_int_equal(m.space.state, SPACE_SHORT);
    assert_int_equal(show_subject(), 200);
    assert_int_equal(unlink(in_state("file-0")), 0);
    wait_until_enough();
    assert_int_equal(reserve_on_disk(), RESERVE);
}

#define SPACE(test) cmocka_unit_test_setup_teardown(test, space_set_up, space_tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        SPACE(reserve_is_made_at_start_and_kept),
        SPACE(short_state_refuses_what_only_adds_and_keeps_its_reserve),
        SPACE(full_state_gives_back_only_what_is_needed),
        SPACE(with_a_reserve_a_full_state_records_what_must_go_on),
        cmocka_unit_test_setup_teardown(without_a_reserve_a_full_state_records_little, bare_set_up, space_tear_down),
        SPACE(a_little_space_is_for_the_reserve_first),
        SPACE(used_up_reserve_refuses_all_but_the_status),
        SPACE(gone_workers_are_settled_when_there_is_space),
        SPACE(reserve_with_holes_holds_nothing_and_is_made_again),
        SPACE(reserve_that_no_inode_is_left_for_is_made_later),
        SPACE(reserve_that_is_gone_from_a_full_disk_is_made_when_there_is_space),
    };
    log_start("test");
    if (secret_start() != VAULT_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
