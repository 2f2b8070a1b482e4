#include "restart.h"

enum { CRASH_DELAY_MS = 200 };

static uint64_t io_delay(struct restart_policy *p) {
    p->io_delay_ms = p->io_delay_ms == 0 ? RESTART_IO_MS : p->io_delay_ms * 2;
    if (p->io_delay_ms > RESTART_IO_MAX_MS)
        p->io_delay_ms = RESTART_IO_MAX_MS;
    return p->io_delay_ms;
}

bool restart_after(struct restart_policy *p, uint64_t now_ms, bool io, uint64_t *ret_delay_ms) {
    if (io) {
        *ret_delay_ms = io_delay(p);
        return true;
    }
    uint64_t *oldest = &p->crashes[p->count % RESTART_CRASHES];
    if (p->count >= RESTART_CRASHES && now_ms - *oldest < RESTART_WINDOW_MS)
        return false;
    *oldest = now_ms;
    p->count++;
    *ret_delay_ms = CRASH_DELAY_MS;
    return true;
}

void restart_settled(struct restart_policy *p) {
    p->io_delay_ms = 0;
}
