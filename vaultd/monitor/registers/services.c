#include <string.h>

#include "vaultd/monitor/access/grants.h"
#include "vaultd/monitor/access/listing.h"
#include "vaultd/monitor/answers.h"
#include "vaultd/monitor/current.h"
#include "vaultd/monitor/lookup.h"
#include "vaultd/monitor/pending.h"
#include "vaultd/monitor/table.h"
#include "vault/result.h"

static json_t *service_json(struct request *q, const void *record) {
    const struct service_value *s = record;
    (void)q;
    return json_pack("{s:s, s:s, s:o, s:o, s:s?, s:s?, s:b, s:o, s:b}", "name", s->name, "san", s->san, "roles",
                     json_mask(s->roles, role_name, ROLE_COUNT), "purposes",
                     json_mask(s->purposes, purpose_name, PURPOSE_RESEARCH + 1), "organisation",
                     s->organisation[0] == '\0' ? NULL : s->organisation, "country",
                     s->country[0] == '\0' ? NULL : s->country, "not_for_profit", s->not_for_profit != 0, "added",
                     json_time(s->added), "revoked", s->revoked != 0);
}

enum {
    ADMINISTRATIVE = 1u << ROLE_REGISTRAR | 1u << ROLE_AUDITOR | 1u << ROLE_CUSTODIAN | 1u << ROLE_OPERATOR,
    APPROVING = 1u << ROLE_OPERATOR /* of what an operator may ask */
};

static const char *field_at_fault(const struct msg_service_add *a) {
    if (!name_is_good(a->name) || name_is_local(a->name))
        return "The name is malformed.";
    if (a->san[0] == '\0' || strchr(a->san, ':') == NULL)
        return "The SAN must be a URI.";
    if (a->roles == 0 || a->roles >> ROLE_COUNT != 0)
        return "At least one known role is needed.";
    if (a->purposes >> (PURPOSE_RESEARCH + 1) != 0 || (a->purposes & 1) != 0)
        return "A purpose is unknown.";
    if ((a->roles & ADMINISTRATIVE) != 0 && (a->roles & (1u << ROLE_READER | 1u << ROLE_DEPOSITOR)) != 0)
        return "Administrative roles and access to content do not go together.";
    if ((a->roles & 1u << ROLE_READER) != 0 && a->purposes == 0)
        return "A reader needs at least one purpose.";
    if ((a->roles & 1u << ROLE_READER) == 0 && a->purposes != 0)
        return "Only a reader has purposes.";
    if (a->organisation[0] != '\0' && !name_is_good(a->organisation))
        return "The organisation's name is malformed.";
    if (a->country[0] != '\0' && !country_is_good(a->country))
        return "The country is not a code of two capital letters.";
    if (a->not_for_profit > 1)
        return "Whether it is for profit is malformed.";
    if (a->organisation[0] == '\0' && (a->country[0] != '\0' || a->not_for_profit != 0))
        return "A country, or that it is not for profit, is said of an organisation.";
    return NULL;
}

/* Whether name and SAN are both free. */
static int taken(struct monitor *m, const struct msg_service_add *a, const uint8_t san[HASH_SIZE], bool *ret) {
    struct service_value s;
    struct san_value v;
    int by_name = find_service(m, a->name, &s);
    int by_san = index_get_record(m->index, DB_SANS, san, HASH_SIZE, &layout_san_value, &v);
    if (by_name < 0 || by_san < 0)
        return by_name < 0 ? by_name : by_san;
    *ret = by_name == VAULT_OK || by_san == VAULT_OK;
    return VAULT_OK;
}

static int ask_for_approval(struct request *q) {
    const struct msg_service_add *a = &q->message->service_add;
    char detail[PENDING_DETAIL + 1];
    size_t used = 0;
    for (unsigned role = 0; role < ROLE_COUNT; role++)
        if ((a->roles >> role & 1) != 0 && format_string(detail + used, sizeof(detail) - used, "%s ", role_name(role)))
            used += strlen(detail + used);
    return format_string(detail + used, sizeof(detail) - used, "%s %s", a->name, a->san)
               ? pending_ask(q, "service.add", NULL, detail)
               : VAULT_E_STATE;
}

/* What decides who may do research is in the record that states it. */
static bool describe(const struct msg_service_add *a, char *to, size_t size) {
    bool known = a->organisation[0] != '\0';
    return format_string(to, size, "%s %s%s%s%s%s%s", a->name, a->san, known ? ", of " : "", a->organisation,
                         a->country[0] != '\0' ? " in " : "", a->country,
                         a->not_for_profit != 0 ? ", not for profit" : "");
}

