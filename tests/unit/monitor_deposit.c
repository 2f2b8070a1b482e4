/* Depositing: what a file is made of is what the store has vouched for, and what comes to nothing is removed. */
#include "monitor_rig.h"

#include <sodium.h>
#include <unistd.h>

#include "vault/log.h"
#include "vault/result.h"

enum { MEGABYTE = 1 << 20 };

static struct peer depositor;

static int deposit_set_up(void **state) {
    vault_set_up(state);
    depositor = peer_tls(SAN_OF("depositor"));
    return 0;
}

static int deposit_tear_down(void **state) {
    if (depositor.channel >= 0)
        close(depositor.channel);
    return rig_tear_down(state);
}

static bool among(const uint8_t address[HASH_SIZE], uint8_t (*list)[HASH_SIZE], size_t count) {
    for (size_t i = 0; i < count; i++)
        if (memcmp(address, list[i], HASH_SIZE) == 0)
            return true;
    return false;
}

/* The store is asked for exactly the objects that the deposit announced, once its worker can put no more. */
static void announced_are_removed(struct peer *by, const struct deposit *d) {
    uint8_t removed[PAGE_CHUNKS][HASH_SIZE];
    if (by->channel >= 0) {
        assert_int_equal(store_removes(NULL, 0), 0);
        peer_end(by);
        by->channel = -1;
    }
    assert_int_equal(store_removes(removed, PAGE_CHUNKS), d->page.count);
    for (size_t n = 0; n < d->page.count; n++)
        assert_true(among(d->page.chunks[n].address, removed, d->page.count));
}

static void nothing_is_removed(void) {
    assert_int_equal(store_removes(NULL, 0), 0);
}

static void file_is_published_whole(void **state) {
    uint8_t file[ID_SIZE];
    (void)state;
    deposit_file(&depositor, "S-1", "genome.cram", 9 * MEGABYTE, 1, file);
    nothing_is_removed();
    struct peer clinic = peer_tls(SAN_OF("clinic"));
    struct msg_grant g = open_file(&clinic, file);
    assert_int_equal(g.size, 9 * MEGABYTE);
    assert_int_equal(g.chunks, 3);
    assert_int_equal(g.sha256[0], 1);
    close(clinic.channel);
}

static void empty_file_has_no_pages(void **state) {
    (void)state;
    struct deposit d = deposit_begin(&depositor, "S-1", "empty");
    commit_request(&depositor, &d, 1);
    assert_int_equal(ask_status(&depositor), 201);
}

static void another_workers_upload_is_refused(void **state) {
    (void)state;
    struct peer other = peer_tls(SAN_OF("depositor")); /* the same service, another connection */
    struct deposit d = deposit_begin(&depositor, "S-1", "genome.cram");
    deposit_announce(&depositor, &d, 100);
    struct message *q = request(&other, MSG_upload_announce);
    COPY_ARRAY(q->upload_announce.upload, d.id);
    q->upload_announce.length = 128;
    assert_int_equal(ask_status(&other), 403);
    page_request(&other, &d, 0);
    assert_int_equal(ask_status(&other), 403);
    commit_request(&other, &d, 1);
    assert_int_equal(ask_status(&other), 403);
    COPY_ARRAY(request(&other, MSG_upload_abort)->upload_abort.upload, d.id);
    assert_int_equal(ask_status(&other), 403);
    nothing_is_removed();
    page_request(&depositor, &d, 0); /* and it is unharmed */
    assert_int_equal(ask(&depositor)->type, MSG_done);
    commit_request(&depositor, &d, 1);
    assert_int_equal(ask_status(&depositor), 201);
    close(other.channel);
}

static void length_that_no_object_has_is_refused(void **state) {
    static const uint32_t lengths[] = {0, SEGMENT_OVERHEAD, SEGMENT_SEALED + 1, OBJECT_MAX + 1, UINT32_MAX};
    (void)state;
    struct deposit d = deposit_begin(&depositor, "S-1", "genome.cram");
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        struct message *q = request(&depositor, MSG_upload_announce);
        COPY_ARRAY(q->upload_announce.upload, d.id);
        q->upload_announce.length = lengths[i];
        assert_int_equal(ask_status(&depositor), 400);
    }
}

