/* The process for backups: started by the supervisor for one task, spoken to on a channel of its own, and done with
 * when it is dead. Nobody waits for it meanwhile. */
#include "backup.h"

#include <unistd.h>

#include "vaultd/monitor/log/log.h"
#include "vaultd/monitor/opening/restore.h"
#include "vault/log.h"
#include "vault/result.h"

enum { TELL_MS = 5000 };

bool backup_runs(const struct monitor *m) {
    return m->backup.state == BACKUP_RUNNING;
}

bool backup_has_key(const struct monitor *m) {
    return m->backup.state == BACKUP_RUNNING && m->backup.task == BACKUP_COPY;
}

static void close_channel(struct monitor *m) {
    loop_remove(m->loop, &m->backup.watch);
    if (m->backup.open)
        close(m->backup.channel);
    m->backup.open = false;
}

void backup_close(struct monitor *m) {
    close_channel(m);
}

/* Without a word to the supervisor this process is of no use: another one begins again. */
void backup_start(struct monitor *m, enum backup_task task, const char *name) {
    static struct message wanted;
    struct backup *b = &m->backup;
    *b = (struct backup){.task = task, .state = BACKUP_RUNNING, .id = b->id + 1, .started = monitor_time(m)};
    copy_string(b->name, sizeof(b->name), name);
    message_init(&wanted, MSG_backup_wanted, b->id);
    wanted.backup_wanted.task = (uint8_t)task;
    copy_string(wanted.backup_wanted.name, sizeof(wanted.backup_wanted.name), name);
    if (channel_send_wait(m->control, &wanted, TELL_MS) != VAULT_OK) {
        m->stop = true;
        m->exit_status = 1;
    }
}

static void fail(struct monitor *m, const char *rule, const char *problem) {
    struct backup *b = &m->backup;
    if (b->rule[0] != '\0') /* the first word on it counts */
        return;
    b->good = false;
    (void)format_string(b->rule, sizeof(b->rule), "%s", rule);
    (void)format_string(b->problem, sizeof(b->problem), "%s", problem);
}

/* It is over, and nobody has the key any more. */
static void conclude(struct monitor *m) {
    struct backup *b = &m->backup;
    close_channel(m);
    if (!b->good)
        log_error("backup: failed rule=%s problem=\"%s\"", b->rule, b->problem);
    b->state = b->task == BACKUP_COPY && !b->abandoned ? BACKUP_ENDED : BACKUP_TOLD;
    if (b->task == BACKUP_RESTORE)
        restore_concluded(m);
}

/* ---- what the process says ---- */

static void take_answer(struct monitor *m, const struct message *in) {
    struct backup *b = &m->backup;
    if (in->type == MSG_backup_refused) {
        fail(m, in->backup_refused.rule, in->backup_refused.problem);
    } else if (in->type == MSG_backup_copied && b->task == BACKUP_COPY) {
        b->copied = in->backup_copied;
        b->good = true;
    } else if (in->type == MSG_backup_restored && b->task == BACKUP_RESTORE) {
        b->good = true;
    } else {
        fail(m, "backup-nonsense", "The answer of the process for the backup makes no sense.");
    }
}

/* A channel that ends says nothing: the supervisor tells why the process did. */
static void on_process(void *context) {
    static struct message in;
    struct monitor *m = context;
    int result = channel_receive(m->backup.channel, &in);
    if (result == VAULT_AGAIN)
        return;
    if (result == VAULT_OK)
        take_answer(m, &in);
    else
        loop_remove(m->loop, &m->backup.watch);
    message_clear(&in);
}

/* ---- what the supervisor says ---- */

static int send_task(struct monitor *m) {
    static struct message out;
    bool copy = m->backup.task == BACKUP_COPY;
    message_init(&out, copy ? MSG_backup_copy : MSG_backup_restore, m->backup.id);
    if (copy && m->seal != SEAL_UNSEALED)
        return VAULT_SEALED;
    if (copy) /* lent, not given */
        out.backup_copy.key = (struct secret *)(uintptr_t)keyring_index_key(m->keyring);
    if (copy)
        out.backup_copy.generation = keyring_index_generation(m->keyring);
    int result = channel_send(m->backup.channel, &out);
    if (copy)
        out.backup_copy.key = NULL;
    return result;
}

