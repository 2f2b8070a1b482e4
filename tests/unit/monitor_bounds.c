/* What one client can make the monitor hold, show or do is bounded. */
#include <stdlib.h>

#include "monitor_rig.h"
#include "vaultd/monitor/access/grants.h"
#include "vaultd/monitor/names.h"
#include "vault/log.h"
#include "vault/result.h"

static struct peer depositor, clinic;

static int set_up(void **state) {
    int result = vault_set_up(state);
    depositor = peer_tls(SAN_OF("depositor"));
    clinic = peer_tls(SAN_OF("clinic"));
    return result;
}

static void worker_with_too_many_uploads_is_429(void **state) {
    (void)state;
    for (unsigned n = 0; n < 4; n++)
        (void)deposit_begin(&depositor, "S-1", "genome.cram");
    create_request(&depositor, "S-1", "genome.cram");
    assert_int_equal(ask_status(&depositor), 429);
}

static void upload_that_ended_makes_room(void **state) {
    (void)state;
    for (unsigned n = 0; n < 12; n++) {
        struct deposit d = deposit_begin(&depositor, "S-1", "genome.cram");
        COPY_ARRAY(request(&depositor, MSG_upload_abort)->upload_abort.upload, d.id);
        assert_int_equal(ask(&depositor)->type, MSG_done);
    }
}

static void worker_with_too_many_grants_is_429(void **state) {
    uint8_t file[ID_SIZE];
    (void)state;
    deposit_file(&depositor, "S-1", "genome.cram", 100, 1, file);
    for (unsigned n = 0; n < 32; n++)
        (void)open_file(&clinic, file);
    open_request(&clinic, file, PURPOSE_TREATMENT);
    assert_int_equal(ask_status(&clinic), 429);
}

/* Names so long that a page of the list by count would not fit into one answer. */
static void make_long_list(unsigned files) {
    for (unsigned n = 0; n < files; n++) {
        char name[NAME_MAX_SIZE + 1];
        assert_true(format_string(name, sizeof(name), "%03u-%0123d", n, 0));
        struct message *r = create_request(&depositor, "S-1", name);
        assert_true(
            format_string(r->upload_create.tags, sizeof(r->upload_create.tags), "%064d,%064d,%064d,%064d", 1, 2, 3, 4));
        const struct message *answer = ask(&depositor);
        assert_int_equal(answer->type, MSG_upload);
        struct deposit d = {0};
        COPY_ARRAY(d.id, answer->upload.upload);
        commit_request(&depositor, &d, (uint8_t)n);
        assert_int_equal(ask_status(&depositor), 201);
    }
}

static size_t list_page(char cursor[257]) {
    struct message *r = request(&root, MSG_file_list);
    copy_string(r->file_list.subject, sizeof(r->file_list.subject), "S-1");
    copy_string(r->file_list.cursor, sizeof(r->file_list.cursor), cursor);
    const struct message *answer = ask(&root);
    assert_int_equal(status_of(answer), 200);
    json_t *page = document_of(answer);
    const char *next = json_string_value(json_object_get(page, "next"));
    size_t n = json_array_size(json_object_get(page, "files"));
    copy_string(cursor, 257, next == NULL ? "" : next);
    json_decref(page);
    return n;
}

static void list_that_is_longer_than_an_answer_goes_on(void **state) {
    char cursor[257] = "";
    size_t seen = 0;
    unsigned pages = 0;
    (void)state;
    make_long_list(120);
    do {
        seen += list_page(cursor);
        pages++;
    } while (cursor[0] != '\0' && pages < 20);
    assert_int_equal(seen, 120);
    assert_true(pages >= 2);
}

static void cursor_shows_no_key_and_cannot_be_made(void **state) {
    char cursor[257] = "";
    char subject[2 * HASH_SIZE + 1];
    uint8_t hash[HASH_SIZE];
    (void)state;
    make_long_list(120);
    (void)list_page(cursor);
    name_hash(&m, NAME_SUBJECT, "S-1", NULL, hash);
    hex_encode(subject, sizeof(subject), hash, HASH_SIZE);
    assert_null(strstr(cursor, subject));
    struct message *r = request(&root, MSG_file_list);
    copy_string(r->file_list.subject, sizeof(r->file_list.subject), "S-1");
    copy_string(r->file_list.cursor, sizeof(r->file_list.cursor), subject);
    assert_int_equal(ask_status(&root), 400);
}

static void list_as(struct peer *p, const char *subject, char text[512]) {
    struct message *r = request(p, MSG_file_list);
    copy_string(r->file_list.subject, sizeof(r->file_list.subject), subject);
    r->file_list.purpose = PURPOSE_TREATMENT;
    const struct message *answer = ask(p);
    assert_int_equal(status_of(answer), 200);
    copy_bytes(text, 511, answer->answer.json, answer->answer.json_size);
    text[answer->answer.json_size] = '\0';
}

static void refusing_subject_is_listed_as_none(void **state) {
    char refusing[512];
    char unknown[512];
    (void)state;
    for (unsigned n = 0; n < 210; n++) { /* more than one request looks at */
        char name[16];
        uint8_t file[ID_SIZE];
        assert_true(format_string(name, sizeof(name), "f%u", n));
        deposit_file(&depositor, "S-1", name, 100, 1, file);
    }
    set_consent("S-1", false, true);
    list_as(&clinic, "S-1", refusing);
    list_as(&clinic, "S-0", unknown);
    assert_string_equal(refusing, unknown);
}

static void claim_beyond_all_numbers_harms_only_its_own_request(void **state) {
    uint8_t file[ID_SIZE];
    (void)state;
    deposit_file(&depositor, "S-1", "genome.cram", 100, 1, file);
    struct deposit d = deposit_begin(&depositor, "S-1", "other.cram");
    struct message *commit = request(&depositor, MSG_upload_commit);
    COPY_ARRAY(commit->upload_commit.upload, d.id);
    commit->upload_commit.size = UINT64_MAX;
    assert_int_equal(ask_status(&depositor), 400);
    struct msg_grant grant = open_file(&clinic, file);
    struct message *close = request(&clinic, MSG_grant_close);
    COPY_ARRAY(close->grant_close.grant, grant.grant);
    close->grant_close.bytes = UINT64_MAX;
    assert_int_equal(ask(&clinic)->type, MSG_done);
    withdraw_request(&root, "S-1"); /* the vault goes on */
    assert_int_equal(ask_status(&root), 200);
}

#define BOUND(test) cmocka_unit_test_setup_teardown(test, set_up, rig_tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        BOUND(worker_with_too_many_uploads_is_429),
        BOUND(upload_that_ended_makes_room),
        BOUND(worker_with_too_many_grants_is_429),
        BOUND(list_that_is_longer_than_an_answer_goes_on),
        BOUND(cursor_shows_no_key_and_cannot_be_made),
        BOUND(refusing_subject_is_listed_as_none),
        BOUND(claim_beyond_all_numbers_harms_only_its_own_request),
    };
    log_start("test");
    if (secret_start() != VAULT_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
