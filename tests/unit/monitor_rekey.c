/* Rotation of data keys: what a worker without a client is given, and what is believed of it. */
#include "monitor_rig.h"

#include <stdlib.h>
#include <unistd.h>

#include "vault/log.h"
#include "vault/result.h"
#include "vaultd/monitor/access/grants.h"
#include "vaultd/monitor/keys/rekey.h"
#include "vaultd/monitor/table.h"

enum { PLAIN = 5 << 20, CONTENT = 7, OBJECTS = 2 };

static struct peer clinic, nobody;
static uint8_t file[ID_SIZE];

static void rotate(void) {
    struct message *q = request(&root, MSG_key_rotate);
    copy_string(q->key_rotate.what, sizeof(q->key_rotate.what), "data");
    assert_int_equal(ask_status(&root), 202);
    turns(2);
}

static int rekey_set_up(void **state) {
    vault_set_up(state);
    struct peer depositor = peer_tls(SAN_OF("depositor"));
    deposit_file(&depositor, "S-1", "genome.cram", PLAIN, CONTENT, file);
    peer_end(&depositor);
    clinic = peer_tls(SAN_OF("clinic"));
    turns(4);
    rotate();
    nobody = peer_nobody();
    return 0;
}

static int rekey_tear_down(void **state) {
    close(clinic.channel);
    if (nobody.channel >= 0)
        close(nobody.channel);
    return rig_tear_down(state);
}

/* The next file: its grant, whose key is given to the caller. False: there is none just now. */
static bool next(struct peer *p, struct msg_grant *ret) {
    request(p, MSG_rekey_next);
    struct message *answer = ask(p);
    if (answer->type != MSG_grant) {
        assert_int_equal(status_of(answer), 204);
        return false;
    }
    *ret = answer->grant;
    ret->key = secret_move(&answer->grant.key);
    return true;
}

static struct deposit create(struct peer *p, const struct msg_grant *g, struct secret **ret_key) {
    struct deposit d = {0};
    struct message *q = request(p, MSG_rekey_create);
    COPY_ARRAY(q->rekey_create.grant, g->grant);
    struct message *answer = ask(p);
    assert_int_equal(answer->type, MSG_upload);
    COPY_ARRAY(d.id, answer->upload.upload);
    *ret_key = secret_move(&answer->upload.key);
    return d;
}

static struct message *end_request(struct peer *p, const struct msg_grant *g, const struct deposit *d,
                                   uint8_t outcome) {
    struct message *q = request(p, MSG_rekey_end);
    COPY_ARRAY(q->rekey_end.grant, g->grant);
    COPY_ARRAY(q->rekey_end.upload, d->id);
    q->rekey_end.outcome = outcome;
    q->rekey_end.size = d->plain;
    q->rekey_end.sha256[0] = CONTENT;
    return q;
}

/* A file in hand, its new content written and announced, up to the last message. */
struct hand {
    struct msg_grant grant;
    struct deposit deposit;
    struct secret *new_key;
};

static struct hand take(void) {
    struct hand h = {0};
    assert_true(next(&nobody, &h.grant));
    h.deposit = create(&nobody, &h.grant, &h.new_key);
    deposit_announce(&nobody, &h.deposit, PLAIN);
    page_request(&nobody, &h.deposit, 0);
    assert_int_equal(ask(&nobody)->type, MSG_done);
    return h;
}

static void let_go(struct hand *h) {
    secret_free(&h->grant.key);
    secret_free(&h->new_key);
}

static struct secret *key_of_the_file(void) {
    open_request(&clinic, file, PURPOSE_TREATMENT);
    struct message *answer = ask(&clinic);
    assert_int_equal(answer->type, MSG_grant);
    struct secret *key = secret_move(&answer->grant.key);
    struct message *q = request(&clinic, MSG_grant_close);
    COPY_ARRAY(q->grant_close.grant, answer->grant.grant);
    assert_int_equal(ask(&clinic)->type, MSG_done);
    return key;
}

static bool reads_with(const struct secret *key) {
    struct secret *now = key_of_the_file();
    bool same = secret_equal(now, key);
    secret_free(&now);
    return same;
}

static bool job_is_over(void) {
    turns(3);
    return m.meta.aside == 0;
}

