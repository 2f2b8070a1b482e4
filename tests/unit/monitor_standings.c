/* What patients have said, in memory: it says what the index says, whatever happens in between. */
#include "monitor_rig.h"

#include <stdlib.h>
#include <unistd.h>

#include "vault/log.h"
#include "vault/result.h"
#include "vaultd/monitor/access/ask.h"
#include "vaultd/monitor/current.h"
#include "vaultd/monitor/lookup.h"
#include "vaultd/monitor/names.h"

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

/* By the index: as if nothing were in memory. */
static int inquire_anew(const struct inquiry_wanted *wanted, struct inquiry *ret) {
    struct standings *kept = m.standings;
    m.standings = NULL;
    int result = inquire(&m, wanted, ret);
    m.standings = kept;
    return result;
}

/* The same decision with all its reasons, for this subject and every purpose, by memory and by the index. */
static void expect_agreement(const char *subject) {
    static struct inquiry i, base;
    static struct standing s;
    static struct decision ours;
    uint8_t hash[HASH_SIZE];
    name_hash(&m, NAME_SUBJECT, subject, NULL, hash);
    for (unsigned n = 0; n < PURPOSES; n++) {
        struct purpose p = purpose_of(n);
        struct asker a = {.known = true, .roles = 1u << ROLE_READER, .purposes = 6, .name = "research"};
        struct inquiry_wanted wanted = {
            .asker = &a, .action = ACTION_LIST, .purpose = &p, .subject = subject, .subject_only = true};
        assert_int_equal(inquire_anew(&wanted, &i), VAULT_OK);
        wanted.subject = "";
        assert_int_equal(inquire(&m, &wanted, &base), VAULT_OK);
        assert_true(standings_at(&m, hash, &s));
        standing_tell(&s, &base.question);
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

static unsigned pages_of(struct peer *p, const char *subject, uint8_t purpose, const char *cursor, char next[400],
                         size_t *ret_files) {
    struct message *q = request(p, MSG_file_list);
    q->file_list.purpose = purpose;
    copy_string(q->file_list.subject, sizeof(q->file_list.subject), subject);
    copy_string(q->file_list.cursor, sizeof(q->file_list.cursor), cursor);
    if (purpose == PURPOSE_RESEARCH) {
        copy_string(q->file_list.project, sizeof(q->file_list.project), "P1");
        copy_string(q->file_list.approval, sizeof(q->file_list.approval), "A1");
    }
    struct message *answer = ask(p);
    unsigned status = status_of(answer);
    if (status != 200)
        return status;
    json_t *json = document_of(answer);
    const char *text = json_string_value(json_object_get(json, "next"));
    copy_string(next, 400, text == NULL ? "" : text);
    *ret_files = json_array_size(json_object_get(json, "files"));
    json_decref(json);
    return status;
}

/* Whoever brings it: a cursor goes on in the walk that gave it, and in no other. */
static void cursors_are_of_their_lists(void **state) {
    char by_patient[400], of_one[400], by_file[400], next[400];
    uint8_t id[ID_SIZE];
    size_t files = 0;
    (void)state;
    for (unsigned n = 0; n < 101; n++) {
        make_subject(numbered(n));
        set_consent(numbered(n), true, true);
        deposit_file(&depositor, numbered(n), "a.cram", 100, 7, id);
    }
    for (unsigned n = 0; n < 101; n++) {
        char name[32];
        assert_true(format_string(name, sizeof(name), "%u.cram", n));
        deposit_file(&depositor, "S-1", name, 100, 7, id);
    }
    assert_int_equal(pages_of(&research, "", PURPOSE_RESEARCH, "", by_patient, &files), 200);
    assert_int_equal(files, 100);
    assert_int_equal(pages_of(&research, "S-1", PURPOSE_RESEARCH, "", of_one, &files), 200);
    assert_int_equal(pages_of(&root, "", PURPOSE_NONE, "", by_file, &files), 200);
    const struct {
        struct peer *peer;
        const char *subject, *cursor;
        uint8_t purpose;
        unsigned status;
    } asked[] = {
        {&research, "", by_patient, PURPOSE_RESEARCH, 200},
        {&research, "", of_one, PURPOSE_RESEARCH, 400},
        {&research, "", by_file, PURPOSE_RESEARCH, 200}, /* as such a list goes on while names move */
        {&research, "S-1", of_one, PURPOSE_RESEARCH, 200},
        {&research, "S-1", by_patient, PURPOSE_RESEARCH, 400},
        {&research, "S-1", by_file, PURPOSE_RESEARCH, 400},
        {&root, "", by_patient, PURPOSE_NONE, 400},
        {&root, "", of_one, PURPOSE_NONE, 400},
        {&root, "", by_file, PURPOSE_NONE, 200},
        {&root, "S-1", of_one, PURPOSE_NONE, 200},
        {&root, "S-1", by_patient, PURPOSE_NONE, 400},
    };
    for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++)
        assert_int_equal(pages_of(asked[i].peer, asked[i].subject, asked[i].purpose, asked[i].cursor, next, &files),
                         asked[i].status);
}

/* Somebody who refuses, somebody whom no rule permits anything of, and nobody: all the same, at once. */
static void refusing_is_like_not_being_there(void **state) {
    enum { FILES = 205 };
    char next[400];
    uint8_t id[ID_SIZE];
    size_t files = 1;
    (void)state;
    make_subject("T-0");
    set_consent("T-0", false, true); /* the rule below needs both */
    for (unsigned n = 0; n < FILES; n++) {
        char name[32];
        assert_true(format_string(name, sizeof(name), "%u.cram", n));
        deposit_file(&depositor, "T-0", name, 100, 7, id);
    }
    m.policy.count = 0;
    m.policy.rules[m.policy.count++] =
        (struct policy_rule){.id = "both",
                             .text = "Both.",
                             .effect = EFFECT_PERMIT,
                             .actions = 1u << ACTION_LIST,
                             .purposes = 1u << PURPOSE_RESEARCH,
                             .conditions = 1u << CONDITION_CONSENT_RESEARCH | 1u << CONDITION_CONSENT_TREATMENT};
    static const char *const subjects[] = {"T-0", "nobody"};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(pages_of(&research, subjects[i], PURPOSE_RESEARCH, "", next, &files), 200);
        assert_int_equal(files, 0);
        assert_string_equal(next, "");
    }
}