static void page_without_the_stores_receipts_is_refused(void **state) {
    (void)state;
    struct deposit d = deposit_begin(&depositor, "S-1", "genome.cram");
    struct deposit foreign = deposit_begin(&depositor, "S-1", "other.cram");
    deposit_announce(&depositor, &d, 9 * MEGABYTE);
    struct deposit altered = d;
    altered.receipts[1][31] ^= 1;
    page_request(&depositor, &altered, 0);
    assert_int_equal(ask_status(&depositor), 400);
    altered = d;
    altered.page.chunks[2].address[0] ^= 1; /* a receipt for another object */
    page_request(&depositor, &altered, 0);
    assert_int_equal(ask_status(&depositor), 400);
    altered = d;
    altered.page.chunks[2].length -= 1; /* for another length */
    page_request(&depositor, &altered, 0);
    assert_int_equal(ask_status(&depositor), 400);
    foreign.page = d.page; /* for another upload */
    copy_bytes(foreign.receipts, sizeof(foreign.receipts), d.receipts, sizeof(d.receipts));
    page_request(&depositor, &foreign, 0);
    assert_int_equal(ask_status(&depositor), 400);
}

static void page_with_a_missing_receipt_is_refused(void **state) {
    (void)state;
    struct deposit d = deposit_begin(&depositor, "S-1", "genome.cram");
    deposit_announce(&depositor, &d, 9 * MEGABYTE);
    struct message *q = page_request(&depositor, &d, 0);
    q->upload_page.receipts_size -= HASH_SIZE;
    assert_int_equal(ask_status(&depositor), 400);
    page_request(&depositor, &d, 0);
    assert_int_equal(ask(&depositor)->type, MSG_done);
}

static void receipt_of_another_worker_is_refused(void **state) {
    (void)state;
    struct peer other = peer_tls(SAN_OF("depositor"));
    struct deposit d = deposit_begin(&depositor, "S-1", "genome.cram");
    deposit_announce(&depositor, &d, 100);
    receipts_make(&other, &d);
    page_request(&depositor, &d, 0);
    assert_int_equal(ask_status(&depositor), 400);
    close(other.channel);
}

static void page_out_of_order_is_refused(void **state) {
    (void)state;
    struct deposit d = deposit_begin(&depositor, "S-1", "genome.cram");
    deposit_announce(&depositor, &d, (uint64_t)PAGE_CHUNKS * CHUNK_PLAIN);
    page_request(&depositor, &d, 1);
    assert_int_equal(ask_status(&depositor), 400);
    page_request(&depositor, &d, 0);
    assert_int_equal(ask(&depositor)->type, MSG_done);
    page_request(&depositor, &d, 0);
    assert_int_equal(ask_status(&depositor), 400);
    page_request(&depositor, &d, 2);
    assert_int_equal(ask_status(&depositor), 400);
}

static void short_chunk_in_the_middle_is_refused(void **state) {
    (void)state;
    struct deposit d = deposit_begin(&depositor, "S-1", "genome.cram");
    deposit_announce(&depositor, &d, 9 * MEGABYTE);
    struct chunk last = d.page.chunks[2];
    d.page.chunks[2] = d.page.chunks[1];
    d.page.chunks[1] = last;
    receipts_make(&depositor, &d);
    page_request(&depositor, &d, 0);
    assert_int_equal(ask_status(&depositor), 400);
}

static void nothing_follows_a_short_page(void **state) {
    (void)state;
    struct deposit d = deposit_begin(&depositor, "S-1", "genome.cram");
    deposit_announce(&depositor, &d, 2 * CHUNK_PLAIN); /* full chunks, but not a full page */
    page_request(&depositor, &d, 0);
    assert_int_equal(ask(&depositor)->type, MSG_done);
    page_request(&depositor, &d, 1);
    assert_int_equal(ask_status(&depositor), 400);
}

