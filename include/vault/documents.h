/* What people write and services say, in bounded form: consent, policy, purposes, roles.
 *
 * Parsers of the textual forms (JSON, YAML, RFC 9651) live in the worker; the forms here cross to the monitor, which
 * validates them (`*_check`) and stores its own encoding. Field meanings: docs/format-documents.md. */
#ifndef VAULT_DOCUMENTS_H
#define VAULT_DOCUMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vault/fields.h"
#include "vault/protocol/common.h"

/* Roles of a service or administrator; masks are 1u << role. */
enum role { ROLE_DEPOSITOR, ROLE_READER, ROLE_REGISTRAR, ROLE_AUDITOR, ROLE_CUSTODIAN, ROLE_OPERATOR, ROLE_COUNT };
/* "depositor"; NULL if out of range. And back: -1 if unknown. */
const char *role_name(unsigned role);
int role_from_name(const char *name);

/* What is asked for; masks are 1u << action. */
enum action {
    ACTION_DEPOSIT,
    ACTION_READ, /* content */
    ACTION_LIST,
    ACTION_METADATA, /* file document, HEAD */
    ACTION_REMOVE,
    ACTION_SHRED,
    ACTION_EXPORT,
    ACTION_ADMINISTER,
    ACTION_COUNT
};
const char *action_name(unsigned action);
int action_from_name(const char *name);
/* The letter of ISO 27789 / DICOM for the audit: C R U D E. */
char action_letter(unsigned action);

/* "treatment", "research"; NULL for PURPOSE_NONE and unknown. And back: PURPOSE_NONE if unknown. */
const char *purpose_name(unsigned purpose);
unsigned purpose_from_name(const char *name);

#define FIELDS_purpose(F, R) FIELDS_purpose_part(F, R)
DECLARE_RECORD(purpose);
/* Field order of FIELDS_purpose_part, out of any record that embeds it. */
#define PURPOSE_OF(record, ret)                                                                                        \
    do {                                                                                                               \
        (ret)->purpose = (record)->purpose;                                                                            \
        COPY_ARRAY((ret)->project, (record)->project);                                                                 \
        COPY_ARRAY((ret)->approval, (record)->approval);                                                               \
        COPY_ARRAY((ret)->disease, (record)->disease);                                                                 \
        COPY_ARRAY((ret)->emergency, (record)->emergency);                                                             \
        (ret)->uses = (record)->uses;                                                                                  \
    } while (0)
/* The canonical text: `research;project="P1";approval="A1"`; "" for PURPOSE_NONE. False when it does not fit. */
bool purpose_text(const struct purpose *p, char *to, size_t size);
/* Names well-formed (name_is_good or empty), particulars only where they belong. VAULT_E_FORMAT. */
int purpose_check(const struct purpose *p);

/* What research is for: the terms DUO:0000031 to DUO:0000040. */
enum { USE_FIRST = 31, USE_LAST = 40 };
#define USE_BIT(number) (1u << ((number)-30))

/* "DUO:0000031" of 31, and back; 0 for what is no such term. */
enum { DUO_TEXT = 16 };
void duo_text(uint32_t number, char to[DUO_TEXT]);
uint32_t duo_number(const char *term);

/* The next item after *at (NULL: the first) of a list with commas, of *ret_n bytes, which are kept until the next call.
 * False, and *at is of no use, after the last. */
bool list_next(const char *list, const char **at, size_t *ret_n);

/* A disease as a term of an ontology, of n bytes: 1 to 32 letters, a colon, 1 to 31 digits. */
bool disease_is_good(const char *term, size_t n);

/* Identifiers of subjects, datasets, services, projects, approvals: 1 to 128 characters of [A-Za-z0-9._:@-], not
 * starting with a dot. */
bool name_is_good(const char *name);
/* Takes the next one off a list with commas, of which *at is what is left. False at its end, and for what is no name.
 */
bool name_next(const char **at, char name[NAME_MAX_SIZE + 1]);
/* Whether the list, which may be empty, holds names only, and not more than `most`. */
bool names_are_good(const char *list, size_t most);
/* File names: 1 to 128 bytes of clean UTF-8 without '/', not "." or "..". */
bool file_name_is_good(const char *name);