static bool is_of(uint8_t (*removed)[HASH_SIZE], size_t count, const struct manifest_page *page) {
    size_t found = 0;
    for (size_t i = 0; i < count; i++)
        for (size_t n = 0; n < page->count; n++)
            found += memcmp(removed[i], page->chunks[n].address, HASH_SIZE) == 0;
    return found > 0;
}

static void worker_is_asked_for_and_the_file_gets_its_new_key(void **state) {
    (void)state;
    uint8_t removed[8][HASH_SIZE];
    assert_int_equal(supervisor_heard().workers_wanted, 1);
    struct hand h = take();
    assert_false(secret_equal(h.grant.key, h.new_key));
    assert_true(reads_with(h.grant.key)); /* until it is whole */
    end_request(&nobody, &h.grant, &h.deposit, REKEY_DONE);
    assert_int_equal(ask(&nobody)->type, MSG_done);
    assert_true(reads_with(h.new_key));
    assert_int_equal(store_removes(removed, 8), OBJECTS);
    assert_false(is_of(removed, OBJECTS, &h.deposit.page));
    struct msg_grant none;
    assert_false(next(&nobody, &none));
    peer_end(&nobody);
    assert_true(job_is_over());
    assert_int_equal(audit_count("\"event\":\"key.rotated\"", "data, 1 files, 0 failed", NULL), 1);
    assert_int_equal(audit_count("\"event\":\"file.rekey\"", "data key 1 to 2", NULL), 1);
    assert_int_equal(audit_count("\"event\":\"file.rekey.close\"", "data key 1 to 2", "\"done\"", NULL), 1);
    let_go(&h);
}

static void other_content_is_not_taken(void **state) {
    (void)state;
    uint8_t removed[8][HASH_SIZE];
    struct hand h = take();
    struct message *q = end_request(&nobody, &h.grant, &h.deposit, REKEY_DONE);
    q->rekey_end.sha256[0]++;
    assert_int_equal(ask(&nobody)->type, MSG_done);
    assert_true(reads_with(h.grant.key));
    assert_int_equal(audit_count("file.rekey.close", "\"failed\"", "not what was deposited", NULL), 1);
    peer_end(&nobody);
    assert_int_equal(store_removes(removed, 8), OBJECTS);
    assert_true(is_of(removed, OBJECTS, &h.deposit.page));
    assert_true(job_is_over());
    assert_int_equal(audit_count("data, 0 files, 1 failed", NULL), 1);
    let_go(&h);
}

static void only_who_has_no_client_may_ask(void **state) {
    (void)state;
    static const enum message_type asked[] = {MSG_rekey_next, MSG_rekey_create, MSG_rekey_end};
    for (size_t i = 0; i < 2 * sizeof(asked) / sizeof(asked[0]); i++) {
        struct peer p = i % 2 == 0 ? peer_unix(0) : peer_tls(SAN_OF("clinic"));
        (void)supervisor_heard();
        request(&p, asked[i / 2]);
        send_now(&p);
        turn();
        struct heard h = supervisor_heard();
        assert_int_equal(h.killed, 1);
        assert_int_equal(h.last_killed, p.number);
        peer_end(&p);
    }
}

static void who_has_no_client_may_ask_nothing_else(void **state) {
    (void)state;
    static const enum message_type others[] = {
#define TYPE_OF(name, number, fds) MSG_##name,
        PROTOCOL_ADMIN(TYPE_OF)
#undef TYPE_OF
            MSG_open,
        MSG_upload_create,
        MSG_upload_commit,
        MSG_upload_abort,
        MSG_grant_close,
        MSG_file_list};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        uint32_t roles;
        if (!table_roles(others[i], &roles))
            continue; /* an answer */
        struct peer p = peer_nobody();
        (void)supervisor_heard();
        request(&p, others[i]);
        send_now(&p);
        turn();
        assert_int_equal(supervisor_heard().killed, 1);
        peer_end(&p);
    }
}

static void one_worker_has_one_file(void **state) {
    (void)state;
    struct msg_grant none;
    struct hand h = take();
    struct peer other = peer_nobody();
    assert_false(next(&other, &none));
    assert_false(next(&nobody, &none)); /* nor a second one beside the first */
    struct message *q = request(&nobody, MSG_rekey_create);
    COPY_ARRAY(q->rekey_create.grant, h.grant.grant);
    assert_int_equal(ask_status(&nobody), 403);
    q = request(&other, MSG_rekey_create);
    COPY_ARRAY(q->rekey_create.grant, h.grant.grant);
    assert_int_equal(ask_status(&other), 403);
    end_request(&other, &h.grant, &h.deposit, REKEY_DONE);
    assert_int_equal(ask_status(&other), 403);
    assert_true(reads_with(h.grant.key));
    peer_end(&other);
    let_go(&h);
}

