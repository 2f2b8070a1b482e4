/* The monitor's channels to supervisor, gate and store, and the turns of its loop. */
#include <malloc.h>
#include <sodium.h>
#include <stdlib.h>
#include <unistd.h>

#include "pending.h"
#include "vaultd/monitor/access/budgets.h"
#include "vaultd/monitor/access/denials.h"
#include "vaultd/monitor/access/grants.h"
#include "vaultd/monitor/archive/archive.h"
#include "vaultd/monitor/care/backup.h"
#include "vaultd/monitor/care/check.h"
#include "vaultd/monitor/care/cleaning.h"
#include "vaultd/monitor/care/failures.h"
#include "vaultd/monitor/care/scrub.h"
#include "vaultd/monitor/care/space.h"
#include "vaultd/monitor/keys/age.h"
#include "vaultd/monitor/keys/jobs.h"
#include "vaultd/monitor/keys/rekey.h"
#include "vaultd/monitor/keys/shreds.h"
#include "vaultd/monitor/log/log.h"
#include "vaultd/monitor/opening/opening.h"
#include "vaultd/monitor/registers/anchors.h"
#include "vaultd/monitor/registers/standings.h"
#include "vaultd/monitor/watch/alarms.h"
#include "vaultd/monitor/witness/witnesses.h"
#include "vault/log.h"
#include "vault/result.h"

enum { SETUP_MS = 30000, EXIT_IO = 74 };

static void stop(struct monitor *m, int status) {
    m->stop = true;
    m->exit_status = status;
}

static int settle_uploads(struct monitor *m, uint64_t number) {
    if (m->space.state != SPACE_NONE)
        return uploads_drop_of_worker(m, number);
    m->unsettled = true; /* until that can be recorded */
    return VAULT_OK;
}

/* What the worker left open. In a sealed vault only the waiting for its grants is left to end. */
static int settle(struct monitor *m, uint64_t number, bool deposits) {
    bool sealed = m->seal != SEAL_UNSEALED;
    int result = sealed ? VAULT_OK : batch_begin(m);
    if (result == VAULT_OK)
        result = grants_of_gone_worker(m, number);
    return result == VAULT_OK && !sealed && deposits ? settle_uploads(m, number) : result;
}

/* It may come twice for a worker: where a grant of it could not be closed the first time, it is asked to be ended again
 * when that can. */
static void on_worker_gone(struct monitor *m, uint64_t number) {
    const struct worker *w = worker_find(m, number);
    bool deposits = w != NULL && w->deposits;
    if (deposits || m->grants != NULL) {
        int result = settle(m, number, deposits);
        if (result != VAULT_OK)
            batch_drop(m, result);
    }
    rekey_worker_gone(m, number);
    m->clean_wanted = true; /* what it announced can be removed now */
    worker_remove(m, number);
}

static void on_worker_client(struct monitor *m, const struct msg_worker_client *c) {
    struct worker *w = worker_find(m, c->worker);
    if (w == NULL)
        return;
    w->kind = (enum peer_kind)c->kind;
    w->uid = c->uid;
    copy_string(w->address, sizeof(w->address), c->address);
}

static void take_control(struct monitor *m, struct message *in) {
    switch (in->type) {
    case MSG_worker_new:
        if (in->fd_count != 1 || worker_add(m, in->worker_new.worker, in->fds[0]) != VAULT_OK)
            stop(m, EXIT_FAILURE);
        in->fd_count = 0; /* owned by the worker now */
        break;
    case MSG_worker_client: on_worker_client(m, &in->worker_client); break;
    case MSG_worker_gone: on_worker_gone(m, in->worker_gone.worker); break;
    case MSG_credential: life_credential(m, in); break;
    case MSG_token_channel: errand_channel(m, in); break;
    case MSG_token_gone: errand_gone(m, in); break;
    case MSG_backup_channel: backup_channel(m, in); break;
    case MSG_backup_gone: backup_gone(m, in); break;
    case MSG_courier_channel: courier_channel(m, in); break;
    case MSG_courier_gone: courier_gone(m, in); break;
    default: log_error("control: unexpected message type=%s", message_name(in->type)); stop(m, EXIT_FAILURE);
    }
}

static void on_control(void *context) {
    static struct message in;
    struct monitor *m = context;
    int result;
    while (!m->stop && (result = channel_receive(m->control, &in)) != VAULT_AGAIN) {
        if (result != VAULT_OK) {
            stop(m, result == VAULT_E_CLOSED ? EXIT_SUCCESS : EXIT_FAILURE);
            return;
        }
        take_control(m, &in);
        message_clear(&in);
    }
}

