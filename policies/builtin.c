/* The rules that no policy can loosen. */
#include "decision_internal.h"

enum builtin {
    ACTION_UNKNOWN,
    SERVICE_UNKNOWN,
    ROLE_MISSING,
    PURPOSE_MISSING,
    PURPOSE_NOT_ALLOWED,
    SUBJECT_UNKNOWN,
    FILE_UNKNOWN,
    CONSENT_NONE,
    CONSENT_EXPIRED,
    CONSENT_OUTGROWN,
    CONSENT_REFUSES_TREATMENT,
    CONSENT_REFUSES_RESEARCH,
    CONSENT_NOT_DECIDABLE,
    CONSENT_OTHER_USE,
    CONSENT_OTHER_USER,
    CONSENT_RESEARCH_OVER,
    CONSENT_OTHER_DISEASE,
    OPTED_OUT,
    OPT_OUTS_OUTDATED,
    PROJECT_MISSING,
    PROJECT_UNKNOWN,
    PROJECT_CLOSED,
    PROJECT_NOT_MEMBER,
    APPROVAL_MISSING,
    APPROVAL_UNKNOWN,
    APPROVAL_REVOKED,
    APPROVAL_NOT_YET,
    APPROVAL_OVER,
    APPROVAL_OTHER_PROJECT,
    APPROVAL_OTHER_USE,
    APPROVAL_OTHER_DATASET
};

const char rule_not_decidable[] = "consent-not-decidable";

#define SELF CONCERN_SELF, true
#define PATIENT CONCERN_PATIENT, true

static const struct reason builtins[] = {
    [ACTION_UNKNOWN] = {"action-unknown", "This action is not known.", SELF},
    [SERVICE_UNKNOWN] = {"service-unknown", "The service is not registered, or was revoked.", SELF},
    [ROLE_MISSING] = {"role-missing", "The service does not have the role that this action needs.", SELF},
    [PURPOSE_MISSING] = {"purpose-missing", "No purpose was given.", SELF},
    [PURPOSE_NOT_ALLOWED] = {"purpose-not-allowed-to-service", "The service may not act for this purpose.", SELF},
    [SUBJECT_UNKNOWN] = {"subject-unknown", "There is no such subject.", PATIENT},
    [FILE_UNKNOWN] = {"file-unknown", "There is no such file.", PATIENT},
    [CONSENT_NONE] = {"consent-none", "No consent is in force.", PATIENT},
    [CONSENT_EXPIRED] = {"consent-expired", "The consent has expired.", PATIENT},
    [CONSENT_OUTGROWN] = {"consent-outgrown", "A custodian gave the consent, and the patient decides alone by now.",
                          PATIENT},
    [CONSENT_REFUSES_TREATMENT] = {"consent-refuses-treatment", "The consent does not permit treatment.", PATIENT},
    [CONSENT_REFUSES_RESEARCH] = {"consent-refuses-research", "The consent does not permit research.", PATIENT},
    [CONSENT_NOT_DECIDABLE] = {rule_not_decidable,
                               "The consent permits research under a term that is not decidable here.", PATIENT},
    [CONSENT_OTHER_USE] = {"consent-other-use", "The consent does not permit research for this use.", PATIENT},
    [CONSENT_OTHER_USER] = {"consent-other-user", "The consent permits research by or for others only.", PATIENT},
    [CONSENT_RESEARCH_OVER] = {"consent-research-over", "The time for which the consent permits research has ended.",
                               PATIENT},
    [CONSENT_OTHER_DISEASE] = {"consent-other-disease", "The consent does not permit research on this disease.",
                               PATIENT},
    [OPTED_OUT] = {"opted-out", "The subject is in the national opt-out register.", PATIENT},
    [OPT_OUTS_OUTDATED] = {"opt-outs-outdated", "The register of opt-outs was taken in too long ago, or never.", SELF},
    [PROJECT_MISSING] = {"project-missing", "Research needs a project, and the purpose names none.", SELF},
    [PROJECT_UNKNOWN] = {"project-unknown", "There is no such project.", SELF},
    [PROJECT_CLOSED] = {"project-closed", "The project is closed.", SELF},
    [PROJECT_NOT_MEMBER] = {"project-not-member", "The service does not work on this project.", SELF},
    [APPROVAL_MISSING] = {"approval-missing", "Research needs an ethics approval, and the purpose names none.", SELF},
    [APPROVAL_UNKNOWN] = {"approval-unknown", "There is no such ethics approval.", SELF},
    [APPROVAL_REVOKED] = {"approval-revoked", "The ethics approval was revoked.", SELF},
    [APPROVAL_NOT_YET] = {"approval-not-yet", "The ethics approval has not begun.", SELF},
    [APPROVAL_OVER] = {"approval-over", "The ethics approval has ended.", SELF},
    [APPROVAL_OTHER_PROJECT] = {"approval-other-project", "The ethics approval is for another project.", SELF},
    [APPROVAL_OTHER_USE] = {"approval-other-use",
                            "The ethics approval does not cover the disease or the uses that the purpose names.", SELF},
    [APPROVAL_OTHER_DATASET] = {"approval-other-dataset", "The ethics approval does not cover the file's dataset.",
                                PATIENT},
};

