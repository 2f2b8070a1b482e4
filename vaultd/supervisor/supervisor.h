/* The supervisor: parent of every process, owner of the sockets, holder of no key and no data.
 *
 * Invariants:
 *  1. A worker has at most one client, and a client socket's duplicate is held here until its worker is dead. Work of
 *     the monitor's own is given to a worker instead of a client, never beside one.
 *  2. Gate, monitor and store are told of a worker before it has a client, and of its end after it is dead and its
 *     client's socket closed.
 *  3. Core children live and die together: their channels are made afresh for each start.
 *  4. Nothing here waits for a worker; only a core child that does not read for SEND_WAIT_MS is waited for, and ends.
 */
#ifndef VAULT_SUPERVISOR_H
#define VAULT_SUPERVISOR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/wait.h>

#include "children.h"
#include "config.h"
#include "helper.h"
#include "listen.h"
#include "restart.h"
#include "trust_watch.h"
#include "vault/loop.h"
#include "vault/message.h"

enum {
    SEND_WAIT_MS = 10000,
    READY_MS = 30000,
    MONITOR_READY_MS = 300000, /* it may have to check its index */
    END_MS = 5000,             /* for a core child to end by itself */
    SPARE_RETRY_MS = 1000,     /* after a worker that died without a client */
    TICK_MS = 1000
};

/* Exit statuses of sysexits.h. */
enum { EXIT_BAD_CONFIGURATION = 78, EXIT_DISK = 74 };

enum phase {
    PHASE_STARTING, /* core children started, not all ready */
    PHASE_SERVING,
    PHASE_RESTING,  /* waiting to start them again */
    PHASE_DRAINING, /* no new clients; the ones there may finish */
    PHASE_OVER
};

struct supervisor;

struct worker {
    struct worker *next, *previous;
    struct supervisor *supervisor;
    uint64_t id;
    struct child process;
    struct watch *death, *talk;
    int client;          /* duplicate of its client's socket; -1: it has none */
    enum peer_kind kind; /* 0: it waits */
    uint8_t group[16];   /* of a TLS client's address */
    bool killed;         /* it was told to die, for this: its death is awaited */
    enum worker_end why;
};

/* A core child and its place in the loop. */
struct core_child {
    struct supervisor *supervisor;
    enum child_kind kind;
    struct child process; /* pid 0: not running */
    struct watch *death, *talk;
    bool ready;
};

/* What the monitor asked for with token_wanted. */
struct token_want {
    uint64_t id; /* 0: nothing, or nobody listens any more */
    bool by_itself;
};

/* vaultd-token, while it has a task, and the next one. */
struct token_child {
    struct helper helper;
    struct token_want now, next;
    uint64_t deadline; /* loop_now_ms */
    bool late;         /* it was ended for that */
    bool pin_refused;  /* the last PIN that was tried is wrong: not to be tried again unasked */
};

/* vaultd-backup, while it has a task. */
struct backup_child {
    struct helper helper;
    uint64_t id; /* of the backup_wanted; 0: nobody listens any more */
};

/* vaultd-courier, while it has a request. */
struct courier_child {
    struct helper helper;
    uint64_t id;       /* of the courier_wanted; 0: nobody listens any more */
    uint64_t deadline; /* loop_now_ms */
};

struct counters {
    uint64_t clients, refused, crashes, killed;
};

struct supervisor {
    const struct config *config;
    struct loop *loop;
    struct listeners listeners;
    struct watch *tls_watch, *admin_watch; /* NULL: not accepting there */
    int signals;
    struct watch *signal_watch;

    enum phase phase;
    int status;        /* of the process, once the phase is PHASE_OVER */
    uint64_t deadline; /* PHASE_RESTING: when to start; PHASE_DRAINING: when to stop waiting */
    uint64_t started_at, serving_since;
    struct restart_policy restart;
    bool announced;       /* READY=1 was sent */
    bool drained_by_hand; /* a second signal */

    struct core_child core[CORE_CHILDREN];
    struct token_child token;
    struct backup_child backup;
    struct courier_child courier;
    struct file_pair trust, certificate; /* what the gate was given */
    bool stay_sealed;
    uint8_t seal; /* enum seal_state */

