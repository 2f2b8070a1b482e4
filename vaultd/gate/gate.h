/* The gate: one thread around an event loop, with a control channel to the supervisor, one to the monitor, and one to
 * each worker. */
#ifndef VAULT_GATE_GATE_H
#define VAULT_GATE_GATE_H

#include <time.h>

struct gate;

/* Waits for gate_setup on `control` (borrowed) and loads what it brings; nothing is served yet. Faults are logged.
 * VAULT_E_FORMAT, VAULT_E_PROTOCOL, VAULT_E_CLOSED, VAULT_E_MEMORY, VAULT_E_IO, VAULT_E_CRYPTO. */
int gate_open(int control, struct gate **ret);
/* Tells the monitor the client authorities, and the supervisor `ready`. To be called in the sandbox. Errors of
 * channel_send. */
int gate_ready(struct gate *g);
/* Waits up to timeout_ms and serves what is there, then what is due at `now` (gate_tick). VAULT_E_CLOSED: the
 * supervisor is gone, which is the ordinary end; any other fault ends the gate too and has been logged. */
int gate_turn(struct gate *g, int timeout_ms);
/* What time brings: identities that expire, handshakes that never end, the server's own certificate. As gate_turn. */
int gate_tick(struct gate *g, time_t now);
/* How long gate_turn may wait before a tick is due. */
int gate_wait_ms(const struct gate *g);
/* Accepts NULL and a pointer to NULL. */
void gate_close(struct gate **g);

#endif