static void deposit_of_a_client_is_no_new_content(void **state) {
    (void)state;
    struct msg_grant g;
    struct peer depositor = peer_tls(SAN_OF("depositor"));
    struct deposit d = deposit_begin(&depositor, "S-1", "other");
    assert_true(next(&nobody, &g));
    end_request(&nobody, &g, &d, REKEY_DONE);
    assert_int_equal(ask_status(&nobody), 403);
    d = (struct deposit){.plain = PLAIN};
    end_request(&nobody, &g, &d, REKEY_DONE);
    assert_int_equal(ask_status(&nobody), 403);
    assert_true(reads_with(g.key));
    peer_end(&depositor);
    secret_free(&g.key);
}

static void file_whose_workers_die_is_passed_over(void **state) {
    (void)state;
    for (unsigned n = 0; n < 3; n++) {
        struct msg_grant g;
        m.rekeying.due = 0; /* as if the pause before the next try were over */
        assert_true(next(&nobody, &g));
        secret_free(&g.key);
        peer_end(&nobody);
        assert_false(job_is_over());
        nobody = peer_nobody();
    }
    m.rekeying.due = 0;
    assert_true(job_is_over());
    assert_int_equal(audit_count("file.rekey.close", "\"interrupted\"", NULL), 3);
    assert_int_equal(audit_count("data, 0 files, 1 failed", NULL), 1);
    struct secret *key = key_of_the_file();
    secret_free(&key);
}

static void full_store_is_waited_for(void **state) {
    (void)state;
    struct msg_grant g;
    for (unsigned n = 0; n < 5; n++) {
        struct secret *key = NULL;
        assert_true(next(&nobody, &g));
        struct deposit d = create(&nobody, &g, &key);
        end_request(&nobody, &g, &d, REKEY_FULL);
        assert_int_equal(ask(&nobody)->type, MSG_done);
        assert_false(next(&nobody, &g)); /* not now */
        secret_free(&g.key);
        secret_free(&key);
        peer_end(&nobody);
        assert_false(job_is_over());
        assert_true(rekey_tick(&m) > 1000);
        m.rekeying.due = 0;
        nobody = peer_nobody();
    }
}

static void restart_begins_the_file_anew(void **state) {
    (void)state;
    uint8_t removed[8][HASH_SIZE];
    struct msg_grant g;
    struct hand h = take();
    close(clinic.channel);
    close(nobody.channel);
    rig_stop();
    assert_true(rig_start_unsealed());
    clinic = peer_tls(SAN_OF("clinic"));
    assert_int_equal(store_removes(removed, 8), OBJECTS);
    assert_true(is_of(removed, OBJECTS, &h.deposit.page));
    assert_true(reads_with(h.grant.key));
    nobody = peer_nobody();
    assert_true(next(&nobody, &g));
    assert_true(secret_equal(g.key, h.grant.key));
    secret_free(&g.key);
    assert_int_equal(audit_count("file.rekey.close", "\"interrupted\"", NULL), 1);
    assert_int_equal(audit_count("deposit.close", "\"interrupted\"", NULL), 0);
    let_go(&h);
}

static void turn_of_the_subjects_key_meanwhile_takes_both(void **state) {
    (void)state;
    struct hand h = take();
    struct message *q = request(&root, MSG_key_rotate);
    copy_string(q->key_rotate.what, sizeof(q->key_rotate.what), "subject");
    assert_int_equal(ask_status(&root), 202);
    turns_for(60);
    assert_int_equal(audit_count("\"event\":\"key.rotated\"", "subject, 1 keys", NULL), 1);
    assert_true(reads_with(h.grant.key));
    end_request(&nobody, &h.grant, &h.deposit, REKEY_DONE);
    assert_int_equal(ask(&nobody)->type, MSG_done);
    assert_true(reads_with(h.new_key));
    let_go(&h);
}

