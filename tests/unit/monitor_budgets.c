/* Budgets in the monitor: what is counted, when, and what becomes of it when a period, a batch or a worker ends. */
#include "monitor_rig.h"

#include <signal.h>
#include <sodium.h>
#include <unistd.h>

#include "vault/log.h"
#include "vault/result.h"
#include "vaultd/monitor/access/budgets.h"
#include "vaultd/monitor/access/grants.h"
#include "vaultd/monitor/log/log.h"

enum { MEGABYTE = 1 << 20, DAY = 86400, SUBJECTS = 3, PAGE = PAGE_CHUNKS * CHUNK_PLAIN };

static struct peer research, clinic, depositor;
static uint8_t files[SUBJECTS][ID_SIZE], large[ID_SIZE]; /* the large one has three pages, the last of 5 MB */

static void deposit_large(void) {
    struct deposit d = deposit_begin(&depositor, "S-1", "large.cram");
    for (uint32_t page = 0; page < 3; page++) {
        deposit_announce(&depositor, &d, page < 2 ? PAGE : 5 * MEGABYTE);
        page_request(&depositor, &d, page);
        assert_int_equal(ask(&depositor)->type, MSG_done);
    }
    d.plain = 2 * (uint64_t)PAGE + 5 * MEGABYTE;
    commit_request(&depositor, &d, 9);
    struct message *answer = ask(&depositor);
    assert_int_equal(status_of(answer), 201);
    json_t *file = document_of(answer);
    assert_true(hex_decode(large, ID_SIZE, json_string_value(json_object_get(file, "id"))));
    json_decref(file);
}

static int budgets_set_up(void **state) {
    static const char *const subjects[SUBJECTS] = {"S-1", "S-2", "S-3"};
    vault_set_up(state);
    depositor = peer_tls(SAN_OF("depositor"));
    for (unsigned n = 0; n < SUBJECTS; n++) {
        if (n > 0)
            make_subject(subjects[n]);
        if (n > 0)
            set_consent(subjects[n], true, true);
        deposit_file(&depositor, subjects[n], "genome.cram", 5 * MEGABYTE, (uint8_t)(n + 1), files[n]);
    }
    deposit_large();
    research = peer_tls(SAN_OF("research"));
    clinic = peer_tls(SAN_OF("clinic"));
    return 0;
}

static int budgets_tear_down(void **state) {
    close(research.channel);
    close(clinic.channel);
    close(depositor.channel);
    return rig_tear_down(state);
}

/* As in a policy that is loaded. */
static struct policy_budget *set_budget(unsigned purpose, unsigned per, unsigned period) {
    m.policy.budget_count = 1;
    m.policy.budgets[0] = (struct policy_budget){.id = "budget",
                                                 .text = "A budget.",
                                                 .purpose = (uint8_t)purpose,
                                                 .per = (uint8_t)per,
                                                 .period = (uint8_t)period};
    return &m.policy.budgets[0];
}

static unsigned open_status(unsigned subject) {
    open_request(&research, files[subject], PURPOSE_RESEARCH);
    struct message *answer = ask(&research);
    return answer->type == MSG_grant ? 0 : status_of(answer);
}

static struct use used(void) {
    struct use use[PER_COUNT][PERIOD_COUNT] = {0};
    struct purpose p = {.purpose = PURPOSE_RESEARCH, .project = "P1", .approval = "A1"};
    struct spender s = {.purpose = &p, .service = "research"};
    struct one_more none = {.counted = true};
    assert_int_equal(budgets_use(&m, &m.policy, &s, &none, use), VAULT_OK);
    index_end_reads(m.index);
    const struct policy_budget *b = &m.policy.budgets[0];
    return use[b->per][b->period];
}

static void assert_used(uint64_t bytes, uint64_t number) {
    struct use u = used();
    assert_int_equal(u.bytes, bytes);
    assert_int_equal(u.files, number);
    assert_int_equal(u.subjects, number);
}

static uint64_t entries(enum index_db db) {
    uint64_t n = 0;
    assert_int_equal(index_count(m.index, db, &n), VAULT_OK);
    index_end_reads(m.index);
    return n;
}

/* The first byte of it. */
static void open_large(void) {
    open_request(&research, large, PURPOSE_RESEARCH)->open.extent = EXTENT_SPAN;
    assert_int_equal(ask(&research)->type, MSG_grant);
}

static struct message *page_of(const uint8_t grant[ID_SIZE], uint32_t page) {
    struct message *q = request(&research, MSG_page_get);
    COPY_ARRAY(q->page_get.grant, grant);
    q->page_get.page = page;
    return q;
}

static void take_page(uint32_t page) {
    page_of(m.grants->id, page);
    assert_int_equal(ask(&research)->type, MSG_page);
}