static void on_identity_lost(struct monitor *m, const struct msg_identity_lost *lost) {
    struct worker *w = worker_find(m, lost->worker);
    if (w == NULL)
        return;
    w->lost = true;
    bool answered = ending_is_of_anchors(m, w->number);
    struct grant_filter filter = {.worker = &w->number, .cause = lost->reason};
    int result = m->seal == SEAL_UNSEALED ? batch_begin(m) : VAULT_SEALED;
    if (result == VAULT_OK)
        result = grants_decide_again(m, &filter, NULL);
    if (result < 0)
        batch_drop(m, result);
    if (!answered) /* who approved other authorities hears so, and is nobody from then on */
        worker_kill(m, w->number, WORKER_REVOKED);
}

static void on_identity(struct monitor *m, const struct msg_identity *i) {
    struct worker *w = worker_find(m, i->worker);
    if (w == NULL || w->identified)
        return; /* a second identity is the gate's to refuse, and counts for nothing here */
    w->identified = true;
    copy_string(w->san, sizeof(w->san), i->san);
    COPY_ARRAY(w->fingerprint, i->fingerprint);
    if (m->seal != SEAL_UNSEALED || anchors_vouch(m))
        return;
    w->lost = true; /* proven under authorities that are not in force */
    worker_kill(m, w->number, WORKER_REVOKED);
}

static void on_gate(void *context) {
    static struct message in;
    struct monitor *m = context;
    int result = VAULT_AGAIN;
    while (!m->stop && (result = channel_receive(m->gate, &in)) == VAULT_OK) {
        if (in.type == MSG_identity)
            on_identity(m, &in.identity);
        else if (in.type == MSG_identity_lost)
            on_identity_lost(m, &in.identity_lost);
        else if (in.type == MSG_anchors_seen)
            anchors_seen(m, &in.anchors_seen);
        else if (in.type == MSG_anchors_used)
            anchors_used(m, in.id);
        else
            stop(m, EXIT_FAILURE);
        message_clear(&in);
    }
    if (result < 0)
        stop(m, result == VAULT_E_CLOSED ? EXIT_SUCCESS : EXIT_FAILURE); /* without the gate there is no monitor */
}

static void on_store(void *context) {
    static struct message in;
    struct monitor *m = context;
    int result = m->stop ? VAULT_AGAIN : channel_receive(m->store, &in);
    if (result == VAULT_AGAIN)
        return;
    if (result == VAULT_OK && in.type == MSG_object_removed)
        uploads_object_removed(m, &in.object_removed);
    else if (result == VAULT_OK && in.type == MSG_object_checked && in.id == CHECK_FOR_READ)
        failures_checked(m, &in.object_checked);
    else if (result == VAULT_OK && in.type == MSG_object_checked)
        scrub_checked(m, &in.object_checked);
    else
        stop(m, result == VAULT_E_CLOSED ? EXIT_SUCCESS : EXIT_FAILURE);
    message_clear(&in);
}

void monitor_hear_authorities(struct monitor *m) {
    on_control(m);
    on_gate(m);
}

/* The descriptors of monitor_setup: state directory, the twin's directory, gate, store; the table of diseases, if there
 * is one. */
static int take_setup(struct monitor *m) {
    static struct message in;
    int result = channel_receive_wait(m->control, &in, SETUP_MS);
    if (result != VAULT_OK)
        return result;
    if (in.type != MSG_monitor_setup || in.fd_count < 4 || in.fd_count > 5)
        return VAULT_E_PROTOCOL;
    m->setup = in.monitor_setup;
    m->place.directory = in.fds[0];
    m->place.twin_directory = in.fds[1];
    m->place.name = "keyring";
    m->place.twin_name = m->setup.twin;
    m->gate = in.fds[2];
    m->store = in.fds[3];
    m->disease_table.file = in.fd_count == 5 ? in.fds[4] : -1;
    in.fd_count = 0;
    return fchdir(m->place.directory) == 0 ? VAULT_OK : VAULT_E_IO;
}

/* A key of this start for tokens and receipts, made here and told to the store alone. */
static int share_store_key(struct monitor *m) {
    static struct message out;
    int result = secret_random(&m->store_key, SECRET_KEY_SIZE);
    if (result != VAULT_OK)
        return result;
    message_init(&out, MSG_store_key, 0);
    out.store_key.key = m->store_key;
    result = channel_send_wait(m->store, &out, SETUP_MS);
    out.store_key.key = NULL; /* lent, not given */
    return result;
}

/* Answers that wait for their batch are large and many, and come again with the next: pages that the heap gave back
 * after each would be asked for anew, which took a fifth of all time. */
static void keep_heap(void) {
    enum { KEPT = 64 << 20, AT_ONCE = 4 << 20 };
    (void)mallopt(M_TRIM_THRESHOLD, KEPT);
    (void)mallopt(M_TOP_PAD, AT_ONCE);
}