static void content_that_is_read_stays_until_it_is_read(void **state) {
    (void)state;
    uint8_t removed[8][HASH_SIZE];
    struct msg_grant reading = open_file(&clinic, file);
    struct hand h = take();
    end_request(&nobody, &h.grant, &h.deposit, REKEY_DONE);
    assert_int_equal(ask(&nobody)->type, MSG_done);
    peer_end(&nobody);
    nobody = peer_nobody();
    assert_int_equal(store_removes(removed, 8), 0);
    struct message *q = request(&clinic, MSG_page_get);
    COPY_ARRAY(q->page_get.grant, reading.grant);
    assert_int_equal(ask(&clinic)->type, MSG_page);
    q = request(&clinic, MSG_grant_close);
    COPY_ARRAY(q->grant_close.grant, reading.grant);
    assert_int_equal(ask(&clinic)->type, MSG_done);
    assert_int_equal(store_removes(removed, 8), OBJECTS);
    let_go(&h);
}

static void waiting_for_a_worker_costs_no_turns(void **state) {
    (void)state;
    bool more = true;
    struct hand h = take();
    for (unsigned n = 0; n < 10; n++)
        assert_int_equal(monitor_turn(&m, &more), VAULT_OK);
    assert_false(more);
    assert_int_equal(rekey_tick(&m), -1);
    peer_end(&nobody);
    nobody = peer_nobody();
    assert_true(rekey_tick(&m) > 0);
    let_go(&h);
}

static void object_of(struct peer *p, const struct msg_grant *g, uint8_t ret[HASH_SIZE]) {
    struct manifest_page page;
    COPY_ARRAY(request(p, MSG_page_get)->page_get.grant, g->grant);
    struct message *answer = ask(p);
    assert_int_equal(answer->type, MSG_page);
    assert_int_equal(manifest_decode(&page, answer->page.chunks, answer->page.chunks_size), VAULT_OK);
    copy_bytes(ret, HASH_SIZE, page.chunks[0].address, HASH_SIZE);
}

static uint64_t failures_known(void) {
    uint64_t count = 0;
    assert_int_equal(index_count(m.index, DB_FAILURES, &count), VAULT_OK);
    index_end_reads(m.index);
    return count;
}

/* And a file that is set aside gets no new key: its present one is handed to nobody. */
static void damage_that_it_meets_is_counted_like_a_readers(void **state) {
    static const struct deposit none = {0};
    (void)state;
    struct msg_grant g;
    m.setup.failure_limit = 1;
    assert_true(next(&nobody, &g));
    uint8_t object[HASH_SIZE];
    object_of(&nobody, &g, object);
    COPY_ARRAY(end_request(&nobody, &g, &none, REKEY_DAMAGED)->rekey_end.address, object);
    assert_int_equal(ask(&nobody)->type, MSG_done);
    secret_free(&g.key);
    assert_int_equal(m.meta.reported, 1);
    assert_int_equal(store_checks(STORE_DAMAGED, 5), 1);
    assert_int_equal(m.meta.set_aside, 1);
    peer_end(&nobody);
    assert_true(job_is_over());
    rotate();
    nobody = peer_nobody();
    assert_false(next(&nobody, &g));
    peer_end(&nobody);
    turns_for(2100); /* it does not ask for another worker at once */
    assert_true(job_is_over());
    assert_int_equal(audit_count("\"event\":\"key.rotated\"", "data, 0 files, 1 failed", NULL), 2);
}

static void new_content_has_no_failures_of_the_old(void **state) {
    (void)state;
    uint8_t object[HASH_SIZE];
    struct msg_grant g = open_file(&clinic, file);
    object_of(&clinic, &g, object);
    struct message *q = request(&clinic, MSG_grant_close);
    COPY_ARRAY(q->grant_close.grant, g.grant);
    COPY_ARRAY(q->grant_close.address, object);
    q->grant_close.outcome = GRANT_DAMAGED;
    assert_int_equal(ask(&clinic)->type, MSG_done);
    assert_int_equal(store_checks(STORE_DONE, 5), 1);
    assert_int_equal(failures_known(), 1);
    struct hand h = take();
    end_request(&nobody, &h.grant, &h.deposit, REKEY_DONE);
    assert_int_equal(ask(&nobody)->type, MSG_done);
    assert_int_equal(failures_known(), 0);
    let_go(&h);
}

