/* The store when things go wrong around it: disks that are full or fail, peers that vanish, order of what is durable.
 */
#include "store_fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vault/buffer.h"
#include "vault/result.h"
#include "vault/segment.h"

static void object_is_durable_before_its_receipt(void **state) {
    struct rig *r = *state;
    struct hand h = worker_born(r, 4);
    uint8_t address[HASH_SIZE];
    attach(r, &h);
    trace_start();
    assert_int_equal(put_object(r, &h, 0, 100, 3, address), STORE_DONE);
    assert_string_equal(trace(), "DDTFLD"); /* new folders in their parents; times, file, name, folder */
    trace_start();
    assert_int_equal(put_object(r, &h, 0, 100, 3, address), STORE_DONE);
    assert_string_equal(trace(), "TFLFD"); /* the same again: what is there is made sure of */
    worker_died(&h);
}

static void folders_of_an_earlier_life_are_synced_once_more(void **state) {
    struct rig *r = *state;
    struct hand h = worker_born(r, 4);
    uint8_t address[HASH_SIZE];
    attach(r, &h);
    assert_int_equal(put_object(r, &h, 0, 100, 3, address), STORE_DONE);
    struct rig *later = rig_new(r->path);
    struct hand again = worker_born(later, 4);
    rig_send_key(later);
    attach(later, &again);
    trace_start();
    assert_int_equal(put_object(later, &again, 0, 100, 3, address), STORE_DONE);
    assert_string_equal(trace(), "DDTFLFD");
    worker_died(&again);
    rig_free(later);
    worker_died(&h);
}

static void short_writes_are_continued(void **state) {
    struct rig *r = *state;
    struct hand h = worker_born(r, 4);
    uint8_t address[HASH_SIZE];
    attach(r, &h);
    atomic_store(&short_writes, true);
    assert_int_equal(put_object(r, &h, 0, OBJECT_MAX, 3, address), STORE_DONE);
    atomic_store(&short_writes, false);
    assert_int_equal(get_object(r, &h, address), STORE_DONE);
    assert_int_equal(msg.object_is.size, OBJECT_MAX);
    assert_int_equal(check_objects(r), 1);
    worker_died(&h);
}

static void disk_with_larger_blocks_is_written_the_ordinary_way(void **state) {
    struct rig *r = *state;
    struct hand h = worker_born(r, 4);
    uint8_t address[HASH_SIZE];
    attach(r, &h);
    atomic_store(&larger_blocks, true);
    assert_int_equal(put_object(r, &h, 0, OBJECT_MAX, 3, address), STORE_DONE);
    assert_int_equal(check_objects(r), 1);
    worker_died(&h);
}

/* The n-th fsync of a put into new folders fails: no receipt, no object; and the next try works. */
static void failed_sync_leaves_no_object(void **state) {
    struct rig *r = *state;
    struct hand h = worker_born(r, 4);
    uint8_t address[HASH_SIZE];
    attach(r, &h);
    for (int n = 1; n <= 4; n++) {
        const uint8_t seed = (uint8_t)n;
        atomic_store(&fail_fsync, n);
        assert_int_equal(put_object(r, &h, 0, 100, seed, address), STORE_FAILED);
        assert_int_equal(atomic_load(&fail_fsync), 0);
        assert_int_equal(check_objects(r), n - 1);
        assert_int_equal(get_object(r, &h, address), STORE_MISSING);
        assert_int_equal(put_object(r, &h, 0, 100, seed, address), STORE_DONE);
    }
    worker_died(&h);
}

static void failed_sync_of_a_removal_is_not_done(void **state) {
    struct rig *r = *state;
    struct hand h = worker_born(r, 4);
    uint8_t address[HASH_SIZE];
    attach(r, &h);
    assert_int_equal(put_object(r, &h, 0, 100, 3, address), STORE_DONE);
    atomic_store(&fail_fsync, 1);
    assert_int_equal(remove_object(r, address), STORE_FAILED);
    trace_start();
    assert_int_equal(remove_object(r, address), STORE_MISSING);
    assert_string_equal(trace(), "D"); /* missing is made durable too */
    worker_died(&h);
}

static void store_replaces_nothing(void **state) {
    struct rig *r = *state;
    struct hand h = worker_born(r, 4);
    uint8_t address[HASH_SIZE];
    char path[256];
    char line[8] = "";
    attach(r, &h);
    const char *const others[] = {"else\n", "elsewhere, and as long as the object is: 0123456789012345678\n"};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(put_object(r, &h, 0, strlen(others[1]), 3, address), STORE_DONE);
        object_path(r, address, path, sizeof(path));
        assert_int_equal(unlink(path), 0);
        FILE *f = fopen(path, "w+");
        assert_non_null(f);
        assert_true(fputs(others[i], f) >= 0);
        assert_int_equal(fflush(f), 0);
        assert_int_equal(put_object(r, &h, 0, strlen(others[1]), 3, address), STORE_FAILED);
        rewind(f);
        assert_non_null(fgets(line, 5, f));
        assert_string_equal(line, "else");
        fclose(f);
        assert_int_equal(unlink(path), 0);
    }
    worker_died(&h);
}

