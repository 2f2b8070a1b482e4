#include "core.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "disk.h"
#include "store_internal.h"
#include "vault/log.h"
#include "vault/result.h"

enum { SEND_TIMEOUT_MS = 10000 };

void store_end(struct store *s, int status, const char *why) {
    if (s->exit_status >= 0)
        return;
    s->exit_status = status;
    if (status == 0)
        log_info("ending: %s", why);
    else
        log_error("ending: %s", why);
}

void worker_drop(struct store_worker *w) {
    struct store_worker **at = &w->store->workers;
    while (*at != w)
        at = &(*at)->next;
    *at = w->next;
    loop_remove(w->store->loop, &w->watch);
    close(w->channel);
    if (w->memory >= 0)
        close(w->memory);
    free(w);
}

/* Takes the message's contents over, whatever comes of it. */
static void send_or_end(struct store *s, int channel, struct message *m, const char *why) {
    int result = channel_send_wait(channel, m, SEND_TIMEOUT_MS);
    message_clear(m);
    if (result == VAULT_E_CLOSED)
        store_end(s, 0, channel == s->control ? "control channel closed" : "monitor channel closed");
    else if (result != VAULT_OK)
        store_end(s, 1, why);
}

void worker_kill(struct store_worker *w, uint8_t why) {
    struct store *s = w->store;
    log_warning("worker ended by force: worker=%llu why=%u", (unsigned long long)w->number, (unsigned)why);
    message_init(&s->out, MSG_worker_kill, 0);
    s->out.worker_kill.worker = w->number;
    s->out.worker_kill.why = why;
    send_or_end(s, s->control, &s->out, "the supervisor does not read");
    worker_drop(w); /* after that: a worker that sees it could end by itself before */
}

static struct store_worker *find_worker(struct store *s, uint64_t number) {
    struct store_worker *w = s->workers;
    while (w != NULL && w->number != number)
        w = w->next;
    return w;
}

/* Takes the channel from the message. VAULT_E_PROTOCOL, VAULT_E_MEMORY, VAULT_E_IO. */
static int add_worker(struct store *s, struct message *m) {
    if (m->fd_count != 1 || find_worker(s, m->worker_new.worker) != NULL)
        return VAULT_E_PROTOCOL;
    /* Bounds what a worker can leave unread, and with it the descriptors of ours that wait in its channel. */
    const int size = STORE_SEND_BUFFER;
    if (setsockopt(m->fds[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)) != 0)
        return VAULT_E_IO;
    struct store_worker *w = calloc(1, sizeof(*w));
    if (w == NULL)
        return VAULT_E_MEMORY;
    w->store = s;
    w->number = m->worker_new.worker;
    w->channel = m->fds[0];
    w->memory = -1;
    m->fds[0] = -1;
    w->next = s->workers;
    s->workers = w;
    return s->key == NULL ? VAULT_OK : worker_watch(w);
}

static int handle_control(struct store *s, struct message *m) {
    if (m->type == MSG_worker_new)
        return add_worker(s, m);
    if (m->type != MSG_worker_gone)
        return VAULT_E_PROTOCOL;
    struct store_worker *w = find_worker(s, m->worker_gone.worker);
    if (w != NULL)
        worker_drop(w);
    return VAULT_OK;
}

/* Receives and handles one message of a trusted peer; any fault there ends the store. */
static int take_message(struct store *s, int channel, int (*handle)(struct store *, struct message *)) {
    int result = channel_receive(channel, &s->in);
    if (result == VAULT_OK) {
        result = handle(s, &s->in);
        message_clear(&s->in);
    }
    return result;
}

static void on_control(void *context) {
    struct store *s = context;
    int result = VAULT_OK;
    while (result == VAULT_OK && s->exit_status < 0)
        result = take_message(s, s->control, handle_control);
    if (result == VAULT_E_CLOSED)
        store_end(s, 0, "control channel closed");
    else if (result != VAULT_OK && result != VAULT_AGAIN) {
        log_error("control channel: %s", vault_result_name(result));
        store_end(s, 1, "control channel failed");
    }
}

static int take_key(struct store *s, struct message *m) {
    int result = VAULT_OK;
    s->key = secret_move(&m->store_key.key);
    for (struct store_worker *w = s->workers; w != NULL && result == VAULT_OK; w = w->next)
        result = worker_watch(w);
    return result;
}

