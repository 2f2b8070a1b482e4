/* Shared by core.c (supervisor, monitor, what finished) and requests.c (workers).
 *
 * Invariants
 *  1. A worker is in the list from worker_new until worker_gone, or until its channel is closed, whichever is first;
 *     afterwards nothing points to it: a finished put finds its worker by number, or nobody.
 *  2. Workers are watched only once the key is there: a request can be read only when its token can be checked.
 *  3. `busy[slot]` from the moment a put is handed to the writers until its receipt is sent.
 *  4. `in` and `out` own nothing between two handlers. */
#ifndef VAULT_STORE_INTERNAL_H
#define VAULT_STORE_INTERNAL_H

#include <stdbool.h>

#include "core.h"
#include "vault/loop.h"
#include "vault/message.h"
#include "vault/token.h"
#include "writers.h"

struct store_worker {
    struct store_worker *next;
    struct store *store;
    uint64_t number;
    int channel;
    int memory; /* shared buffers; -1 until asked for */
    bool busy[STORE_SLOTS];
    struct watch *watch;
};

struct store {
    int control;
    int monitor;
    struct loop *loop;
    struct watch *control_watch;
    struct watch *monitor_watch; /* NULL also while removals and checks are held back */
    struct watch *finished_watch;
    struct writers *writers;
    struct secret *key; /* NULL until the monitor sent it */
    struct store_worker *workers;
    unsigned care; /* removals and checks handed to the writers, not answered */
    int exit_status;
    struct message in;
    struct message out;
};

/* Ends the service after this turn; the first status counts. */
void store_end(struct store *s, int status, const char *why);
/* Closes the worker's channel and forgets it. */
void worker_drop(struct store_worker *w);
/* Tells the supervisor to end it by force, and drops it. `why`: enum worker_end. */
void worker_kill(struct store_worker *w, uint8_t why);

/* Watches a worker's channel. VAULT_E_IO, VAULT_E_MEMORY. */
int worker_watch(struct store_worker *w);
/* Answers a finished put, if its worker is still there. */
void answer_finished_put(struct store *s, const struct job *j);

#endif
