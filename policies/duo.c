/* The terms of the Data Use Ontology (EBISPOT/DUO): what each asks of the research that a consent is to permit. */
#include "decision_internal.h"

enum {
    USE_METHODS = 31,
    USE_ANCESTRY = 33,
    USE_BIOMEDICAL = 37,
    USE_GENETIC = 38,
    USE_DRUGS = 39,
    USE_DISEASE_CATEGORY = 40
};

/* Of what the research is for, and of who does it. */
enum demand {
    MEDICAL = BIT(0),       /* a disease, or a use in medicine */
    NOT_ANCESTRY = BIT(1),  /* DUO:0000033 is none of its uses */
    ONLY_ANCESTRY = BIT(2), /* it is the only one, and there is no disease */
    SAYS_USE = BIT(3),
    NOT_METHODS = BIT(4),
    GENETIC = BIT(5),
    NON_COMMERCIAL = BIT(6), /* of its approval */
    DISEASE = BIT(7),        /* one of the consent's, or a kind of one */
    NOT_FOR_PROFIT = BIT(8), /* its organisation */
    COUNTRY = BIT(9),        /* one of the consent's, as the next three */
    ORGANISATION = BIT(10),
    PROJECT = BIT(11),
    SERVICE = BIT(12),
    IN_TIME = BIT(13),
    DECIDABLE = BIT(14)
};

static const uint32_t demands_on_use =
    MEDICAL | NOT_ANCESTRY | ONLY_ANCESTRY | SAYS_USE | NOT_METHODS | GENETIC | NON_COMMERCIAL;
static const uint32_t demands_on_user = NOT_FOR_PROFIT | COUNTRY | ORGANISATION | PROJECT | SERVICE;

/* By number, the terms that can be decided here. All others need facts that the vault does not have. */
static const uint16_t terms[] = {
    [DUO_NRES] = DECIDABLE,                             /* NRES, no restriction */
    [6] = DECIDABLE | MEDICAL | NOT_ANCESTRY,           /* HMB, health, medical, biomedical */
    [DUO_DS] = DECIDABLE | DISEASE | NOT_ANCESTRY,      /* DS, disease-specific */
    [11] = DECIDABLE | ONLY_ANCESTRY,                   /* POA, populations, origins, ancestry only */
    [15] = DECIDABLE | SAYS_USE | NOT_METHODS,          /* NMDS, no methods development */
    [16] = DECIDABLE | GENETIC,                         /* GSO, genetic studies only */
    [18] = DECIDABLE | NOT_FOR_PROFIT | NON_COMMERCIAL, /* NPUNCU, both of 45 and 46 */
    [21] = DECIDABLE,                                   /* IRB: the rules of approvals ask everybody for one */
    [DUO_GS] = DECIDABLE | COUNTRY,                     /* GS, geographic */
    [DUO_TS] = DECIDABLE | IN_TIME,                     /* TS, time limit */
    [DUO_US] = DECIDABLE | SERVICE,                     /* US, user-specific */
    [DUO_PS] = DECIDABLE | PROJECT,                     /* PS, project-specific */
    [DUO_IS] = DECIDABLE | ORGANISATION,                /* IS, institution-specific */
    [DUO_GRU] = DECIDABLE,                              /* GRU, general research use */
    [44] = DECIDABLE | SAYS_USE | NOT_ANCESTRY,         /* NPOA, no ancestry research */
    [45] = DECIDABLE | NOT_FOR_PROFIT,                  /* NPU, not-for-profit organisation */
    [46] = DECIDABLE | NON_COMMERCIAL,                  /* NCU, non-commercial use */
};

/* 0: it cannot be decided here. Some say nothing without what the consent says beside them. */
static uint32_t demands_of(const struct consent *c, uint32_t number) {
    char kind = only_kind(number);
    bool says_nothing = (kind != 0 && !only_has(c->only, kind, NULL)) || (number == DUO_TS && c->research_until == 0);
    return number < sizeof(terms) / sizeof(terms[0]) && !says_nothing ? terms[number] : 0;
}

static uint32_t met_by_use(const struct question *q) {
    const uint32_t medical = USE_BIT(USE_BIOMEDICAL) | USE_BIT(USE_DRUGS) | USE_BIT(USE_DISEASE_CATEGORY);
    const struct purpose *p = q->purpose;
    bool disease = p->disease[0] != '\0';
    return (disease || (p->uses & medical) != 0 ? MEDICAL : 0) |
           ((p->uses & USE_BIT(USE_ANCESTRY)) == 0 ? NOT_ANCESTRY : 0) |
           (!disease && p->uses == USE_BIT(USE_ANCESTRY) ? ONLY_ANCESTRY : 0) | (p->uses != 0 ? SAYS_USE : 0) |
           ((p->uses & USE_BIT(USE_METHODS)) == 0 ? NOT_METHODS : 0) |
           ((p->uses & USE_BIT(USE_GENETIC)) != 0 ? GENETIC : 0) | (q->approval.non_commercial ? NON_COMMERCIAL : 0);
}

static bool names(const struct consent *c, char kind, const char *name) {
    return name != NULL && name[0] != '\0' && only_has(c->only, kind, name);
}

static uint32_t met_by_user(const struct question *q, const struct consent *c) {
    return (q->service.not_for_profit ? NOT_FOR_PROFIT : 0) | (names(c, 'c', q->service.country) ? COUNTRY : 0) |
           (names(c, 'o', q->service.organisation) ? ORGANISATION : 0) |
           (names(c, 'p', q->purpose->project) ? PROJECT : 0) | (names(c, 's', q->service.name) ? SERVICE : 0);
}

static bool is_of_consent(const struct question *q, const struct consent *c) {
    const char *disease = q->purpose->disease;
    return disease[0] != '\0' && disease_is_among(q->diseases, disease, c->diseases);
}

struct research research_under(const struct question *q, const struct consent *c) {
    uint32_t asked = 0;
    size_t count = consent_terms(c);
    struct research found = {.refused = count == 0};
    for (size_t i = 0; i < count; i++) {
        uint32_t demands = demands_of(c, consent_term(c, i));
        found.not_decidable = found.not_decidable || demands == 0;
        asked |= demands;
    }
    found.other_use = (asked & demands_on_use & ~met_by_use(q)) != 0;
    found.other_user = (asked & demands_on_user) != 0 && (asked & demands_on_user & ~met_by_user(q, c)) != 0;
    found.over = (asked & IN_TIME) != 0 && q->time >= c->research_until;
    found.other_disease = (asked & DISEASE) != 0 && !is_of_consent(q, c);
    return found;
}
