/* vaultd-backup: one copy of the index, or one copy put back. Started by the supervisor with a channel on descriptor 3
 * that brings its setup; never by hand. Exit status: 0 it has answered; 1 a fault. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backup.h"
#include "vault/log.h"
#include "vault/result.h"
#include "vault/sandbox.h"

enum { CONTROL = 3, SETUP_MS = 10000, SEND_MS = 5000, SMALL_SECRETS = 8, LARGE_SECRETS = 4 };

/* The messages are large. */
static struct message asked, answer;

/* The two directories, and the channel to the monitor, which is all that stays open. */
static int receive_setup(struct task *t, uint8_t *ret_task, int *ret_monitor) {
    int result = channel_receive_wait(CONTROL, &asked, SETUP_MS);
    if (result != VAULT_OK)
        return result;
    if (asked.type != MSG_backup_setup || asked.fd_count != 3)
        result = VAULT_E_PROTOCOL;
    if (result == VAULT_OK) {
        t->state = asked.fds[0];
        t->place = asked.fds[1];
        *ret_monitor = asked.fds[2];
        asked.fd_count = 0; /* kept */
        t->map_size = asked.backup_setup.map_size;
        *ret_task = asked.backup_setup.task;
        copy_string(t->name, sizeof(t->name), asked.backup_setup.name);
    }
    message_clear(&asked);
    close(CONTROL);
    return result;
}

/* The one new folder is made before the walls are up, which leave no other to be written to. */
static int wall_in(struct task *t, uint8_t task) {
    int made = task == BACKUP_COPY ? partial_make(t) : VAULT_OK;
    if (made != VAULT_OK && t->rule == NULL)
        (void)task_refuse(t, made == VAULT_E_FULL ? "backup-full" : "backup-directory",
                          "A folder for it cannot be made in the directory of backups.");
    const int copy[] = {t->state, t->partial, t->place};
    const int restore[] = {t->state, t->place};
    if (task == BACKUP_COPY)
        return sandbox_enter(SANDBOX_BACKUP, copy, made == VAULT_OK ? 3 : 1);
    return sandbox_enter(SANDBOX_BACKUP, restore, 2);
}

static int work(struct task *t) {
    if (t->rule != NULL)
        return VAULT_DENIED;
    if (asked.type == MSG_backup_copy) {
        message_init(&answer, MSG_backup_copied, asked.id);
        struct index_keys keys = {.key = asked.backup_copy.key, .generation = asked.backup_copy.generation};
        return backup_make(t, &keys, &answer.backup_copied);
    }
    if (asked.type != MSG_backup_restore)
        return VAULT_E_PROTOCOL;
    message_init(&answer, MSG_backup_restored, asked.id);
    return backup_restore(t, &answer.backup_restored);
}

static void refuse(const struct task *t) {
    message_init(&answer, MSG_backup_refused, asked.id);
    copy_string(answer.backup_refused.rule, sizeof(answer.backup_refused.rule), t->rule);
    copy_string(answer.backup_refused.problem, sizeof(answer.backup_refused.problem), t->problem);
}

static int serve(struct task *t, int monitor) {
    int result = channel_receive_wait(monitor, &asked, SETUP_MS);
    if (result != VAULT_OK)
        return 1;
    result = work(t);
    if (result != VAULT_OK && t->rule == NULL)
        (void)task_refuse(t, "backup-failed", "It failed, and nothing was changed; the log says more.");
    if (result != VAULT_OK)
        refuse(t);
    result = channel_send_wait(monitor, &answer, SEND_MS);
    message_clear(&asked);
    message_clear(&answer);
    return result == VAULT_OK ? 0 : 1;
}

int main(void) {
    static struct task t = {.state = -1, .place = -1, .partial = -1};
    int monitor = -1;
    uint8_t task = BACKUP_NONE;
    log_start("backup");
    umask(077);
    int result = sandbox_start();
    if (result == VAULT_OK)
        result = secret_start();
    if (result == VAULT_OK)
        result = secret_reserve(SMALL_SECRETS, LARGE_SECRETS);
    if (result == VAULT_OK)
        result = receive_setup(&t, &task, &monitor);
    if (result == VAULT_OK)
        result = wall_in(&t, task);
    if (result != VAULT_OK) {
        log_error("cannot start: %s", vault_result_name(result));
        return 1;
    }
    return serve(&t, monitor);
}