void backup_channel(struct monitor *m, struct message *in) {
    struct backup *b = &m->backup;
    if (!backup_runs(m) || in->id != b->id || b->open)
        return;
    if (in->fd_count != 1) {
        fail(m, in->backup_channel.rule, in->backup_channel.problem);
        conclude(m);
        return;
    }
    b->channel = in->fds[0];
    b->open = true;
    in->fd_count = 0;
    int result = loop_add(m->loop, b->channel, 1, on_process, m, &b->watch);
    if (result == VAULT_OK)
        result = send_task(m);
    if (result != VAULT_OK && result != VAULT_E_CLOSED)
        fail(m, "backup-failed", "The process for the backup could not be told its task.");
    if (result != VAULT_OK) { /* it has ended, and the supervisor tells how; or it ends without a task */
        log_error("backup: the process could not be told its task: %s", vault_result_name(result));
        close_channel(m);
    }
}

/* It may have answered just before. What it had of the index's table of readers is free again. */
void backup_gone(struct monitor *m, const struct message *in) {
    struct backup *b = &m->backup;
    if (!backup_runs(m) || in->id != b->id)
        return;
    if (b->watch != NULL)
        on_process(m);
    if (!b->good && in->backup_gone.problem[0] != '\0')
        fail(m, in->backup_gone.rule, in->backup_gone.problem);
    else if (!b->good)
        fail(m, "backup-nonsense", "The process for the backup ended without an answer.");
    if (m->index != NULL && index_free_readers(m->index) != VAULT_OK)
        log_error("backup: its place among the index's readers could not be freed");
    conclude(m);
}

/* ---- what is recorded ---- */

static int record(struct monitor *m) {
    struct backup *b = &m->backup;
    char detail[256];
    struct event e = {.name = "backup.made", .asker = &b->asker, .action = 'E', .detail = detail};
    int result = VAULT_OK;
    e.outcome = b->good ? "done" : "failed";
    if (!b->good) {
        e.rule = b->rule;
        e.text = b->problem;
        (void)format_string(detail, sizeof(detail), "%s", b->name);
    } else {
        (void)format_string(detail, sizeof(detail), "%s: %llu records, %llu objects, needs generations %u to %u",
                            b->copied.name, (unsigned long long)b->copied.records,
                            (unsigned long long)b->copied.objects, b->copied.oldest, b->copied.newest);
        result = backups_add(m, &b->copied);
    }
    return result == VAULT_OK ? journal(m, &e, NULL) : result;
}

int backup_step(struct monitor *m, bool *ret_more) {
    *ret_more = false;
    if (m->seal != SEAL_UNSEALED || m->backup.state != BACKUP_ENDED)
        return VAULT_OK;
    int result = batch_begin(m);
    if (result == VAULT_OK)
        result = record(m);
    if (result == VAULT_OK)
        m->backup.state = BACKUP_RECORDED;
    return result;
}

void backup_settled(struct monitor *m, bool durable) {
    if (m->backup.state == BACKUP_RECORDED) {
        m->backup.state = durable ? BACKUP_TOLD : BACKUP_ENDED;
    } else if (!durable && m->backup.abandoned) { /* it goes on */
        m->backup.abandoned = false;
        m->backup.rule[0] = '\0';
    }
}

/* What has ended just now is recorded as what it came to. */
int backup_abandon(struct monitor *m) {
    struct backup *b = &m->backup;
    bool more = false;
    if (b->task == BACKUP_COPY && b->state == BACKUP_ENDED)
        return backup_step(m, &more);
    if (!backup_has_key(m))
        return VAULT_OK;
    fail(m, "sealed", "The vault was sealed while it was made.");
    b->abandoned = true;
    return record(m);
}
