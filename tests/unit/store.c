/* What the store gives and keeps, and what it refuses: tokens, misbehaving workers, objects on disk. */
#include "store_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vault/buffer.h"
#include "vault/result.h"
#include "vault/segment.h"

static void store_keeps_an_object_and_gives_it_back(void **state) {
    struct rig *r = *state;
    struct hand h = worker_born(r, 4);
    uint8_t address[HASH_SIZE];
    attach(r, &h);
    assert_int_equal(put_object(r, &h, 1, OBJECT_MAX, 9, address), STORE_DONE);
    assert_int_equal(get_object(r, &h, address), STORE_DONE);
    assert_int_equal(msg.object_is.size, OBJECT_MAX);
    uint8_t *back = mmap(NULL, OBJECT_MAX, PROT_READ, MAP_SHARED, msg.fds[0], 0);
    assert_true(back != MAP_FAILED);
    assert_memory_equal(back, h.memory + h.slot_size, OBJECT_MAX);
    munmap(back, OBJECT_MAX);
    assert_int_equal(check_objects(r), 1);
    worker_died(&h);
}

static void store_keeps_objects_of_every_kind_of_length(void **state) {
    struct rig *r = *state;
    const size_t sizes[] = {29, SEGMENT_SEALED, SEGMENT_SEALED + 29, OBJECT_MAX - 1};
    struct hand h = worker_born(r, 4);
    uint8_t address[HASH_SIZE];
    attach(r, &h);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        assert_int_equal(put_object(r, &h, i % 2, sizes[i], 1, address), STORE_DONE);
        assert_int_equal(get_object(r, &h, address), STORE_DONE);
        assert_int_equal(msg.object_is.size, sizes[i]);
    }
    assert_int_equal(check_objects(r), 4);
    worker_died(&h);
}

static void receipt_is_for_this_worker_upload_address_and_length(void **state) {
    struct rig *r = *state;
    struct hand h = worker_born(r, 4);
    uint8_t address[HASH_SIZE];
    attach(r, &h);
    assert_int_equal(put_object(r, &h, 0, 1000, 2, address), STORE_DONE);
    const struct token_claim put = put_claim(&h, address, 1000);
    struct token_claim claim = put;
    assert_false(token_check(r->key, &claim, msg.receipt.receipt));
    claim.kind = TOKEN_RECEIPT;
    assert_true(token_check(r->key, &claim, msg.receipt.receipt));
    const struct token_claim good = claim;
    claim.worker++;
    assert_false(token_check(r->key, &claim, msg.receipt.receipt));
    claim = good;
    claim.upload[0] ^= 1;
    assert_false(token_check(r->key, &claim, msg.receipt.receipt));
    claim = good;
    claim.address[31] ^= 1;
    assert_false(token_check(r->key, &claim, msg.receipt.receipt));
    claim = good;
    claim.length++;
    assert_false(token_check(r->key, &claim, msg.receipt.receipt));
    msg.receipt.receipt[0] ^= 1;
    assert_false(token_check(r->key, &good, msg.receipt.receipt));
    worker_died(&h);
}

static void store_gives_descriptors_that_cannot_write(void **state) {
    struct rig *r = *state;
    struct hand h = worker_born(r, 4);
    uint8_t address[HASH_SIZE];
    attach(r, &h);
    assert_int_equal(put_object(r, &h, 0, 100, 3, address), STORE_DONE);
    assert_int_equal(get_object(r, &h, address), STORE_DONE);
    assert_int_equal(fcntl(msg.fds[0], F_GETFL) & O_ACCMODE, O_RDONLY);
    assert_int_equal(write(msg.fds[0], "x", 1), -1);
    assert_int_equal(ftruncate(msg.fds[0], 0), -1);
    assert_true(mmap(NULL, 100, PROT_WRITE, MAP_SHARED, msg.fds[0], 0) == MAP_FAILED);
    worker_died(&h);
}

