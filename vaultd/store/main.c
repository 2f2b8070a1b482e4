/* vaultd-store: keeps the stored objects. Started by the supervisor with its control channel on descriptor 3; never by
 * hand. Exit status: 0 the supervisor let it go; 1 a fault; 74 the object directory cannot be used. */
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "core.h"
#include "vault/log.h"
#include "vault/message.h"
#include "vault/result.h"
#include "vault/sandbox.h"
#include "vault/secret.h"

/* The key for tokens, and the packet of a channel. */
enum { CONTROL = 3, SETUP_TIMEOUT_MS = 30000, SMALL_SECRETS = 4, LARGE_SECRETS = 1 };

/* The object directory and the channel to the monitor, in the first message. VAULT_E_PROTOCOL and what channels give.
 */
static int receive_setup(int *ret_directory, int *ret_monitor) {
    static struct message m;
    int result = channel_receive_wait(CONTROL, &m, SETUP_TIMEOUT_MS);
    if (result != VAULT_OK)
        return result;
    if (m.type != MSG_store_setup || m.fd_count != 2) {
        message_clear(&m);
        return VAULT_E_PROTOCOL;
    }
    *ret_directory = m.fds[0];
    *ret_monitor = m.fds[1];
    m.fd_count = 0;
    message_clear(&m);
    return VAULT_OK;
}

static int send_ready(void) {
    static struct message m;
    message_init(&m, MSG_ready, 0);
    return channel_send_wait(CONTROL, &m, SETUP_TIMEOUT_MS);
}

/* Puts up the walls and serves. Returns the exit status. */
static int serve(struct store *s, int directory) {
    int result = sandbox_enter(SANDBOX_STORE, &directory, 1);
    if (result == VAULT_OK)
        result = store_start(s);
    if (result == VAULT_OK)
        result = send_ready();
    if (result != VAULT_OK) {
        log_error("cannot start: %s", vault_result_name(result));
        return 1;
    }
    while (store_exit_status(s) < 0)
        store_turn(s, -1);
    return store_exit_status(s);
}

int main(void) {
    int directory = -1;
    int monitor = -1;
    struct store *s = NULL;
    log_start("store");
    umask(077);
    int result = secret_start();
    if (result == VAULT_OK)
        result = secret_reserve(SMALL_SECRETS, LARGE_SECRETS);
    if (result == VAULT_OK)
        result = sandbox_start();
    if (result == VAULT_OK)
        result = receive_setup(&directory, &monitor);
    if (result == VAULT_E_CLOSED)
        return 0;
    if (result == VAULT_OK && fchdir(directory) != 0)
        result = VAULT_E_IO;
    if (result == VAULT_OK)
        result = store_new(&s, directory, CONTROL, monitor);
    if (result != VAULT_OK) {
        log_error("cannot start: %s", vault_result_name(result));
        return 1;
    }
    int status = store_probe(s) == VAULT_OK ? serve(s, directory) : EX_IOERR;
    store_free(&s);
    return status;
}