enum findings { FINDINGS_NONE = 0, FINDINGS_ACTIONABLE = 1, FINDINGS_ALL = 2 };
enum { CONSENT_TERMS = 32, CONSENT_DISEASES = 8, DISEASE_SIZE = 64, CONSENT_ONLY = 512, CONSENT_NAMES = 8 };

#define FIELDS_consent(F, R)                                                                                           \
    F(R, STR, subject, NAME_MAX_SIZE)                                                                                  \
    F(R, STR, signed_on, 10) /* YYYY-MM-DD */                                                                          \
    F(R, STR, form, 32)      /* version of the form, "2.1" */                                                          \
    F(R, STR, evidence, 80)  /* "sha-256:<hex>" of the signed paper; empty if none */                                  \
    F(R, U8, treatment, 0)                                                                                             \
    F(R, BYTES, research, CONSENT_TERMS * 4) /* DUO numbers, u32 little-endian each, ascending; empty: refused */      \
    F(R, STR, diseases, CONSENT_DISEASES *(DISEASE_SIZE + 1) - 1) /* of DUO:0000007: ascending, with commas */         \
    F(R, U8, findings, 0)                                         /* enum findings */                                  \
    F(R, U8, recontact, 0)                                                                                             \
    F(R, U64, expires, 0)       /* seconds since 1970; 0: never */                                                     \
    F(R, U64, custody_until, 0) /* a custodian signed, until the patient decides alone: seconds, a day; 0: did not */  \
    F(R, STR, only, CONSENT_ONLY) /* "c:DK,o:NAME,p:NAME,s:NAME", ascending: see only_kind() */                        \
    F(R, U64, research_until, 0)  /* of DUO:0000025: seconds since 1970, the first of a day; 0: not stated */
DECLARE_RECORD(consent);
/* Copies the document from one record that embeds FIELDS_consent to another. */
#define CONSENT_COPY(to, from)                                                                                         \
    do {                                                                                                               \
        COPY_ARRAY((to)->subject, (from)->subject);                                                                    \
        COPY_ARRAY((to)->signed_on, (from)->signed_on);                                                                \
        COPY_ARRAY((to)->form, (from)->form);                                                                          \
        COPY_ARRAY((to)->evidence, (from)->evidence);                                                                  \
        (to)->treatment = (from)->treatment;                                                                           \
        (to)->research_size = (from)->research_size;                                                                   \
        COPY_ARRAY((to)->research, (from)->research);                                                                  \
        COPY_ARRAY((to)->diseases, (from)->diseases);                                                                  \
        (to)->findings = (from)->findings;                                                                             \
        (to)->recontact = (from)->recontact;                                                                           \
        (to)->expires = (from)->expires;                                                                               \
        (to)->custody_until = (from)->custody_until;                                                                   \
        COPY_ARRAY((to)->only, (from)->only);                                                                          \
        (to)->research_until = (from)->research_until;                                                                 \
    } while (0)
/* Every field in range, date real, terms ascending. VAULT_E_FORMAT, with the field's name in *ret_field (static). */
int consent_check(const struct consent *c, const char **ret_field);
size_t consent_terms(const struct consent *c);
uint32_t consent_term(const struct consent *c, size_t i);
/* Whether `after` permits anything that `before` does not; *ret_field is then the member that does (static). Research
 * under other terms counts as wider where that cannot be told from the lists alone. */
bool consent_widens(const struct consent *before, const struct consent *after, const char **ret_field);
/* DUO numbers that more is known of here: without restriction, disease-specific (has diseases), general research; those
 * of which the consent says which or until when: geographic, time limit, user-, project- and institution-specific. */
enum { DUO_NRES = 4, DUO_DS = 7, DUO_GRU = 42, DUO_GS = 22, DUO_TS = 25, DUO_US = 26, DUO_PS = 27, DUO_IS = 28 };
/* The kind of the items of `only` that belong to a term: 'c', 's', 'p', 'o'; 0: it has none. */
char only_kind(uint32_t term);
/* Whether `only` has an item of this kind; of this name, unless that is NULL. */
bool only_has(const char *only, char kind, const char *name);
/* The first second of a day before the year 10000, or 0. */
bool day_is_good(uint64_t seconds);
/* A second before the year 10000. */
bool second_is_good(uint64_t seconds);
/* Two capital letters. */
bool country_is_good(const char *code);