static void order(enum message_type type, uint32_t rate) {
    struct message *q = request(&root, type);
    if (type == MSG_job_rate) {
        q->job_rate.number = m.meta.aside;
        q->job_rate.rate = rate;
    } else {
        q->job_pause.number = m.meta.aside; /* as in job_resume */
    }
    assert_int_equal(ask_status(&root), 200);
}

static void order_of(enum message_type type, uint32_t number, unsigned status) {
    request(&root, type)->job_pause.number = number; /* as in job_resume */
    assert_int_equal(ask_status(&root), status);
}

static void paused_job_begins_no_file_and_costs_no_turns(void **state) {
    (void)state;
    struct msg_grant g;
    order(MSG_job_pause, 0);
    assert_false(next(&nobody, &g));
    peer_end(&nobody);
    (void)supervisor_heard();
    m.rekeying.due = 0;
    turns(3);
    assert_int_equal(supervisor_heard().workers_wanted, 0);
    assert_int_equal(rekey_tick(&m), -1);
    nobody = peer_nobody();
    assert_false(next(&nobody, &g));
    order(MSG_job_resume, 0);
    turns(2);
    assert_int_equal(supervisor_heard().workers_wanted, 1);
    assert_true(next(&nobody, &g));
    secret_free(&g.key);
}

static void file_in_hand_ends_though_the_job_is_paused(void **state) {
    (void)state;
    struct hand h = take();
    order(MSG_job_pause, 0);
    end_request(&nobody, &h.grant, &h.deposit, REKEY_DONE);
    assert_int_equal(ask(&nobody)->type, MSG_done);
    assert_true(reads_with(h.new_key));
    assert_false(job_is_over());
    order(MSG_job_resume, 0);
    peer_end(&nobody);
    nobody = peer_nobody();
    assert_true(job_is_over());
    let_go(&h);
}

static void rate_puts_the_next_file_off(void **state) {
    (void)state;
    struct hand h = take();
    order(MSG_job_rate, 1); /* MiB in a second */
    end_request(&nobody, &h.grant, &h.deposit, REKEY_DONE);
    assert_int_equal(ask(&nobody)->type, MSG_done);
    peer_end(&nobody);
    nobody = peer_nobody();
    assert_in_range(rekey_tick(&m), 3000, PLAIN >> 10); /* five seconds from its beginning */
    assert_false(job_is_over());
    order(MSG_job_rate, 0);
    assert_true(job_is_over());
    let_go(&h);
}

/* Its key was made before the rotation began, and may be known to whom that is for. */
static void deposit_that_was_under_way_is_encrypted_anew_too(void **state) {
    (void)state;
    uint8_t late[ID_SIZE];
    struct peer depositor = peer_tls(SAN_OF("depositor"));
    struct hand h = take();
    end_request(&nobody, &h.grant, &h.deposit, REKEY_DONE);
    assert_int_equal(ask(&nobody)->type, MSG_done);
    peer_end(&nobody);
    nobody = peer_nobody();
    assert_true(job_is_over());
    struct deposit d = deposit_begin(&depositor, "S-1", "late");
    turns_for(2);
    rotate();
    deposit_announce(&depositor, &d, 100);
    page_request(&depositor, &d, 0);
    assert_int_equal(ask(&depositor)->type, MSG_done);
    commit_request(&depositor, &d, CONTENT);
    json_t *document = document_of(ask(&depositor));
    assert_true(hex_decode(late, ID_SIZE, json_string_value(json_object_get(document, "id"))));
    json_decref(document);
    peer_end(&depositor);
    struct msg_grant g;
    bool met = false;
    for (unsigned n = 0; n < 2 && next(&nobody, &g); n++) {
        met |= memcmp(g.file, late, ID_SIZE) == 0;
        secret_free(&g.key);
        struct deposit none = {.plain = 0};
        end_request(&nobody, &g, &none, REKEY_DAMAGED);
        assert_int_equal(ask(&nobody)->type, MSG_done);
    }
    assert_true(met);
    let_go(&h);
}