static void size_that_does_not_fit_is_refused(void **state) {
    static const uint64_t wrong[] = {0, 1, 9 * MEGABYTE - 1, 9 * MEGABYTE + 1, 13 * MEGABYTE, UINT64_MAX};
    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct deposit d = deposit_begin(&depositor, "S-1", "genome.cram");
        deposit_announce(&depositor, &d, 9 * MEGABYTE);
        page_request(&depositor, &d, 0);
        assert_int_equal(ask(&depositor)->type, MSG_done);
        d.plain = wrong[i];
        commit_request(&depositor, &d, 1);
        assert_int_equal(ask_status(&depositor), 400);
        announced_are_removed(&depositor, &d);
        depositor = peer_tls(SAN_OF("depositor"));
    }
}

static void digest_mismatch_is_422_and_its_objects_are_removed(void **state) {
    (void)state;
    struct message *q = create_request(&depositor, "S-1", "genome.cram");
    q->upload_create.has_digest = 1;
    q->upload_create.digest[0] = 7;
    struct message *answer = ask(&depositor);
    assert_int_equal(answer->type, MSG_upload);
    struct deposit d = {0};
    COPY_ARRAY(d.id, answer->upload.upload);
    deposit_announce(&depositor, &d, 9 * MEGABYTE);
    page_request(&depositor, &d, 0);
    assert_int_equal(ask(&depositor)->type, MSG_done);
    commit_request(&depositor, &d, 8);
    assert_int_equal(ask_status(&depositor), 422);
    commit_request(&depositor, &d, 7); /* it is gone */
    assert_int_equal(ask_status(&depositor), 403);
    announced_are_removed(&depositor, &d);
    assert_int_equal(m.meta.files, 0);
}

/* A deposit under a name that is taken meanwhile. */
static unsigned commit_late(struct peer *p, uint8_t content) {
    uint8_t file[ID_SIZE];
    struct deposit d = deposit_begin(p, "S-1", "genome.cram");
    deposit_announce(p, &d, 100);
    page_request(p, &d, 0);
    assert_int_equal(ask(p)->type, MSG_done);
    if (m.meta.files == 0)
        deposit_file(&depositor, "S-1", "genome.cram", 100, 1, file);
    commit_request(p, &d, content);
    unsigned status = ask_status(p);
    announced_are_removed(p, &d);
    return status;
}

static void name_that_is_taken_is_409(void **state) {
    (void)state;
    assert_int_equal(commit_late(&depositor, 2), 409);
    assert_int_equal(m.meta.files, 1);
}

static void same_content_of_the_same_service_is_200(void **state) {
    (void)state;
    assert_int_equal(commit_late(&depositor, 1), 200);
    assert_int_equal(m.meta.files, 1);
}

static void same_content_of_another_service_is_409(void **state) {
    (void)state;
    make_service("second", 1u << ROLE_DEPOSITOR, 0);
    struct peer second = peer_tls(SAN_OF("second"));
    assert_int_equal(commit_late(&second, 1), 409);
}

static void revoked_depositor_publishes_nothing(void **state) {
    (void)state;
    struct deposit d = deposit_begin(&depositor, "S-1", "genome.cram");
    deposit_announce(&depositor, &d, 100);
    page_request(&depositor, &d, 0);
    assert_int_equal(ask(&depositor)->type, MSG_done);
    struct message *q = request(&root, MSG_service_revoke);
    copy_string(q->service_revoke.name, sizeof(q->service_revoke.name), "depositor");
    assert_int_equal(ask_status(&root), 200);
    commit_request(&depositor, &d, 1);
    assert_int_equal(ask_status(&depositor), 401);
    assert_int_equal(m.meta.files, 0);
}

