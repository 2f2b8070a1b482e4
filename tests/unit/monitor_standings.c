/* What patients have said, in memory: it says what the index says, whatever happens in between. */
#include "monitor_rig.h"

#include <stdlib.h>
#include <unistd.h>

#include "vault/log.h"
#include "vault/result.h"
#include "vaultd/monitor/registers/standings.h"

enum { SUBJECTS = 120, PURPOSES = 4 };

static struct peer clinic, research, depositor;

static const char *numbered(unsigned n) {
    static char name[32];
    assert_true(format_string(name, sizeof(name), "T-%u", n));
    return name;
}

static void greet(void) {
    depositor = peer_tls(SAN_OF("depositor"));
    clinic = peer_tls(SAN_OF("clinic"));
    research = peer_tls(SAN_OF("research"));
}

static int set_up(void **state) {
    if (vault_set_up(state) != 0)
        return -1;
    greet();
    return 0;
}

static int tear_down(void **state) {
    struct peer *const all[] = {&clinic, &research, &depositor};
    for (size_t i = 0; i < 3; i++)
        if (all[i]->channel >= 0)
            close(all[i]->channel);
    return rig_tear_down(state);
}

static json_int_t told(const char *member) {
    json_t *json = standings_json(&m);
    json_int_t n = json_integer_value(json_object_get(json, member));
    json_decref(json);
    return n;
}

static bool is_whole(void) {
    json_t *json = standings_json(&m);
    bool whole = strcmp(json_string_value(json_object_get(json, "state")), "whole") == 0;
    json_decref(json);
    return whole;
}

/* ---- consents of every kind ---- */

/* Terms that a consent may list, some of which need facts that the vault does not have. */
static const uint32_t terms[] = {4, 6, 7, 11, 15, 16, 18, 21, 42, 44, 45, 46};

static void send_consent(const struct consent *c) {
    struct message *q = request(&root, MSG_consent_set);
    struct writer w = writer_of(q->consent_set.consent, sizeof(q->consent_set.consent));
    layout_encode(&layout_consent, c, &w);
    assert_false(w.bad);
    q->consent_set.consent_size = (uint32_t)w.used;
    assert_int_equal(ask_status(&root), 200);
}

static void say_something(const char *subject, unsigned seed) {
    struct consent c = {.treatment = seed % 2, .findings = (uint8_t)(seed % 3), .recontact = seed / 2 % 2};
    struct writer w = writer_of(c.research, sizeof(c.research));
    copy_string(c.subject, sizeof(c.subject), subject);
    copy_string(c.signed_on, sizeof(c.signed_on), "2026-11-22");
    copy_string(c.form, sizeof(c.form), "2.1");
    c.expires = seed % 5 == 0 ? 1000000000 + seed : seed % 5 == 1 ? 9000000000 + seed : 0;
    for (size_t i = 0; i < sizeof(terms) / sizeof(terms[0]); i++)
        if ((seed * 2654435761u >> (i + 8) & 7) == 0 || (terms[i] == 42 && seed % 4 < 2))
            write_u32(&w, terms[i]);
    c.research_size = (uint32_t)w.used;
    for (size_t i = 0; i < consent_terms(&c); i++)
        if (consent_term(&c, i) == 7)
            copy_string(c.diseases, sizeof(c.diseases),
                        seed % 3 == 0 ? "MONDO:0000001" : "MONDO:0000001,MONDO:0000002");
    send_consent(&c);
}

static struct purpose purpose_of(unsigned n) {
    struct purpose p = {.purpose = n == 0 ? PURPOSE_TREATMENT : PURPOSE_RESEARCH};
    if (n > 0) {
        copy_string(p.project, sizeof(p.project), "P1");
        copy_string(p.approval, sizeof(p.approval), "A1");
    }
    p.uses = n == 2 ? USE_BIT(37) : n == 3 ? USE_BIT(33) : 0;
    return p;
}

