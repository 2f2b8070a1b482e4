/* vaultd-gate: holds the server's TLS key, and says who a client is. */
#include <errno.h>
#include <openssl/crypto.h>
#include <string.h>
#include <sys/mman.h>

#include "vault/log.h"
#include "vault/result.h"
#include "vault/sandbox.h"
#include "vault/secret.h"
#include "vaultd/gate/gate.h"
#include "vaultd/gate/heap.h"

/* Large secrets: the packet of a channel, the key file as it is read, the key in it. */
enum { CONTROL = 3, SMALL_SECRETS = 4, LARGE_SECRETS = 3 };

static int start(void) {
    log_start("gate");
    int result = sandbox_start();
    if (result == VAULT_OK)
        result = secret_start();
    if (result == VAULT_OK)
        result = secret_reserve(SMALL_SECRETS, LARGE_SECRETS);
    if (result == VAULT_OK)
        result = heap_wipe_freed();
    if (result == VAULT_OK && OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) != 1)
        result = VAULT_E_CRYPTO;
    if (result != VAULT_OK)
        log_error("cannot start: %s", vault_result_name(result));
    return result;
}

/* OpenSSL keeps the private key on its own heap, which only this keeps out of swap. */
static int lock_memory(void) {
    if (mlockall(MCL_CURRENT | MCL_FUTURE) == 0)
        return VAULT_OK;
    log_error("cannot lock memory, raise the memory lock limit (LimitMEMLOCK=): %s", strerror(errno));
    return VAULT_E_MEMORY;
}

static int enter_sandbox(void) {
    int result = sandbox_enter(SANDBOX_GATE, NULL, 0);
    if (result != VAULT_OK)
        log_error("cannot enter the sandbox: %s", vault_result_name(result));
    return result;
}

static int serve(struct gate *gate) {
    int result = lock_memory();
    if (result == VAULT_OK)
        result = enter_sandbox();
    if (result == VAULT_OK)
        result = gate_ready(gate);
    if (result == VAULT_OK)
        result = gate_tick(gate, time(NULL));
    while (result == VAULT_OK)
        result = gate_turn(gate, gate_wait_ms(gate));
    return result;
}

int main(void) {
    struct gate *gate = NULL;
    int result = start();
    if (result != VAULT_OK)
        return 1;
    result = gate_open(CONTROL, &gate);
    if (result != VAULT_OK) {
        log_error("cannot read the setup: %s", vault_result_name(result));
        return 1;
    }
    result = serve(gate);
    gate_close(&gate);
    return result == VAULT_E_CLOSED ? 0 : 1;
}
