/* vaultd-worker: one process per client connection, or for work of the vault's own. Descriptors at start: 3 supervisor,
 * 4 monitor, 5 store, 6 gate. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include "vault/log.h"
#include "vault/result.h"
#include "vault/sandbox.h"
#include "worker.h"

enum { FD_SUPERVISOR = 3, FD_MONITOR = 4, FD_STORE = 5, FD_GATE = 6 };
/* A key for each message in hand, until it is in its cipher; and the packet of a channel. */
enum { SMALL_SECRETS = 4, LARGE_SECRETS = 1 };

static struct worker worker;

/* Everything that needs more than the sandbox leaves. */
static int prepare(void) {
    int result = secret_start();
    if (result == VAULT_OK)
        result = secret_reserve(SMALL_SECRETS, LARGE_SECRETS);
    if (result == VAULT_OK)
        result = sandbox_start();
    if (result == VAULT_OK)
        result = stream_prepare(FD_GATE);
    if (result == VAULT_OK)
        result = worker_prepare(&worker, FD_SUPERVISOR, FD_MONITOR, FD_STORE);
    if (result != VAULT_OK) {
        log_error("cannot start: result=%s", vault_result_name(result));
        return result;
    }
    if (mlockall(MCL_CURRENT | MCL_FUTURE) != 0) {
        log_error("memory cannot be locked; raise RLIMIT_MEMLOCK (LimitMEMLOCK=): error=%s", strerror(errno));
        return VAULT_E_MEMORY;
    }
    if (signal(SIGPIPE, SIG_IGN) == SIG_ERR) {
        log_error("cannot start: SIGPIPE cannot be ignored: error=%s", strerror(errno));
        return VAULT_E_IO;
    }
    return sandbox_enter(SANDBOX_WORKER, NULL, 0);
}

/* Waits for the client and shakes hands. VAULT_DENIED: it was refused. VAULT_NOT_FOUND: there is none, but work. */
static int meet_client(struct message *m) {
    int result = channel_receive_wait(FD_SUPERVISOR, m, -1);
    if (result != VAULT_OK)
        return result;
    if (m->type == MSG_work)
        return VAULT_NOT_FOUND;
    if (m->type != MSG_client || m->fd_count != 1)
        return VAULT_E_PROTOCOL;
    int socket = m->fds[0];
    m->fds[0] = -1; /* the stream owns it now */
    worker_limits(&worker, &m->client);
    if (m->client.kind == PEER_UNIX)
        return stream_open_plain(socket, m->client.idle_ms, &worker.stream);
    return stream_open_tls(socket, FD_GATE, m->client.handshake_ms, m->client.idle_ms, &worker.stream);
}

int main(void) {
    log_start("worker");
    if (prepare() != VAULT_OK)
        return 1;
    int result = meet_client(&worker.reply);
    message_clear(&worker.reply);
    if (result == VAULT_OK)
        worker_serve(&worker);
    else if (result == VAULT_NOT_FOUND)
        worker_rekey(&worker);
    else if (result == VAULT_E_PROTOCOL || result == VAULT_E_CRYPTO || result == VAULT_E_MEMORY)
        log_error("no client served: result=%s", vault_result_name(result));
    return result == VAULT_E_PROTOCOL || result == VAULT_E_CRYPTO || result == VAULT_E_MEMORY ? 1 : 0;
}
