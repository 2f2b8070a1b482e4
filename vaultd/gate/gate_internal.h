/* The gate's own state, shared by its files.
 *
 * Invariants:
 *  1. A worker is known by the channel its message came on, never by a number in the message.
 *  2. The monitor is told an identity before its worker is, and at most once per worker; what cannot be told to the
 *     monitor ends the gate (`fault`), so that no identity outlives its loss.
 *  3. A worker's record stays until worker_gone, also when its channel is closed: an identity may still be lost. */
#ifndef VAULT_GATE_GATE_INTERNAL_H
#define VAULT_GATE_GATE_INTERNAL_H

#include <time.h>

#include "vault/loop.h"
#include "vault/message.h"
#include "vaultd/gate/gate.h"
#include "vaultd/gate/handshake.h"
#include "vaultd/gate/server.h"
#include "vaultd/gate/anchors.h"

enum { PEER_WAIT_MS = 2000 }; /* for supervisor and monitor to take a message */

struct worker {
    struct gate *gate;
    struct worker *next;
    uint64_t id;
    int channel; /* owned; -1 once closed */
    struct watch *watch;
    struct server *server;       /* whose chain it was told; shared until its verdict */
    struct handshake *handshake; /* from its first message to its verdict */
    uint64_t deadline_ms;        /* of the handshake */
    unsigned messages;           /* handshake messages so far */
    bool chain_asked;            /* its one question about the chain is used up */
    bool verdict_given;          /* its one question about the identity is used up */
    struct presented identity;   /* told to the monitor and not lost; chain NULL: none */
    uint64_t not_after;          /* of the identity, seconds since 1970 */
};

struct gate {
    struct loop *loop;
    int control; /* borrowed */
    int monitor; /* owned */
    struct watch *control_watch, *monitor_watch;
    struct server *server;
    struct anchors *anchors;
    struct worker *workers;
    time_t server_warned; /* when the server's own certificate was last looked at */
    int fault;            /* why the gate must end; VAULT_OK: it need not */
    struct message in, out;
};

/* Takes over the channel, tells the worker the server's chain. VAULT_E_PROTOCOL (a worker of this number is there),
 * VAULT_E_MEMORY, VAULT_E_IO. */
int worker_add(struct gate *g, uint64_t id, int channel);
/* Forgets the worker, if it is known. */
void worker_remove(struct gate *g, uint64_t id);
void workers_clear(struct gate *g);
/* Verifies every live identity against the present trust. */
void workers_verify_again(struct gate *g);
/* Identities that have expired, handshakes that take too long. */
void workers_tick(struct gate *g, time_t now);

/* Send g->out to a peer that must take it; a failure ends the gate. */
void gate_tell_supervisor(struct gate *g);
void gate_tell_monitor(struct gate *g);
/* Ends the gate, with the first reason given. */
void gate_fail(struct gate *g, int result, const char *what);

#endif
