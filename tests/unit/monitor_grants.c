/* Reading: a withdrawal beats what was granted, and what was granted ends when its reason does. */
#include "monitor_rig.h"

#include <unistd.h>

#include "vaultd/monitor/access/grants.h"
#include "vaultd/monitor/log/log.h"
#include "vault/log.h"
#include "vault/result.h"

enum { BOUND_MS = 20, MEGABYTE = 1 << 20 };

static struct peer clinic;
static uint8_t file[ID_SIZE];

static int reader_set_up(void **state) {
    vault_set_up(state);
    struct peer depositor = peer_tls(SAN_OF("depositor"));
    deposit_file(&depositor, "S-1", "genome.cram", 5 * MEGABYTE, 1, file);
    close(depositor.channel);
    clinic = peer_tls(SAN_OF("clinic"));
    (void)supervisor_heard();
    return 0;
}

static int reader_tear_down(void **state) {
    close(clinic.channel);
    return rig_tear_down(state);
}

static void open_and_withdraw_at_once(bool open_first) {
    struct peer second = peer_unix(0);
    for (int round = 0; round < 2; round++) { /* the loop serves them in the order in which they became ready */
        if ((round == 0) == open_first) {
            open_request(&clinic, file, PURPOSE_TREATMENT);
            send_now(&clinic);
        } else {
            withdraw_request(&second, "S-1");
            send_now(&second);
        }
    }
    turn();
    struct message *answer = received(&clinic);
    assert_non_null(answer);
    assert_int_equal(status_of(answer), 403);
    assert_true(says(answer, "not-available"));
    answer = received(&second);
    assert_non_null(answer);
    assert_int_equal(status_of(answer), 200);
    assert_null(m.grants);
    assert_int_equal(supervisor_heard().killed, 0);
    close(second.channel);
}

static void withdrawal_in_the_same_batch_wins_after_open(void **state) {
    (void)state;
    open_and_withdraw_at_once(true);
    assert_int_equal(audit_count("\"event\":\"read\"", "\"permitted\"", NULL), 1);
    assert_int_equal(audit_count("\"event\":\"read.close\"", "\"revoked\"", NULL), 1);
    open_request(&clinic, file, PURPOSE_TREATMENT);
    assert_int_equal(ask_status(&clinic), 403);
}

static void withdrawal_in_the_same_batch_wins_before_open(void **state) {
    (void)state;
    open_and_withdraw_at_once(false);
    assert_int_equal(audit_count("\"event\":\"read\"", "\"permitted\"", NULL), 0);
    assert_int_equal(audit_count("\"event\":\"read\"", "\"denied\"", NULL), 1);
}

/* The worker has been told, and the answer waits. */
static struct msg_grant withdraw_from_reader(void) {
    struct msg_grant g = open_file(&clinic, file);
    withdraw_request(&root, "S-1");
    send_now(&root);
    turn();
    assert_null(received(&root));
    struct message *revoke = received(&clinic);
    assert_non_null(revoke);
    assert_int_equal(revoke->type, MSG_revoke);
    assert_memory_equal(revoke->revoke.grant, g.grant, ID_SIZE);
    return g;
}

static void acknowledge(const struct msg_grant *g) {
    struct message *revoked = request(&clinic, MSG_revoked);
    COPY_ARRAY(revoked->revoked.grant, g->grant);
    revoked->id = 0;
    send_now(&clinic);
    turn();
}

static void withdrawal_is_answered_after_the_acknowledgement(void **state) {
    (void)state;
    struct msg_grant g = withdraw_from_reader();
    acknowledge(&g);
    struct message *answer = received(&root);
    assert_non_null(answer);
    assert_int_equal(status_of(answer), 200);
    assert_true(says(answer, "\"ended\":1"));
    turns_for(BOUND_MS + 10);
    assert_int_equal(supervisor_heard().killed, 0);
}