static void against(struct deciding *s, enum builtin rule) {
    const struct reason *r = &builtins[rule];
    give_reason(s, r->rule, r->text, r->concern, r->against);
}

/* A consent that is not there, has ended or refuses treatment: told also where glass is broken, but not against it. */
static void consent_against(struct deciding *s, enum builtin rule) {
    const struct reason *r = &builtins[rule];
    give_reason(s, r->rule, r->text, r->concern, !s->facts.glass_broken);
}

static bool expired(const struct consent *c, uint64_t time) {
    return c->expires != 0 && time >= c->expires;
}

static bool outgrown(const struct consent *c, uint64_t time) {
    return c->custody_until != 0 && time >= c->custody_until;
}

static bool is_permitted(const struct research *r) {
    return !r->refused && !r->not_decidable && !r->other_use && !r->other_user && !r->over && !r->other_disease;
}

static uint32_t consent_facts(const struct question *q, const struct research *research) {
    const struct consent *c = q->subject.consent;
    uint32_t holding = q->subject.opted_out ? BIT(CONDITION_OPTED_OUT) : 0;
    if (c == NULL || expired(c, q->time))
        return holding | BIT(CONDITION_NO_CONSENT);
    if (c->treatment)
        holding |= BIT(CONDITION_CONSENT_TREATMENT);
    if (outgrown(c, q->time))
        holding |= BIT(CONDITION_CUSTODY_OVER);
    else if (is_permitted(research))
        holding |= BIT(CONDITION_CONSENT_RESEARCH);
    if (c->findings == FINDINGS_ACTIONABLE)
        holding |= BIT(CONDITION_FINDINGS_LIMITED);
    if (c->findings == FINDINGS_NONE)
        holding |= BIT(CONDITION_FINDINGS_REFUSED);
    return holding | (c->recontact ? 0 : BIT(CONDITION_NO_RECONTACT));
}

static bool approval_begun(const struct question *q) {
    return q->time >= q->approval.valid_from;
}

static bool approval_ended(const struct question *q) {
    return q->approval.valid_until != 0 && q->time >= q->approval.valid_until;
}

void gather_facts(struct deciding *s) {
    const struct question *q = s->q;
    bool project = q->purpose->project[0] != '\0' && q->project.known && q->project.open && q->project.member;
    bool approval = q->purpose->approval[0] != '\0' && q->approval.known && !q->approval.revoked &&
                    q->approval.for_project && q->approval.for_purpose && approval_begun(q) && !approval_ended(q);
    if (q->subject.consent != NULL)
        s->facts.research = research_under(q, q->subject.consent);
    uint32_t care = BIT(q->subject.in_care ? CONDITION_CARE_RELATION : CONDITION_NO_CARE_RELATION);
    uint32_t projects = BIT(project ? CONDITION_PROJECT_OPEN : CONDITION_NO_PROJECT);
    bool covered = approval && q->approval.for_dataset;
    bool emergency = q->purpose->purpose == PURPOSE_TREATMENT && q->purpose->emergency[0] != '\0';
    s->facts.holding = (emergency ? BIT(CONDITION_BREAK_GLASS) : 0) | consent_facts(q, &s->facts.research) | care |
                       projects | BIT(covered ? CONDITION_APPROVAL_VALID : CONDITION_NO_APPROVAL);
    s->facts.possible = BIT(CONDITION_COUNT) - 1;
    if (!project)
        s->facts.possible &= ~BIT(CONDITION_PROJECT_OPEN);
    if (!approval)
        s->facts.possible &= ~BIT(CONDITION_APPROVAL_VALID);
    if (!emergency)
        s->facts.possible &= ~BIT(CONDITION_BREAK_GLASS);
    s->facts.glass_broken = emergency && needs_consent(q->action) && glass_is_broken(s);
}

static uint32_t roles_for(unsigned action) {
    switch (action) {
    case ACTION_DEPOSIT: return BIT(ROLE_DEPOSITOR);
    case ACTION_READ:
    case ACTION_LIST:
    case ACTION_METADATA: return BIT(ROLE_READER);
    case ACTION_REMOVE:
    case ACTION_SHRED: return BIT(ROLE_CUSTODIAN);
    case ACTION_EXPORT: return BIT(ROLE_AUDITOR);
    case ACTION_ADMINISTER: return BIT(ROLE_REGISTRAR) | BIT(ROLE_AUDITOR) | BIT(ROLE_CUSTODIAN) | BIT(ROLE_OPERATOR);
    default: return 0;
    }
}

static void check_purpose(struct deciding *s) {
    unsigned purpose = s->q->purpose->purpose;
    if (purpose == PURPOSE_NONE)
        against(s, PURPOSE_MISSING);
    else if (purpose > PURPOSE_RESEARCH || (s->q->service.known && (s->q->service.purposes & BIT(purpose)) == 0))
        against(s, PURPOSE_NOT_ALLOWED);
}