/* At most STORE_CARE are in hand: a long collection of garbage, or a scrub, must not put deposits off. */
static int start_care(struct store *s, enum job_kind kind, uint64_t request, const uint8_t address[HASH_SIZE]) {
    struct job *j = NULL;
    int result = job_new(&j, kind, request, address);
    if (result != VAULT_OK)
        return result;
    writers_add(s->writers, j);
    if (++s->care == STORE_CARE)
        loop_remove(s->loop, &s->monitor_watch);
    return VAULT_OK;
}

static int handle_monitor(struct store *s, struct message *m) {
    if (m->type == MSG_store_key && s->key == NULL)
        return take_key(s, m);
    if (m->type == MSG_object_remove && s->key != NULL)
        return start_care(s, JOB_REMOVE, m->id, m->object_remove.address);
    if (m->type == MSG_object_check && s->key != NULL)
        return start_care(s, JOB_CHECK, m->id, m->object_check.address);
    return VAULT_E_PROTOCOL;
}

/* One message a turn, while the control channel is emptied: a worker whose death made the monitor remove its objects is
 * dropped in the same turn at the latest, and workers come after both. So nothing that it still had asked for is kept
 * after the removal, if the supervisor tells the store of a death before it tells the monitor. */
static void on_monitor(void *context) {
    struct store *s = context;
    int result = take_message(s, s->monitor, handle_monitor);
    if (result == VAULT_E_CLOSED) /* an ordinary end: the monitor may see its own a moment before us */
        store_end(s, 0, "monitor channel closed");
    else if (result != VAULT_OK && result != VAULT_AGAIN) {
        log_error("monitor channel: %s", vault_result_name(result));
        store_end(s, 1, "monitor channel failed");
    }
}

static int watch_monitor(struct store *s) {
    return loop_add(s->loop, s->monitor, 0, on_monitor, s, &s->monitor_watch);
}

static void answer_care(struct store *s, const struct job *j) {
    bool check = j->kind == JOB_CHECK;
    message_init(&s->out, check ? MSG_object_checked : MSG_object_removed, j->request);
    COPY_ARRAY(*(check ? &s->out.object_checked.address : &s->out.object_removed.address), j->address);
    *(check ? &s->out.object_checked.status : &s->out.object_removed.status) = (uint8_t)j->status;
    send_or_end(s, s->monitor, &s->out, "the monitor does not read");
    s->care--;
    if (s->monitor_watch == NULL && watch_monitor(s) != VAULT_OK)
        store_end(s, 1, "monitor channel cannot be watched");
}

static void on_finished(void *context) {
    struct store *s = context;
    struct job *j = writers_finished(s->writers);
    while (j != NULL) {
        struct job *next = j->next;
        if (j->kind == JOB_PUT)
            answer_finished_put(s, j);
        else
            answer_care(s, j);
        job_free(&j);
        j = next;
    }
}

int store_new(struct store **ret, int directory, int control, int monitor) {
    struct store *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return VAULT_E_MEMORY;
    s->control = control;
    s->monitor = monitor;
    s->exit_status = -1;
    int result = loop_new(&s->loop);
    if (result == VAULT_OK)
        result = writers_new(&s->writers, directory);
    if (result != VAULT_OK) {
        store_free(&s);
        return result;
    }
    *ret = s;
    return VAULT_OK;
}

void store_free(struct store **store) {
    if (store == NULL || *store == NULL)
        return;
    struct store *s = *store;
    writers_free(&s->writers);
    while (s->workers != NULL)
        worker_drop(s->workers);
    if (s->loop != NULL) {
        loop_remove(s->loop, &s->control_watch);
        loop_remove(s->loop, &s->monitor_watch);
        loop_remove(s->loop, &s->finished_watch);
    }
    loop_free(&s->loop);
    secret_free(&s->key);
    free(s);
    *store = NULL;
}

int store_probe(struct store *s) {
    return disk_probe(writers_disk(s->writers));
}

int store_start(struct store *s) {
    int result = writers_start(s->writers);
    if (result == VAULT_OK)
        result = loop_add(s->loop, s->control, 0, on_control, s, &s->control_watch);
    if (result == VAULT_OK)
        result = watch_monitor(s);
    if (result == VAULT_OK)
        result = loop_add(s->loop, writers_fd(s->writers), 1, on_finished, s, &s->finished_watch);
    return result;
}

void store_turn(struct store *s, int timeout_ms) {
    if (s->exit_status < 0 && loop_turn(s->loop, timeout_ms) != VAULT_OK)
        store_end(s, 1, "event loop failed");
}

int store_exit_status(const struct store *s) {
    return s->exit_status;
}
