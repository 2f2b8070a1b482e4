#include "vaultd/gate/tls_wire.h"

uint32_t read_number(struct reader *r, unsigned bytes) {
    uint32_t v = 0;
    for (unsigned i = 0; i < bytes; i++)
        v = v << 8 | read_u8(r);
    return r->bad ? 0 : v;
}

struct reader read_vector(struct reader *r, unsigned length_bytes) {
    size_t n = read_number(r, length_bytes);
    const uint8_t *bytes = read_view(r, n);
    struct reader part = reader_of(bytes, bytes == NULL ? 0 : n);
    part.bad = r->bad;
    return part;
}

void write_number(struct writer *w, uint32_t v, unsigned bytes) {
    for (unsigned i = bytes; i > 0; i--)
        write_u8(w, (uint8_t)(v >> (8 * (i - 1))));
}
