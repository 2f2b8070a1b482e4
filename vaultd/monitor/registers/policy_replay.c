#include "policy_replay.h"

#include <string.h>

#include "vaultd/monitor/access/ask.h"
#include "vaultd/monitor/access/asked.h"
#include "vaultd/monitor/access/grants.h"
#include "vaultd/monitor/answers.h"
#include "vaultd/monitor/archive/archive.h"
#include "vaultd/monitor/table.h"
#include "vault/result.h"

/* ---- one decision, exactly as it was ---- */

/* The policy of that version, whose hash the record has. */
static int policy_of(struct monitor *m, const struct replay *r, struct policy *ret) {
    static struct policy_value v;
    char hash[2 * HASH_SIZE + 1];
    uint8_t key[4];
    const char *recorded = json_string_value(json_object_get(r->record, "policy"));
    put_be32(key, r->policy);
    int result = index_get_record(m->index, DB_POLICIES, key, sizeof(key), &layout_policy_value, &v);
    if (result != VAULT_OK)
        return result == VAULT_NOT_FOUND ? VAULT_E_DAMAGED : result;
    hex_encode(hash, sizeof(hash), v.hash, HASH_SIZE);
    if (recorded == NULL || strcmp(hash, recorded) != 0)
        return VAULT_E_DAMAGED;
    return policy_decode(ret, v.policy, v.policy_size);
}

/* As a record has them. */
static json_t *recorded_reasons(const struct decision *d) {
    const struct reason *reasons[REASONS_MAX];
    size_t count = decision_recorded(d, reasons);
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, json_pack("{s:s, s:s}", "rule", reasons[i]->rule, "text", reasons[i]->text));
    return list;
}

/* What a record leaves out is empty. */
static json_t *list_of(const json_t *record, const char *name) {
    json_t *list = json_object_get(record, name);
    return list == NULL ? json_array() : json_incref(list);
}

/* Takes both references. */
static bool are_equal(json_t *a, json_t *b) {
    bool equal = a != NULL && b != NULL && json_equal(a, b) != 0;
    json_decref(a);
    json_decref(b);
    return equal;
}

static bool is_same(const struct replay *r, const json_t *decision) {
    return replay_was_permitted(r) == (r->decision.verdict == VERDICT_PERMIT) &&
           are_equal(list_of(r->record, "reasons"), recorded_reasons(&r->decision)) &&
           are_equal(list_of(r->record, "obligations"), list_of(decision, "obligations"));
}

static int answer_same_or_not(struct request *q, const struct replay *r) {
    static const char *const recorded[] = {"seq", "time", "event", "outcome", "reasons", "obligations", "asked"};
    char detail[64];
    json_t *answer = decision_json(&r->decision);
    bool same = is_same(r, answer);
    json_t *then = json_object();
    for (size_t i = 0; i < sizeof(recorded) / sizeof(recorded[0]); i++)
        if (json_object_get(r->record, recorded[i]) != NULL)
            json_object_set(then, recorded[i], json_object_get(r->record, recorded[i]));
    json_object_set_new(answer, "same", json_boolean(same));
    json_object_set_new(answer, "recorded", then);
    (void)format_string(detail, sizeof(detail), "record %llu, %s", (unsigned long long)q->message->policy_replay.seq,
                        same ? "the same" : "another");
    return administer(q, "policy.replay", NULL, 'R', detail, 200, answer);
}

static int replay(struct request *q, struct replay *r) {
    static struct policy p;
    int result = replay_begin(q->monitor, q->message->policy_replay.seq, r);
    if (result == VAULT_NOT_FOUND)
        return refuse(q, "policy.replay", NULL, 404, "no-such-record", "There is no record of this number.");
    if (result == VAULT_AGAIN)
        return archive_refuse_record(q, "policy.replay", q->message->policy_replay.seq);
    if (result == VAULT_DENIED)
        return refuse(q, "policy.replay", NULL, 409, "no-decision", "The record holds no decision.");
    if (result == VAULT_OK && replay_needs_other_table(q->monitor, r))
        return refuse(
            q, "policy.replay", NULL, 409, "other-diseases",
            "The table of diseases that decided is not the one that is loaded: 'asked.diseases' of the record "
            "is its SHA-256.");
    if (result == VAULT_OK && r->policy != 0)
        result = policy_of(q->monitor, r, &p);
    if (result != VAULT_OK)
        return result;
    replay_decide(q->monitor, r, r->policy == 0 ? NULL : &p);
    return answer_same_or_not(q, r);
}