static bool are_equal(const struct decision *a, const struct decision *b) {
    bool equal = a->verdict == b->verdict && a->reason_count == b->reason_count;
    for (size_t i = 0; equal && i < a->reason_count; i++)
        equal = strcmp(a->reasons[i].rule, b->reasons[i].rule) == 0;
    return equal;
}

/* The same decision with all its reasons, for this subject and every purpose, by memory and by the index. */
static void expect_agreement(const char *subject) {
    static struct inquiry i, base;
    static struct consent room;
    static struct decision ours;
    uint8_t hash[HASH_SIZE];
    name_hash(&m, NAME_SUBJECT, subject, NULL, hash);
    for (unsigned n = 0; n < PURPOSES; n++) {
        struct purpose p = purpose_of(n);
        struct asker a = {.known = true, .roles = 1u << ROLE_READER, .purposes = 6, .name = "research"};
        struct inquiry_wanted wanted = {
            .asker = &a, .action = ACTION_LIST, .purpose = &p, .subject = subject, .subject_only = true};
        assert_int_equal(inquire(&m, &wanted, &i), VAULT_OK);
        wanted.subject = "";
        assert_int_equal(inquire(&m, &wanted, &base), VAULT_OK);
        assert_true(standings_ask(&m, hash, &base.question, &room));
        decide(&base.question, &ours);
        assert_true(are_equal(&ours, &i.decision));
    }
}

static void make_subjects(void) {
    for (unsigned n = 0; n < SUBJECTS; n++) {
        make_subject(numbered(n));
        if (n % 10 != 9)
            say_something(numbered(n), n);
    }
}

static void it_says_what_the_index_says(void **state) {
    (void)state;
    make_subjects();
    turns(3); /* what was changed is read again though nobody asks */
    assert_true(is_whole());
    assert_int_equal(told("subjects"), SUBJECTS + 1);
    for (unsigned n = 0; n < SUBJECTS; n++)
        expect_agreement(numbered(n));
    for (unsigned n = 0; n < SUBJECTS; n += 3) { /* what changes, changes here */
        say_something(numbered(n), n + 1000);
        expect_agreement(numbered(n));
    }
    rig_stop();
    assert_true(rig_start_unsealed());
    greet();
    turns(50);
    assert_true(is_whole());
    assert_int_equal(told("subjects"), SUBJECTS + 1);
    assert_int_equal(told("differing"), 0);
    for (unsigned n = 0; n < SUBJECTS; n++)
        expect_agreement(numbered(n));
}

static void opt_outs_and_withdrawals_count_at_once(void **state) {
    (void)state;
    make_subject("T-0");
    say_something("T-0", 4);
    expect_agreement("T-0");
    struct message *q = request(&root, MSG_subject_change);
    copy_string(q->subject_change.subject, sizeof(q->subject_change.subject), "T-0");
    q->subject_change.opt_out = 1;
    assert_int_equal(ask_status(&root), 200);
    expect_agreement("T-0");
    withdraw_request(&root, "T-0");
    assert_int_equal(ask_status(&root), 200);
    expect_agreement("T-0");
}

/* ---- lists ---- */

/* The names of the files on the first page of a list for research; *ret_more: there is another page. */
static size_t listed(struct peer *p, bool *ret_more) {
    struct message *q = request(p, MSG_file_list);
    q->file_list.purpose = PURPOSE_RESEARCH;
    copy_string(q->file_list.project, sizeof(q->file_list.project), "P1");
    copy_string(q->file_list.approval, sizeof(q->file_list.approval), "A1");
    struct message *answer = ask(p);
    assert_int_equal(status_of(answer), 200);
    json_t *json = document_of(answer);
    size_t n = json_array_size(json_object_get(json, "files"));
    *ret_more = !json_is_null(json_object_get(json, "next"));
    json_decref(json);
    return n;
}