static void read_that_ends_is_counted_by_its_pages(void **state) {
    (void)state;
    set_budget(PURPOSE_RESEARCH, PER_PROJECT, PERIOD_EVER)->bytes = BUDGET_MOST;
    assert_used(0, 0);
    open_large();
    assert_used(PAGE, 1); /* what it may come to */
    for (unsigned n = 0; n < 3; n++)
        take_page(0);
    assert_used(PAGE, 1); /* once: a page again gives nothing new */
    take_page(2);
    assert_used(PAGE + 5 * MEGABYTE, 1);
    struct message *q = request(&research, MSG_grant_close);
    COPY_ARRAY(q->grant_close.grant, m.grants->id);
    q->grant_close.bytes = 17; /* its worker's word */
    assert_int_equal(ask(&research)->type, MSG_done);
    assert_used(PAGE + 5 * MEGABYTE, 1);
    assert_int_equal(open_status(1), 0);
    assert_used(PAGE + 10 * MEGABYTE, 2);
    peer_end(&research);
    turn();
    assert_used(PAGE + 5 * MEGABYTE, 2); /* nothing was handed out */
    research = peer_tls(SAN_OF("research"));
}

static void worker_that_takes_more_than_was_decided_is_ended(void **state) {
    (void)state;
    set_budget(PURPOSE_RESEARCH, PER_PROJECT, PERIOD_EVER)->bytes = PAGE + 4 * MEGABYTE;
    open_large();
    uint8_t grant[ID_SIZE];
    COPY_ARRAY(grant, m.grants->id);
    take_page(0);
    page_of(grant, 2);
    send_now(&research);
    turn();
    struct message *told = received(&research);
    assert_int_equal(told->type, MSG_revoke);
    told = received(&research);
    assert_int_equal(status_of(told), 403);
    assert_used(PAGE, 1);
    page_of(grant, 0);
    assert_int_equal(ask_status(&research), 403);
    turns_for(40);
    assert_int_equal(supervisor_heard().killed, 1);
    assert_int_equal(audit_count("\"read.close\"", "\"revoked\"", "more was asked for", NULL), 1);
}

/* Its end cannot be recorded; it gets nothing for that. */
static void page_that_is_denied_is_not_given_because_the_denial_is_lost(void **state) {
    (void)state;
    struct policy with = m.policy;
    set_budget(PURPOSE_RESEARCH, PER_PROJECT, PERIOD_EVER)->bytes = PAGE + 4 * MEGABYTE;
    with.budget_count = 1;
    with.budgets[0] = m.policy.budgets[0];
    open_large();
    uint8_t grant[ID_SIZE];
    COPY_ARRAY(grant, m.grants->id);
    take_page(0);
    for (unsigned n = 0; n < 3; n++) {
        page_of(grant, 1 + n % 2);
        send_now(&research);
        turn_without_writing();
        m.policy = with; /* the one of the index was read again */
        assert_int_equal(status_of(received(&research)), 503);
        assert_int_equal(m.grants->state, GRANT_LIVE);
        assert_used(PAGE, 1);
    }
    m.space.state = SPACE_NONE; /* as the look at the disk finds it: nothing is tried any more */
    m.space.size = 0;
    page_of(grant, 1);
    assert_int_equal(ask_status(&research), 503);
    assert_int_equal(m.grants->state, GRANT_LIVE);
    m.space.state = SPACE_ENOUGH;
    take_page(0); /* what was permitted is */
}

/* In one batch. */
static void two_that_ask_at_once_share_what_is_left(void **state) {
    (void)state;
    struct peer other = peer_tls(SAN_OF("research"));
    set_budget(PURPOSE_RESEARCH, PER_PROJECT, PERIOD_EVER)->subjects = 1;
    open_request(&research, files[0], PURPOSE_RESEARCH);
    send_now(&research);
    open_request(&other, files[1], PURPOSE_RESEARCH);
    send_now(&other);
    turn();
    struct message *answer = received(&research);
    unsigned first = answer->type == MSG_grant ? 0 : status_of(answer);
    answer = received(&other);
    unsigned second = answer->type == MSG_grant ? 0 : status_of(answer);
    assert_int_equal(first + second, 429);
    assert_used(5 * MEGABYTE, 1);
    peer_end(&other);
}

static void batch_that_fails_counts_nothing(void **state) {
    (void)state;
    struct policy with = m.policy;
    set_budget(PURPOSE_RESEARCH, PER_PROJECT, PERIOD_EVER)->subjects = 1;
    with.budget_count = 1;
    with.budgets[0] = m.policy.budgets[0];
    open_request(&research, files[0], PURPOSE_RESEARCH);
    send_now(&research);
    turn_without_writing();
    assert_int_equal(status_of(received(&research)), 503);
    m.policy = with; /* the one of the index was read again */
    assert_used(0, 0);
    assert_int_equal(open_status(1), 0);
    assert_int_equal(open_status(0), 429);
}

