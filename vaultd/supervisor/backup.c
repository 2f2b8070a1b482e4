/* vaultd-backup: one process for one task, asked for by the monitor. It gets the directories that the task needs as
 * open descriptors: what it is called is decided here, since who asks may be on the network and we are root. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "paths.h"
#include "supervisor.h"
#include "vault/buffer.h"
#include "vault/log.h"
#include "vault/result.h"

enum { NAME_ROOM = 64 + 1 };

/* What a process for the task is given. */
struct order {
    uint64_t id;
    uint8_t task;
    char name[NAME_ROOM];
    int state, place;
};

struct refusal {
    const char *rule;
    char problem[PROBLEM_SIZE];
};

static int refuse(struct refusal *r, const char *rule, const char *problem) {
    r->rule = rule;
    copy_string(r->problem, sizeof(r->problem), problem);
    return VAULT_DENIED;
}

static void tell_refusal(struct supervisor *s, uint64_t id, const struct refusal *r) {
    log_error("backup: not started: rule=%s problem=\"%s\"", r->rule, r->problem);
    message_init(&s->message, MSG_backup_channel, id);
    copy_string(s->message.backup_channel.rule, sizeof(s->message.backup_channel.rule), r->rule);
    copy_string(s->message.backup_channel.problem, sizeof(s->message.backup_channel.problem), r->problem);
    core_tell(s, CHILD_MONITOR);
}

/* The last component of a path whose parent is the directory of backups; or the text itself. */
static const char *last_component(const char *backups, const char *text) {
    size_t n = strlen(backups);
    while (n > 0 && backups[n - 1] == '/')
        n--;
    return strncmp(text, backups, n) == 0 && text[n] == '/' && text[0] == '/' ? text + n + 1 : text;
}

static bool name_is_good(const char *name) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    static const char partial[] = ".partial";
    size_t n = strlen(name);
    bool taken = n >= sizeof(partial) - 1 && strcmp(name + n - (sizeof(partial) - 1), partial) == 0;
    return n > 0 && n < NAME_ROOM && name[0] != '.' && name[strspn(name, letters)] == '\0' && !taken;
}

static int take_name(const struct config *c, const char *text, struct order *o, struct refusal *r) {
    const char *name = last_component(c->backups, text);
    if (!name_is_good(name))
        return refuse(
            r, "backup-name",
            "The name of a backup is one component of up to 64 letters, digits, '.', '_' and '-', not beginning "
            "with '.' nor ending in '.partial', or such a path in the directory of backups.");
    copy_string(o->name, sizeof(o->name), name);
    return VAULT_OK;
}

/* A backup that is there is never written to, and one that is not there cannot be restored. */
static int open_place(int backups, struct order *o, struct refusal *r) {
    struct stat found;
    bool there = fstatat(backups, o->name, &found, AT_SYMLINK_NOFOLLOW) == 0;
    if (o->task == BACKUP_COPY)
        return there ? refuse(r, "backup-exists", "There is a backup of this name already.") : VAULT_OK;
    o->place = openat(backups, o->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return o->place >= 0 ? VAULT_OK : refuse(r, "no-such-backup", "There is no backup of this name.");
}

/* For a copy the place is the directory of backups itself. */
static int open_order(const struct config *c, struct order *o, struct refusal *r) {
    char problem[PROBLEM_SIZE] = "";
    int backups = -1;
    int result = open_directory(c->state, &c->users[CHILD_MONITOR], &o->state, problem);
    if (result == VAULT_OK)
        result = open_directory(c->backups, &c->users[CHILD_BACKUP], &backups, problem);
    if (result != VAULT_OK)
        return refuse(r, "backup-directory", problem);
    result = open_place(backups, o, r);
    if (result == VAULT_OK && o->task == BACKUP_COPY)
        o->place = backups;
    else
        close(backups);
    return result;
}

static void close_order(const struct order *o) {
    if (o->state >= 0)
        close(o->state);
    if (o->place >= 0)
        close(o->place);
}

/* Tells the monitor of its end. */
static void bury(struct supervisor *s, const siginfo_t *end) {
    struct msg_backup_gone *gone = &s->message.backup_gone;
    char text[100] = "";
    message_init(&s->message, MSG_backup_gone, s->backup.id);
    if (helper_fault(end, text, sizeof(text))) {
        copy_string(gone->rule, sizeof(gone->rule), "backup-crashed");
        format_string(gone->problem, sizeof(gone->problem), "The process for the backup %s.", text);
        log_error("backup: %s", gone->problem);
    }
    if (s->backup.id != 0)
        core_tell(s, CHILD_MONITOR);
}

static void start(struct supervisor *s, const struct order *o, struct refusal *r) {
    int task = -1;
    message_init(&s->message, MSG_backup_setup, 0);
    s->message.backup_setup.task = o->task;
    s->message.backup_setup.map_size = s->config->map_size;
    copy_string(s->message.backup_setup.name, sizeof(s->message.backup_setup.name), o->name);
    s->message.fds[0] = o->state;
    s->message.fds[1] = o->place;
    s->message.fd_count = 2;
    s->backup.id = o->id;
    s->backup.helper.ended = bury;
    if (helper_start(s, &s->backup.helper, CHILD_BACKUP, &task) != VAULT_OK) {
        (void)refuse(r, "backup-not-started", "The process for the backup could not be started; see the log.");
        tell_refusal(s, o->id, r);
        return;
    }
    message_init(&s->message, MSG_backup_channel, o->id);
    core_tell_with(s, CHILD_MONITOR, &task, 1);
    close(task);
}

void backup_wanted(struct supervisor *s) {
    const struct msg_backup_wanted *wanted = &s->message.backup_wanted;
    struct order o = {.id = s->message.id, .task = wanted->task, .state = -1, .place = -1};
    struct refusal r = {.rule = NULL};
    int result = VAULT_OK;
    if (s->config->backups[0] == '\0')
        result = refuse(&r, "backups-not-configured", "No directory for backups is configured.");
    else if (helper_runs(&s->backup.helper))
        result = refuse(&r, "backup-running", "The backup before has not ended yet.");
    if (result == VAULT_OK)
        result = take_name(s->config, wanted->name, &o, &r);
    if (result == VAULT_OK)
        result = open_order(s->config, &o, &r);
    if (result == VAULT_OK)
        start(s, &o, &r);
    else
        tell_refusal(s, o.id, &r);
    close_order(&o);
}

void backup_end(struct supervisor *s) {
    if (helper_runs(&s->backup.helper))
        helper_kill(&s->backup.helper);
}