static void objects_of_a_gone_worker_are_removed(void **state) {
    (void)state;
    struct deposit d = deposit_begin(&depositor, "S-1", "genome.cram");
    deposit_announce(&depositor, &d, 9 * MEGABYTE);
    peer_end(&depositor);
    depositor.channel = -1;
    announced_are_removed(&depositor, &d);
    assert_int_equal(audit_count("\"event\":\"deposit.close\"", "\"interrupted\"", NULL), 1);
}

/* Who may read and deposit learns addresses of published objects, and could announce them. */
static void published_object_is_never_removed(void **state) {
    (void)state;
    struct deposit d = deposit_begin(&depositor, "S-1", "genome.cram");
    deposit_announce(&depositor, &d, 9 * MEGABYTE);
    page_request(&depositor, &d, 0);
    assert_int_equal(ask(&depositor)->type, MSG_done);
    commit_request(&depositor, &d, 1);
    assert_int_equal(ask_status(&depositor), 201);
    struct deposit thief = deposit_begin(&depositor, "S-1", "other.cram");
    for (size_t n = 0; n < d.page.count; n++) {
        struct message *q = request(&depositor, MSG_upload_announce);
        COPY_ARRAY(q->upload_announce.upload, thief.id);
        COPY_ARRAY(q->upload_announce.address, d.page.chunks[n].address);
        q->upload_announce.length = d.page.chunks[n].length;
        (void)ask(&depositor);
    }
    COPY_ARRAY(request(&depositor, MSG_upload_abort)->upload_abort.upload, thief.id);
    assert_int_equal(ask(&depositor)->type, MSG_done);
    nothing_is_removed();
}

/* The same, from an upload whose page names what another upload has put and not yet published. */
static void object_of_another_upload_is_not_taken_over(void **state) {
    (void)state;
    struct deposit d = deposit_begin(&depositor, "S-1", "genome.cram");
    deposit_announce(&depositor, &d, 100);
    page_request(&depositor, &d, 0);
    assert_int_equal(ask(&depositor)->type, MSG_done);
    struct deposit thief = deposit_begin(&depositor, "S-1", "other.cram");
    thief.page = d.page;
    thief.plain = d.plain;
    receipts_make(&depositor, &thief);
    page_request(&depositor, &thief, 0);
    assert_int_equal(ask_status(&depositor), 400);
}

/* Whichever of the two ended first would take the object from the other. */
static void object_of_two_uploads_is_refused(void **state) {
    (void)state;
    struct deposit d = deposit_begin(&depositor, "S-1", "genome.cram");
    deposit_announce(&depositor, &d, 100);
    struct deposit second = deposit_begin(&depositor, "S-1", "other.cram");
    struct message *r = request(&depositor, MSG_upload_announce);
    COPY_ARRAY(r->upload_announce.upload, second.id);
    COPY_ARRAY(r->upload_announce.address, d.page.chunks[0].address);
    r->upload_announce.length = d.page.chunks[0].length;
    assert_int_equal(ask_status(&depositor), 409);
}

static void object_that_no_page_names_is_removed(void **state) {
    uint8_t removed[2][HASH_SIZE];
    (void)state;
    struct deposit d = deposit_begin(&depositor, "S-1", "genome.cram");
    deposit_announce(&depositor, &d, 100);
    page_request(&depositor, &d, 0);
    assert_int_equal(ask(&depositor)->type, MSG_done);
    struct deposit more = d;
    deposit_announce(&depositor, &more, 100);
    commit_request(&depositor, &d, 1);
    assert_int_equal(ask_status(&depositor), 201);
    peer_end(&depositor);
    depositor.channel = -1;
    assert_int_equal(store_removes(removed, 2), 1);
    assert_memory_equal(removed[0], more.page.chunks[0].address, HASH_SIZE);
}

static void several_dropped_uploads_are_cleaned_without_being_asked(void **state) {
    (void)state;
    for (size_t i = 0; i < 3; i++)
        (void)deposit_begin(&depositor, "S-1", "genome.cram"); /* with nothing announced */
    peer_end(&depositor);
    depositor.channel = -1;
    bool more = true;
    for (unsigned n = 0; n < 10 && more; n++) /* as the main loop: no turn unless something is left to do */
        assert_int_equal(monitor_turn(&m, &more), VAULT_OK);
    assert_false(more);
    assert_false(m.clean_wanted);
}

