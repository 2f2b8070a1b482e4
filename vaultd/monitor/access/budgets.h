/* What is read under the budgets of the policy: counted by the manifest pages that are handed out.
 *
 * Files and subjects are counted with the decision, bytes with the closing record, each in the transaction of that.
 * What open reads may still come to is added from memory. Only what the policy in force bounds is counted. */
#ifndef VAULT_MONITOR_BUDGETS_H
#define VAULT_MONITOR_BUDGETS_H

#include "vaultd/monitor/monitor.h"

/* Who reads, for what. */
struct spender {
    const struct purpose *purpose;
    const char *service;
};

/* One more read. */
struct one_more {
    const uint8_t *file, *subject; /* ID_SIZE; NULL: one that was never read */
    uint64_t bytes;
    bool counted; /* it is among what was counted: nothing of it is new */
};
/* What has been used of what this policy bounds, with one more read. No count is more than BUDGET_MOST + 1. Faults of
 * the index. */
int budgets_use(struct monitor *m, const struct policy *p, const struct spender *s, const struct one_more *more,
                struct use ret[PER_COUNT][PERIOD_COUNT]);
/* Counts the file and the subject (ID_SIZE each) of a read that is permitted. Faults of the index. */
int budgets_count(struct monitor *m, const struct spender *s, const uint8_t *file, const uint8_t *subject);
/* Counts what a read that ends was handed out. Faults of the index. */
int budgets_spend(struct monitor *m, const struct spender *s, uint64_t bytes);

/* ---- what open reads may still come to: sums that follow each of them ---- */

/* A read is open: it is in the sums from now on. VAULT_E_MEMORY. */
int budgets_enter(struct monitor *m, struct grant *g);
/* Something of it has changed: what is expected, or whether it has its closing record, with which it is counted. */
void budgets_follow(struct grant *g);
void budgets_leave(struct monitor *m, struct grant *g);

/* Which bytes of a file are asked for. */
struct extent {
    enum open_extent kind;
    uint64_t from, to;
};

/* The plaintext bytes of the manifest pages that a request for these bytes needs. */
uint64_t bytes_expected(uint64_t size, const struct extent *e);

/* A bounded step of removing what was counted in periods that are over, once a day. *ret_more: there is more to do now.
 * Faults of the index. */
int budgets_step(struct monitor *m, bool *ret_more);

#endif