enum effect { EFFECT_PERMIT, EFFECT_FORBID, EFFECT_OBLIGE };

/* Facts that a rule may ask for; masks are 1u << condition. A rule with several needs all of them. */
enum condition {
    CONDITION_CONSENT_TREATMENT, /* consent in force permits treatment */
    CONDITION_CONSENT_RESEARCH,  /* consent in force permits research under a term that can be decided here */
    CONDITION_NO_CONSENT,        /* no consent in force */
    CONDITION_OPTED_OUT,         /* national opt-out */
    CONDITION_PROJECT_OPEN,      /* the named project exists, is open, and the service works on it */
    CONDITION_NO_PROJECT,        /* the opposite */
    CONDITION_APPROVAL_VALID,    /* the named approval exists, is in time, for this project, dataset and use */
    CONDITION_NO_APPROVAL,       /* the opposite */
    CONDITION_FINDINGS_LIMITED,  /* consent asks for actionable findings only */
    CONDITION_FINDINGS_REFUSED,  /* consent asks for no secondary findings */
    CONDITION_NO_RECONTACT,      /* consent refuses to be contacted again */
    CONDITION_BREAK_GLASS,       /* the purpose is treatment, and states an emergency */
    CONDITION_CUSTODY_OVER,      /* a custodian gave the consent, and the patient decides alone by now */
    CONDITION_CARE_RELATION,     /* the subject is in the care of the service now */
    CONDITION_NO_CARE_RELATION,  /* the opposite */
    CONDITION_COUNT
};
/* What a consent says beside what it permits: it ends with the consent. */
#define CONDITIONS_OF_CONSENT                                                                                          \
    (1u << CONDITION_FINDINGS_REFUSED | 1u << CONDITION_NO_RECONTACT | 1u << CONDITION_CUSTODY_OVER)
const char *condition_name(unsigned condition);
int condition_from_name(const char *name);

#define FIELDS_policy_rule(F, R)                                                                                       \
    F(R, STR, id, 64)                 /* [a-z0-9-]+, unique in the policy */                                           \
    F(R, STR, text, 200)              /* for people: the reason given */                                               \
    F(R, STR, source, 200)            /* the law or rule it stands for; may be empty */                                \
    F(R, U8, effect, 0)               /* enum effect */                                                                \
    F(R, U32, actions, 0)             /* mask, not 0, without ACTION_ADMINISTER */                                     \
    F(R, U32, purposes, 0)            /* mask over purpose_kind incl. PURPOSE_NONE, not 0 */                           \
    F(R, U32, roles, 0)               /* mask; the service needs one of them; 0: any */                                \
    F(R, U32, conditions, 0)          /* mask; 0: always */                                                            \
    F(R, STR, dataset, NAME_MAX_SIZE) /* only files of this dataset; empty: any */                                     \
    F(R, STR, tag, 64)                /* only files with this tag; empty: any */                                       \
    F(R, STR, obligation, 64)         /* EFFECT_OBLIGE: the token, [a-z0-9-]+; else empty */                           \
    F(R, U64, from, 0)                /* seconds since 1970: it does not count before; 0: no bound */                  \
    F(R, U64, until, 0)               /* nor from then on, after `from`; 0: no bound */
DECLARE_RECORD(policy_rule);

/* Whose reads a budget adds up, and over which time of the calendar (UTC). */
enum budget_per { PER_PROJECT, PER_SERVICE, PER_COUNT };
enum budget_period { PERIOD_DAY, PERIOD_MONTH, PERIOD_YEAR, PERIOD_EVER, PERIOD_COUNT };
const char *budget_per_name(unsigned per);
int budget_per_from_name(const char *name);
const char *budget_period_name(unsigned period);
int budget_period_from_name(const char *name);
/* Days from 1970-01-01 to the first of the period that the time (seconds since 1970) is in; 0 for PERIOD_EVER. */
uint32_t period_begin(unsigned period, uint64_t seconds);