/* As many files, and subjects, that nobody has. */
static void count_many(unsigned many) {
    struct purpose p = {.purpose = PURPOSE_RESEARCH, .project = "P1"};
    struct spender s = {.purpose = &p, .service = "research"};
    assert_int_equal(batch_begin(&m), VAULT_OK);
    for (unsigned n = 0; n < many; n++) {
        uint8_t what[2][ID_SIZE];
        randombytes_buf(what, sizeof(what));
        assert_int_equal(budgets_count(&m, &s, what[0], what[1]), VAULT_OK);
    }
    turn();
}

static void period_that_is_over_begins_anew_and_is_removed(void **state) {
    (void)state;
    for (unsigned period = 0; period < PERIOD_COUNT; period++) {
        static const unsigned days[] = {1, 31, 366, 5000};
        set_budget(PURPOSE_RESEARCH, PER_SERVICE, period)->subjects = 2;
        assert_int_equal(open_status(0), 0);
        assert_int_equal(open_status(1), 0);
        assert_int_equal(open_status(2), 429);
        assert_int_equal(entries(DB_BUDGETS), 1);
        assert_int_equal(entries(DB_BUDGET_MARKS), 4);
        count_many(100);
        m.last_time = monitor_time(&m) + (uint64_t)days[period] * DAY * 1000000;
        turns(20);
        bool over = period != PERIOD_EVER;
        assert_int_equal(entries(DB_BUDGETS), over ? 0 : 1);
        assert_int_equal(entries(DB_BUDGET_MARKS), over ? 0 : 204);
        assert_int_equal(open_status(2), over ? 0 : 429);
        peer_end(&research);
        research = peer_tls(SAN_OF("research"));
        m.last_time += (uint64_t)days[period] * DAY * 1000000;
        turns(8);
    }
}

/* Seconds before midnight; in the new day nothing of it is counted but what is still open. */
static void read_over_midnight_is_counted_where_it_ends(void **state) {
    (void)state;
    set_budget(PURPOSE_RESEARCH, PER_PROJECT, PERIOD_DAY)->bytes = 5 * MEGABYTE;
    m.last_time = (monitor_time(&m) / 1000000 / DAY + 1) * DAY * 1000000 - 1;
    assert_int_equal(open_status(0), 0);
    take_page(0);
    m.last_time++;
    turns(8);
    assert_int_equal(open_status(1), 429);
    peer_end(&research);
    turn();
    assert_int_equal(used().bytes, 5 * MEGABYTE);
    research = peer_tls(SAN_OF("research"));
}

/* What others read in the new day does not cut it. */
static void read_over_midnight_is_no_second_patient(void **state) {
    (void)state;
    struct peer other = peer_tls(SAN_OF("research"));
    set_budget(PURPOSE_RESEARCH, PER_PROJECT, PERIOD_DAY)->subjects = 1;
    m.last_time = (monitor_time(&m) / 1000000 / DAY + 1) * DAY * 1000000 - 1;
    assert_int_equal(open_status(0), 0);
    m.last_time++;
    open_request(&other, files[1], PURPOSE_RESEARCH);
    assert_int_equal(ask(&other)->type, MSG_grant);
    turns_for(1200); /* both are decided again */
    assert_null(received(&research));
    assert_null(received(&other));
    assert_int_equal(open_status(2), 429);
    peer_end(&other);
}

/* It tells that all else permits: of each patient there is a record. */
static void denials_by_a_budget_are_not_summed_up(void **state) {
    (void)state;
    set_budget(PURPOSE_RESEARCH, PER_PROJECT, PERIOD_EVER)->subjects = 1;
    m.setup.denial_limit = 1;
    assert_int_equal(open_status(0), 0);
    for (unsigned n = 0; n < 4; n++)
        assert_int_equal(open_status(1 + n % 2), 429);
    assert_int_equal(audit_count("\"event\":\"read\"", "\"denied\"", "\"budget\"", NULL), 4);
}

