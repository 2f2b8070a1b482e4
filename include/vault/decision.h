/* The decision: a pure function of who asks, for what, about whom, under which policy, when. No I/O, no clock, no
 * globals, no allocation; deny by default; a forbid beats any permit; every reason is given. docs/decision.md. */
#ifndef VAULT_DECISION_H
#define VAULT_DECISION_H

#include "vault/diseases.h"
#include "vault/documents.h"

/* All pointers are borrowed for the call. What is looked up and not there is NULL. */
struct question {
    uint64_t time; /* seconds since 1970: the later of the clock and the last record */
    enum action action;
    const struct purpose *purpose; /* never NULL; kind PURPOSE_NONE if none was given */

    struct {
        bool known; /* a registered service that is not revoked */
        const char *name;
        uint32_t roles;                     /* mask */
        uint32_t purposes;                  /* mask */
        const char *organisation, *country; /* NULL or "": not known */
        bool not_for_profit;
    } service;

    struct {
        bool known; /* exists and is not shredded */
        bool opted_out;
        bool in_care;                  /* of the service, now */
        const struct consent *consent; /* the version in force; NULL if none was ever given or all is withdrawn */
    } subject;

    struct {
        bool known;
        const char *dataset; /* "" if none */
        const char *tags;    /* comma-separated; "" if none */
    } file;                  /* a deposit's is the file to be */

    struct {
        bool known, open;
        bool member; /* the service is on the project's list */
    } project;       /* the one that the purpose names */

    struct {
        bool known, revoked;
        bool for_project; /* it is an approval of the purpose's project */
        bool for_dataset; /* it covers the file's dataset */
        bool for_purpose; /* it covers the purpose's disease and uses, if there are any */
        bool non_commercial;
        uint64_t valid_from, valid_until; /* seconds since 1970; 0: no bound */
    } approval;                           /* the one that the purpose names */

    /* Read for the purpose by its project and by the service, in the periods that the time is in, this read with it:
     * what open reads may still come to is among it. 0: nobody counts. */
    struct use {
        uint64_t bytes, files, subjects;
    } use[PER_COUNT][PERIOD_COUNT];

    uint64_t opt_outs_of; /* seconds since 1970: the day of the register of opt-outs taken in last; 0: none */
    const struct diseases *diseases; /* NULL: none loaded, each disease is a kind of itself alone */
    const struct policy *policy; /* passed policy_check; NULL: none loaded, nothing that needs a permit is permitted */
};

enum verdict { VERDICT_DENY, VERDICT_PERMIT, VERDICT_PERSON }; /* PERSON: a person must decide; a deny that says so */

/* Whom a reason speaks of: SELF may be told to the service, PATIENT only to administrative roles and the audit. */
enum concern { CONCERN_SELF, CONCERN_PATIENT };

struct reason {
    const char *rule; /* built-in rule or the policy's rule id; points into static memory or the policy */
    const char *text;
    enum concern concern;
    bool against; /* speaks for a deny */
};

enum { REASONS_MAX = 32, OBLIGATIONS_MAX = 8 };

struct decision {
    enum verdict verdict;
    size_t reason_count; /* at least 1 */
    struct reason reasons[REASONS_MAX];
    size_t obligation_count; /* 0 unless permitted */
    const char *obligations[OBLIGATIONS_MAX];
    bool over_budget; /* denied by budgets alone */
};

/* Decides. Never fails: what cannot be understood denies and says so. */
void decide(const struct question *q, struct decision *ret);
/* The same about all files of the subject at once, whatever dataset and tags they have: what the question says of its
 * file, and whether the approval covers its dataset, counts for nothing. Not VERDICT_PERMIT: decide() permits none. */
void decide_any_file(const struct question *q, struct decision *ret);
/* The reasons that a denied service is told: those against it that speak of itself, whatever else stands against it.
 * They depend on nothing that a patient decided, so that the same question about two patients is told the same.
 * Returns how many; with none the answer is that of something that does not exist. */
size_t decision_told(const struct decision *d, const struct reason *ret_reasons[REASONS_MAX]);

#endif