#define BUDGET_MOST ((UINT64_C(1) << 53) - 2) /* one more is a number that a record can hold */
#define FIELDS_policy_budget(F, R)                                                                                     \
    F(R, STR, id, 64)      /* as of a rule */                                                                          \
    F(R, STR, text, 200)   /* likewise */                                                                              \
    F(R, STR, source, 200) /* likewise */                                                                              \
    F(R, U8, purpose, 0)   /* enum purpose_kind, not PURPOSE_NONE */                                                   \
    F(R, U8, per, 0)       /* enum budget_per; PER_PROJECT of research only */                                         \
    F(R, U8, period, 0)    /* enum budget_period */                                                                    \
    F(R, STR, names, 512)  /* projects or services that it is for, with commas; empty: all that no other one names */  \
    F(R, U64, bytes, 0)    /* plaintext; the most, up to BUDGET_MOST; 0: no bound */                                   \
    F(R, U64, files, 0)    /* different ones */                                                                        \
    F(R, U64, subjects, 0) /* different ones */
DECLARE_RECORD(policy_budget);

enum {
    POLICY_RULES = 64,
    POLICY_BUDGETS = 16,
    POLICY_RULES_AT_ONCE = 12,     /* for one action, purpose and dataset: so many reasons at most */
    POLICY_OBLIGATIONS = 8,        /* different tokens in a policy */
    POLICY_OBLIGATIONS_SIZE = 256, /* bytes of all of them with commas */
    POLICY_OPT_OUTS_DAYS = 3650,
    POLICY_WITNESSED_SECONDS = 31 * 86400
};
struct policy {
    char name[NAME_MAX_SIZE + 1];
    uint32_t opt_outs_days; /* research needs a register of opt-outs that is younger than so many days; 0: of any age */
    uint32_t
        witnessed_seconds; /* nothing new is read or deposited if no witness cosigned the audit for longer; 0: is */
    size_t count;
    struct policy_rule rules[POLICY_RULES];
    size_t budget_count;
    struct policy_budget budgets[POLICY_BUDGETS];
};
/* Encoding: u8 version = 5 ‖ STR name ‖ u32 opt_outs_days ‖ u32 witnessed_seconds ‖ u32 count ‖ u32 budget_count ‖
 * rules ‖ budgets. Encodes at most BLOCK_MAX bytes: VAULT_E_LIMIT. */
int policy_encode(const struct policy *p, uint8_t *to, size_t size, size_t *ret_used);
/* Decodes and checks everything (policy_check). VAULT_E_FORMAT. */
int policy_decode(struct policy *p, const uint8_t *from, size_t size);
/* opt_outs_days is at most POLICY_OPT_OUTS_DAYS, witnessed_seconds POLICY_WITNESSED_SECONDS. VAULT_E_FORMAT, with where
 * the fault is. A permit may only need what a patient or committee gave (consent-*, project-open, approval-valid), a
 * forbid only what is missing or refused (not findings-limited), and findings-refused and no-recontact only about
 * actions that need a consent: so that taking something away never permits. No rule is about ACTION_ADMINISTER. */
struct policy_fault {
    bool in_budget;    /* else in a rule, or in the policy's own members */
    size_t index;      /* of the rule or budget; SIZE_MAX: of neither */
    const char *field; /* static */
};
int policy_check(const struct policy *p, struct policy_fault *ret);
/* The budget that this purpose has for this name (a project or a service) in this period: the one that names it, else
 * the one for all. NULL: none. Points into the policy. */
const struct policy_budget *policy_budget_of(const struct policy *p, unsigned purpose, unsigned per, unsigned period,
                                             const char *name);

/* Seconds since 1970 of "YYYY-MM-DD" (UTC midnight). False if it is no real date from 1900 to 9999. */
bool date_parse(const char *text, int64_t *ret_seconds);
/* "2026-11-23" from microseconds since 1970: the day in UTC. */
void day_text(uint64_t microseconds, char to[11]);
/* "2026-11-23T04:05:06.000007Z" from microseconds since 1970. `to` has room for 28 bytes. */
void time_text(uint64_t microseconds, char to[28]);

#endif