#define DEPOSIT(test) cmocka_unit_test_setup_teardown(test, deposit_set_up, deposit_tear_down)

/* A receipt binds no place in the manifest: a worker could name its one object without end, page after page. */
static void object_is_named_once(void **state) {
    (void)state;
    struct deposit d = deposit_begin(&depositor, "S-1", "repeated");
    deposit_announce(&depositor, &d, 4 * MEGABYTE);
    assert_int_equal(d.page.count, 1);
    struct deposit honest = d;
    for (size_t n = 1; n < PAGE_CHUNKS; n++) {
        d.page.chunks[n] = d.page.chunks[0];
        COPY_ARRAY(d.receipts[n], d.receipts[0]);
    }
    d.page.count = PAGE_CHUNKS;
    page_request(&depositor, &d, 0);
    assert_int_equal(ask_status(&depositor), 400);
    page_request(&depositor, &honest, 0);
    assert_int_equal(ask(&depositor)->type, MSG_done);
}

static uint64_t segments_of(const struct deposit *d) {
    static struct upload_value u;
    assert_int_equal(index_get_record(m.index, DB_UPLOADS, d->id, ID_SIZE, &layout_upload_value, &u), VAULT_OK);
    index_end_reads(m.index);
    return u.segments;
}

/* As if as many had been sealed before, which takes hours. */
static void set_segments(const struct deposit *d, uint64_t segments) {
    static struct upload_value u;
    assert_int_equal(index_begin(m.index), VAULT_OK);
    assert_int_equal(index_get_record(m.index, DB_UPLOADS, d->id, ID_SIZE, &layout_upload_value, &u), VAULT_OK);
    u.segments = segments;
    assert_int_equal(index_put_record(m.index, DB_UPLOADS, d->id, ID_SIZE, &layout_upload_value, &u), VAULT_OK);
    assert_int_equal(index_commit(m.index), VAULT_OK);
}

static struct message *announce_one(const struct deposit *d, uint32_t length) {
    struct message *q = request(&depositor, MSG_upload_announce);
    COPY_ARRAY(q->upload_announce.upload, d->id);
    randombytes_buf(q->upload_announce.address, sizeof(q->upload_announce.address));
    q->upload_announce.length = length;
    return ask(&depositor);
}

/* Also what no page ever names: its segments were sealed all the same. */
static void every_announced_segment_counts_for_its_key(void **state) {
    (void)state;
    struct deposit d = deposit_begin(&depositor, "S-1", "genome.cram");
    assert_int_equal(segments_of(&d), 0);
    assert_int_equal(announce_one(&d, OBJECT_MAX)->type, MSG_put_token);
    assert_int_equal(segments_of(&d), CHUNK_SEGMENTS);
    assert_int_equal(announce_one(&d, SEGMENT_SEALED + 100)->type, MSG_put_token);
    assert_int_equal(segments_of(&d), CHUNK_SEGMENTS + 2);
    assert_int_equal(status_of(announce_one(&d, OBJECT_MAX + 1)), 400);
    assert_int_equal(segments_of(&d), CHUNK_SEGMENTS + 2);
}

static void key_that_sealed_all_it_may_seals_no_more(void **state) {
    (void)state;
    struct deposit d = deposit_begin(&depositor, "S-1", "genome.cram");
    set_segments(&d, KEY_SEGMENTS_MAX - CHUNK_SEGMENTS - 1);
    assert_int_equal(announce_one(&d, OBJECT_MAX)->type, MSG_put_token);
    struct message *answer = announce_one(&d, SEGMENT_SEALED + 100);
    assert_int_equal(status_of(answer), 413);
    assert_true(says(answer, "key-exhausted"));
    assert_int_equal(announce_one(&d, SEGMENT_SEALED)->type, MSG_put_token);
    assert_int_equal(segments_of(&d), KEY_SEGMENTS_MAX);
    assert_int_equal(status_of(announce_one(&d, SEGMENT_OVERHEAD + 1)), 413);
    assert_int_equal(audit_count("\"rule\":\"key-exhausted\"", NULL), 2);
    struct deposit other = deposit_begin(&depositor, "S-1", "other.cram");
    assert_int_equal(announce_one(&other, OBJECT_MAX)->type, MSG_put_token); /* with a key of its own */
}

