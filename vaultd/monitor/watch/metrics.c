/* Numbers for whoever watches the vault, in the text format of Prometheus (version 0.0.4). No name of a patient, a file
 * or a project is among them. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "alarms.h"
#include "vaultd/monitor/care/space.h"
#include "vaultd/monitor/keys/jobs.h"
#include "vaultd/monitor/registers/standings.h"
#include "vaultd/monitor/table.h"
#include "vaultd/monitor/witness/witnesses.h"
#include "vault/result.h"

struct text {
    char *at;
    size_t size, used;
    bool full;
};

static void put(struct text *t, const char *name, const char *label, const char *value, uint64_t number) {
    char line[200];
    bool fits = label == NULL ? format_string(line, sizeof(line), "%s %llu\n", name, (unsigned long long)number)
                              : format_string(line, sizeof(line), "%s{%s=\"%s\"} %llu\n", name, label, value,
                                              (unsigned long long)number);
    size_t n = strlen(line);
    t->full = t->full || !fits || n > t->size - t->used;
    if (t->full)
        return;
    copy_bytes(t->at + t->used, t->size - t->used, line, n);
    t->used += n;
}

/* What is said of a number: what it is, and whether it only grows. */
static void head(struct text *t, const char *name, const char *type, const char *help) {
    char lines[300];
    t->full = t->full || !format_string(lines, sizeof(lines), "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type) ||
              strlen(lines) > t->size - t->used;
    if (t->full)
        return;
    copy_bytes(t->at + t->used, t->size - t->used, lines, strlen(lines));
    t->used += strlen(lines);
}

static void put_one(struct text *t, const char *name, const char *type, const char *help, uint64_t number) {
    head(t, name, type, help);
    put(t, name, NULL, NULL, number);
}

static uint64_t grants_open(const struct monitor *m) {
    uint64_t n = 0;
    for (const struct grant *g = m->grants; g != NULL; g = g->next)
        n++;
    return n;
}

static uint64_t connections(const struct monitor *m) {
    uint64_t n = 0;
    for (const struct worker *w = m->workers; w != NULL; w = w->next)
        n += w->kind == PEER_TLS || w->kind == PEER_UNIX;
    return n;
}

static void put_activity(const struct monitor *m, struct text *t) {
    uint64_t permitted, denied, count;
    decisions_counted(m, &permitted, &denied);
    head(t, "vault_decisions_total", "counter", "Decisions that were recorded, since the start.");
    put(t, "vault_decisions_total", "outcome", "permitted", permitted);
    put(t, "vault_decisions_total", "outcome", "denied", denied);
    head(t, "vault_alarms_total", "counter", "Alarms by their kind, since the start.");
    for (unsigned kind = 0; kind < ALARM_KINDS; kind++) {
        const char *name = alarm_kind(m, kind, &count);
        put(t, "vault_alarms_total", "kind", name, count);
    }
    put_one(t, "vault_grants", "gauge", "Files that are open.", grants_open(m));
    put_one(t, "vault_connections", "gauge", "Clients that are connected.", connections(m));
}

static void put_state(struct monitor *m, struct text *t) {
    put_one(t, "vault_records", "gauge", "Records of the audit.", m->tree.size);
    put_one(t, "vault_records_archived", "gauge", "Records of the audit that are in archive segments.",
            m->meta.archived);
    put_one(t, "vault_index_bytes", "gauge", "Bytes that the index takes on disk.", space_of_index(m));
    put_one(t, "vault_subjects", "gauge", "Patients.", m->meta.subjects);
    put_one(t, "vault_files", "gauge", "Files.", m->meta.files);
    put_one(t, "vault_space", "gauge", "Space for the state: 0 enough, 1 short, 2 none.", (uint64_t)m->space.state);
    put_one(t, "vault_jobs_open", "gauge", "Jobs that have not ended.", jobs_open(m));
    put_one(t, "vault_reviews_open", "gauge", "Emergencies that wait for an auditor.", m->meta.reviews);
    put_one(t, "vault_failed_authentications", "gauge", "Reads that met damaged data.", m->meta.reported);
    put_one(t, "vault_files_set_aside", "gauge", "Files that were set aside as damaged.", m->meta.set_aside);
    put_one(t, "vault_restore_unconfirmed", "gauge", "1: restored, and nobody has answered for it.",
            m->meta.unconfirmed);
    put_one(t, "vault_witness_doubt", "gauge", "1: a witness has seen another log.", m->meta.doubted);
    put_one(t, "vault_witness_cosigned_seconds", "gauge",
            "When a witness last cosigned, in seconds since 1970; 0: none has since the vault was opened.",
            witnesses_last(m));
    put_one(t, "vault_standings_differing_total", "counter",
            "What patients said: entries in memory that differed from the index.", standings_differing(m));
}

int answer_metrics(struct request *q) {
    struct message *reply = malloc(sizeof(*reply));
    if (reply == NULL)
        return VAULT_E_MEMORY;
    message_init(reply, MSG_block, q->message->id);
    struct text t = {.at = (char *)reply->block.bytes, .size = sizeof(reply->block.bytes)};
    put_state(q->monitor, &t);
    put_activity(q->monitor, &t);
    reply->block.bytes_size = (uint32_t)t.used;
    if (t.full)
        free(reply);
    else
        batch_reply(q->monitor, q->worker, reply);
    return t.full ? VAULT_E_STATE : VAULT_OK;
}