static void full_disk_is_told_and_got_over(void **state) {
    struct rig *outer = *state;
    char path[64];
    uint8_t address[HASH_SIZE];
    uint8_t other[HASH_SIZE];
    assert_true(format_string(path, sizeof(path), "%s/tiny", outer->path));
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(mount("tmpfs", path, "tmpfs", 0, "size=6m"), 0);
    struct rig *r = rig_new(path);
    struct hand h = worker_born(r, 4);
    rig_send_key(r);
    attach(r, &h);
    assert_int_equal(put_object(r, &h, 0, OBJECT_MAX, 1, address), STORE_DONE);
    assert_int_equal(put_object(r, &h, 0, OBJECT_MAX, 2, other), STORE_FULL);
    assert_int_equal(check_objects(r), 1);
    assert_int_equal(remove_object(r, address), STORE_DONE);
    assert_int_equal(put_object(r, &h, 0, OBJECT_MAX, 2, other), STORE_DONE);
    assert_int_equal(check_objects(r), 1);
    worker_died(&h);
    rig_free(r);
    message_clear(&msg);
    assert_int_equal(umount(path), 0);
}

static void store_starts_on_a_read_only_disk_but_not_on_a_failing_one(void **state) {
    struct rig *r = *state;
    char path[64];
    assert_int_equal(store_probe(r->store), VAULT_OK);
    atomic_store(&fail_fsync, 1);
    assert_int_equal(store_probe(r->store), VAULT_E_IO);
    assert_true(format_string(path, sizeof(path), "%s/ro", r->path));
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(mount("tmpfs", path, "tmpfs", MS_RDONLY, "size=1m"), 0);
    struct rig *locked = rig_new(path); /* probes */
    struct hand h = worker_born(locked, 4);
    const uint8_t address[HASH_SIZE] = {1};
    uint8_t wanted[HASH_SIZE];
    rig_send_key(locked);
    attach(locked, &h);
    assert_int_equal(get_object(locked, &h, address), STORE_MISSING);
    assert_int_equal(put_object(locked, &h, 0, 100, 1, wanted), STORE_FAILED);
    worker_died(&h);
    rig_free(locked);
    message_clear(&msg);
    assert_int_equal(umount(path), 0);
}

static void gets_go_on_while_puts_wait_for_the_disk(void **state) {
    struct rig *r = *state;
    struct hand reader = worker_born(r, 4);
    struct hand writer = worker_born(r, 5);
    uint8_t old[HASH_SIZE];
    uint8_t address[HASH_SIZE];
    attach(r, &writer);
    assert_int_equal(put_object(r, &writer, 0, 100, 1, old), STORE_DONE);
    atomic_store(&hold_fsync, true);
    for (uint8_t slot = 0; slot < STORE_SLOTS; slot++) {
        fill(&writer, slot, 200, slot, address);
        const struct token_claim claim = put_claim(&writer, address, 200);
        send_put(r, &writer, slot, &claim, &claim);
    }
    idle(r);
    assert_int_equal(channel_receive(writer.channel, &msg), VAULT_AGAIN);
    assert_int_equal(get_object(r, &reader, old), STORE_DONE);
    atomic_store(&hold_fsync, false);
    for (uint8_t slot = 0; slot < STORE_SLOTS; slot++)
        assert_int_equal(served(r, writer.channel), VAULT_OK);
    assert_int_equal(check_objects(r), 1 + STORE_SLOTS);
    worker_died(&reader);
    worker_died(&writer);
}

static void removal_waits_for_a_put_of_the_same_address(void **state) {
    struct rig *r = *state;
    struct hand h = worker_born(r, 4);
    uint8_t address[HASH_SIZE];
    const uint8_t other[HASH_SIZE] = {1};
    attach(r, &h);
    fill(&h, 0, 100, 1, address);
    const struct token_claim claim = put_claim(&h, address, 100);
    atomic_store(&hold_fsync, true);
    send_put(r, &h, 0, &claim, &claim);
    idle(r);
    send_remove(r, address);
    idle(r);
    assert_int_equal(channel_receive(r->monitor, &msg), VAULT_AGAIN);
    assert_int_equal(remove_object(r, other), STORE_MISSING); /* not held up */
    atomic_store(&hold_fsync, false);
    assert_int_equal(served(r, r->monitor), VAULT_OK);
    assert_int_equal(msg.object_removed.status, STORE_DONE);
    assert_int_equal(check_objects(r), 0);
    worker_died(&h);
}

