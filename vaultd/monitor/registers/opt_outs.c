#include "opt_outs.h"
#include "vaultd/monitor/access/grants.h"
#include "vaultd/monitor/answers.h"
#include "vaultd/monitor/current.h"
#include "vaultd/monitor/lookup.h"
#include "vaultd/monitor/table.h"

#include "vault/result.h"

enum { DAY = 86400 };

int opt_out_set(struct request *q, struct subject_value *s, bool opt_out) {
    struct grant_filter filter = {
        .subject = s->subject, .cause = "the subject opted out", .asked_by = q->worker->number};
    s->opt_out = opt_out;
    int result = subject_store(q->monitor, s);
    if (result == VAULT_OK)
        result = grants_decide_again(q->monitor, &filter, NULL);
    return result == VAULT_OK ? subject_make_current(q->monitor, s) : result;
}

static int record(struct request *q, const char *subject, const char *outcome, const char *detail) {
    struct event e = {.name = "subject.change",
                      .outcome = outcome,
                      .asker = &q->asker,
                      .subject = subject,
                      .request = q->id,
                      .action = 'U',
                      .detail = detail,
                      .state = REQUEST_RUNNING};
    return journal(q->monitor, &e, NULL);
}

/* Its entry must not come back as it was before: whoever can damage it for the while of an intake could else keep the
 * opt-out from it. */
static int disown(struct request *q, const char *subject) {
    int result = subject_disown(q->monitor, subject);
    return result == VAULT_OK || result == VAULT_E_DAMAGED
               ? record(q, subject, "failed", "integrity: opted out, but its entry is damaged")
               : result;
}

static int opt_out(struct request *q, struct subject_value *s) {
    int result = opt_out_set(q, s, true);
    return result == VAULT_OK ? record(q, s->subject, "done", OPTED_OUT) : result;
}

/* A damaged entry is told, and does not keep the others from being opted out. */
static int opt_out_one(struct request *q, const char *subject, const char **ret_state) {
    static struct subject_value s;
    int result = find_subject(q->monitor, subject, &s);
    *ret_state = result == VAULT_NOT_FOUND   ? "unknown"
                 : result == VAULT_E_DAMAGED ? "damaged"
                 : s.opt_out != 0            ? "already"
                                             : "opted-out";
    switch (result) {
    case VAULT_NOT_FOUND: return VAULT_OK;
    case VAULT_E_DAMAGED: return disown(q, subject);
    case VAULT_OK: return s.opt_out != 0 ? VAULT_OK : opt_out(q, &s);
    default: return result;
    }
}

/* *states gets what became of each. */
static int opt_out_all(struct request *q, const char *list, json_t *states) {
    char name[NAME_MAX_SIZE + 1];
    const char *state = NULL;
    int result = VAULT_OK;
    while (result == VAULT_OK && name_next(&list, name)) {
        result = opt_out_one(q, name, &state);
        if (result == VAULT_OK &&
            json_array_append_new(states, json_pack("{s:s, s:s}", "subject", name, "state", state)) != 0)
            result = VAULT_E_MEMORY;
    }
    return result;
}

/* What is wrong with a register of that day, NULL if nothing. East of Greenwich a day begins before it does in UTC. */
static const char *date_fault(struct monitor *m, uint64_t dated) {
    if (dated > monitor_time(m) / 1000000 + DAY)
        return "A register cannot be of a day that has not begun.";
    return dated < m->meta.opt_outs_of ? "A register of a later day was taken in already." : NULL;
}

/* Research may go on for as long as the policy lets it. */
static int complete_register(struct monitor *m, uint64_t dated) {
    m->meta.opt_outs_of = dated;
    return meta_store(m);
}

static int answer_states(struct request *q, json_t *states) {
    const struct msg_opt_outs *o = &q->message->opt_outs;
    char detail[80];
    char day[11] = "no day";
    if (o->dated != 0)
        day_text(o->dated * 1000000, day);
    (void)format_string(detail, sizeof(detail), "%zu of the register of %s%s", json_array_size(states), day,
                        o->complete ? ", which is complete" : "");
    return administer(q, "subject.opt-outs", NULL, 'U', detail, 200, json_pack("{s:o}", "subjects", states));
}

int answer_opt_outs(struct request *q) {
    const struct msg_opt_outs *o = &q->message->opt_outs;
    const char *fault = o->dated == 0 ? NULL : date_fault(q->monitor, o->dated);
    if (!names_are_good(o->subjects, OPT_OUTS) || (o->subjects[0] == '\0' && !o->complete))
        return refuse(q, "subject.opt-outs", NULL, 400, "malformed", "1 to 32 subject identifiers are needed.");
    if (o->complete && o->dated == 0)
        return refuse(q, "subject.opt-outs", NULL, 400, "malformed", "A register that is complete is of some day.");
    if (fault != NULL)
        return refuse(q, "subject.opt-outs", NULL, 409, "register-date", fault);
    json_t *states = json_array();
    int result = states == NULL ? VAULT_E_MEMORY : opt_out_all(q, o->subjects, states);
    if (result == VAULT_OK && o->complete)
        result = complete_register(q->monitor, o->dated);
    if (result == VAULT_OK)
        return answer_states(q, states);
    json_decref(states);
    return result;
}

void opt_outs_warn(struct monitor *m, json_t *list) {
    uint64_t tomorrow = monitor_time(m) / 1000000 + DAY;
    uint64_t days = m->has_policy ? m->policy.opt_outs_days : 0;
    if (days > 0 && tomorrow >= m->meta.opt_outs_of + days * DAY)
        json_array_append_new(list, json_string("The register of opt-outs is too old for research, or will be within a "
                                                "day: take in a new one ('subject opt-out')."));
}
