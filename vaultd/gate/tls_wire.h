/* TLS's own number form (big-endian, 1 to 3 bytes) over the bounded reader. RFC 8446, section 3. */
#ifndef VAULT_GATE_TLS_WIRE_H
#define VAULT_GATE_TLS_WIRE_H

#include "vault/buffer.h"

/* The next `bytes` (1 to 4) as a number; 0 and r->bad if there are fewer. */
uint32_t read_number(struct reader *r, unsigned bytes);
/* A vector: its length in `length_bytes`, then that many bytes, as a reader of its own. It is bad if r turned bad. */
struct reader read_vector(struct reader *r, unsigned length_bytes);
/* The other direction, for what the gate builds. */
void write_number(struct writer *w, uint32_t v, unsigned bytes);

#endif
