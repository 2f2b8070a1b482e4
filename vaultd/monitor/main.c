/* vaultd-monitor: keys, index, policy, consent, audit. See monitor.h for its invariants. */
#include <stdlib.h>

#include "vaultd/monitor/opening/opening.h"
#include "vault/log.h"
#include "vault/result.h"
#include "vault/sandbox.h"

enum { CONTROL_FD = 3, EXIT_IO = 74 };

/* The most secrets at a time: those of the ring, the shares that were shown, proposed and are just being made, the key
 * in the answer that waits for each worker, the root keys and the ring of errands to the token, and what one request
 * takes for itself. Large ones: the packet of a channel, a value of the index. */
enum {
    WORKERS_MAX = 4096 + 64,
    SMALL_SECRETS = KEYRING_GENERATIONS + 3 + 3 * SHARES_MAX + WORKERS_MAX + 8 + 32,
    LARGE_SECRETS = 2
};

static int start(struct monitor *m) {
    int result = secret_start();
    if (result == VAULT_OK)
        result = secret_reserve(SMALL_SECRETS, LARGE_SECRETS);
    if (result == VAULT_OK)
        result = sandbox_start();
    if (result == VAULT_OK)
        result = monitor_start(m);
    const int directories[] = {m->place.directory, m->place.twin_directory};
    return result == VAULT_OK ? sandbox_enter(SANDBOX_MONITOR, directories, 2) : result;
}

int main(void) {
    static struct monitor m = {.control = CONTROL_FD};
    bool more = false;
    log_start("monitor");
    int result = start(&m);
    if (result == VAULT_OK)
        life_start(&m);
    else
        log_error("start: failed result=\"%s\"", vault_result_name(result));
    while (result == VAULT_OK && !m.stop)
        result = monitor_turn(&m, &more);
    if (result == VAULT_OK)
        monitor_close(&m);
    else
        m.exit_status = result == VAULT_E_IO || result == VAULT_E_FULL ? EXIT_IO : EXIT_FAILURE;
    return m.exit_status;
}
