/* Grants, from their decision to their closing record. */
#ifndef VAULT_MONITOR_GRANTS_H
#define VAULT_MONITOR_GRANTS_H

#include "vaultd/monitor/monitor.h"

struct grant *grant_find(struct monitor *m, const struct worker *w, const uint8_t id[ID_SIZE]);
/* True while a grant with this number or a lower one has been ended but is not gone yet. */
bool grants_still_ending(const struct monitor *m, uint64_t ended);
/* Whether a grant needs the content of this blob. */
bool grants_need(const struct monitor *m, const uint8_t blob[ID_SIZE]);
/* How many grants this worker has. */
unsigned grants_of(const struct monitor *m, uint64_t worker);
/* True while a grant was made, ended or closed in the batch under way. */
bool grants_await_batch(const struct monitor *m);
/* Removes and frees; lets an answer that waited for it go, and what was removed meanwhile. */
void grant_drop(struct monitor *m, struct grant *g);
/* Appends the closing record and removes the durable form. Faults of the index. */
int grant_close(struct monitor *m, struct grant *g, const char *outcome, uint64_t bytes, uint32_t ranges,
                uint8_t status, const char *detail);
/* Asked for more than its request was decided for (grant->expected): decided again, and ended where that is no longer
 * permitted. Faults of the index. */
int grant_decide_more(struct monitor *m, struct grant *g, bool *ret_permitted);
/* Whether what was granted would be granted now, under this policy. Faults of the index. */
int grant_is_permitted(struct monitor *m, const struct grant *g, const struct policy *p, bool *ret_permitted);
/* Which grants a change can touch; NULL: any. */
struct grant_filter {
    const char *subject, *service;
    const uint64_t *worker;
    const char *cause; /* for the record */
    uint64_t asked_by; /* worker whose answer waits for them; 0: nobody's */
};
/* Decides them again in the transaction; those no longer permitted get their closing record ("revoked") and end once
 * the batch is durable. *ret_ended counts them. Faults of the index. */
int grants_decide_again(struct monitor *m, const struct grant_filter *filter, unsigned *ret_ended);
/* Ends every grant, permitted or not. Faults of the index. */
int grants_end_all(struct monitor *m, const char *cause, uint64_t asked_by);
/* After a commit: grants become live, and those that end are told. */
void grants_committed(struct monitor *m);
/* After a failed batch: pending grants vanish, ending ones of this batch live on. */
void grants_dropped(struct monitor *m);
/* Force for those that did not acknowledge in time; decides all again once a second, since consents and approvals end
 * by the clock. Returns milliseconds until it wants to be called again, -1: not needed. */
int grants_tick(struct monitor *m);
/* Remembers a new grant, pending until its batch is durable, in the transaction too. Faults of the index;
 * VAULT_E_MEMORY. */
int grant_add(struct monitor *m, const struct grant *g);
/* The worker acknowledged; or is gone (its other grants are closed as interrupted: faults of the index). */
void grants_acknowledged(struct monitor *m, struct worker *w, const uint8_t id[ID_SIZE]);
int grants_of_gone_worker(struct monitor *m, uint64_t worker);
/* At start: closes what a crash left open. Faults of the index. */
int grants_recover(struct monitor *m);

#endif