/* A second change waits for what the first has ended, though it ends nothing itself. */
static void second_withdrawal_waits_for_the_first_ones_readers(void **state) {
    (void)state;
    struct peer second = peer_unix(0);
    (void)open_file(&clinic, file);
    withdraw_request(&root, "S-1");
    send_now(&root);
    turn();
    withdraw_request(&second, "S-1");
    send_now(&second);
    turn();
    assert_null(received(&root));
    assert_null(received(&second));
    peer_end(&clinic);
    clinic.channel = -1;
    turn();
    assert_int_equal(status_of(received(&root)), 200);
    assert_int_equal(status_of(received(&second)), 200);
}

static void acknowledgement_of_another_worker_counts_for_nothing(void **state) {
    (void)state;
    struct msg_grant g = withdraw_from_reader();
    struct peer other = peer_tls(SAN_OF("clinic"));
    struct message *revoked = request(&other, MSG_revoked);
    COPY_ARRAY(revoked->revoked.grant, g.grant);
    revoked->id = 0;
    send_now(&other);
    turn();
    assert_null(received(&root));
    close(other.channel);
}

static void worker_that_ignores_the_revoke_is_ended(void **state) {
    struct heard h = {0};
    uint64_t start = loop_now_ms();
    (void)state;
    (void)withdraw_from_reader();
    while (h.killed == 0 && loop_now_ms() - start < 2000) {
        turns_for(1);
        h = supervisor_heard();
    }
    assert_int_equal(h.killed, 1);
    assert_int_equal(h.last_killed, clinic.number);
    assert_int_equal(h.why, WORKER_REVOKED);
    assert_true(loop_now_ms() - start >= BOUND_MS);
    assert_null(received(&root)); /* asked to be ended is not ended */
    turns_for(2 * BOUND_MS);
    assert_null(received(&root));
    assert_int_equal(supervisor_heard().killed, 0);
    supervisor_gone(clinic.number);
    turn();
    struct message *answer = received(&root);
    assert_non_null(answer);
    assert_int_equal(status_of(answer), 200);
}

static void seal_does_not_let_a_withdrawal_answer_early(void **state) {
    (void)state;
    (void)withdraw_from_reader();
    struct peer operator= peer_unix(4711);
    request(&operator, MSG_seal);
    send_now(&operator);
    turn();
    assert_null(received(&root)); /* the reader still has its socket and its key */
    peer_end(&clinic);
    struct message *answer = received(&root);
    assert_non_null(answer);
    assert_int_equal(status_of(answer), 200);
    close(operator.channel);
    clinic.channel = -1;
}

static void seal_is_answered_when_the_last_reader_is_gone(void **state) {
    (void)state;
    (void)open_file(&clinic, file);
    request(&root, MSG_seal);
    send_now(&root);
    turn();
    assert_null(received(&root));
    assert_null(m.keyring);
    peer_end(&clinic);
    supervisor_ends_sealed();
    struct message *answer = received(&root);
    assert_non_null(answer);
    assert_int_equal(status_of(answer), 200);
    clinic.channel = -1;
}

static void page_of_another_connections_grant_is_refused(void **state) {
    (void)state;
    struct msg_grant g = open_file(&clinic, file);
    struct peer other = peer_tls(SAN_OF("clinic"));
    struct message *q = request(&other, MSG_page_get);
    COPY_ARRAY(q->page_get.grant, g.grant);
    assert_int_equal(ask_status(&other), 403);
    q = request(&clinic, MSG_page_get);
    COPY_ARRAY(q->page_get.grant, g.grant);
    struct message *answer = ask(&clinic);
    assert_int_equal(answer->type, MSG_page);
    assert_int_equal(answer->page.chunks_size, 2 * MANIFEST_ENTRY);
    assert_int_equal(answer->page.tokens_size, 2 * HASH_SIZE);
    close(other.channel);
}

static void page_beyond_the_file_is_refused(void **state) {
    (void)state;
    struct msg_grant g = open_file(&clinic, file);
    static const uint32_t beyond[] = {1, 2, UINT32_MAX};
    for (size_t i = 0; i < 3; i++) {
        struct message *q = request(&clinic, MSG_page_get);
        COPY_ARRAY(q->page_get.grant, g.grant);
        q->page_get.page = beyond[i];
        assert_int_equal(ask_status(&clinic), 403);
    }
}

