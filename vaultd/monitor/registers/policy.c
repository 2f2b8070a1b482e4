#include <sodium.h>

#include "policy_replay.h"
#include "vaultd/monitor/access/grants.h"
#include "vaultd/monitor/answers.h"
#include "vaultd/monitor/current.h"
#include "vaultd/monitor/pending.h"
#include "vaultd/monitor/table.h"
#include "vault/result.h"

static const char *effect_name(unsigned effect) {
    return effect == EFFECT_PERMIT ? "permit" : effect == EFFECT_FORBID ? "forbid" : "oblige";
}

static const char *any_purpose_name(unsigned purpose) {
    return purpose == PURPOSE_NONE ? "none" : purpose_name(purpose);
}

static json_t *rule_json(const struct policy_rule *r) {
    return json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:s, s:s, s:s, s:o, s:o}", "id", r->id, "effect",
                     effect_name(r->effect), "text", r->text, "source", r->source, "actions",
                     json_mask(r->actions, action_name, ACTION_COUNT), "purposes",
                     json_mask(r->purposes, any_purpose_name, PURPOSE_RESEARCH + 1), "roles",
                     json_mask(r->roles, role_name, ROLE_COUNT), "conditions",
                     json_mask(r->conditions, condition_name, CONDITION_COUNT), "dataset", r->dataset, "tag", r->tag,
                     "obligation", r->obligation, "from", json_day(r->from), "until", json_day(r->until));
}

static json_t *most_json(uint64_t most) {
    return most == 0 ? json_null() : json_integer((json_int_t)most);
}

static json_t *budget_json(const struct policy_budget *b) {
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o}", "id", b->id, "text", b->text, "source",
                     b->source, "purpose", purpose_name(b->purpose), "per", budget_per_name(b->per), "period",
                     budget_period_name(b->period), "names", json_list(b->names), "bytes", most_json(b->bytes), "files",
                     most_json(b->files), "subjects", most_json(b->subjects));
}

static json_t *budgets_json(const struct policy *p) {
    json_t *list = json_array();
    for (size_t i = 0; i < p->budget_count; i++)
        json_array_append_new(list, budget_json(&p->budgets[i]));
    return list;
}

static json_t *summary_json(const struct policy *p, const struct policy_value *v) {
    json_t *days = p->opt_outs_days == 0 ? json_null() : json_integer(p->opt_outs_days);
    json_t *seconds = p->witnessed_seconds == 0 ? json_null() : json_integer(p->witnessed_seconds);
    return json_pack("{s:s, s:i, s:o, s:o, s:o, s:i, s:o}", "name", p->name, "version", (int)v->version, "hash",
                     json_hex(v->hash, HASH_SIZE), "opt_outs_max_age_days", days, "witnessed_within_seconds", seconds,
                     "rules", (int)p->count, "budgets", budgets_json(p));
}

/* Stores the monitor's own encoding of it, as the next version, and puts it in force. */
static int put_in_force(struct monitor *m, const struct policy *p, struct policy_value *v) {
    size_t used = 0;
    int result = policy_encode(p, v->policy, sizeof(v->policy), &used);
    if (result != VAULT_OK)
        return result;
    v->policy_size = (uint32_t)used;
    v->version = m->meta.policy = m->meta.policy + 1;
    v->loaded = monitor_time(m);
    crypto_generichash(v->hash, HASH_SIZE, v->policy, used, NULL, 0);
    result = policy_store(m, v);
    if (result != VAULT_OK)
        return result;
    m->policy = *p;
    m->has_policy = true;
    m->policy_damaged = false;
    hex_encode(m->policy_hash, sizeof(m->policy_hash), v->hash, HASH_SIZE);
    return VAULT_OK;
}

/* What an approver must know of it: its name, the hash that `policy show` gives once it is in force, and what it would
 * change. */
