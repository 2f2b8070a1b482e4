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

/* What has been used, with one more read: `file` and `subject` (ID_SIZE; NULL: one that was never read) counted, and
 * `bytes` more. Faults of the index. */
int budgets_use(struct monitor *m, const struct spender *s, const uint8_t *file, const uint8_t *subject, uint64_t bytes,
                struct use ret[PER_COUNT][PERIOD_COUNT]);
/* Counts the file and the subject (ID_SIZE each) of a read that is permitted. Faults of the index. */
int budgets_count(struct monitor *m, const struct spender *s, const uint8_t *file, const uint8_t *subject);
/* Counts what a read that ends was handed out. Faults of the index. */
int budgets_spend(struct monitor *m, const struct spender *s, uint64_t bytes);

/* The plaintext bytes of the manifest pages that a request for these bytes needs. */
uint64_t bytes_expected(uint64_t size, const struct extent *e);

/* A bounded step of removing what was counted in periods that are over, once a day. *ret_more: there is more to do now.
 * Faults of the index. */
int budgets_step(struct monitor *m, bool *ret_more);

#endif