static void closed_grant_gives_no_more_pages(void **state) {
    (void)state;
    struct msg_grant g = open_file(&clinic, file);
    struct message *q = request(&clinic, MSG_grant_close);
    COPY_ARRAY(q->grant_close.grant, g.grant);
    q->grant_close.bytes = 77;
    q->grant_close.ranges = 1;
    assert_int_equal(ask(&clinic)->type, MSG_done);
    q = request(&clinic, MSG_page_get);
    COPY_ARRAY(q->page_get.grant, g.grant);
    assert_int_equal(ask_status(&clinic), 403);
    assert_int_equal(audit_count("\"event\":\"read.close\"", "\"done\"", "\"bytes\":77", NULL), 1);
}

static void open_instead(const struct msg_grant *of, uint8_t purpose) {
    struct msg_open *o = &request(&clinic, MSG_open)->open;
    o->action = OPEN_READ;
    COPY_ARRAY(o->file, file);
    o->purpose = purpose;
    COPY_ARRAY(o->closing, of->grant);
    o->closing_bytes = 77;
    o->closing_ranges = 1;
}

static void page_of(const struct msg_grant *g) {
    struct message *q = request(&clinic, MSG_page_get);
    COPY_ARRAY(q->page_get.grant, g->grant);
}

static unsigned closing_records(void) {
    return audit_count("\"event\":\"read.close\"", "\"done\"", "\"bytes\":77", NULL);
}

static void grant_that_makes_room_is_closed_with_the_next(void **state) {
    (void)state;
    struct msg_grant g = open_file(&clinic, file);
    open_instead(&g, PURPOSE_TREATMENT);
    assert_int_equal(ask(&clinic)->type, MSG_grant);
    assert_int_equal(closing_records(), 1);
    page_of(&g);
    assert_int_equal(ask_status(&clinic), 403);
}

/* Its worker has forgotten the old one before it asked: nothing of either is left to end. */
static void withdrawal_in_the_same_batch_ends_both_of_an_exchange(void **state) {
    (void)state;
    struct msg_grant g = open_file(&clinic, file);
    open_instead(&g, PURPOSE_TREATMENT);
    send_now(&clinic);
    withdraw_request(&root, "S-1");
    send_now(&root);
    turn();
    assert_int_equal(status_of(received(&clinic)), 403);
    assert_int_equal(status_of(received(&root)), 200);
    assert_null(m.grants);
    assert_int_equal(closing_records(), 1);
    open_instead(&g, PURPOSE_TREATMENT); /* it is named again, and is none any more */
    assert_int_equal(ask_status(&clinic), 403);
    assert_int_equal(closing_records(), 1);
}

static void denied_file_leaves_the_grant_that_would_make_room(void **state) {
    (void)state;
    struct msg_grant g = open_file(&clinic, file);
    open_instead(&g, PURPOSE_RESEARCH);
    assert_int_equal(ask_status(&clinic), 403);
    assert_int_equal(closing_records(), 0);
    page_of(&g);
    assert_int_equal(ask(&clinic)->type, MSG_page);
}

static void closing_record_of_a_gone_worker_has_the_upper_bound(void **state) {
    (void)state;
    struct msg_grant g = open_file(&clinic, file);
    struct message *q = request(&clinic, MSG_page_get);
    COPY_ARRAY(q->page_get.grant, g.grant);
    assert_int_equal(ask(&clinic)->type, MSG_page);
    peer_end(&clinic);
    clinic.channel = -1;
    assert_null(m.grants);
    assert_int_equal(audit_count("\"event\":\"read.close\"", "\"interrupted\"", "\"bytes\":5242880", NULL), 1);
}

