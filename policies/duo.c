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

/* Of what the research is for. */
enum demand {
    MEDICAL = BIT(0),       /* a disease, or a use in medicine */
    NOT_ANCESTRY = BIT(1),  /* DUO:0000033 is none of its uses */
    ONLY_ANCESTRY = BIT(2), /* it is the only one, and there is no disease */
    SAYS_USE = BIT(3),
    NOT_METHODS = BIT(4),
    GENETIC = BIT(5),
    DISEASE = BIT(6), /* one of the consent's, or a kind of one */
    DECIDABLE = BIT(7)
};

/* By number, the terms that can be decided here. All others need facts that the vault does not have. */
static const uint8_t terms[] = {
    [DUO_NRES] = DECIDABLE,                        /* NRES, no restriction */
    [6] = DECIDABLE | MEDICAL | NOT_ANCESTRY,      /* HMB, health, medical, biomedical */
    [DUO_DS] = DECIDABLE | DISEASE | NOT_ANCESTRY, /* DS, disease-specific */
    [11] = DECIDABLE | ONLY_ANCESTRY,              /* POA, populations, origins, ancestry only */
    [15] = DECIDABLE | SAYS_USE | NOT_METHODS,     /* NMDS, no methods development */
    [16] = DECIDABLE | GENETIC,                    /* GSO, genetic studies only */
    [21] = DECIDABLE,                              /* IRB: the rules of approvals ask everybody for one */
    [DUO_GRU] = DECIDABLE,                         /* GRU, general research use */
    [44] = DECIDABLE | SAYS_USE | NOT_ANCESTRY,    /* NPOA, no ancestry research */
};

static uint32_t demands_of(uint32_t number) {
    return number < sizeof(terms) ? terms[number] : 0;
}

static uint32_t met_by_uses(const struct purpose *p) {
    const uint32_t medical = USE_BIT(USE_BIOMEDICAL) | USE_BIT(USE_DRUGS) | USE_BIT(USE_DISEASE_CATEGORY);
    bool disease = p->disease[0] != '\0';
    return (disease || (p->uses & medical) != 0 ? MEDICAL : 0) |
           ((p->uses & USE_BIT(USE_ANCESTRY)) == 0 ? NOT_ANCESTRY : 0) |
           (!disease && p->uses == USE_BIT(USE_ANCESTRY) ? ONLY_ANCESTRY : 0) | (p->uses != 0 ? SAYS_USE : 0) |
           ((p->uses & USE_BIT(USE_METHODS)) == 0 ? NOT_METHODS : 0) |
           ((p->uses & USE_BIT(USE_GENETIC)) != 0 ? GENETIC : 0);
}

static bool is_of_consent(const struct question *q, const struct consent *c) {
    const char *disease = q->purpose->disease;
    return disease[0] != '\0' && disease_is_among(q->diseases, disease, c->diseases);
}

struct research research_under(const struct question *q, const struct consent *c) {
    uint32_t met = met_by_uses(q->purpose) | DISEASE | DECIDABLE;
    uint32_t asked = 0;
    size_t count = consent_terms(c);
    struct research found = {.refused = count == 0};
    for (size_t i = 0; i < count; i++) {
        uint32_t demands = demands_of(consent_term(c, i));
        found.not_decidable = found.not_decidable || demands == 0;
        asked |= demands;
    }
    found.other_use = (asked & ~met) != 0;
    found.other_disease = (asked & DISEASE) != 0 && !is_of_consent(q, c);
    return found;
}
