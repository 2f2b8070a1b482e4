/* vaultd-courier: one request to a witness. Started by the supervisor with a channel on descriptor 3 that brings its
 * setup; never by hand. It reads what a witness answers, so it has nothing that is secret: a checkpoint to take there,
 * and text to bring back. Exit status: 0 it has answered; 1 a fault. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "courier.h"
#include "vault/file.h"
#include "vault/log.h"
#include "vault/result.h"
#include "vault/sandbox.h"

enum { CONTROL = 3, SETUP_MS = 10000, SEND_MS = 5000, AUTHORITIES_MAX = 4 << 20, SMALL_SECRETS = 1, LARGE_SECRETS = 2 };

/* The messages are large. */
static struct message asked, answer;

static int read_authorities(int fd, struct destination *to) {
    struct stat st;
    if (fstat(fd, &st) != 0 || st.st_size <= 0 || st.st_size > AUTHORITIES_MAX)
        return VAULT_E_FORMAT;
    to->authorities = malloc((size_t)st.st_size);
    to->authorities_size = (size_t)st.st_size;
    if (to->authorities == NULL)
        return VAULT_E_MEMORY;
    ssize_t n = pread(fd, to->authorities, to->authorities_size, 0);
    return n == st.st_size ? VAULT_OK : VAULT_E_IO;
}

/* Where it goes, and the channel to the monitor, which is all that stays open. */
static int receive_setup(struct destination *to, int *ret_monitor) {
    int result = channel_receive_wait(CONTROL, &asked, SETUP_MS);
    if (result != VAULT_OK)
        return result;
    if (asked.type != MSG_courier_setup || asked.fd_count < 1 || asked.fd_count > 2)
        result = VAULT_E_PROTOCOL;
    if (result == VAULT_OK) {
        copy_string(to->url, sizeof(to->url), asked.courier_setup.url);
        to->seconds = asked.courier_setup.seconds;
        result = asked.fd_count == 2 ? read_authorities(asked.fds[0], to) : VAULT_OK;
        *ret_monitor = asked.fds[asked.fd_count - 1];
        asked.fds[asked.fd_count - 1] = -1;
    }
    message_clear(&asked);
    close(CONTROL);
    return result;
}

/* What the C library reads to find an address by its name, and nothing else of the file system. */
static int wall_in(void) {
    static const char *const paths[] = {"/etc", "/usr", "/run"};
    enum { PATHS = sizeof(paths) / sizeof(paths[0]) };
    int directories[PATHS];
    unsigned count = 0;
    for (size_t i = 0; i < PATHS; i++) {
        int fd = open(paths[i], O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fd >= 0)
            directories[count++] = fd;
    }
    int result = sandbox_enter(SANDBOX_COURIER, directories, count);
    while (count > 0)
        close(directories[--count]);
    return result;
}

static int serve(const struct destination *to, int monitor) {
    int result = channel_receive_wait(monitor, &asked, SETUP_MS);
    if (result == VAULT_OK && asked.type != MSG_courier_carry)
        result = VAULT_E_PROTOCOL;
    if (result != VAULT_OK)
        return 1;
    message_init(&answer, MSG_courier_brought, asked.id);
    post(to, &asked.courier_carry, &answer.courier_brought);
    result = channel_send_wait(monitor, &answer, SEND_MS);
    return result == VAULT_OK || result == VAULT_E_CLOSED ? 0 : 1;
}

int main(void) {
    static struct destination to;
    int monitor = -1;
    log_start("courier");
    umask(077);
    int result = sandbox_start();
    if (result == VAULT_OK)
        result = secret_start(); /* no message of its brings one, but all pass through the same memory */
    if (result == VAULT_OK)
        result = secret_reserve(SMALL_SECRETS, LARGE_SECRETS);
    if (result == VAULT_OK)
        result = post_start();
    if (result == VAULT_OK)
        result = receive_setup(&to, &monitor);
    if (result == VAULT_OK)
        result = wall_in();
    if (result != VAULT_OK) {
        log_error("cannot start: %s", vault_result_name(result));
        return 1;
    }
    int status = serve(&to, monitor);
    free(to.authorities);
    return status;
}