/* Each takes back something that the grant stands on, and is answered only when the grant has ended. */
static void change_ends_the_grant(enum message_type change, const char *name) {
    struct msg_grant g = open_file(&clinic, file);
    struct message *q = request(&root, change);
    if (change == MSG_service_revoke)
        copy_string(q->service_revoke.name, sizeof(q->service_revoke.name), name);
    else if (change == MSG_consent_withdraw)
        copy_string(q->consent_withdraw.subject, sizeof(q->consent_withdraw.subject), name);
    send_now(&root);
    turn();
    assert_null(received(&root));
    struct message *revoke = received(&clinic);
    assert_non_null(revoke);
    assert_int_equal(revoke->type, MSG_revoke);
    acknowledge(&g);
    struct message *answer = received(&root);
    assert_non_null(answer);
    assert_int_equal(status_of(answer), 200);
}

static void revoked_service_loses_its_grants(void **state) {
    (void)state;
    change_ends_the_grant(MSG_service_revoke, "clinic");
    open_request(&clinic, file, PURPOSE_TREATMENT);
    assert_int_equal(ask_status(&clinic), 401);
}

/* The research grant of another connection, under approval A1 of project P1. */
static void research_ends_with(enum message_type change) {
    struct peer research = peer_tls(SAN_OF("research"));
    open_request(&research, file, PURPOSE_RESEARCH);
    assert_int_equal(ask(&research)->type, MSG_grant);
    struct msg_grant treatment = open_file(&clinic, file);
    (void)treatment;
    struct message *q = request(&root, change);
    if (change == MSG_project_close)
        copy_string(q->project_close.name, sizeof(q->project_close.name), "P1");
    else if (change == MSG_ethics_revoke)
        copy_string(q->ethics_revoke.name, sizeof(q->ethics_revoke.name), "A1");
    else if (change == MSG_subject_change) {
        copy_string(q->subject_change.subject, sizeof(q->subject_change.subject), "S-1");
        q->subject_change.opt_out = 1;
    }
    send_now(&root);
    turn();
    assert_null(received(&root));
    assert_int_equal(received(&research)->type, MSG_revoke);
    assert_null(received(&clinic)); /* treatment goes on */
    peer_end(&research);
    assert_int_equal(status_of(received(&root)), 200);
}

static void closed_project_ends_its_grants_only(void **state) {
    (void)state;
    research_ends_with(MSG_project_close);
}

static void revoked_approval_ends_its_grants_only(void **state) {
    (void)state;
    research_ends_with(MSG_ethics_revoke);
}

static void opt_out_ends_research_only(void **state) {
    (void)state;
    research_ends_with(MSG_subject_change);
}

static void request_before_identity_ends_the_worker(void **state) {
    (void)state;
    struct peer p = peer_new();
    peer_client(&p, PEER_TLS, 0);
    turn();
    open_request(&p, file, PURPOSE_TREATMENT);
    send_now(&p);
    turn();
    assert_null(received(&p));
    struct heard h = supervisor_heard();
    assert_int_equal(h.last_killed, p.number);
    assert_int_equal(h.why, WORKER_MISBEHAVED);
    peer_identity(&p, SAN_OF("clinic")); /* too late */
    turns(2);
    assert_null(received(&p));
    assert_null(m.grants);
    close(p.channel);
}

/* The gate's word and the worker's request arrive in one turn: the gate is heard first. */
static void identity_is_heard_before_the_request(void **state) {
    (void)state;
    struct peer p = peer_new();
    peer_client(&p, PEER_TLS, 0);
    open_request(&p, file, PURPOSE_TREATMENT);
    send_now(&p);
    turn(); /* supervisor only: the worker's channel is not watched yet */
    peer_identity(&p, SAN_OF("clinic"));
    turn();
    struct message *answer = received(&p);
    assert_non_null(answer);
    assert_int_equal(answer->type, MSG_grant);
    close(p.channel);
}

static void second_identity_counts_for_nothing(void **state) {
    (void)state;
    struct peer p = peer_tls(SAN_OF("depositor"));
    peer_identity(&p, SAN_OF("clinic"));
    turn();
    open_request(&p, file, PURPOSE_TREATMENT);
    assert_int_equal(ask_status(&p), 403);
    close(p.channel);
}

