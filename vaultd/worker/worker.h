/* One worker: one client connection, or work of the vault's own; its channels, and what was granted to it. There is one
 * per process.
 *
 * Invariants:
 *  1. A channel fault, or a message that must not come, ends the process after resetting the client (worker_fault).
 *     So functions that talk over channels give no channel faults back.
 *  2. `active` names the grant or upload that the request being served uses. A revocation of it resets the client and
 *     ends the process; a revocation of any other grant wipes that grant's key and is acknowledged at once.
 *  3. `request` and `reply` hold one conversation at a time. What is needed after the next ask() is copied out, and
 *     after whatever waits for a client, the monitor or the store: a put may begin there. */
#ifndef VAULT_WORKER_WORKER_H
#define VAULT_WORKER_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "content.h"
#include "grants.h"
#include "slots.h"
#include "stream.h"
#include "vault/message.h"

enum { INPUT_SIZE = 65536 };

struct upload;

struct worker {
    int supervisor, monitor, store; /* channels, not owned */
    struct stream *stream;          /* owned; NULL before there is a client and after it was reset */
    uint32_t head_ms, idle_ms;
    uint64_t deadline; /* loop_now_ms at which the connection ends; UINT64_MAX: never */
    uint64_t last_id;  /* of a message to the monitor or the store */
    bool is_active;
    uint8_t active[ID_SIZE]; /* see 2 */
    struct message request, reply;
    uint64_t ahead;  /* id of a message to the monitor that was sent by ask_ahead; 0: none */
    bool ahead_came; /* its answer is in `reply` */
    struct grants grants;
    struct content content;
    struct slots slots;
    struct upload *writing;        /* the one under way, whose answers may come between others; NULL: none */
    size_t input_start, input_end; /* bytes from the client that nobody took yet */
    uint8_t input[INPUT_SIZE];
};

/* Allocates what a connection needs, before the sandbox. `w` is zeroed. VAULT_E_MEMORY, VAULT_E_CRYPTO. */
int worker_prepare(struct worker *w, int supervisor, int monitor, int store);
/* Takes the limits of the `client` message; the stream is open. */
void worker_limits(struct worker *w, const struct msg_client *client);
/* Serves requests until the connection ends, then closes every grant and the stream. */
void worker_serve(struct worker *w);

/* Does the vault's own work as long as there is any; there is no client. */
void worker_rekey(struct worker *w);

/* From here on `id` is what the request uses; NULL: nothing. */
void worker_use(struct worker *w, const uint8_t *id);

/* Resets the client, logs, ends the process with status 1. */
_Noreturn void worker_fault(struct worker *w, const char *what, int result);
/* Resets the client and ends the process with status 0: what it was granted is revoked, or its time is over. */
_Noreturn void worker_reset(struct worker *w);

#endif