    struct worker *workers; /* all, newest first */
    unsigned waiting, serving, serving_tls;
    uint64_t last_worker;
    uint64_t spares_from; /* no spare workers before this time */
    uint64_t accept_from; /* no accepting before this time */
    struct counters counters;
    struct message message; /* the one in work */
};

/* supervisor.c: the loop. */
/* Runs until the end; returns the exit status. */
int supervisor_run(const struct config *config);

/* core.c: gate, monitor and store. */
/* Opens what they need and starts all three; gives their setups. VAULT_E_IO, VAULT_E_STATE. */
int core_start(struct supervisor *s);
/* One of them failed: ends every worker and the other two, and plans the next start or the end of the service. */
void core_failed(struct supervisor *s, const char *why);
/* Ends those that do not get ready in time. */
void core_check_deadlines(struct supervisor *s, uint64_t now);
/* Sends s->message to one; a child that cannot be told is as good as dead: false, and core_failed was called. */
bool core_tell(struct supervisor *s, enum child_kind kind);
/* The same with `count` descriptors, which stay the caller's. */
bool core_tell_with(struct supervisor *s, enum child_kind kind, const int *fds, size_t count);
/* The ordinary end: closes their channels and waits for each. */
void core_end(struct supervisor *s);
/* Remembers which files the gate is given now. */
void core_note_files(struct supervisor *s);
/* Gives trust, certificate and key to the gate anew; or only what changed on disk. A gate that cannot be told ends
 * everything. */
void core_renew(struct supervisor *s);
void core_renew_changed(struct supervisor *s);

/* token.c: a process for one task at the token. */
/* The monitor's token_wanted: starts it, or says why not, as soon as the one before has ended. */
void token_wanted(struct supervisor *s, uint64_t id, bool by_itself);
/* Ends it when its time is over. */
void token_check_deadline(struct supervisor *s, uint64_t now);
/* The monitor is dead: nobody is told of what runs, which may go on until its time is over. */
void token_orphaned(struct supervisor *s);
/* The end of the service: waits until it ends or its time is over. */
void token_end(struct supervisor *s);

/* backup.c: a process that copies the index, or puts a copy in its place. */
/* The monitor's backup_wanted, which is in s->message: starts it, or says why not. */
void backup_wanted(struct supervisor *s);
/* The monitor is dead, or has no keys any more: ends it. It leaves nothing that counts. */
void backup_end(struct supervisor *s);

/* courier.c: a process that takes a checkpoint to a witness. */
/* The monitor's courier_wanted, which is in s->message: ends the one before, and starts it, or says why not. */
void courier_wanted(struct supervisor *s);
/* Ends it when its time is over. */
void courier_check_deadline(struct supervisor *s, uint64_t now);
/* Nobody waits for it any more: ends it. */
void courier_end(struct supervisor *s);

/* workers.c: the pool. */
/* Starts waiting workers up to the configured number. */
void workers_refill(struct supervisor *s, uint64_t now);
/* A waiting worker, started if there is none. NULL: none can be started now. */
struct worker *worker_take(struct supervisor *s);
/* It waits no longer: it has a client of this kind, or PEER_NOBODY. */
void worker_begin(struct worker *w, enum peer_kind kind);
/* Forgets a worker that is dead: closes, unlinks, frees. */
void worker_forget(struct worker *w);

/* clients.c: accepting. */
/* Watches the sockets that may accept now, and no others. */
void clients_watch(struct supervisor *s);
void clients_unwatch(struct supervisor *s);

/* work.c: work of the monitor's own. */
/* The monitor's worker_wanted. */
void work_wanted(struct supervisor *s);
/* The service is about to end, which does not wait for such work. */
void work_end(struct supervisor *s);

/* kill.c: the ends of workers. */
/* Its process ended, by itself or as it was told: reap, close, tell. Handler of worker->death. */
void worker_died(void *worker);
/* Resets its client's socket, kills, waits, closes and tells gate, monitor and store. */
void worker_end_by_force(struct worker *w, enum worker_end why);
/* The worker_kill message of a core child: resets its client's socket and kills. What follows is done once it is dead,
 * so that many of them die side by side. */
void worker_kill_asked(struct supervisor *s, enum child_kind by, uint64_t id, uint8_t why);
/* Those that wait. */
void workers_end_waiting(struct supervisor *s);
/* All at once; `tell`: whether the core children still listen. */
void workers_end_all(struct supervisor *s, enum worker_end why, bool tell);

#endif