static void shared_buffers_cannot_change_their_size(void **state) {
    struct rig *r = *state;
    struct hand h = worker_born(r, 4);
    attach(r, &h);
    assert_int_equal(ftruncate(msg.fds[0], 10), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(ftruncate(msg.fds[0], (off_t)(STORE_SLOTS * h.slot_size + 1)), -1);
    assert_int_equal(fcntl(msg.fds[0], F_ADD_SEALS, F_SEAL_WRITE), -1);
    worker_died(&h);
}

static int refused_get(struct rig *r, const struct hand *h, const uint8_t *address, const struct token_claim *claim) {
    send_get(r, h, address, claim);
    assert_int_equal(served(r, h->channel), VAULT_OK);
    assert_int_equal(msg.type, MSG_object_is);
    assert_int_equal(msg.fd_count, 0);
    assert_int_equal(msg.object_is.size, 0);
    return msg.object_is.status;
}

static void store_refuses_a_get_without_its_token(void **state) {
    struct rig *r = *state;
    struct hand h = worker_born(r, 4);
    uint8_t address[HASH_SIZE];
    attach(r, &h);
    assert_int_equal(put_object(r, &h, 0, 100, 3, address), STORE_DONE);
    const struct token_claim none = {0};
    assert_int_equal(refused_get(r, &h, address, &none), STORE_REFUSED);
    struct token_claim claim = {.kind = TOKEN_GET, .worker = 5};
    COPY_ARRAY(claim.address, address);
    assert_int_equal(refused_get(r, &h, address, &claim), STORE_REFUSED); /* another worker's */
    claim.worker = 4;
    claim.kind = TOKEN_PUT;
    assert_int_equal(refused_get(r, &h, address, &claim), STORE_REFUSED); /* another kind */
    claim.kind = TOKEN_GET;
    claim.address[5] ^= 1;
    assert_int_equal(refused_get(r, &h, address, &claim), STORE_REFUSED); /* another address */
    assert_int_equal(get_object(r, &h, address), STORE_DONE);
    worker_died(&h);
}

static void store_says_missing_for_what_it_does_not_have(void **state) {
    struct rig *r = *state;
    struct hand h = worker_born(r, 4);
    const uint8_t address[HASH_SIZE] = {1, 2, 3};
    assert_int_equal(get_object(r, &h, address), STORE_MISSING);
    assert_int_equal(remove_object(r, address), STORE_MISSING);
    worker_died(&h);
}

static void store_opens_regular_files_only(void **state) {
    struct rig *r = *state;
    struct hand h = worker_born(r, 4);
    const uint8_t address[HASH_SIZE] = {0xab, 0xcd, 3};
    char path[256];
    char folder[256];
    assert_true(format_string(folder, sizeof(folder), "%s/ab", r->path));
    assert_int_equal(mkdir(folder, 0700), 0);
    assert_true(format_string(folder, sizeof(folder), "%s/ab/cd", r->path));
    assert_int_equal(mkdir(folder, 0700), 0);
    object_path(r, address, path, sizeof(path));
    assert_int_equal(symlink("/etc/passwd", path), 0);
    assert_int_equal(get_object(r, &h, address), STORE_FAILED);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(get_object(r, &h, address), STORE_FAILED);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(get_object(r, &h, address), STORE_FAILED);
    assert_int_equal(remove_object(r, address), STORE_FAILED);
    worker_died(&h);
}

/* Puts `asked` with a token for `claim`: must be refused, with no receipt. */
static void refused_put(struct rig *r, const struct hand *h, const struct token_claim *asked,
                        const struct token_claim *claim) {
    const uint8_t zero[HASH_SIZE] = {0};
    send_put(r, h, 0, asked, claim);
    assert_int_equal(served(r, h->channel), VAULT_OK);
    assert_int_equal(msg.type, MSG_receipt);
    assert_int_equal(msg.receipt.status, STORE_REFUSED);
    assert_memory_equal(msg.receipt.receipt, zero, sizeof(zero));
}

static void store_refuses_a_put_without_its_token(void **state) {
    struct rig *r = *state;
    struct hand h = worker_born(r, 4);
    uint8_t address[HASH_SIZE];
    attach(r, &h);
    fill(&h, 0, 500, 1, address);
    const struct token_claim good = put_claim(&h, address, 500);
    struct token_claim claim = {0};
    refused_put(r, &h, &good, &claim);
    claim = good;
    claim.worker++;
    refused_put(r, &h, &good, &claim);
    claim = good;
    claim.kind = TOKEN_RECEIPT;
    refused_put(r, &h, &good, &claim);
    claim = good;
    claim.upload[3] ^= 1;
    refused_put(r, &h, &good, &claim);
    claim = good;
    claim.address[0] ^= 1;
    refused_put(r, &h, &good, &claim);
    claim = good;
    claim.length--;
    refused_put(r, &h, &good, &claim);
    assert_int_equal(check_objects(r), 0);
    assert_int_equal(put_object(r, &h, 0, 500, 1, address), STORE_DONE);
    worker_died(&h);
}

static void store_refuses_bytes_that_are_not_the_address(void **state) {
    struct rig *r = *state;
    struct hand h = worker_born(r, 4);
    uint8_t address[HASH_SIZE];
    attach(r, &h);
    fill(&h, 0, OBJECT_MAX, 1, address);
    const struct token_claim claim = put_claim(&h, address, OBJECT_MAX);
    h.memory[OBJECT_MAX - 1] ^= 1; /* after the token was given */
    refused_put(r, &h, &claim, &claim);
    assert_int_equal(check_objects(r), 0);
    h.memory[OBJECT_MAX - 1] ^= 1;
    send_put(r, &h, 0, &claim, &claim);
    assert_int_equal(served(r, h.channel), VAULT_OK);
    assert_int_equal(msg.receipt.status, STORE_DONE);
    worker_died(&h);
}

struct flipper {
    uint8_t *at;
    atomic_bool stop;
};

/* Writes to the shared buffer all the time, by a volatile pointer: the other side reads it through the kernel. */
static void *flip(void *context) {
    struct flipper *f = context;
    volatile uint8_t *at = f->at;
    while (!atomic_load(&f->stop))
        *at = (uint8_t)(*at ^ 1);
    return NULL;
}

static void object_never_differs_from_its_name_while_the_worker_writes(void **state) {
    struct rig *r = *state;
    struct hand h = worker_born(r, 4);
    uint8_t address[HASH_SIZE];
    pthread_t thread;
    attach(r, &h);
    size_t done = 0;
    for (uint8_t seed = 0; seed < 40; seed++) {
        struct flipper f = {.at = h.memory + OBJECT_MAX - 1};
        fill(&h, 0, OBJECT_MAX, seed, address);
        const struct token_claim claim = put_claim(&h, address, OBJECT_MAX);
        assert_int_equal(pthread_create(&thread, NULL, flip, &f), 0);
        send_put(r, &h, 0, &claim, &claim);
        int result = served(r, h.channel);
        atomic_store(&f.stop, true);
        pthread_join(thread, NULL);
        assert_int_equal(result, VAULT_OK);
        assert_true(msg.receipt.status == STORE_DONE || msg.receipt.status == STORE_REFUSED);
        done += msg.receipt.status == STORE_DONE;
    }
    assert_int_equal(check_objects(r), done);
    worker_died(&h);
}

static void put_out_of_bounds_ends_the_worker(void **state) {
    struct rig *r = *state;
    const struct {
        uint8_t slot;
        uint32_t length;
    } bad[] = {{STORE_SLOTS, 100},  {255, 100},           {0, 0},         {0, 28}, {0, SEGMENT_SEALED + 28},
               {0, OBJECT_MAX + 1}, {1, OBJECT_MAX + 29}, {0, UINT32_MAX}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct hand h = worker_born(r, 10 + i);
        const uint8_t address[HASH_SIZE] = {1};
        attach(r, &h);
        const struct token_claim claim = put_claim(&h, address, bad[i].length);
        send_put(r, &h, bad[i].slot, &claim, &claim);
        assert_killed(r, &h);
        worker_died(&h);
    }
    assert_int_equal(check_objects(r), 0);
}

static void put_before_buffers_ends_the_worker(void **state) {
    struct rig *r = *state;
    struct hand h = worker_born(r, 4);
    const uint8_t address[HASH_SIZE] = {1};
    const struct token_claim claim = put_claim(&h, address, 100);
    send_put(r, &h, 0, &claim, &claim);
    assert_killed(r, &h);
    worker_died(&h);
}

static void second_put_into_a_slot_in_flight_ends_the_worker(void **state) {
    struct rig *r = *state;
    struct hand h = worker_born(r, 4);
    uint8_t address[HASH_SIZE];
    attach(r, &h);
    fill(&h, 0, 100, 1, address);
    const struct token_claim claim = put_claim(&h, address, 100);
    atomic_store(&hold_fsync, true);
    send_put(r, &h, 0, &claim, &claim);
    send_put(r, &h, 0, &claim, &claim);
    assert_killed(r, &h);
    atomic_store(&hold_fsync, false);
    idle(r); /* the put in flight finds nobody to answer */
    assert_int_equal(store_exit_status(r->store), -1);
    worker_died(&h);
}

static void send_buffers_get(const struct hand *h, const uint8_t token[HASH_SIZE]) {
    static struct message m;
    message_init(&m, MSG_buffers_get, 1);
    COPY_ARRAY(m.buffers_get.upload, h->upload);
    COPY_ARRAY(m.buffers_get.token, token);
    assert_int_equal(channel_send(h->channel, &m), VAULT_OK);
}

static void buffers_need_their_token_and_come_once(void **state) {
    struct rig *r = *state;
    struct hand h = worker_born(r, 4);
    struct token_claim claim = {.kind = TOKEN_BUFFERS, .worker = 4};
    uint8_t token[HASH_SIZE];
    token_make(r->key, &claim, token); /* of another upload */
    send_buffers_get(&h, token);
    assert_int_equal(served(r, h.channel), VAULT_OK);
    assert_int_equal(msg.buffers.status, STORE_REFUSED);
    assert_int_equal(msg.buffers.slots, 0);
    assert_int_equal(msg.fd_count, 0);
    attach(r, &h);
    send_buffers_get(&h, token);
    assert_killed(r, &h);
    worker_died(&h);
}

static void any_other_message_ends_the_worker(void **state) {
    struct rig *r = *state;
    static struct message m;
    const enum message_type types[] = {MSG_object_remove, MSG_object_removed, MSG_receipt, MSG_worker_new, MSG_done};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        struct hand h = worker_born(r, 20 + i);
        message_init(&m, types[i], 1);
        assert_int_equal(channel_send(h.channel, &m), VAULT_OK);
        assert_killed(r, &h);
        worker_died(&h);
    }
    struct hand h = worker_born(r, 4); /* the others are not touched */
    attach(r, &h);
    worker_died(&h);
}