/* Far more than a page decides one by one, and one page has what there is. */
static void a_list_passes_over_who_refuses(void **state) {
    enum { REFUSING = 260, PERMITTING = 4 };
    uint8_t id[ID_SIZE];
    bool more = true;
    (void)state;
    for (unsigned n = 0; n < REFUSING + PERMITTING; n++) {
        make_subject(numbered(n));
        set_consent(numbered(n), true, n < PERMITTING);
        deposit_file(&depositor, numbered(n), "a.cram", 100, 7, id);
    }
    assert_int_equal(listed(&research, &more), PERMITTING);
    assert_false(more);
    standings_forget(&m); /* without it the same files are found, but not so soon */
    assert_true(listed(&research, &more) <= PERMITTING);
    assert_true(more);
}

/* The end of a batch that is dropped takes with it what was read in it. */
static void a_dropped_batch_leaves_nothing(void **state) {
    static struct consent_value c;
    static struct question q;
    static struct consent room;
    uint8_t hash[HASH_SIZE];
    (void)state;
    make_subject("T-0");
    set_consent("T-0", true, true);
    assert_int_equal(find_consent(&m, "T-0", 1, &c), VAULT_OK);
    c.research_size = 0;
    name_hash(&m, NAME_SUBJECT, "T-0", NULL, hash);
    assert_int_equal(batch_begin(&m), VAULT_OK);
    assert_int_equal(consent_store(&m, &c), VAULT_OK);
    assert_true(standings_ask(&m, hash, &q, &room));
    assert_int_equal(consent_terms(&room), 0);
    batch_drop(&m, VAULT_E_IO);
    expect_agreement("T-0");
    assert_true(standings_ask(&m, hash, &q, &room));
    assert_int_equal(consent_terms(&room), 1);
}

/* ---- the comparison with the index ---- */

/* As if a change had been forgotten here. */
static void change_behind_its_back(const char *subject) {
    static struct consent_value c;
    static struct subject_value s;
    uint8_t key[HASH_SIZE + 4];
    assert_int_equal(find_subject(&m, subject, &s), VAULT_OK);
    assert_int_equal(find_consent(&m, subject, s.consent, &c), VAULT_OK);
    c.treatment = !c.treatment;
    name_hash(&m, NAME_SUBJECT, subject, NULL, key);
    put_be32(key + HASH_SIZE, c.version);
    assert_int_equal(batch_begin(&m), VAULT_OK);
    assert_int_equal(index_put_record(m.index, DB_CONSENTS, key, sizeof(key), &layout_consent_value, &c), VAULT_OK);
    assert_int_equal(batch_finish(&m), VAULT_OK);
}

static void a_difference_is_found_and_mended(void **state) {
    (void)state;
    make_subject("T-0");
    set_consent("T-0", true, true);
    expect_agreement("T-0");
    standings_check(&m);
    turns(20);
    assert_int_equal(told("differing"), 0);
    change_behind_its_back("T-0");
    standings_check(&m);
    turns(20);
    assert_int_equal(told("differing"), 1);
    expect_agreement("T-0");
}

static void nothing_is_kept_of_a_sealed_vault(void **state) {
    (void)state;
    assert_true(told("bytes") > 0);
    (void)request(&root, MSG_seal);
    send_now(&root);
    turns(5);
    supervisor_ends_sealed();
    turns(5);
    assert_null(m.standings);
    assert_int_equal(told("bytes"), 0);
}

/* More than it was made for. */
static void it_grows(void **state) {
    enum { MANY = 900 };
    (void)state;
    json_int_t before = told("bytes");
    for (unsigned n = 0; n < MANY; n++) {
        make_subject(numbered(n));
        expect_agreement(numbered(n));
    }
    assert_true(told("bytes") > before);
    for (unsigned n = 0; n < MANY; n++)
        expect_agreement(numbered(n));
}

#define VAULT(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        VAULT(it_says_what_the_index_says),
        VAULT(opt_outs_and_withdrawals_count_at_once),
        VAULT(a_list_passes_over_who_refuses),
        VAULT(a_dropped_batch_leaves_nothing),
        VAULT(a_difference_is_found_and_mended),
        VAULT(nothing_is_kept_of_a_sealed_vault),
        VAULT(it_grows),
    };
    log_start("test");
    if (secret_start() != VAULT_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
