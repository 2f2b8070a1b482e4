/* The store process without its walls: what it does between its channels and its directory. docs/format-object.md. */
#ifndef VAULT_STORE_CORE_H
#define VAULT_STORE_CORE_H

enum {
    STORE_SLOTS = 3,         /* in the shared buffers of a worker: one is filled while each writer has another */
    STORE_CARE = 16,         /* removals and checks in hand before the next one is read from the monitor */
    STORE_SEND_BUFFER = 8192 /* of a worker's channel: room for about 20 unread answers, and the descriptors in them */
};

struct store;

/* A store on this directory and these channels to the supervisor and the monitor (all borrowed). To be called before
 * the sandbox: libraries load here. VAULT_E_MEMORY, VAULT_E_CRYPTO, VAULT_E_IO. */
int store_new(struct store **ret, int directory, int control, int monitor);
/* Closes the workers' channels and ends the writers. Accepts NULL and a pointer to NULL; leaves NULL. */
void store_free(struct store **s);

/* Whether the directory can hold objects (disk_probe). VAULT_E_IO. */
int store_probe(struct store *s);
/* Starts the writers and the watches; inside the sandbox. VAULT_E_IO, VAULT_E_MEMORY. */
int store_start(struct store *s);
/* Waits up to timeout_ms (-1: for ever) for something to do, and does it. */
void store_turn(struct store *s, int timeout_ms);
/* -1 while it serves. 0: the supervisor closed the control channel; 1: the monitor closed its channel, or one of the
 * two broke the protocol, or a fault on our side. */
int store_exit_status(const struct store *s);

#endif