/* The approval covers one dataset, and a rule forbids what no approval covers: files of the dataset are listed. */
static void what_depends_on_the_dataset_is_left_to_each_file(void **state) {
    char next[400];
    uint8_t id[ID_SIZE];
    size_t files = 0;
    (void)state;
    struct message *q = create_request(&depositor, "S-1", "in.cram");
    copy_string(q->upload_create.dataset, sizeof(q->upload_create.dataset), "D1");
    struct deposit d = {0};
    struct message *answer = ask(&depositor);
    COPY_ARRAY(d.id, answer->upload.upload);
    deposit_announce(&depositor, &d, 100);
    page_request(&depositor, &d, 0);
    assert_int_equal(ask(&depositor)->type, MSG_done);
    commit_request(&depositor, &d, 7);
    assert_int_equal(ask_status(&depositor), 201);
    deposit_file(&depositor, "S-1", "out.cram", 100, 7, id);
    static struct ethics_value e;
    assert_int_equal(batch_begin(&m), VAULT_OK);
    assert_int_equal(find_ethics(&m, "A1", &e), VAULT_OK);
    copy_string(e.datasets, sizeof(e.datasets), "D1");
    assert_int_equal(ethics_make_current(&m, &e), VAULT_OK);
    assert_int_equal(batch_finish(&m), VAULT_OK);
    m.policy.rules[m.policy.count++] = (struct policy_rule){.id = "approved-only",
                                                            .text = "None without.",
                                                            .effect = EFFECT_FORBID,
                                                            .actions = 1u << ACTION_LIST,
                                                            .purposes = 1u << PURPOSE_RESEARCH,
                                                            .conditions = 1u << CONDITION_NO_APPROVAL};
    static const char *const subjects[] = {"", "S-1"};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(pages_of(&research, subjects[i], PURPOSE_RESEARCH, "", next, &files), 200);
        assert_int_equal(files, 1);
    }
}