static void check_service(struct deciding *s) {
    const struct question *q = s->q;
    uint32_t roles = roles_for(q->action);
    if (roles == 0)
        against(s, ACTION_UNKNOWN);
    if (!q->service.known)
        against(s, SERVICE_UNKNOWN);
    else if (roles != 0 && (q->service.roles & roles) == 0)
        against(s, ROLE_MISSING);
    if (needs_consent(q->action))
        check_purpose(s);
}

static void check_existence(struct deciding *s) {
    const struct question *q = s->q;
    bool about_file = needs_consent(q->action) || q->action == ACTION_REMOVE;
    bool about_subject = about_file || q->action == ACTION_DEPOSIT || q->action == ACTION_SHRED;
    if (about_subject && !q->subject.known)
        against(s, SUBJECT_UNKNOWN);
    if (about_file && !q->file.known)
        against(s, FILE_UNKNOWN);
}

static void check_research(struct deciding *s) {
    const struct research *found = &s->facts.research;
    if (found->refused)
        against(s, CONSENT_REFUSES_RESEARCH);
    if (found->not_decidable)
        against(s, CONSENT_NOT_DECIDABLE);
    if (found->other_use)
        against(s, CONSENT_OTHER_USE);
    if (found->other_user)
        against(s, CONSENT_OTHER_USER);
    if (found->over)
        against(s, CONSENT_RESEARCH_OVER);
    if (found->other_disease)
        against(s, CONSENT_OTHER_DISEASE);
}

static void check_consent(struct deciding *s) {
    const struct consent *c = s->q->subject.consent;
    unsigned purpose = s->q->purpose->purpose;
    if (purpose == PURPOSE_RESEARCH && s->q->subject.opted_out)
        against(s, OPTED_OUT);
    if (c == NULL) {
        consent_against(s, CONSENT_NONE);
        return;
    }
    if (expired(c, s->q->time))
        consent_against(s, CONSENT_EXPIRED);
    if (purpose == PURPOSE_TREATMENT && !c->treatment)
        consent_against(s, CONSENT_REFUSES_TREATMENT);
    if (purpose == PURPOSE_RESEARCH && outgrown(c, s->q->time))
        against(s, CONSENT_OUTGROWN);
    if (purpose == PURPOSE_RESEARCH)
        check_research(s);
}

static void check_opt_outs(struct deciding *s) {
    enum { DAY = 86400 };
    const struct question *q = s->q;
    uint64_t days = q->policy == NULL ? 0 : q->policy->opt_outs_days;
    if (days > 0 && (q->opt_outs_of == 0 || q->time >= q->opt_outs_of + days * DAY))
        against(s, OPT_OUTS_OUTDATED);
}

static void check_project(struct deciding *s) {
    const struct question *q = s->q;
    if (q->purpose->project[0] == '\0') {
        against(s, PROJECT_MISSING);
        return;
    }
    if (!q->project.known) {
        against(s, PROJECT_UNKNOWN);
        return;
    }
    if (!q->project.open)
        against(s, PROJECT_CLOSED);
    if (!q->project.member)
        against(s, PROJECT_NOT_MEMBER);
}

static void check_approval(struct deciding *s) {
    const struct question *q = s->q;
    if (q->purpose->approval[0] == '\0') {
        against(s, APPROVAL_MISSING);
        return;
    }
    if (!q->approval.known) {
        against(s, APPROVAL_UNKNOWN);
        return;
    }
    if (q->approval.revoked)
        against(s, APPROVAL_REVOKED);
    if (!approval_begun(q))
        against(s, APPROVAL_NOT_YET);
    if (approval_ended(q))
        against(s, APPROVAL_OVER);
    if (!q->approval.for_project)
        against(s, APPROVAL_OTHER_PROJECT);
    if (!q->approval.for_purpose)
        against(s, APPROVAL_OTHER_USE);
    if (!q->approval.for_dataset && q->file.known)
        against(s, APPROVAL_OTHER_DATASET);
}

/* The conditions whose lack is a built-in reason, and no news when a permit of the policy asks for them too. */
static uint32_t checked_for(unsigned purpose) {
    if (purpose == PURPOSE_TREATMENT)
        return BIT(CONDITION_CONSENT_TREATMENT);
    if (purpose == PURPOSE_RESEARCH)
        return BIT(CONDITION_CONSENT_RESEARCH) | BIT(CONDITION_PROJECT_OPEN) | BIT(CONDITION_APPROVAL_VALID);
    return 0;
}

void apply_builtin_rules(struct deciding *s) {
    check_service(s);
    check_existence(s);
    if (!needs_consent(s->q->action))
        return;
    check_consent(s);
    if (s->q->purpose->purpose == PURPOSE_RESEARCH) {
        check_opt_outs(s);
        check_project(s);
        check_approval(s);
    }
    s->facts.reported = checked_for(s->q->purpose->purpose) & ~s->facts.holding;
}