int answer_policy_replay(struct request *q) {
    static struct replay r;
    int result = replay(q, &r);
    replay_end(&r);
    return result;
}

/* ---- what another policy would change ---- */

enum { LAST_RECORDS = 2000, LAST_DECISIONS = 500, NAMED = 5 };

/* Decisions that would be others in one direction: how many, and the numbers of the newest. */
struct turned {
    unsigned count;
    uint64_t records[NAMED];
};

struct changes {
    unsigned decisions, lost; /* asked again; those that could not be */
    struct turned denied, permitted;
    unsigned reads, ended;
};

static void turn(struct turned *t, uint64_t seq) {
    if (t->count < NAMED)
        t->records[t->count] = seq;
    t->count++;
}

static void compare(struct changes *c, uint64_t seq, const struct replay *r) {
    bool was = replay_was_permitted(r), is = r->decision.verdict == VERDICT_PERMIT;
    c->decisions++;
    if (was && !is)
        turn(&c->denied, seq);
    if (!was && is)
        turn(&c->permitted, seq);
}

static int ask_again(struct monitor *m, const struct policy *p, uint64_t seq, struct changes *c) {
    static struct replay r;
    int result = replay_begin(m, seq, &r);
    if (result == VAULT_OK && !replay_needs_other_table(m, &r)) {
        replay_decide(m, &r, p);
        compare(c, seq, &r);
    } else if (result == VAULT_OK || result == VAULT_E_DAMAGED || result == VAULT_AGAIN) {
        c->lost++;
        result = VAULT_OK;
    }
    replay_end(&r);
    return result == VAULT_DENIED ? VAULT_OK : result;
}

static int ask_for_records(struct monitor *m, const struct policy *p, struct changes *c) {
    uint64_t oldest = m->tree.size > LAST_RECORDS ? m->tree.size - LAST_RECORDS : 0;
    int result = VAULT_OK;
    for (uint64_t seq = m->tree.size; seq > oldest && c->decisions < LAST_DECISIONS && result == VAULT_OK; seq--)
        result = ask_again(m, p, seq - 1, c);
    return result;
}

static int ask_for_reads(struct monitor *m, const struct policy *p, struct changes *c) {
    bool permitted = false;
    for (const struct grant *g = m->grants; g != NULL; g = g->next) {
        int result = grant_is_permitted(m, g, p, &permitted);
        if (result != VAULT_OK)
            return result;
        c->reads++;
        c->ended += !permitted;
    }
    return VAULT_OK;
}

/* ---- for patients ---- */

/* One purpose, asked about each patient under both policies. */
struct comparison {
    struct purpose purpose;
    struct question then, now;
    uint64_t denied, permitted;
};

struct patients {
    uint64_t count, naming; /* all; those whose consent names who may do research, which is not asked */
    struct comparison treatment, stranger, research; /* by who has them in care, and by who has not */
};

/* A read of a file without dataset or tags, by a service that may act for the purpose, with all that the purpose needs:
 * what is left is the patient's, and the policy's. */
static void prepare(struct monitor *m, const struct policy *p, unsigned purpose, struct comparison *c) {
    struct question q = {.time = monitor_time(m) / 1000000,
                         .action = ACTION_READ,
                         .purpose = &c->purpose,
                         .opt_outs_of = m->meta.opt_outs_of,
                         .diseases = m->disease_table.diseases,
                         .policy = policy_in_force(m)};
    *c = (struct comparison){0};
    c->purpose.purpose = (uint8_t)purpose;
    if (purpose == PURPOSE_RESEARCH) {
        copy_string(c->purpose.project, sizeof(c->purpose.project),
                    "any"); /* consents that name projects are left out */
        copy_string(c->purpose.approval, sizeof(c->purpose.approval), "any");
    }
    q.service.known = q.file.known = q.project.known = q.project.open = q.project.member = q.approval.known = true;
    q.approval.for_project = q.approval.for_dataset = q.approval.for_purpose = q.approval.non_commercial = true;
    q.service.not_for_profit = true;
    q.service.name = q.file.dataset = q.file.tags = "";
    q.service.roles = 1u << ROLE_READER;
    q.service.purposes = 1u << purpose;
    c->then = c->now = q;
    c->now.policy = p;
}