/* What a subject's list lacks is told, and not left out. */
static void a_mark_that_is_gone_is_damage(void **state) {
    char next[400];
    uint8_t id[ID_SIZE], key[HASH_SIZE + ID_SIZE];
    size_t files = 0;
    (void)state;
    deposit_file(&depositor, "S-1", "a.cram", 100, 7, id);
    assert_int_equal(pages_of(&research, "", PURPOSE_RESEARCH, "", next, &files), 200);
    name_hash(&m, NAME_SUBJECT, "S-1", NULL, key);
    copy_bytes(key + HASH_SIZE, ID_SIZE, id, ID_SIZE);
    assert_int_equal(batch_begin(&m), VAULT_OK);
    assert_int_equal(index_delete(m.index, DB_SUBJECT_FILES, key, sizeof(key)), VAULT_OK);
    assert_int_equal(batch_finish(&m), VAULT_OK);
    assert_int_equal(pages_of(&research, "", PURPOSE_RESEARCH, "", next, &files), 500);
    assert_int_equal(pages_of(&research, "S-1", PURPOSE_RESEARCH, "", next, &files), 500);
}

/* An entry that none of ours could be: the walk ends there, and goes round in no circle. */
static void a_foreign_entry_ends_the_list(void **state) {
    static struct subject_value s;
    char next[400];
    uint8_t key[HASH_SIZE + 1] = {0};
    size_t files = 0;
    (void)state;
    assert_int_equal(find_subject(&m, "S-1", &s), VAULT_OK);
    name_hash(&m, NAME_SUBJECT, "S-1", NULL, key);
    assert_int_equal(batch_begin(&m), VAULT_OK);
    assert_int_equal(index_put_record(m.index, DB_SUBJECTS, key, sizeof(key), &layout_subject_value, &s), VAULT_OK);
    assert_int_equal(batch_finish(&m), VAULT_OK);
    assert_int_equal(pages_of(&research, "", PURPOSE_RESEARCH, "", next, &files), 500);
}

/* The end of a batch that is dropped takes with it what was read in it. */
static void a_dropped_batch_leaves_nothing(void **state) {
    static struct consent_value c;
    static struct standing s;
    uint8_t hash[HASH_SIZE];
    (void)state;
    make_subject("T-0");
    set_consent("T-0", true, true);
    assert_int_equal(find_consent(&m, "T-0", 1, &c), VAULT_OK);
    c.research_size = 0;
    name_hash(&m, NAME_SUBJECT, "T-0", NULL, hash);
    assert_int_equal(batch_begin(&m), VAULT_OK);
    assert_int_equal(consent_store(&m, &c), VAULT_OK);
    assert_true(standings_at(&m, hash, &s));
    assert_int_equal(consent_terms(&s.consent), 0);
    batch_drop(&m, VAULT_E_IO);
    expect_agreement("T-0");
    assert_true(standings_at(&m, hash, &s));
    assert_int_equal(consent_terms(&s.consent), 1);
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
    assert_false(is_whole());
    turns(20);
    assert_true(is_whole());
    assert_int_equal(told("differing"), 0);
    change_behind_its_back("T-0");
    standings_check(&m);
    turns(20);
    assert_int_equal(told("differing"), 1);
    expect_agreement("T-0");
}

/* ---- what leaves the vault ---- */

static unsigned opened(struct peer *p, const char *subject, uint8_t action) {
    static const uint8_t by_name[ID_SIZE];
    struct message *q = open_request(p, by_name, PURPOSE_TREATMENT);
    q->open.action = action;
    copy_string(q->open.subject, sizeof(q->open.subject), subject);
    copy_string(q->open.name, sizeof(q->open.name), "a.cram");
    struct message *answer = ask(p);
    return answer->type == MSG_grant ? 200 : status_of(answer);
}

static unsigned shown(struct peer *p, const char *subject) {
    struct message *q = request(p, MSG_file_show);
    q->file_show.purpose = PURPOSE_TREATMENT;
    copy_string(q->file_show.subject, sizeof(q->file_show.subject), subject);
    copy_string(q->file_show.name, sizeof(q->file_show.name), "a.cram");
    return ask_status(p);
}

static unsigned listed_of(struct peer *p, const char *subject) {
    char next[400];
    size_t files = 0;
    unsigned status = pages_of(p, subject, PURPOSE_TREATMENT, "", next, &files);
    return status != 200 ? status : files > 0 ? 200 : 404;
}

static unsigned opens(const char *subject) {
    return opened(&clinic, subject, OPEN_READ);
}

static unsigned asks_for_size(const char *subject) {
    return opened(&clinic, subject, OPEN_HEAD);
}

static unsigned shows(const char *subject) {
    return shown(&clinic, subject);
}

static unsigned lists(const char *subject) {
    return listed_of(&clinic, subject);
}