static void malformed_packets_end_the_worker(void **state) {
    struct rig *r = *state;
    static struct message m;
    static uint8_t packet[MESSAGE_MAX];
    size_t n = 0;
    message_init(&m, MSG_object_get, 1);
    assert_int_equal(message_encode(&m, packet, sizeof(packet), &n), VAULT_OK);
    const size_t lengths[] = {1, MESSAGE_HEAD, n - 1, n + 1, sizeof(packet)};
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        struct hand h = worker_born(r, 30 + i);
        assert_int_equal(send(h.channel, packet, lengths[i], 0), lengths[i]);
        assert_killed(r, &h);
        worker_died(&h);
    }
}

static void worker_that_does_not_read_its_answers_is_ended(void **state) {
    struct rig *r = *state;
    struct hand h = worker_born(r, 4);
    uint8_t address[HASH_SIZE];
    attach(r, &h);
    assert_int_equal(put_object(r, &h, 0, 100, 3, address), STORE_DONE);
    struct token_claim claim = {.kind = TOKEN_GET, .worker = 4};
    COPY_ARRAY(claim.address, address);
    size_t unread = 0;
    for (; unread < 200 && channel_receive(r->control, &msg) == VAULT_AGAIN; unread++) {
        send_get(r, &h, address, &claim);
        store_turn(r->store, 5);
    }
    assert_int_equal(msg.type, MSG_worker_kill);
    assert_int_equal(msg.worker_kill.why, WORKER_MISBEHAVED);
    assert_in_range(unread, 16, 64); /* an honest worker keeps fewer than 16 requests in flight */
    worker_died(&h);
}