static int ask_for_approval(struct request *q, const struct policy *p, const char *changes) {
    static uint8_t encoded[BLOCK_MAX];
    uint8_t hash[HASH_SIZE];
    char hex[2 * HASH_SIZE + 1];
    char detail[PENDING_DETAIL];
    size_t n = 0;
    int result = policy_encode(p, encoded, sizeof(encoded), &n);
    if (result != VAULT_OK)
        return result;
    crypto_generichash(hash, sizeof(hash), encoded, n, NULL, 0);
    hex_encode(hex, sizeof(hex), hash, sizeof(hash));
    return format_string(detail, sizeof(detail), "%s, %s; %s", p->name, hex, changes)
               ? pending_ask(q, "policy.load", NULL, detail)
               : VAULT_E_STATE;
}

int answer_policy_load(struct request *q) {
    static struct policy p;
    static struct policy_value v;
    const struct msg_policy_load *l = &q->message->policy_load;
    char detail[PENDING_DETAIL], changes[CHANGES_TEXT] = "";
    struct grant_filter filter = {.cause = "the policy was changed", .asked_by = q->worker->number};
    if (policy_decode(&p, l->policy, l->policy_size) != VAULT_OK)
        return refuse(q, "policy.load", NULL, 400, "malformed", "The policy is malformed.");
    if (p.witnessed_seconds != 0 && q->monitor->witnesses == NULL)
        return refuse(q, "policy.load", NULL, 409, "no-witnesses",
                      "The policy wants witnesses of the audit ('witnessed-within-seconds'), and none are configured.");
    /* Told before it is approved; where the policy in force is damaged, another one is what mends that. */
    bool tells = q->asked_by == NULL && !q->monitor->policy_damaged;
    int result = tells ? policy_changes(q->monitor, &p, changes) : VAULT_OK;
    if (result != VAULT_OK)
        return result;
    if (pending_needed(q))
        return ask_for_approval(q, &p, changes);
    v = (struct policy_value){0};
    result = put_in_force(q->monitor, &p, &v);
    if (result == VAULT_OK)
        result = grants_decide_again(q->monitor, &filter, NULL);
    if (result == VAULT_OK)
        result = policy_make_current(q->monitor, &v);
    if (result != VAULT_OK)
        return result;
    if (!format_string(detail, sizeof(detail), "%s, version %u, %s%s%s", p.name, v.version, q->monitor->policy_hash,
                       tells ? "; " : "", changes))
        detail[0] = '\0';
    json_t *answer = summary_json(&p, &v);
    if (tells)
        json_object_set_new(answer, "changes", json_string(changes));
    return administer(q, "policy.load", NULL, 'U', detail, 200, answer);
}

int answer_policy_show(struct request *q) {
    static struct policy_value v;
    struct monitor *m = q->monitor;
    uint8_t key[4];
    if (!m->has_policy)
        return refuse(q, "policy.show", NULL, 404, "no-policy", "No policy has been loaded.");
    put_be32(key, m->meta.policy);
    int result = index_get_record(m->index, DB_POLICIES, key, sizeof(key), &layout_policy_value, &v);
    if (result != VAULT_OK)
        return result == VAULT_NOT_FOUND ? VAULT_E_DAMAGED : result;
    json_t *answer = summary_json(&m->policy, &v);
    json_t *rules = json_array();
    size_t bytes = 0; /* a policy of many long rules is shown as far as one answer holds it; "count" says them all */
    for (size_t i = 0; i < m->policy.count; i++)
        (void)json_append_fitting(rules, &bytes, rule_json(&m->policy.rules[i]));
    if (answer == NULL || json_object_set_new(answer, "loaded", json_time(v.loaded)) != 0 ||
        json_object_set_new(answer, "rules", rules) != 0 ||
        json_object_set_new(answer, "count", json_integer((json_int_t)m->policy.count)) != 0) {
        json_decref(answer);
        return VAULT_E_MEMORY;
    }
    return administer(q, "policy.show", NULL, 'R', NULL, 200, answer);
}