static bool permits(struct question *q, const struct question *of) {
    static struct decision d;
    q->subject = of->subject;
    decide(q, &d);
    return d.verdict == VERDICT_PERMIT;
}

static void compare_patients(struct comparison *c, const struct question *of, uint64_t count) {
    bool was = permits(&c->then, of), is = permits(&c->now, of);
    c->denied += was && !is ? count : 0;
    c->permitted += !was && is ? count : 0;
}

static void visit_patients(void *context, const struct question *of, uint64_t count) {
    struct patients *p = context;
    if (!of->subject.known)
        return;
    bool names = of->subject.consent != NULL && of->subject.consent->only[0] != '\0';
    struct question stranger = *of;
    stranger.subject.in_care = false;
    p->count += count;
    p->naming += names ? count : 0;
    compare_patients(&p->treatment, of, count);
    compare_patients(&p->stranger, &stranger, count);
    if (!names)
        compare_patients(&p->research, of, count);
}

/* Where care makes a difference; what is not asked. */
static bool say_beside(const struct patients *p, char *to, size_t size) {
    char stranger[160] = "", naming[96] = "";
    bool differ = p->stranger.denied != p->treatment.denied || p->stranger.permitted != p->treatment.permitted;
    if (differ &&
        !format_string(stranger, sizeof(stranger),
                       "; by who has them not in care: treatment newly denied for %llu and permitted for %llu",
                       (unsigned long long)p->stranger.denied, (unsigned long long)p->stranger.permitted))
        return false;
    if (p->naming > 0 && !format_string(naming, sizeof(naming), "; %llu consents name who may do research: not asked",
                                        (unsigned long long)p->naming))
        return false;
    return format_string(to, size, "%s%s", stranger, naming);
}

static bool say_for_patients(struct monitor *m, const struct policy *new, char *to, size_t size) {
    static struct patients p;
    char unread[64] = "", beside[260];
    p.count = p.naming = 0;
    prepare(m, new, PURPOSE_TREATMENT, &p.treatment);
    prepare(m, new, PURPOSE_TREATMENT, &p.stranger);
    prepare(m, new, PURPOSE_RESEARCH, &p.research);
    standings_each(m, p.treatment.then.time, visit_patients, &p);
    if (m->meta.subjects > standings_count(m))
        (void)format_string(unread, sizeof(unread), " (%llu more are not read)",
                            (unsigned long long)(m->meta.subjects - standings_count(m)));
    return say_beside(&p, beside, sizeof(beside)) &&
           format_string(
               to, size,
               "; of %llu patients%s, for a file without dataset and tags: treatment newly denied for %llu and "
               "permitted for %llu, research newly denied for %llu and permitted for %llu%s",
               (unsigned long long)p.count, unread, (unsigned long long)p.treatment.denied,
               (unsigned long long)p.treatment.permitted, (unsigned long long)p.research.denied,
               (unsigned long long)p.research.permitted, beside);
}

/* ---- in words ---- */

/* " (records 18, 12 and others)"; empty if there are none. */
static bool name_records(const struct turned *t, char *to, size_t size) {
    char one[32];
    struct writer w = writer_of(to, size - 1);
    for (unsigned i = 0; i < t->count && i < NAMED; i++)
        if (format_string(one, sizeof(one), i == 0 ? " (records %llu" : ", %llu", (unsigned long long)t->records[i]))
            write_bytes(&w, one, strlen(one));
    if (t->count > NAMED)
        write_bytes(&w, " and others", strlen(" and others"));
    if (t->count > 0)
        write_u8(&w, ')');
    to[w.used] = '\0';
    return !w.bad;
}