static void removed_objects_are_gone(void **state) {
    struct rig *r = *state;
    struct hand h = worker_born(r, 4);
    uint8_t address[HASH_SIZE];
    attach(r, &h);
    assert_int_equal(put_object(r, &h, 0, 100, 3, address), STORE_DONE);
    trace_start();
    assert_int_equal(remove_object(r, address), STORE_DONE);
    assert_string_equal(trace(), "D");
    assert_int_equal(check_objects(r), 0);
    assert_int_equal(get_object(r, &h, address), STORE_MISSING);
    assert_int_equal(remove_object(r, address), STORE_MISSING);
    assert_int_equal(put_object(r, &h, 0, 100, 3, address), STORE_DONE);
    worker_died(&h);
}

static int check_object(struct rig *r, const uint8_t address[HASH_SIZE]) {
    static struct message check;
    message_init(&check, MSG_object_check, 56);
    COPY_ARRAY(check.object_check.address, address);
    assert_int_equal(channel_send(r->monitor, &check), VAULT_OK);
    assert_int_equal(served(r, r->monitor), VAULT_OK);
    assert_int_equal(msg.type, MSG_object_checked);
    assert_memory_equal(msg.object_checked.address, address, HASH_SIZE);
    return msg.object_checked.status;
}

static void damaged_objects_are_told_by_a_check(void **state) {
    struct rig *r = *state;
    struct hand h = worker_born(r, 4);
    attach(r, &h);
    uint8_t small[HASH_SIZE], large[HASH_SIZE];
    char path[PATH_MAX];
    const uint8_t none[HASH_SIZE] = {9};
    assert_int_equal(put_object(r, &h, 0, 100, 3, small), STORE_DONE);
    assert_int_equal(put_object(r, &h, 1, OBJECT_MAX, 4, large), STORE_DONE);
    assert_int_equal(check_object(r, small), STORE_DONE);
    assert_int_equal(check_object(r, large), STORE_DONE);
    assert_int_equal(check_object(r, none), STORE_MISSING);
    object_path(r, large, path, sizeof(path));
    assert_int_equal(truncate(path, OBJECT_MAX - 1), 0);
    assert_int_equal(check_object(r, large), STORE_DAMAGED);
    assert_int_equal(truncate(path, OBJECT_MAX + 5000), 0);
    assert_int_equal(check_object(r, large), STORE_DAMAGED);
    assert_int_equal(check_object(r, small), STORE_DONE);
    worker_died(&h);
}