/* Counted by another kind of budget until then: a number that no record could hold would spoil the log. */
static void count_stays_a_number_of_the_audit(void **state) {
    (void)state;
    set_budget(PURPOSE_RESEARCH, PER_PROJECT, PERIOD_EVER)->subjects = 3;
    assert_int_equal(open_status(0), 0);
    struct purpose p = {.purpose = PURPOSE_RESEARCH, .project = "P1"};
    struct spender s = {.purpose = &p, .service = "research"};
    for (unsigned n = 0; n < 3; n++) {
        assert_int_equal(batch_begin(&m), VAULT_OK);
        assert_int_equal(budgets_spend(&m, &s, UINT64_MAX / 2), VAULT_OK);
        turn();
    }
    assert_int_equal(used().bytes, (UINT64_C(1) << 53) - 1);
    assert_int_equal(open_status(1), 0);
    assert_int_equal(audit_count("\"use\"", "\"bytes\":9007199254740991", NULL), 1);
    m.policy.budgets[0].bytes = BUDGET_MOST; /* the widest is spent, too */
    assert_int_equal(open_status(2), 429);
}

static void sums_of_open_reads_follow_them(void **state) {
    (void)state;
    set_budget(PURPOSE_RESEARCH, PER_SERVICE, PERIOD_EVER)->bytes = BUDGET_MOST;
    assert_null(m.budgets.open);
    for (unsigned round = 0; round < 2; round++) {
        assert_int_equal(open_status(0), 0);
        assert_int_equal(open_status(1 + round), 0);
        (void)open_file(&clinic, files[0]);
        assert_int_equal(used().bytes, 10 * MEGABYTE);
        withdraw_request(&root, round == 0 ? "S-2" : "S-3");
        send_now(&root);
        turn();
        assert_int_equal(used().bytes, 5 * MEGABYTE); /* ended, and handed out nothing */
        peer_end(&research);
        peer_end(&clinic);
        turns(4);
        (void)received(&root);
        assert_null(m.grants);
        assert_null(m.budgets.open);
        research = peer_tls(SAN_OF("research"));
        clinic = peer_tls(SAN_OF("clinic"));
    }
}

static void expected_bytes_are_those_of_whole_pages(void **state) {
    (void)state;
    const uint64_t page = (uint64_t)PAGE_CHUNKS * CHUNK_PLAIN;
    const struct {
        uint64_t size;
        struct extent extent;
        uint64_t expected;
    } cases[] = {
        {0, {EXTENT_ALL, 0, 0}, 0},
        {5, {EXTENT_ALL, 0, 0}, 5},
        {5, {EXTENT_SPAN, 0, 0}, 5},
        {5, {EXTENT_SPAN, 5, 9}, 0},
        {5, {EXTENT_LAST, 0, 1}, 5},
        {5, {EXTENT_LAST, 0, 9}, 5},
        {5, {EXTENT_LAST, 0, 0}, 0},
        {3 * page, {EXTENT_ALL, 0, 0}, 3 * page},
        {3 * page, {EXTENT_SPAN, 0, page - 1}, page},
        {3 * page, {EXTENT_SPAN, page - 1, page}, 2 * page},
        {3 * page, {EXTENT_SPAN, page, page}, page},
        {3 * page, {EXTENT_SPAN, page, INT64_MAX}, 2 * page},
        {3 * page + 1, {EXTENT_SPAN, 3 * page, UINT64_MAX}, 1},
        {3 * page + 1, {EXTENT_LAST, 0, 1}, 1},
        {3 * page + 1, {EXTENT_LAST, 0, 2}, page + 1},
        {UINT64_MAX, {EXTENT_SPAN, UINT64_MAX - 1, UINT64_MAX}, UINT64_MAX - UINT64_MAX / page * page},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (bytes_expected(cases[i].size, &cases[i].extent) != cases[i].expected)
            fail_msg("case %zu: %llu", i, (unsigned long long)bytes_expected(cases[i].size, &cases[i].extent));
}

#define BUDGET(test) cmocka_unit_test_setup_teardown(test, budgets_set_up, budgets_tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        BUDGET(read_that_ends_is_counted_by_its_pages),
        BUDGET(worker_that_takes_more_than_was_decided_is_ended),
        BUDGET(page_that_is_denied_is_not_given_because_the_denial_is_lost),
        BUDGET(two_that_ask_at_once_share_what_is_left),
        BUDGET(batch_that_fails_counts_nothing),
        BUDGET(period_that_is_over_begins_anew_and_is_removed),
        BUDGET(read_over_midnight_is_counted_where_it_ends),
        BUDGET(read_over_midnight_is_no_second_patient),
        BUDGET(denials_by_a_budget_are_not_summed_up),
        BUDGET(count_stays_a_number_of_the_audit),
        BUDGET(sums_of_open_reads_follow_them),
        cmocka_unit_test(expected_bytes_are_those_of_whole_pages),
    };
    signal(SIGXFSZ, SIG_IGN); /* a write beyond RLIMIT_FSIZE is to fail, not to kill */
    log_start("test");
    if (secret_start() != VAULT_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