static int say(const struct changes *c, char ret[CHANGES_TEXT]) {
    enum { NUMBERS = 160 };
    char denied[NUMBERS], permitted[NUMBERS], lost[64] = "";
    if (c->lost > 0)
        (void)format_string(lost, sizeof(lost), ", %u cannot be asked again", c->lost);
    if (c->denied.count + c->permitted.count == 0)
        return format_string(ret, CHANGES_TEXT,
                             "the last %u decisions would be the same%s; %u of %u open reads would end", c->decisions,
                             lost, c->ended, c->reads)
                   ? VAULT_OK
                   : VAULT_E_STATE;
    bool fits =
        name_records(&c->denied, denied, sizeof(denied)) && name_records(&c->permitted, permitted, sizeof(permitted)) &&
        format_string(ret, CHANGES_TEXT,
                      "of the last %u decisions %u permitted ones would be denied%s, %u denied ones permitted%s"
                      "%s; %u of %u open reads would end",
                      c->decisions, c->denied.count, denied, c->permitted.count, permitted, lost, c->ended, c->reads);
    return fits ? VAULT_OK : VAULT_E_STATE;
}

/* ---- what is not of now ---- */

/* "; on later days: rule a from 2027-01-01, rule b until 2027-07-01 and others"; empty if all rules are as they will
 * be. */
static bool say_for_later(struct monitor *m, const struct policy *p, char *to, size_t size) {
    enum { NAMED_RULES = 2 };
    uint64_t now = monitor_time(m) / 1000000;
    struct writer w = writer_of(to, size - 1);
    unsigned count = 0;
    for (size_t i = 0; i < 2 * p->count; i++) {
        const struct policy_rule *r = &p->rules[i / 2];
        uint64_t then = i % 2 == 0 ? r->from : r->until;
        char day[11], one[128];
        if (then <= now || count++ >= NAMED_RULES)
            continue;
        day_text(then * 1000000, day);
        if (!format_string(one, sizeof(one), "%s rule %s %s %s", count == 1 ? "; on later days:" : ",", r->id,
                           i % 2 == 0 ? "from" : "until", day))
            return false;
        write_bytes(&w, one, strlen(one));
    }
    if (count > NAMED_RULES)
        write_bytes(&w, " and others", strlen(" and others"));
    to[w.used] = '\0';
    return !w.bad;
}

/* "; witnessed within 600 seconds (before: none)"; empty if that is as it was. */
static bool say_of_witnesses(const struct policy *before, const struct policy *p, char *to, size_t size) {
    uint32_t was = before == NULL ? 0 : before->witnessed_seconds, is = p->witnessed_seconds;
    char bounds[2][16] = {"none", "none"};
    to[0] = '\0';
    if (was == is)
        return true;
    if (is != 0)
        (void)format_string(bounds[0], sizeof(bounds[0]), "%u", is);
    if (was != 0)
        (void)format_string(bounds[1], sizeof(bounds[1]), "%u", was);
    return format_string(to, size, "; witnessed within seconds: %s (before: %s)", bounds[0], bounds[1]);
}

int policy_changes(struct monitor *m, const struct policy *p, char ret[CHANGES_TEXT]) {
    enum { BUDGETS_TEXT = 400 };
    struct changes c = {0};
    int result = ask_for_records(m, p, &c);
    if (result == VAULT_OK)
        result = ask_for_reads(m, p, &c);
    if (result == VAULT_OK)
        result = say(&c, ret);
    if (result != VAULT_OK)
        return result;
    size_t used = strlen(ret);
    if (!say_for_patients(m, p, ret + used, CHANGES_TEXT - used))
        return VAULT_E_STATE;
    used += strlen(ret + used);
    size_t room = CHANGES_TEXT - used < BUDGETS_TEXT ? CHANGES_TEXT - used : BUDGETS_TEXT;
    if (!budget_changes(policy_in_force(m), p, ret + used, room))
        return VAULT_E_STATE;
    used += strlen(ret + used);
    if (!say_of_witnesses(policy_in_force(m), p, ret + used, CHANGES_TEXT - used))
        return VAULT_E_STATE;
    used += strlen(ret + used);
    return say_for_later(m, p, ret + used, CHANGES_TEXT - used) ? VAULT_OK : VAULT_E_STATE;
}