static void many_removals_are_all_answered(void **state) {
    struct rig *r = *state;
    enum { MANY = 5 * STORE_CARE };
    uint8_t address[HASH_SIZE] = {0};
    for (uint8_t i = 0; i < MANY; i++) {
        address[0] = i;
        send_remove(r, address);
    }
    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(served(r, r->monitor), VAULT_OK);
        assert_int_equal(msg.object_removed.status, STORE_MISSING);
    }
}

static void requests_before_the_key_wait_for_it(void **state) {
    struct rig *keyed = *state;
    struct rig *r = rig_new(keyed->path);
    struct hand h = worker_born(r, 4);
    const uint8_t address[HASH_SIZE] = {1, 2, 3};
    struct token_claim claim = {.kind = TOKEN_GET, .worker = 4};
    COPY_ARRAY(claim.address, address);
    send_get(r, &h, address, &claim);
    idle(r);
    assert_int_equal(channel_receive(h.channel, &msg), VAULT_AGAIN);
    rig_send_key(r);
    assert_int_equal(served(r, h.channel), VAULT_OK);
    assert_int_equal(msg.object_is.status, STORE_MISSING);
    worker_died(&h);
    rig_free(r);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, rig_start, rig_stop)
    const struct CMUnitTest tests[] = {
        CASE(store_keeps_an_object_and_gives_it_back),
        CASE(store_keeps_objects_of_every_kind_of_length),
        CASE(receipt_is_for_this_worker_upload_address_and_length),
        CASE(store_gives_descriptors_that_cannot_write),
        CASE(shared_buffers_cannot_change_their_size),
        CASE(store_refuses_a_get_without_its_token),
        CASE(store_says_missing_for_what_it_does_not_have),
        CASE(store_opens_regular_files_only),
        CASE(store_refuses_a_put_without_its_token),
        CASE(store_refuses_bytes_that_are_not_the_address),
        CASE(object_never_differs_from_its_name_while_the_worker_writes),
        CASE(put_out_of_bounds_ends_the_worker),
        CASE(put_before_buffers_ends_the_worker),
        CASE(second_put_into_a_slot_in_flight_ends_the_worker),
        CASE(buffers_need_their_token_and_come_once),
        CASE(any_other_message_ends_the_worker),
        CASE(malformed_packets_end_the_worker),
        CASE(worker_that_does_not_read_its_answers_is_ended),
        CASE(removed_objects_are_gone),
        CASE(damaged_objects_are_told_by_a_check),
        CASE(many_removals_are_all_answered),
        CASE(requests_before_the_key_wait_for_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
