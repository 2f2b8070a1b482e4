/* The socket to the client, with deadlines: below TLS, or plain. */
#ifndef VAULT_WORKER_WIRE_H
#define VAULT_WORKER_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wire {
    int socket;        /* owned by the stream */
    uint32_t idle_ms;  /* the longest wait for the client to send or take something; 0: none but deadline_ms */
    uint64_t deadline; /* loop_now_ms at which everything fails; 0: never */
    bool held;         /* do not touch the socket: reads give VAULT_AGAIN */
    int channel;       /* not owned: heard while the socket is waited for */
    void (*heard)(void *context); /* NULL: there is no channel */
    void *context;
};

/* Reads 1 to n bytes; *ret_n 0 at the end. VAULT_AGAIN (held), VAULT_E_TIMEOUT, VAULT_E_CLOSED, VAULT_E_IO. */
int wire_read(const struct wire *w, void *to, size_t n, size_t *ret_n);
/* Writes all n bytes. VAULT_E_TIMEOUT, VAULT_E_CLOSED, VAULT_E_IO. */
int wire_write(const struct wire *w, const void *from, size_t n);
/* Ends what we send and discards for a moment what the client still sends: closing with bytes unread would reset the
 * connection, and the client could lose our last answer. Does not close. */
void wire_finish(const struct wire *w);

#endif