static void others_go_on_behind_it_and_its_end_is_no_failure(void **state) {
    (void)state;
    struct job_value first = {.total = 1, .paused = 1};
    struct hand h = take();
    assert_int_equal(batch_begin(&m), VAULT_OK);
    assert_int_equal(job_begin(&m, job_turn.what, &first), VAULT_OK); /* the queue stands before it */
    assert_int_equal(batch_finish(&m), VAULT_OK);
    end_request(&nobody, &h.grant, &h.deposit, REKEY_DONE);
    assert_int_equal(ask(&nobody)->type, MSG_done);
    peer_end(&nobody);
    nobody = peer_nobody();
    assert_true(job_is_over());
    rotate(); /* behind the paused one */
    peer_end(&nobody);
    nobody = peer_nobody();
    struct msg_grant g;
    assert_true(next(&nobody, &g));
    struct deposit none = {.plain = 0};
    end_request(&nobody, &g, &none, REKEY_DAMAGED);
    assert_int_equal(ask(&nobody)->type, MSG_done);
    secret_free(&g.key);
    peer_end(&nobody);
    nobody = peer_nobody();
    assert_true(job_is_over()); /* before the queue has come to it */
    order_of(MSG_job_pause, m.meta.jobs, 409);
    order_of(MSG_job_resume, first.number, 200);
    turns_for(60);
    assert_int_equal(m.meta.jobs_ended, m.meta.jobs);
    assert_int_equal(audit_count("job.failed", NULL), 0);
    let_go(&h);
}

static void sealing_is_no_try(void **state) {
    (void)state;
    struct msg_grant g;
    for (unsigned n = 0; n < 5; n++) {
        m.rekeying.due = 0;
        assert_true(next(&nobody, &g));
        secret_free(&g.key);
        request(&root, MSG_seal);
        send_now(&root);
        turns(2);
        peer_end(&nobody);
        supervisor_ends_sealed();
        turns(2);
        request(&root, MSG_unseal);
        send_now(&root);
        turns(2);
        supervisor_credential("root.key");
        turns(3);
        while (received(&root) != NULL)
            ;
        assert_int_equal(m.seal, SEAL_UNSEALED);
        nobody = peer_nobody();
    }
    assert_false(job_is_over());
}

static void job_is_shown_though_many_came_after_it(void **state) {
    (void)state;
    struct hand h = take();
    assert_int_equal(batch_begin(&m), VAULT_OK);
    for (unsigned n = 0; n < 60; n++) {
        struct job_value j = {.ended = 1};
        assert_int_equal(job_begin(&m, job_turn.what, &j), VAULT_OK);
    }
    m.meta.jobs_ended = m.meta.jobs;
    assert_int_equal(meta_store(&m), VAULT_OK);
    assert_int_equal(batch_finish(&m), VAULT_OK);
    request(&root, MSG_key_jobs);
    json_t *all = document_of(ask(&root));
    const json_t *jobs = json_object_get(all, "jobs");
    assert_int_equal(json_array_size(jobs), 51);
    const json_t *last = json_array_get(jobs, 50);
    assert_string_equal(json_string_value(json_object_get(last, "what")), "data");
    assert_string_equal(json_string_value(json_object_get(last, "state")), "running");
    json_decref(all);
    let_go(&h);
}

int main(void) {
#define REKEY(test) cmocka_unit_test_setup_teardown(test, rekey_set_up, rekey_tear_down)
    const struct CMUnitTest tests[] = {
        REKEY(worker_is_asked_for_and_the_file_gets_its_new_key),
        REKEY(other_content_is_not_taken),
        REKEY(only_who_has_no_client_may_ask),
        REKEY(who_has_no_client_may_ask_nothing_else),
        REKEY(one_worker_has_one_file),
        REKEY(deposit_of_a_client_is_no_new_content),
        REKEY(file_whose_workers_die_is_passed_over),
        REKEY(full_store_is_waited_for),
        REKEY(restart_begins_the_file_anew),
        REKEY(turn_of_the_subjects_key_meanwhile_takes_both),
        REKEY(content_that_is_read_stays_until_it_is_read),
        REKEY(waiting_for_a_worker_costs_no_turns),
        REKEY(paused_job_begins_no_file_and_costs_no_turns),
        REKEY(file_in_hand_ends_though_the_job_is_paused),
        REKEY(rate_puts_the_next_file_off),
        REKEY(deposit_that_was_under_way_is_encrypted_anew_too),
        REKEY(others_go_on_behind_it_and_its_end_is_no_failure),
        REKEY(sealing_is_no_try),
        REKEY(job_is_shown_though_many_came_after_it),
        REKEY(damage_that_it_meets_is_counted_like_a_readers),
        REKEY(new_content_has_no_failures_of_the_old),
    };
    log_start("test");
    if (secret_start() != VAULT_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