/* More pages than go in one step; each step leaves some that the next one finds. */
static void pages_of_a_dropped_deposit_go_a_few_at_a_time(void **state) {
    enum { PAGES = 30 };
    static uint8_t removed[PAGES * PAGE_CHUNKS][HASH_SIZE];
    uint64_t left = 0;
    (void)state;
    struct deposit d = deposit_begin(&depositor, "S-1", "genome.cram");
    for (uint32_t page = 0; page < PAGES; page++) {
        deposit_announce(&depositor, &d, (uint64_t)PAGE_CHUNKS * CHUNK_SEGMENTS * SEGMENT_PLAIN);
        page_request(&depositor, &d, page);
        assert_int_equal(ask(&depositor)->type, MSG_done);
    }
    peer_end(&depositor);
    depositor.channel = -1;
    uint64_t changes = index_changes(m.index);
    uint64_t most = 0; /* changes of one turn */
    size_t count = 0;
    for (unsigned n = 0; n < 2 * PAGES * PAGE_CHUNKS; n++) {
        count += store_removes_one(removed + count, PAGES * PAGE_CHUNKS - count);
        most = index_changes(m.index) - changes > most ? index_changes(m.index) - changes : most;
        changes = index_changes(m.index);
    }
    assert_int_equal(count, PAGES * PAGE_CHUNKS);
    assert_in_range(most, 16, 22);
    assert_int_equal(index_count(m.index, DB_PAGES, &left), VAULT_OK);
    assert_int_equal(left, 0);
    assert_int_equal(index_count(m.index, DB_UPLOADS, &left), VAULT_OK);
    assert_int_equal(left, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        DEPOSIT(file_is_published_whole),
        DEPOSIT(empty_file_has_no_pages),
        DEPOSIT(another_workers_upload_is_refused),
        DEPOSIT(length_that_no_object_has_is_refused),
        DEPOSIT(page_without_the_stores_receipts_is_refused),
        DEPOSIT(page_with_a_missing_receipt_is_refused),
        DEPOSIT(receipt_of_another_worker_is_refused),
        DEPOSIT(page_out_of_order_is_refused),
        DEPOSIT(object_is_named_once),
        DEPOSIT(short_chunk_in_the_middle_is_refused),
        DEPOSIT(nothing_follows_a_short_page),
        DEPOSIT(size_that_does_not_fit_is_refused),
        DEPOSIT(digest_mismatch_is_422_and_its_objects_are_removed),
        DEPOSIT(name_that_is_taken_is_409),
        DEPOSIT(same_content_of_the_same_service_is_200),
        DEPOSIT(same_content_of_another_service_is_409),
        DEPOSIT(revoked_depositor_publishes_nothing),
        DEPOSIT(objects_of_a_gone_worker_are_removed),
        DEPOSIT(published_object_is_never_removed),
        DEPOSIT(object_of_another_upload_is_not_taken_over),
        DEPOSIT(object_of_two_uploads_is_refused),
        DEPOSIT(object_that_no_page_names_is_removed),
        DEPOSIT(several_dropped_uploads_are_cleaned_without_being_asked),
        DEPOSIT(every_announced_segment_counts_for_its_key),
        DEPOSIT(key_that_sealed_all_it_may_seals_no_more),
        DEPOSIT(pages_of_a_dropped_deposit_go_a_few_at_a_time),
    };
    log_start("test");
    if (secret_start() != VAULT_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
