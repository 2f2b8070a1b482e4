/* vaultd-token: one task at a PKCS#11 token, whose module is foreign code. Started by the supervisor with a channel on
 * descriptor 3 that brings its setup; never by hand. Exit status: 0 it has answered; 1 a fault; 3 it has answered that
 * the PIN is wrong or locked, which the supervisor remembers. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "token.h"
#include "vault/buffer.h"
#include "vault/log.h"
#include "vault/result.h"
#include "vault/sandbox.h"

enum { CONTROL = 3, SETUP_MS = 10000, SEND_MS = 5000, EXIT_PIN = 3, SMALL_SECRETS = 8, LARGE_SECRETS = 2 };

/* The messages are large; both may hold the root key's owner. */
static struct message asked, answer;
static struct msg_token_setup setup;

/* The module and the PIN, and the channel to the monitor, which is all that stays open. */
static int receive_setup(struct secret **ret_pin, int *ret_monitor) {
    int result = channel_receive_wait(CONTROL, &asked, SETUP_MS);
    if (result != VAULT_OK)
        return result;
    if (asked.type != MSG_token_setup || asked.fd_count != 2)
        result = VAULT_E_PROTOCOL;
    if (result == VAULT_OK) {
        setup = asked.token_setup;
        result = pin_read(asked.fds[0], ret_pin);
        *ret_monitor = asked.fds[1];
        asked.fds[1] = -1;
    }
    message_clear(&asked);
    close(CONTROL);
    return result == VAULT_E_FORMAT ? VAULT_OK : result; /* no PIN is told as an answer */
}

/* The module's own words may hold anything, so they are not for the log. */
static int silence(void) {
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (null < 0)
        return VAULT_E_IO;
    int result = dup2(null, STDERR_FILENO) < 0 ? VAULT_E_IO : VAULT_OK;
    close(null);
    return result;
}

/* What the module keeps on its heap must not be swapped out either. */
static int lock_memory(void) {
    if (mlockall(MCL_CURRENT | MCL_FUTURE) == 0)
        return VAULT_OK;
    log_error("cannot lock memory, raise the memory lock limit (LimitMEMLOCK=): %s", strerror(errno));
    return VAULT_E_MEMORY;
}

/* The token is closed before the answer goes out: an answer means that all is done. */
static int work(const struct secret *pin) {
    struct token t = {.module = NULL};
    enum token_refusal why = pin == NULL ? TOKEN_PIN_MALFORMED : token_open(&t, setup.module, setup.uri, pin);
    int result = VAULT_OK;
    if (why == TOKEN_GRANTED)
        result = task_do(&t, &asked, &answer);
    token_close(&t);
    if (why != TOKEN_GRANTED)
        task_refuse(asked.id, why, t.said, &answer);
    return result;
}

static bool is_of_pin(const struct message *m) {
    return m->type == MSG_token_refused &&
           (m->token_refused.why == TOKEN_PIN_WRONG || m->token_refused.why == TOKEN_PIN_LOCKED);
}

static int serve(int monitor, struct secret *pin) {
    int result = channel_receive_wait(monitor, &asked, SETUP_MS);
    if (result == VAULT_OK)
        result = silence();
    if (result == VAULT_OK)
        result = work(pin);
    if (result == VAULT_OK)
        result = channel_send_wait(monitor, &answer, SEND_MS);
    bool of_pin = is_of_pin(&answer);
    message_clear(&asked);
    message_clear(&answer);
    return result != VAULT_OK ? 1 : of_pin ? EXIT_PIN : 0;
}

int main(void) {
    CLEANUP_SECRET struct secret *pin = NULL;
    int monitor = -1;
    log_start("token");
    umask(077);
    int result = sandbox_start();
    if (result == VAULT_OK)
        result = secret_start();
    if (result == VAULT_OK)
        result = secret_reserve(SMALL_SECRETS, LARGE_SECRETS);
    if (result == VAULT_OK)
        result = lock_memory();
    if (result == VAULT_OK)
        result = receive_setup(&pin, &monitor);
    if (result != VAULT_OK) {
        log_error("cannot start: %s", vault_result_name(result));
        return 1;
    }
    return serve(monitor, pin);
}
