/* Budgets in the monitor: what is counted, when, and what becomes of it when a period, a batch or a worker ends. */
#include "monitor_rig.h"

#include <signal.h>
#include <sodium.h>
#include <sys/resource.h>
#include <unistd.h>

#include "vault/log.h"
#include "vault/result.h"
#include "vaultd/monitor/access/budgets.h"

enum { MEGABYTE = 1 << 20, DAY = 86400, SUBJECTS = 3 };

static struct peer research, clinic;
static uint8_t files[SUBJECTS][ID_SIZE];

static int budgets_set_up(void **state) {
    static const char *const subjects[SUBJECTS] = {"S-1", "S-2", "S-3"};
    vault_set_up(state);
    struct peer depositor = peer_tls(SAN_OF("depositor"));
    for (unsigned n = 0; n < SUBJECTS; n++) {
        if (n > 0)
            make_subject(subjects[n]);
        if (n > 0)
            set_consent(subjects[n], true, true);
        deposit_file(&depositor, subjects[n], "genome.cram", 5 * MEGABYTE, (uint8_t)(n + 1), files[n]);
    }
    close(depositor.channel);
    research = peer_tls(SAN_OF("research"));
    clinic = peer_tls(SAN_OF("clinic"));
    return 0;
}

static int budgets_tear_down(void **state) {
    close(research.channel);
    close(clinic.channel);
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
    static const uint8_t counted[ID_SIZE]; /* no file and no subject: one more of each */
    assert_int_equal(budgets_use(&m, &s, counted, counted, 0, use), VAULT_OK);
    index_end_reads(m.index);
    const struct policy_budget *b = &m.policy.budgets[0];
    use[b->per][b->period].files--;
    use[b->per][b->period].subjects--;
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

static void read_that_ends_is_counted_by_its_pages(void **state) {
    (void)state;
    set_budget(PURPOSE_RESEARCH, PER_PROJECT, PERIOD_EVER)->bytes = 100 * MEGABYTE;
    assert_used(0, 0);
    assert_int_equal(open_status(0), 0);
    assert_used(5 * MEGABYTE, 1); /* what it may come to */
    for (unsigned n = 0; n < 2; n++) {
        COPY_ARRAY(request(&research, MSG_page_get)->page_get.grant, m.grants->id);
        assert_int_equal(ask(&research)->type, MSG_page);
    }
    assert_used(10 * MEGABYTE, 1); /* each page as often as it was handed out */
    struct message *q = request(&research, MSG_grant_close);
    COPY_ARRAY(q->grant_close.grant, m.grants->id);
    q->grant_close.bytes = 17; /* its worker's word */
    assert_int_equal(ask(&research)->type, MSG_done);
    assert_used(10 * MEGABYTE, 1);
    assert_int_equal(open_status(0), 0);
    peer_end(&research);
    turn();
    assert_used(10 * MEGABYTE, 1); /* nothing was handed out */
    research.channel = -1;
}

static void worker_that_takes_more_than_was_decided_is_ended(void **state) {
    (void)state;
    set_budget(PURPOSE_RESEARCH, PER_PROJECT, PERIOD_EVER)->bytes = 12 * MEGABYTE;
    assert_int_equal(open_status(0), 0);
    uint8_t grant[ID_SIZE];
    COPY_ARRAY(grant, m.grants->id);
    for (unsigned n = 0; n < 2; n++) {
        COPY_ARRAY(request(&research, MSG_page_get)->page_get.grant, grant);
        assert_int_equal(ask(&research)->type, MSG_page);
    }
    COPY_ARRAY(request(&research, MSG_page_get)->page_get.grant, grant);
    send_now(&research);
    turn();
    struct message *told = received(&research);
    assert_int_equal(told->type, MSG_revoke);
    told = received(&research);
    assert_int_equal(status_of(told), 403);
    assert_used(10 * MEGABYTE, 1);
    COPY_ARRAY(request(&research, MSG_page_get)->page_get.grant, grant);
    assert_int_equal(ask_status(&research), 403);
    turns_for(40);
    assert_int_equal(supervisor_heard().killed, 1);
    assert_int_equal(audit_count("\"read.close\"", "\"revoked\"", "more was asked for", NULL), 1);
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
    struct rlimit old, none;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    none = old;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    turn();
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
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
    COPY_ARRAY(request(&research, MSG_page_get)->page_get.grant, m.grants->id);
    assert_int_equal(ask(&research)->type, MSG_page);
    m.last_time++;
    turns(8);
    assert_int_equal(open_status(1), 429);
    peer_end(&research);
    turn();
    assert_int_equal(used().bytes, 5 * MEGABYTE);
    research = peer_tls(SAN_OF("research"));
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
        BUDGET(two_that_ask_at_once_share_what_is_left),
        BUDGET(batch_that_fails_counts_nothing),
        BUDGET(period_that_is_over_begins_anew_and_is_removed),
        BUDGET(read_over_midnight_is_counted_where_it_ends),
        cmocka_unit_test(expected_bytes_are_those_of_whole_pages),
    };
    signal(SIGXFSZ, SIG_IGN); /* a write beyond RLIMIT_FSIZE is to fail, not to kill */
    log_start("test");
    if (secret_start() != VAULT_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