static void unknown_certificate_is_401(void **state) {
    (void)state;
    struct peer p = peer_tls(SAN_OF("nobody"));
    open_request(&p, file, PURPOSE_TREATMENT);
    assert_int_equal(ask_status(&p), 401);
    close(p.channel);
}

static void lost_identity_ends_grants_and_worker(void **state) {
    (void)state;
    (void)open_file(&clinic, file);
    gate_lost(&clinic);
    turn();
    struct message *revoke = received(&clinic);
    assert_non_null(revoke);
    assert_int_equal(revoke->type, MSG_revoke);
    struct heard h = supervisor_heard();
    assert_int_equal(h.killed, 1);
    assert_int_equal(h.last_killed, clinic.number);
    assert_int_equal(audit_count("\"event\":\"read.close\"", "\"revoked\"", "certificate was revoked", NULL), 1);
    open_request(&clinic, file, PURPOSE_TREATMENT);
    assert_int_equal(ask_status(&clinic), 401);
}

/* Within a second, and nobody has to ask. */
static void ends_by_the_clock(struct peer *p) {
    uint64_t start = loop_now_ms();
    bool more = false; /* it may wait, but not with a decision in hand */
    struct message *revoke = NULL;
    while (revoke == NULL && loop_now_ms() - start < 3000) {
        assert_int_equal(monitor_turn(&m, &more), VAULT_OK);
        revoke = received(p);
    }
    assert_non_null(revoke);
    assert_int_equal(revoke->type, MSG_revoke);
    assert_true(loop_now_ms() - start < 1500);
}

static void consent_that_expires_ends_the_grant_by_the_clock(void **state) {
    (void)state;
    (void)open_file(&clinic, file);
    m.last_time += 1; /* the vault's time never goes back; here it goes ahead of the clock */
    struct consent c = {.treatment = 1, .findings = FINDINGS_ALL, .expires = m.last_time / 1000000 + 3600};
    copy_string(c.subject, sizeof(c.subject), "S-1");
    copy_string(c.signed_on, sizeof(c.signed_on), "2026-11-22");
    copy_string(c.form, sizeof(c.form), "2.1");
    struct message *q = request(&root, MSG_consent_set);
    struct writer w = writer_of(q->consent_set.consent, sizeof(q->consent_set.consent));
    layout_encode(&layout_consent, &c, &w);
    q->consent_set.consent_size = (uint32_t)w.used;
    assert_int_equal(ask_status(&root), 200);
    assert_null(received(&clinic));
    m.last_time += UINT64_C(3600) * 1000000;
    ends_by_the_clock(&clinic);
}

/* To the second: what a rule permits until then, and what one forbids from then on. */
static void rule_whose_time_comes_ends_the_grant_by_the_clock(void **state) {
    (void)state;
    for (unsigned n = 0; n < 2; n++) {
        struct policy before = m.policy;
        uint64_t then = monitor_time(&m) / 1000000 + 3600;
        (void)open_file(&clinic, file);
        for (size_t i = 0; n == 0 && i < m.policy.count; i++) /* as one that is loaded */
            m.policy.rules[i].until = m.policy.rules[i].effect == EFFECT_PERMIT ? then : 0;
        if (n == 1)
            m.policy.rules[m.policy.count++] = (struct policy_rule){.id = "embargo",
                                                                    .text = "From then on.",
                                                                    .effect = EFFECT_FORBID,
                                                                    .actions = 1u << ACTION_READ,
                                                                    .purposes = 1u << PURPOSE_TREATMENT,
                                                                    .from = then};
        m.last_time = then * 1000000 - 1;
        COPY_ARRAY(request(&clinic, MSG_page_get)->page_get.grant, m.grants->id);
        assert_int_equal(ask(&clinic)->type, MSG_page);
        m.last_time = then * 1000000;
        ends_by_the_clock(&clinic);
        m.policy = before;
        peer_end(&clinic);
        clinic = peer_tls(SAN_OF("clinic"));
    }
}

enum { DAY = 86400 };

