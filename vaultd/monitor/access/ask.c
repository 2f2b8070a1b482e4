#include "ask.h"

#include <string.h>

#include "vaultd/monitor/log/log.h"
#include "vaultd/monitor/lookup.h"
#include "vaultd/monitor/registers/care.h"
#include "vault/result.h"

/* 0 for what is there and what is not; only faults pass. */
static int known_or_not(int result, bool *known) {
    *known = result == VAULT_OK;
    return result == VAULT_NOT_FOUND ? VAULT_OK : result;
}

static int look_up_subject(struct monitor *m, const char *name, struct inquiry *i, struct question *q) {
    if (name == NULL || name[0] == '\0')
        return VAULT_OK;
    int result = known_or_not(standings_find(m, name, &i->subject), &i->subject_known);
    if (result != VAULT_OK || !i->subject_known)
        return result;
    standing_tell(&i->subject, q);
    return care_is_given(m, name, i->subject.care, q->service.name, q->time, &q->subject.in_care);
}

/* A shredded subject has no files, whatever is left of them. */
static int is_shredded(struct monitor *m, const char *subject, bool *ret) {
    static struct standing s;
    *ret = false;
    if (subject == NULL || subject[0] == '\0')
        return VAULT_OK;
    int result = standings_find(m, subject, &s);
    *ret = result == VAULT_OK && s.shredded;
    return result == VAULT_NOT_FOUND ? VAULT_OK : result;
}

static int look_up_file(struct monitor *m, const struct inquiry_wanted *wanted, struct inquiry *i, struct question *q) {
    if (wanted->is_deposit) {
        q->file.known = true;
        q->file.dataset = wanted->dataset;
        q->file.tags = wanted->tags;
        return VAULT_OK;
    }
    static const uint8_t by_name[ID_SIZE];
    const uint8_t *id = wanted->file == NULL ? by_name : wanted->file;
    q->file.dataset = q->file.tags = "";
    if (wanted->subject_only) { /* any file of the subject, without dataset or tags */
        q->file.known = true;
        return VAULT_OK;
    }
    bool shredded = false;
    int result = id_is_zero(id) ? is_shredded(m, wanted->subject, &shredded) : VAULT_OK;
    if (result == VAULT_OK && !shredded)
        result = known_or_not(find_file(m, id, wanted->subject, wanted->name, &i->file), &i->file_known);
    if (result == VAULT_OK && i->file_known) {
        q->file.known = true;
        q->file.dataset = i->file.dataset;
        q->file.tags = i->file.tags;
    }
    return result;
}

static int look_up_project(struct monitor *m, const struct inquiry_wanted *wanted, struct inquiry *i,
                           struct question *q) {
    if (wanted->purpose->project[0] == '\0')
        return VAULT_OK;
    int result = known_or_not(find_project(m, wanted->purpose->project, &i->project), &q->project.known);
    if (result == VAULT_OK && q->project.known) {
        q->project.open = i->project.closed == 0;
        q->project.member = list_holds(i->project.services, wanted->asker->name);
    }
    return result;
}

static bool covers_uses(const char *uses, uint32_t wanted) {
    for (unsigned number = USE_FIRST; number <= USE_LAST; number++) {
        char term[DUO_TEXT];
        duo_text(number, term);
        if ((wanted & USE_BIT(number)) != 0 && !list_holds(uses, term))
            return false;
    }
    return true;
}

/* The purpose's disease is one of the approval's, or a kind of one, and its uses are, where it names any. */
static bool covers_purpose(const struct monitor *m, const struct ethics_value *e, const struct purpose *p) {
    return covers_uses(e->uses, p->uses) &&
           (p->disease[0] == '\0' || disease_is_among(m->disease_table.diseases, p->disease, e->diseases));
}

static int look_up_approval(struct monitor *m, const struct inquiry_wanted *wanted, struct inquiry *i,
                            struct question *q) {
    if (wanted->purpose->approval[0] == '\0')
        return VAULT_OK;
    int result = known_or_not(find_ethics(m, wanted->purpose->approval, &i->ethics), &q->approval.known);
    if (result == VAULT_OK && q->approval.known) {
        q->approval.revoked = i->ethics.revoked != 0;
        q->approval.for_project = strcmp(i->ethics.project, wanted->purpose->project) == 0;
        q->approval.for_dataset = i->ethics.datasets[0] == '\0' || list_holds(i->ethics.datasets, q->file.dataset);
        q->approval.for_purpose = covers_purpose(m, &i->ethics, wanted->purpose);
        q->approval.non_commercial = i->ethics.non_commercial != 0;
        q->approval.valid_from = i->ethics.valid_from;
        q->approval.valid_until = i->ethics.valid_until;
    }
    return result;
}

/* What was read under the policy's budgets, this read with it. Where its file or subject is not there it is denied for
 * that, and no budget is asked. */
static int look_up_use(struct monitor *m, const struct inquiry_wanted *wanted, struct inquiry *i, struct question *q) {
    struct spender s = {.purpose = wanted->purpose, .service = wanted->asker->name};
    if (wanted->action != ACTION_READ || !i->subject_known || !q->file.known)
        return VAULT_OK;
    if (wanted->extent != NULL)
        i->expected = bytes_expected(i->file.size, wanted->extent);
    struct one_more more = {.file = i->file_known ? i->file.file : NULL,
                            .subject = i->subject.id,
                            .bytes = i->expected,
                            .counted = wanted->goes_on};
    return budgets_use(m, q->policy, &s, &more, q->use);
}

const struct policy *policy_in_force(const struct monitor *m) {
    return m->has_policy ? &m->policy : NULL;
}

int inquire(struct monitor *m, const struct inquiry_wanted *wanted, struct inquiry *ret) {
    struct question q = {.time = monitor_time(m) / 1000000,
                         .action = wanted->action,
                         .purpose = wanted->purpose,
                         .opt_outs_of = m->meta.opt_outs_of,
                         .diseases = m->disease_table.diseases,
                         .policy = wanted->policy != NULL ? wanted->policy : policy_in_force(m)};
    q.service.known = wanted->asker->known;
    q.service.name = wanted->asker->name;
    q.service.roles = wanted->asker->roles;
    q.service.purposes = wanted->asker->purposes;
    q.service.organisation = wanted->asker->organisation;
    q.service.country = wanted->asker->country;
    q.service.not_for_profit = wanted->asker->not_for_profit;
    *ret = (struct inquiry){0};
    if (m->policy_damaged)
        return VAULT_E_DAMAGED;
    int result = look_up_file(m, wanted, ret, &q);
    if (result == VAULT_OK)
        result = look_up_subject(m, ret->file_known ? ret->file.subject : wanted->subject, ret, &q);
    if (result == VAULT_OK)
        result = look_up_project(m, wanted, ret, &q);
    if (result == VAULT_OK)
        result = look_up_approval(m, wanted, ret, &q);
    if (result == VAULT_OK)
        result = look_up_use(m, wanted, ret, &q);
    if (result == VAULT_OK)
        decide(&q, &ret->decision);
    ret->question = q;
    return result;
}