/* The table believes that the patient permits treatment: it is told by the index, once, and then they agree. */
static void a_wrong_entry_gives_nothing_out(void **state) {
    static unsigned (*const ways[])(const char *) = {opens, asks_for_size, shows, lists};
    uint8_t id[ID_SIZE];
    (void)state;
    for (unsigned n = 0; n < sizeof(ways) / sizeof(ways[0]); n++) {
        const char *subject = numbered(n);
        make_subject(subject);
        set_consent(subject, true, true);
        deposit_file(&depositor, subject, "a.cram", 100, 7, id);
        assert_int_equal(ways[n](subject), 200);
        change_behind_its_back(subject);
        assert_int_equal(ways[n](subject), 500);
        assert_int_equal(told("differing"), n + 1);
        unsigned status = ways[n](subject);
        assert_true(status == 403 || status == 404);
    }
}

/* Nor is anything put in: whose subject is gone from the index has none. */
static void a_subject_that_is_gone_takes_no_file(void **state) {
    uint8_t key[HASH_SIZE];
    (void)state;
    make_subject("T-0");
    expect_agreement("T-0");
    name_hash(&m, NAME_SUBJECT, "T-0", NULL, key);
    assert_int_equal(batch_begin(&m), VAULT_OK);
    assert_int_equal(index_delete(m.index, DB_SUBJECTS, key, HASH_SIZE), VAULT_OK);
    assert_int_equal(batch_finish(&m), VAULT_OK);
    (void)create_request(&depositor, "T-0", "a.cram");
    assert_int_equal(ask_status(&depositor), 500);
}

/* No value of the subject counts any more, and so nothing that is in memory of it. */
static void who_is_disowned_is_forgotten(void **state) {
    static struct standing s;
    (void)state;
    make_subject("T-0");
    expect_agreement("T-0");
    assert_int_equal(batch_begin(&m), VAULT_OK);
    assert_int_equal(subject_disown(&m, "T-0"), VAULT_OK);
    assert_int_equal(standings_find(&m, "T-0", &s), VAULT_E_DAMAGED);
    assert_int_equal(batch_finish(&m), VAULT_OK);
    assert_int_equal(standings_find(&m, "T-0", &s), VAULT_E_DAMAGED);
}

static void names_that_nobody_has_take_no_room(void **state) {
    static struct standing s;
    char name[32];
    (void)state;
    json_int_t before = told("bytes");
    for (unsigned n = 0; n < 6000; n++) {
        assert_true(format_string(name, sizeof(name), "nobody-%u", n));
        assert_int_equal(standings_find(&m, name, &s), VAULT_NOT_FOUND);
    }
    assert_int_equal(told("bytes"), before);
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

/* However many changes come meanwhile. */
static void it_is_filled_while_others_write(void **state) {
    (void)state;
    make_subjects();
    rig_stop();
    assert_true(rig_start_unsealed());
    greet();
    for (unsigned n = 0; n < 40 && told("subjects") <= SUBJECTS; n++)
        say_something("S-1", n);
    assert_int_equal(told("subjects"), SUBJECTS + 1);
}

/* What is gone makes room for what comes. */
static void it_does_not_grow_by_what_is_gone(void **state) {
    static struct standing s;
    uint8_t hash[HASH_SIZE] = {0};
    (void)state;
    json_int_t before = told("bytes");
    for (uint32_t n = 0; n < 6000; n++) {
        put_be32(hash, n * 2654435761u);
        put_be32(hash + 4, n);
        assert_false(standings_at(&m, hash, &s));
    }
    assert_int_equal(told("bytes"), before);
    expect_agreement("S-1");
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
        VAULT(it_is_filled_while_others_write),
        VAULT(it_does_not_grow_by_what_is_gone),
        VAULT(cursors_are_of_their_lists),
        VAULT(refusing_is_like_not_being_there),
        VAULT(what_depends_on_the_dataset_is_left_to_each_file),
        VAULT(a_mark_that_is_gone_is_damage),
        VAULT(a_foreign_entry_ends_the_list),
        VAULT(it_grows),
        VAULT(a_wrong_entry_gives_nothing_out),
        VAULT(a_subject_that_is_gone_takes_no_file),
        VAULT(who_is_disowned_is_forgotten),
        VAULT(names_that_nobody_has_take_no_room),
    };
    log_start("test");
    if (secret_start() != VAULT_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