int answer_service_add(struct request *q) {
    static struct service_value s;
    const struct msg_service_add *a = &q->message->service_add;
    struct monitor *m = q->monitor;
    struct san_value v = {0};
    uint8_t san[HASH_SIZE];
    bool exists = false;
    char detail[2 * NAME_MAX_SIZE + SAN_MAX_SIZE + 64];
    const char *fault = field_at_fault(a);
    if (fault != NULL)
        return refuse(q, "service.add", NULL, 400, "malformed", fault);
    name_hash(m, NAME_SAN, a->san, NULL, san);
    int result = taken(m, a, san, &exists);
    if (result == VAULT_OK && exists)
        return refuse(q, "service.add", NULL, 409, "exists", "The name or the SAN belongs to a service already.");
    if (!describe(a, detail, sizeof(detail)))
        return VAULT_E_STATE;
    if (result == VAULT_OK && (a->roles & ADMINISTRATIVE) != 0 && pending_needed(q))
        return ask_for_approval(q);
    s = (struct service_value){.roles = a->roles, .purposes = a->purposes, .added = monitor_time(m)};
    copy_string(s.name, sizeof(s.name), a->name);
    copy_string(s.san, sizeof(s.san), a->san);
    copy_string(s.organisation, sizeof(s.organisation), a->organisation);
    copy_string(s.country, sizeof(s.country), a->country);
    s.not_for_profit = a->not_for_profit;
    copy_string(v.name, sizeof(v.name), a->name);
    if (result == VAULT_OK)
        result = san_store(m, s.san, &v);
    if (result == VAULT_OK)
        result = journal_start_chain(m, NAME_CHAIN_SERVICE, s.name);
    if (result == VAULT_OK)
        result = service_make_current(m, &s);
    if (result == VAULT_OK && (a->roles & APPROVING) != 0 && m->meta.four_eyes == 0) {
        m->meta.four_eyes = 1; /* for good: from now on there is a second person */
        result = meta_store(m);
    }
    return result == VAULT_OK ? administer(q, "service.add", NULL, 'C', detail, 201, service_json(q, &s)) : result;
}

int answer_service_list(struct request *q) {
    static struct service_value s;
    struct listing l = {.db = DB_SERVICES,
                        .layout = &layout_service_value,
                        .record = &s,
                        .item = service_json,
                        .member = "services",
                        .event = "service.list"};
    return answer_listing(q, &l, q->message->service_list.cursor);
}

static int no_such_service(struct request *q, const char *event) {
    return refuse(q, event, NULL, 404, "no-such-service", "There is no such service.");
}

int answer_service_show(struct request *q) {
    static struct service_value s;
    int result = find_service(q->monitor, q->message->service_show.name, &s);
    if (result == VAULT_NOT_FOUND)
        return no_such_service(q, "service.show");
    return result == VAULT_OK ? administer(q, "service.show", NULL, 'R', s.name, 200, service_json(q, &s)) : result;
}

/* Whether somebody else is left who could approve requests. Faults of the index. */
static int another_approves(struct monitor *m, const struct service_value *but, bool *ret) {
    static struct service_value s;
    uint8_t key[INDEX_KEY_MAX];
    size_t size = 0;
    *ret = false;
    int result = index_next(m->index, DB_SERVICES, NULL, 0, NULL, 0, key, &size);
    while (result == VAULT_OK && !*ret) {
        result = index_get_record(m->index, DB_SERVICES, key, size, &layout_service_value, &s);
        *ret = result == VAULT_OK && s.revoked == 0 && (s.roles & APPROVING) != 0 && strcmp(s.name, but->name) != 0;
        if (result == VAULT_OK || result == VAULT_E_DAMAGED)
            result = index_next(m->index, DB_SERVICES, NULL, 0, key, size, key, &size);
    }
    return result == VAULT_NOT_FOUND ? VAULT_OK : result;
}

int answer_service_revoke(struct request *q) {
    static struct service_value s;
    bool approvers = true;
    int result = find_service(q->monitor, q->message->service_revoke.name, &s);
    if (result == VAULT_NOT_FOUND)
        return no_such_service(q, "service.revoke");
    if (result != VAULT_OK)
        return result;
    if ((s.roles & APPROVING) != 0 && s.revoked == 0)
        result = another_approves(q->monitor, &s, &approvers);
    if (result != VAULT_OK)
        return result;
    if (!approvers)
        return refuse(q, "service.revoke", NULL, 409, "last-approver",
                      "Nobody else could approve requests. Add another first, or revoke its certificate.");
    s.revoked = 1;
    struct grant_filter filter = {.service = s.name, .cause = "the service was revoked", .asked_by = q->worker->number};
    result = service_store(q->monitor, &s);
    if (result == VAULT_OK)
        result = grants_decide_again(q->monitor, &filter, NULL);
    if (result == VAULT_OK)
        result = pending_drop_of(q->monitor, s.name);
    if (result == VAULT_OK)
        result = service_make_current(q->monitor, &s);
    return result == VAULT_OK ? administer(q, "service.revoke", NULL, 'D', s.name, 200, service_json(q, &s)) : result;
}