static unsigned take_in_register(uint64_t dated, const char *subjects) {
    struct message *q = request(&root, MSG_opt_outs);
    copy_string(q->opt_outs.subjects, sizeof(q->opt_outs.subjects), subjects);
    q->opt_outs.dated = dated;
    q->opt_outs.complete = dated != 0;
    return ask_status(&root);
}

static bool status_warns_of_register(void) {
    request(&root, MSG_status);
    return says(ask(&root), "The register of opt-outs is too old");
}

static void register_that_gets_too_old_ends_research_by_the_clock(void **state) {
    (void)state;
    struct peer research = peer_tls(SAN_OF("research"));
    m.policy.opt_outs_days = 7; /* as one that is loaded */
    open_request(&research, file, PURPOSE_RESEARCH);
    struct message *answer = ask(&research);
    assert_int_equal(status_of(answer), 403);
    assert_true(says(answer, "opt-outs-outdated")); /* it says nothing of a patient */
    uint64_t today = monitor_time(&m) / 1000000 / DAY * DAY;
    assert_int_equal(take_in_register(today + 2 * DAY, ""), 409);
    assert_int_equal(take_in_register(0, ""), 400);
    assert_int_equal(take_in_register(0, "S-9"), 200); /* a part of one is none */
    open_request(&research, file, PURPOSE_RESEARCH);
    assert_int_equal(ask_status(&research), 403);
    assert_true(status_warns_of_register());
    assert_int_equal(take_in_register(today, ""), 200);
    assert_false(status_warns_of_register());
    assert_int_equal(take_in_register(today - DAY, "S-1"), 409);
    open_request(&research, file, PURPOSE_RESEARCH);
    assert_int_equal(ask(&research)->type, MSG_grant); /* and nobody was opted out by what was refused */
    struct msg_grant treatment = open_file(&clinic, file);
    (void)treatment;
    m.last_time = (today + (uint64_t)6 * DAY) * 1000000;
    assert_true(status_warns_of_register()); /* a day before */
    m.last_time = (today + (uint64_t)7 * DAY) * 1000000;
    ends_by_the_clock(&research);
    assert_null(received(&clinic)); /* treatment goes on */
    peer_end(&research);
}

#define READER(test) cmocka_unit_test_setup_teardown(test, reader_set_up, reader_tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        READER(withdrawal_in_the_same_batch_wins_after_open),
        READER(withdrawal_in_the_same_batch_wins_before_open),
        READER(withdrawal_is_answered_after_the_acknowledgement),
        READER(second_withdrawal_waits_for_the_first_ones_readers),
        READER(acknowledgement_of_another_worker_counts_for_nothing),
        READER(worker_that_ignores_the_revoke_is_ended),
        READER(seal_does_not_let_a_withdrawal_answer_early),
        READER(seal_is_answered_when_the_last_reader_is_gone),
        READER(page_of_another_connections_grant_is_refused),
        READER(page_beyond_the_file_is_refused),
        READER(closed_grant_gives_no_more_pages),
        READER(grant_that_makes_room_is_closed_with_the_next),
        READER(denied_file_leaves_the_grant_that_would_make_room),
        READER(withdrawal_in_the_same_batch_ends_both_of_an_exchange),
        READER(closing_record_of_a_gone_worker_has_the_upper_bound),
        READER(revoked_service_loses_its_grants),
        READER(closed_project_ends_its_grants_only),
        READER(revoked_approval_ends_its_grants_only),
        READER(opt_out_ends_research_only),
        READER(request_before_identity_ends_the_worker),
        READER(identity_is_heard_before_the_request),
        READER(second_identity_counts_for_nothing),
        READER(unknown_certificate_is_401),
        READER(lost_identity_ends_grants_and_worker),
        READER(consent_that_expires_ends_the_grant_by_the_clock),
        READER(rule_whose_time_comes_ends_the_grant_by_the_clock),
        READER(register_that_gets_too_old_ends_research_by_the_clock),
    };
    log_start("test");
    if (secret_start() != VAULT_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
