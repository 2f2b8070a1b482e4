/* The index is counted anew in the background, at start and when somebody asks: whether it holds what was stored. A
 * difference is told and recorded. It does not stop the vault, since treatment must go on: what decisions rest on is
 * guarded at each look-up besides (lookup.c). */
#include "check.h"
#include "vaultd/monitor/answers.h"
#include "vaultd/monitor/monitor.h"
#include "vault/log.h"
#include "vault/result.h"

static const char *const state_names[] = {"waiting", "checking", "whole", "damaged"};

json_t *check_json(const struct monitor *m) {
    return json_pack("{s:s, s:I, s:o}", "state", state_names[m->check], "entries", (json_int_t)index_entries(m->index),
                     "checked", m->check_ended == 0 ? json_null() : json_time(m->check_ended));
}

/* Of how it ended; in a batch of its own, since a transaction that met a bad page commits nothing. */
static int end(struct monitor *m, bool whole) {
    uint8_t digest[TALLY_DIGEST];
    char hex[2 * TALLY_DIGEST + 1];
    char detail[200];
    struct event e = {.name = "index.check", .outcome = whole ? "done" : "failed", .action = 'E', .detail = detail};
    m->check = whole ? CHECK_WHOLE : CHECK_DAMAGED;
    m->check_recorded = false;
    m->check_ended = monitor_time(m);
    index_digest(m->index, digest);
    hex_encode(hex, sizeof(hex), digest, sizeof(digest));
    if (!whole)
        log_error("index: its entries are not those that were stored; compare with a backup");
    if (!format_string(detail, sizeof(detail), "%llu entries, tally %s%s", (unsigned long long)index_entries(m->index),
                       hex, whole ? "" : ": not what was stored"))
        return VAULT_E_STATE;
    int result = batch_begin(m);
    return result == VAULT_OK ? journal(m, &e, NULL) : result;
}

int check_step(struct monitor *m, bool *ret_more) {
    *ret_more = false;
    if (m->seal != SEAL_UNSEALED || (m->check != CHECK_WAITING && m->check != CHECK_RUNNING))
        return VAULT_OK;
    m->check = CHECK_RUNNING;
    int result = index_check(m->index);
    *ret_more = result == VAULT_AGAIN;
    if (result == VAULT_AGAIN || result == VAULT_E_MEMORY)
        return result == VAULT_AGAIN ? VAULT_OK : result;
    return end(m, result == VAULT_OK);
}

void check_settled(struct monitor *m, bool durable) {
    bool ended = m->check == CHECK_WHOLE || m->check == CHECK_DAMAGED;
    if (ended && durable)
        m->check_recorded = true;
    else if (ended && !m->check_recorded)
        m->check = CHECK_WAITING; /* its record was dropped: once more */
}
