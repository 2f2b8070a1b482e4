#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "notify.h"
#include "paths.h"
#include "supervisor.h"
#include "vault/buffer.h"
#include "vault/log.h"
#include "vault/result.h"

enum { MESSAGES_A_TURN = 32 };

/* What the core children get, open for the time of their start. */
enum core_file {
    FILE_CERTIFICATE,
    FILE_KEY,
    FILE_CLIENTS,
    FILE_REVOCATIONS,
    FILE_STATE,
    FILE_TWIN,
    FILE_OBJECTS,
    FILE_DISEASES, /* if there are any */
    FILE_GATE_TO_MONITOR,
    FILE_MONITOR_TO_GATE,
    FILE_MONITOR_TO_STORE,
    FILE_STORE_TO_MONITOR,
    CORE_FILES
};

static void close_files(int fds[CORE_FILES]) {
    for (int i = 0; i < CORE_FILES; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

static int open_paths(const struct config *c, int fds[CORE_FILES], char problem[PROBLEM_SIZE]) {
    int result = open_file(c->certificate, FILE_OPEN, &fds[FILE_CERTIFICATE], problem);
    if (result == VAULT_OK)
        result = open_file(c->key, FILE_SECRET, &fds[FILE_KEY], problem);
    if (result == VAULT_OK)
        result = open_file(c->clients, FILE_OPEN, &fds[FILE_CLIENTS], problem);
    if (result == VAULT_OK)
        result = open_file(c->revocations, FILE_OPEN, &fds[FILE_REVOCATIONS], problem);
    if (result == VAULT_OK)
        result = open_directory(c->state, &c->users[CHILD_MONITOR], &fds[FILE_STATE], problem);
    if (result == VAULT_OK)
        result = open_directory(c->twin_directory, &c->users[CHILD_MONITOR], &fds[FILE_TWIN], problem);
    if (result == VAULT_OK)
        result = open_directory(c->objects, &c->users[CHILD_STORE], &fds[FILE_OBJECTS], problem);
    if (result == VAULT_OK && c->diseases[0] != '\0' &&
        open_file(c->diseases, FILE_GUARDED, &fds[FILE_DISEASES], problem) != VAULT_OK)
        log_error("start: without the table of diseases: %s", problem); /* the rest does not depend on it */
    return result;
}

static int open_files(const struct config *c, int fds[CORE_FILES]) {
    char problem[PROBLEM_SIZE] = "";
    for (int i = 0; i < CORE_FILES; i++)
        fds[i] = -1;
    int result = open_paths(c, fds, problem);
    if (result != VAULT_OK)
        log_error("start: %s", problem);
    if (result == VAULT_OK)
        result = channel_pair(&fds[FILE_GATE_TO_MONITOR]);
    if (result == VAULT_OK)
        result = channel_pair(&fds[FILE_MONITOR_TO_STORE]);
    if (result != VAULT_OK)
        close_files(fds);
    return result;
}

static void forget(struct supervisor *s, struct core_child *c) {
    loop_remove(s->loop, &c->death);
    loop_remove(s->loop, &c->talk);
    if (c->process.control >= 0)
        close(c->process.control);
    if (c->process.pidfd >= 0)
        close(c->process.pidfd);
    c->process = (struct child){.pid = 0, .pidfd = -1, .control = -1};
    c->ready = false;
}

/* Ends what runs of the three. Returns true if one of them had given up because of its disk. */
static bool stop_all(struct supervisor *s) {
    bool io = false;
    for (unsigned i = 0; i < CORE_CHILDREN; i++) {
        struct core_child *c = &s->core[i];
        siginfo_t end = {0};
        char text[100] = "";
        if (c->process.pid == 0)
            continue;
        int result = child_kill(&c->process, &end);
        if (result == VAULT_OK && !(end.si_code != CLD_EXITED && end.si_status == SIGKILL)) {
            child_end_text(&end, text, sizeof(text));
            event_log(LOG_LEVEL_ERROR, "died", child_name(c->kind), text);
            io |= end.si_code == CLD_EXITED && end.si_status == EXIT_DISK;
        }
        forget(s, c);
    }
    return io;
}

void core_failed(struct supervisor *s, const char *why) {
    uint64_t now = loop_now_ms();
    uint64_t delay = 0;
    if (s->phase == PHASE_OVER || s->phase == PHASE_RESTING)
        return;
    bool draining = s->phase == PHASE_DRAINING;
    if (s->phase == PHASE_SERVING && now - s->serving_since >= RESTART_WINDOW_MS)
        restart_settled(&s->restart);
    s->phase = PHASE_RESTING; /* nobody is told of anything any more */
    clients_unwatch(s);
    log_error("core: %s; ending every worker, gate, monitor and store", why);
    token_orphaned(s);
    s->backup.id = 0;
    backup_end(s);
    courier_end(s);
    workers_end_all(s, WORKER_FAULTY, false);
    bool io = stop_all(s);
    if (draining) {
        s->phase = PHASE_OVER;
        s->status = 1;
    } else if (!restart_after(&s->restart, now, io, &delay)) {
        event_log(LOG_LEVEL_ERROR, "gave-up", "supervisor", "gate, monitor or store died too often; not started again");
        notify_status("gave up: gate, monitor or store died too often");
        s->phase = PHASE_OVER;
        s->status = 1;
    } else {
        s->deadline = now + delay;
        log_notice("core: starting again: after_ms=%llu", (unsigned long long)delay);
    }
}

static void core_died(void *context) {
    const struct core_child *c = context;
    char why[64];
    format_string(why, sizeof(why), "%s died", child_name(c->kind));
    core_failed(c->supervisor, why);
}

bool core_tell(struct supervisor *s, enum child_kind kind) {
    struct core_child *c = &s->core[kind];
    char why[96];
    if (c->process.pid == 0)
        return false;
    int result = channel_send_wait(c->process.control, &s->message, SEND_WAIT_MS);
    if (result == VAULT_OK)
        return true;
    format_string(why, sizeof(why), "%s cannot be told: message=%s result=%s", child_name(kind),
                  message_name(s->message.type), vault_result_name(result));
    core_failed(s, why);
    return false;
}

bool core_tell_with(struct supervisor *s, enum child_kind kind, const int *fds, size_t count) {
    for (size_t i = 0; i < count; i++)
        s->message.fds[i] = fds[i];
    s->message.fd_count = count;
    bool told = core_tell(s, kind);
    for (size_t i = 0; i < count; i++)
        s->message.fds[i] = -1;
    s->message.fd_count = 0;
    return told;
}

static bool setup_gate(struct supervisor *s, const int fds[CORE_FILES]) {
    const int given[] = {fds[FILE_CERTIFICATE], fds[FILE_KEY], fds[FILE_CLIENTS], fds[FILE_REVOCATIONS],
                         fds[FILE_GATE_TO_MONITOR]};
    message_init(&s->message, MSG_gate_setup, 0);
    return core_tell_with(s, CHILD_GATE, given, 5);
}

static void tell_witnesses(const struct witnesses_config *w, struct msg_monitor_setup *to) {
    to->witness_every = w->every;
    to->witness_within = w->within;
    to->witness_seconds = w->seconds;
    for (uint32_t i = 0; i < w->count; i++) {
        size_t used = strlen(to->witnesses);
        format_string(to->witnesses + used, sizeof(to->witnesses) - used, "%s%s", i > 0 ? " " : "", w->each[i].key);
    }
}

static bool setup_monitor(struct supervisor *s, const int fds[CORE_FILES]) {
    const int given[] = {fds[FILE_STATE], fds[FILE_TWIN], fds[FILE_MONITOR_TO_GATE], fds[FILE_MONITOR_TO_STORE],
                         fds[FILE_DISEASES]};
    const struct config *c = s->config;
    message_init(&s->message, MSG_monitor_setup, 0);
    struct msg_monitor_setup *m = &s->message.monitor_setup;
    m->dev = c->dev;
    m->stay_sealed = s->stay_sealed;
    m->token = s->config->token.set;
    copy_string(m->origin, sizeof(m->origin), c->origin);
    copy_string(m->twin, sizeof(m->twin), c->twin_name);
    m->administrator = c->administrator;
    m->approve_seconds = c->approve_seconds;
    m->map_size = c->map_size;
    m->reserve_size = c->reserve_size;
    m->service_limit = c->limits.per_service;
    m->denial_limit = c->limits.denials;
    m->failure_limit = c->limits.failed_authentications;
    m->key_age_warn = c->key_age.warn_days;
    m->key_age_maximum = c->key_age.maximum_days;
    m->backups = c->backups[0] != '\0';
    m->diseases = c->diseases[0] != '\0';
    m->audit_keep = (uint64_t)c->audit_keep_days * 86400;
    m->alarm_denials = c->alarms.denials;
    m->alarm_subjects = c->alarms.subjects;
    m->alarm_hours = c->alarms.hours;
    m->alarm_from = c->alarms.from;
    m->alarm_until = c->alarms.until;
    m->alarm_weekdays = c->alarms.weekdays;
    tell_witnesses(&c->witnesses, m);
    return core_tell_with(s, CHILD_MONITOR, given, fds[FILE_DISEASES] >= 0 ? 5 : 4);
}

static bool setup_store(struct supervisor *s, const int fds[CORE_FILES]) {
    const int given[] = {fds[FILE_OBJECTS], fds[FILE_STORE_TO_MONITOR]};
    message_init(&s->message, MSG_store_setup, 0);
    return core_tell_with(s, CHILD_STORE, given, 2);
}

static void core_ready(struct supervisor *s, struct core_child *c) {
    c->ready = true;
    log_info("core: ready: process=%s", child_name(c->kind));
    for (unsigned i = 0; i < CORE_CHILDREN; i++)
        if (!s->core[i].ready)
            return;
    if (s->phase != PHASE_STARTING)
        return;
    s->phase = PHASE_SERVING;
    s->serving_since = loop_now_ms();
    if (!s->announced)
        notify_ready();
    s->announced = true;
    log_notice("core: all are ready");
}

static void answer_credential(struct supervisor *s, uint64_t id) {
    char problem[PROBLEM_SIZE] = "";
    int fd = -1;
    int result = open_credential(&s->config->root_key, &fd, problem);
    message_init(&s->message, MSG_credential, id);
    if (result == VAULT_OK) {
        core_tell_with(s, CHILD_MONITOR, &fd, 1);
        close(fd);
        return;
    }
    log_error("root key: %s", problem);
    copy_string(s->message.credential.problem, sizeof(s->message.credential.problem), problem);
    core_tell(s, CHILD_MONITOR);
}

static int take_state(struct supervisor *s, uint8_t seal, uint8_t by_operator) {
    if (seal > SEAL_UNSEALED || by_operator > 1)
        return VAULT_E_PROTOCOL;
    if (s->seal == SEAL_UNSEALED && seal != SEAL_UNSEALED)
        backup_end(s); /* it has the key of the index */
    s->seal = seal;
    s->stay_sealed = seal == SEAL_SEALED && by_operator == 1;
    return VAULT_OK;
}

/* The message in s->message, from a core child. What only one kind may say is refused from the others. */
static int dispatch(struct supervisor *s, struct core_child *c) {
    const struct message *m = &s->message;
    bool monitor = c->kind == CHILD_MONITOR;
    if (m->type == MSG_ready && !c->ready)
        core_ready(s, c);
    else if (m->type == MSG_worker_kill && m->worker_kill.why <= WORKER_FAULTY)
        worker_kill_asked(s, c->kind, m->worker_kill.worker, m->worker_kill.why);
    else if (m->type == MSG_credential_wanted && monitor)
        answer_credential(s, m->id);
    else if (m->type == MSG_token_wanted && monitor)
        token_wanted(s, m->id, m->token_wanted.by_itself != 0);
    else if (m->type == MSG_worker_wanted && monitor)
        work_wanted(s);
    else if (m->type == MSG_backup_wanted && monitor)
        backup_wanted(s);
    else if (m->type == MSG_courier_wanted && monitor)
        courier_wanted(s);
    else if (m->type == MSG_state && monitor)
        return take_state(s, m->state.seal, m->state.by_operator);
    else
        return VAULT_E_PROTOCOL;
    return VAULT_OK;
}

static void core_talks(void *context) {
    struct core_child *c = context;
    struct supervisor *s = c->supervisor;
    char why[96];
    int result = VAULT_OK;
    for (int i = 0; result == VAULT_OK && i < MESSAGES_A_TURN && c->process.pid != 0; i++) {
        message_clear(&s->message);
        result = channel_receive(c->process.control, &s->message);
        if (result == VAULT_OK)
            result = dispatch(s, c);
    }
    if (result == VAULT_OK || result == VAULT_AGAIN || c->process.pid == 0)
        return;
    message_clear(&s->message);
    format_string(why, sizeof(why), "%s: its channel: %s", child_name(c->kind), vault_result_name(result));
    core_failed(s, why);
}

static int start_one(struct supervisor *s, enum child_kind kind) {
    struct core_child *c = &s->core[kind];
    int ends[2];
    *c = (struct core_child){.supervisor = s, .kind = kind, .process = {.pid = 0, .pidfd = -1, .control = -1}};
    int result = channel_pair(ends);
    if (result != VAULT_OK)
        return result;
    result = child_spawn(s->config, kind, &ends[1], 1, &c->process);
    close(ends[1]);
    c->process.control = ends[0];
    if (result == VAULT_OK)
        result = loop_add(s->loop, c->process.pidfd, 1, core_died, c, &c->death);
    if (result == VAULT_OK)
        result = loop_add(s->loop, c->process.control, 0, core_talks, c, &c->talk);
    return result;
}

static int start_all(struct supervisor *s) {
    int result = VAULT_OK;
    for (unsigned kind = 0; result == VAULT_OK && kind < CORE_CHILDREN; kind++)
        result = start_one(s, (enum child_kind)kind);
    if (result != VAULT_OK) {
        stop_all(s);
        log_error("start: result=%s error=%s", vault_result_name(result), strerror(errno));
    }
    return result;
}

int core_start(struct supervisor *s) {
    int fds[CORE_FILES];
    core_note_files(s); /* before they are opened: a change in between shows */
    int result = open_files(s->config, fds);
    if (result != VAULT_OK)
        return result;
    result = start_all(s);
    if (result == VAULT_OK) {
        s->phase = PHASE_STARTING;
        s->started_at = loop_now_ms();
        if (setup_gate(s, fds) && setup_monitor(s, fds))
            setup_store(s, fds); /* a failure of any was handled by core_failed */
    }
    close_files(fds);
    return result;
}

void core_check_deadlines(struct supervisor *s, uint64_t now) {
    char why[64];
    if (s->phase != PHASE_STARTING)
        return;
    for (unsigned i = 0; i < CORE_CHILDREN; i++) {
        uint64_t limit = i == CHILD_MONITOR ? MONITOR_READY_MS : READY_MS;
        if (s->core[i].ready || now - s->started_at < limit)
            continue;
        format_string(why, sizeof(why), "%s was not ready in time", child_name(s->core[i].kind));
        core_failed(s, why);
        return;
    }
}

static void close_control(struct supervisor *s, struct core_child *c) {
    loop_remove(s->loop, &c->talk);
    loop_remove(s->loop, &c->death);
    if (c->process.control >= 0)
        close(c->process.control);
    c->process.control = -1;
}

/* A child ends by itself when its channel to us closes. All are closed before the first has ended, so that none takes
 * the end of another for a fault. */
void core_end(struct supervisor *s) {
    s->backup.id = 0;
    backup_end(s);
    courier_end(s);
    token_end(s);
    for (unsigned i = 0; i < CORE_CHILDREN; i++)
        close_control(s, &s->core[i]);
    for (unsigned i = 0; i < CORE_CHILDREN; i++) {
        struct core_child *c = &s->core[i];
        siginfo_t end = {0};
        char text[100] = "";
        if (c->process.pid == 0)
            continue;
        if (child_wait(&c->process, END_MS, &end) == VAULT_OK) {
            child_end_text(&end, text, sizeof(text));
            log_info("core: ended: process=%s %s", child_name(c->kind), text);
        }
        forget(s, c);
    }
}
