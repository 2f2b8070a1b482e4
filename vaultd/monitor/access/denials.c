/* Denials beyond a rate: a service that is denied more often in a minute than limits.denials says gets the same
 * answers, but they are counted, and the count becomes one record, so that nobody can fill the log. A permit is never
 * summed, and neither is a denial by a budget: it tells that all else would permit (log/journal.c). */
#include <string.h>

#include "denials.h"
#include "vaultd/monitor/log/log.h"
#include "vaultd/monitor/monitor.h"
#include "vault/log.h"
#include "vault/result.h"

enum { MINUTE_MS = 60000, SUM_MS = 10000 };

/* Who is denied: the service, or what is known of who is none. */
static const char *name_of(const struct asker *a) {
    return a->name[0] != '\0' ? a->name : a->san[0] != '\0' ? a->san : a->address;
}

/* The row of this name, or one that can be given to it: of those with nothing to sum the one that was denied least.
 * NULL: every row has a sum to record first. */
static struct denier *row_of(struct denials *d, const char *name) {
    struct denier *least = NULL;
    for (size_t i = 0; i < DENIERS; i++) {
        struct denier *row = &d->rows[i];
        if (strcmp(row->name, name) == 0)
            return row;
        if (row->summed == 0 && (least == NULL || row->recorded < least->recorded))
            least = row;
    }
    return least;
}

static void begin_minute(struct denier *row, const struct asker *a, uint64_t now) {
    row->since = now;
    row->recorded = 0;
    copy_string(row->name, sizeof(row->name), name_of(a));
    row->registered = a->name[0] != '\0';
}

bool denials_admit(struct monitor *m, const struct asker *a) {
    uint32_t limit = m->setup.denial_limit;
    uint64_t now = loop_now_ms();
    if (limit == 0)
        return true;
    struct denier *row = row_of(&m->denials, name_of(a));
    if (row == NULL)
        return true; /* rather one record more than one in another's name */
    if (now - row->since >= MINUTE_MS || strcmp(row->name, name_of(a)) != 0)
        begin_minute(row, a, now);
    if (row->recorded < limit) {
        row->recorded++;
        return true;
    }
    if (row->summed++ == 0) {
        row->first = now;
        log_warning("denials: too many of one service, summed from now on service=%s", row->name);
    }
    return false;
}

static int record_sum(struct monitor *m, struct denier *row) {
    char detail[SAN_MAX_SIZE + 100];
    if (!format_string(detail, sizeof(detail), "%llu denials, not recorded one by one%s%s",
                       (unsigned long long)row->summed, row->registered ? "" : ", of ",
                       row->registered ? "" : row->name))
        return VAULT_E_STATE;
    struct event e = {.name = "denials",
                      .outcome = "denied",
                      .service = row->registered ? row->name : NULL,
                      .action = 'R',
                      .rule = "too-many-denials",
                      .text = "A service was denied too often in a minute.",
                      .detail = detail};
    int result = batch_begin(m);
    if (result == VAULT_OK)
        result = journal(m, &e, NULL);
    row->in_batch = row->summed;
    return result;
}

int denials_sum(struct monitor *m, bool all) {
    uint64_t now = loop_now_ms();
    int result = VAULT_OK;
    if (m->seal != SEAL_UNSEALED || m->index == NULL || m->space.state == SPACE_NONE)
        return VAULT_OK;
    for (size_t i = 0; i < DENIERS && result == VAULT_OK; i++) {
        struct denier *row = &m->denials.rows[i];
        if (row->summed > 0 && row->in_batch == 0 && (all || now - row->first >= SUM_MS))
            result = record_sum(m, row);
    }
    return result;
}

int denials_tick(struct monitor *m) {
    int wait = -1;
    int result = denials_sum(m, false);
    if (result != VAULT_OK)
        batch_drop(m, result);
    for (size_t i = 0; i < DENIERS; i++)
        if (m->denials.rows[i].summed > 0)
            wait = SUM_MS / 10;
    return wait;
}

void denials_settled(struct monitor *m, bool durable) {
    for (size_t i = 0; i < DENIERS; i++) {
        struct denier *row = &m->denials.rows[i];
        if (durable && row->in_batch > 0) {
            row->summed -= row->in_batch;
            row->first = loop_now_ms();
        }
        row->in_batch = 0;
    }
}
