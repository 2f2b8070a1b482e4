/* vaultd-monitor: keys, index, policy, consent, audit. See monitor.h for its invariants. */
#include <stdlib.h>

#include "monitor.h"
#include "vault/log.h"
#include "vault/result.h"
#include "vault/sandbox.h"

enum { CONTROL_FD = 3, EXIT_IO = 74 };

static int start(struct monitor *m) {
    int result = secret_start();
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
