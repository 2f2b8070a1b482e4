/* Decisions, with all that is looked up for them. */
#ifndef VAULT_MONITOR_ASK_H
#define VAULT_MONITOR_ASK_H

#include "vaultd/monitor/access/budgets.h"
#include "vaultd/monitor/registers/standings.h"

/* Everything a decision looked at; what `decision` points to lives here. */
struct inquiry {
    struct standing subject; /* zero where it is not known */
    struct file_value file;
    struct project_value project;
    struct ethics_value ethics;
    bool subject_known, file_known;
    uint64_t expected;        /* plaintext bytes of the pages that the wanted extent needs */
    struct question question; /* as it was asked; it points into this, and to what the asking was given */
    struct decision decision;
};

/* Gathers and decides. The file is looked up by id or name unless `dataset` is given (a deposit: the file to be). Where
 * the file is not known, `subject` says whose it would be. VAULT_OK with ret->decision, or faults of the index.
 * What is given out, or goes on, because it is permitted is vouched for first (standings_vouch). */
struct inquiry_wanted {
    const struct asker *asker;
    enum action action;
    const struct purpose *purpose;
    const uint8_t *file; /* ID_SIZE or NULL */
    const char *subject, *name;
    const struct extent *extent; /* what is to be read of the file that is opened; NULL: nothing new */
    bool goes_on;                /* it is open: counted where it is */
    const struct policy *policy; /* NULL: the one in force */
    bool is_deposit, subject_only;
    const char *dataset, *tags; /* of a deposit */
};
int inquire(struct monitor *m, const struct inquiry_wanted *wanted, struct inquiry *ret);

/* NULL: none was loaded. */
const struct policy *policy_in_force(const struct monitor *m);

/* For administrative roles: {"permitted", "verdict", "reasons", "obligations"}, every reason with what it speaks for.
 */
json_t *decision_json(const struct decision *d);

#endif