static void tell_gone(struct rig *r, const struct hand *h) {
    static struct message m;
    message_init(&m, MSG_worker_gone, 0);
    m.worker_gone.worker = h->number;
    assert_int_equal(channel_send(r->control, &m), VAULT_OK);
}

static void unread_put_of_a_dead_worker_does_not_outlive_a_removal(void **state) {
    struct rig *r = *state;
    struct hand h = worker_born(r, 4);
    uint8_t address[HASH_SIZE];
    attach(r, &h);
    fill(&h, 0, 100, 1, address);
    const struct token_claim claim = put_claim(&h, address, 100);
    send_remove(r, address);
    tell_gone(r, &h);
    send_put(r, &h, 0, &claim, &claim);
    assert_int_equal(served(r, r->monitor), VAULT_OK);
    assert_int_equal(msg.object_removed.status, STORE_MISSING);
    idle(r);
    assert_int_equal(check_objects(r), 0);
    assert_int_equal(served(r, h.channel), VAULT_E_CLOSED);
    tell_gone(r, &h); /* told twice: harmless */
    idle(r);
    assert_int_equal(store_exit_status(r->store), -1);
    worker_died(&h);
}

static void put_ends_well_without_its_worker(void **state) {
    struct rig *r = *state;
    struct hand h = worker_born(r, 4);
    uint8_t address[HASH_SIZE];
    attach(r, &h);
    fill(&h, 0, 100, 1, address);
    const struct token_claim claim = put_claim(&h, address, 100);
    atomic_store(&hold_fsync, true);
    send_put(r, &h, 0, &claim, &claim);
    idle(r);
    worker_died(&h);
    idle(r);
    atomic_store(&hold_fsync, false);
    struct hand next = worker_born(r, 5);
    while (get_object(r, &next, address) == STORE_MISSING)
        idle(r);
    assert_int_equal(check_objects(r), 1);
    worker_died(&next);
}

static void store_ends_with_its_supervisor(void **state) {
    struct rig *r = *state;
    idle(r);
    assert_int_equal(shutdown(r->control, SHUT_RDWR), 0);
    assert_int_equal(ended(r), 0);
}

static void store_ends_with_its_monitor(void **state) {
    struct rig *r = *state;
    idle(r);
    assert_int_equal(shutdown(r->monitor, SHUT_RDWR), 0);
    assert_int_equal(ended(r), 0);
}

static void second_key_ends_the_store(void **state) {
    struct rig *r = *state;
    rig_send_key(r);
    assert_int_equal(ended(r), 1);
}

static void removal_before_the_key_ends_the_store(void **state) {
    struct rig *keyed = *state;
    struct rig *r = rig_new(keyed->path);
    const uint8_t address[HASH_SIZE] = {1};
    send_remove(r, address);
    assert_int_equal(ended(r), 1);
    rig_free(r);
}

static void same_worker_twice_ends_the_store(void **state) {
    struct rig *r = *state;
    struct hand one = worker_born(r, 4);
    struct hand two = worker_born(r, 4);
    assert_int_equal(ended(r), 1);
    worker_died(&one);
    worker_died(&two);
}

static void worker_without_its_channel_ends_the_store(void **state) {
    struct rig *r = *state;
    static struct message m;
    message_init(&m, MSG_worker_new, 0);
    assert_int_equal(channel_send(r->control, &m), VAULT_OK);
    assert_int_equal(ended(r), 1);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, rig_start, rig_stop)
    const struct CMUnitTest tests[] = {
        CASE(object_is_durable_before_its_receipt),
        CASE(folders_of_an_earlier_life_are_synced_once_more),
        CASE(short_writes_are_continued),
        CASE(disk_with_larger_blocks_is_written_the_ordinary_way),
        CASE(failed_sync_leaves_no_object),
        CASE(failed_sync_of_a_removal_is_not_done),
        CASE(store_replaces_nothing),
        CASE(full_disk_is_told_and_got_over),
        CASE(store_starts_on_a_read_only_disk_but_not_on_a_failing_one),
        CASE(gets_go_on_while_puts_wait_for_the_disk),
        CASE(removal_waits_for_a_put_of_the_same_address),
        CASE(unread_put_of_a_dead_worker_does_not_outlive_a_removal),
        CASE(put_ends_well_without_its_worker),
        CASE(store_ends_with_its_supervisor),
        CASE(store_ends_with_its_monitor),
        CASE(second_key_ends_the_store),
        CASE(removal_before_the_key_ends_the_store),
        CASE(same_worker_twice_ends_the_store),
        CASE(worker_without_its_channel_ends_the_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