int monitor_start(struct monitor *m) {
    keep_heap();
    m->replies_end = &m->replies;
    json_object_seed(1 + randombytes_uniform(UINT32_MAX)); /* else jansson would open /dev/urandom in the sandbox */
    int result = take_setup(m);
    if (result == VAULT_OK)
        result = share_store_key(m);
    if (result == VAULT_OK)
        result = seals_start(m);
    if (result == VAULT_OK)
        result = space_start(m);
    if (result == VAULT_OK)
        result = loop_new(&m->loop);
    if (result == VAULT_OK)
        result = witnesses_start(m);
    if (result == VAULT_OK)
        result = loop_add(m->loop, m->control, 0, on_control, m, &m->control_watch);
    if (result == VAULT_OK)
        result = loop_add(m->loop, m->gate, 0, on_gate, m, &m->gate_watch);
    if (result == VAULT_OK)
        result = loop_add(m->loop, m->store, 1, on_store, m, &m->store_watch);
    return result;
}

/* The work that nobody waits for. */
static void go_on(struct monitor *m, bool *more) {
    static int (*const steps[])(struct monitor *, bool *) = {jobs_step,      rekey_step,  removal_step, scrub_step,
                                                             failures_step,  backup_step, anchors_step, budgets_step,
                                                             witnesses_step, archive_step};
    if (m->space.state == SPACE_NONE)
        return;
    int result = m->unsettled && m->seal == SEAL_UNSEALED ? uploads_settle(m) : VAULT_OK;
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]) && result == VAULT_OK; i++) {
        bool more_of_it = false;
        result = steps[i](m, &more_of_it);
        *more |= more_of_it;
    }
    if (result != VAULT_OK)
        batch_drop(m, result);
    if (!m->stop)
        *more |= uploads_clean(m);
}

/* The sooner of two waits in milliseconds, of which -1 is none. */
static int sooner(int a, int b) {
    return a < 0 || (b >= 0 && b < a) ? b : a;
}

/* Slices of a job share a commit for a while, as long as nobody waits for it: most of a rotation's time is the disk's.
 */
static bool batch_goes_on(const struct monitor *m, bool job_ran) {
    enum { SHARED_MS = 20 };
    return job_ran && !m->stop && m->index != NULL && index_writing(m->index) && !batch_is_awaited(m) &&
           loop_now_ms() - m->batch_begun < SHARED_MS;
}

/* After the batch: a bad page that it meets must not take others' answers with it. */
static void check_on(struct monitor *m, bool *more) {
    bool more_of_it = false;
    if (m->stop || m->space.state == SPACE_NONE)
        return;
    *more |= standings_step(m);
    int result = check_step(m, &more_of_it);
    if (result != VAULT_OK)
        batch_drop(m, result);
    else if (m->index != NULL && !index_writing(m->index))
        index_end_reads(m->index);
    *more |= more_of_it;
}

/* And what is done between batches. */
static void end_batch(struct monitor *m, bool *more) {
    if (batch_finish(m) != VAULT_OK) /* answered and logged */
        *more = false;               /* what failed is tried again, but not without end */
    jobs_rest(m);
    token_tick(m);
    check_on(m, more);
}

int monitor_turn(struct monitor *m, bool *more) {
    int wait = sooner(sooner(space_tick(m), denials_tick(m)), sooner(life_tick(m), grants_tick(m)));
    wait = sooner(sooner(wait, pending_tick(m)), jobs_tick(m));
    wait = sooner(sooner(wait, rekey_tick(m)), sooner(key_age_tick(m), witnesses_tick(m)));
    bool in_hand = m->index != NULL && index_writing(m->index); /* the clock ended a grant: no waiting with that */
    int result = loop_turn(m->loop, *more || in_hand || m->replies != NULL ? 0 : wait);
    if (result != VAULT_OK)
        return result;
    *more = false;
    uint64_t slice_before = m->job_slices;
    if (!m->stop)
        go_on(m, more);
    else if ((result = denials_sum(m, true)) != VAULT_OK)
        batch_drop(m, result);
    if (!*more || !batch_goes_on(m, m->job_slices != slice_before))
        end_batch(m, more);
    wipe_traces();
    return VAULT_OK;
}

void monitor_close(struct monitor *m) {
    for (struct grant *g = m->grants; g != NULL; g = m->grants)
        grant_drop(m, g);
    endings_free(m);
    standings_forget(m);
    archive_free(m);
    log_close(m);
    witnesses_free(m);
    alarms_free(m);
    while (m->workers != NULL)
        worker_remove(m, m->workers->number);
    index_close(&m->index);
    keyring_free(&m->keyring);
    errands_forget(m);
    backup_close(m);
    diseases_free(&m->disease_table.diseases);
    keyring_free(&m->errands.unborn);
    seals_forget(m);
    secret_free(&m->exchange);
    secret_free(&m->root);
    secret_free(&m->store_key);
    loop_remove(m->loop, &m->control_watch);
    loop_remove(m->loop, &m->gate_watch);
    loop_remove(m->loop, &m->store_watch);
    loop_free(&m->loop);
    space_close(m);
}
