/* When gate, monitor and store may be started again after one of them died. */
#ifndef VAULT_SUPERVISOR_RESTART_H
#define VAULT_SUPERVISOR_RESTART_H

#include <stdbool.h>
#include <stdint.h>

enum { RESTART_CRASHES = 5, RESTART_WINDOW_MS = 60000, RESTART_IO_MS = 1000, RESTART_IO_MAX_MS = 30000 };

struct restart_policy {
    uint64_t crashes[RESTART_CRASHES]; /* times of the last ones, oldest overwritten first */
    unsigned count;                    /* of all crashes */
    uint64_t io_delay_ms;              /* the last wait after a disk fault; 0: none yet */
};

/* A core process died at now_ms. `io`: it gave up because of its disk (exit status 74), which never ends the service.
 * Returns whether to start again, and when, in *ret_delay_ms. False: more than RESTART_CRASHES in the window. */
bool restart_after(struct restart_policy *p, uint64_t now_ms, bool io, uint64_t *ret_delay_ms);
/* All served for a whole window: the next disk fault starts with the short wait again. */
void restart_settled(struct restart_policy *p);

#endif
