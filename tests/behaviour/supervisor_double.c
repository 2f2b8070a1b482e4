/* Stands in for gate, monitor, store, worker and token (by the name it is started under) in the tests of the supervisor
 * alone. What it is to do comes from the files it is given (the gate's certificate) or from the client (the worker). */
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vault/log.h"
#include "vault/message.h"
#include "vault/result.h"

enum { CONTROL = 3, MONITOR = 4, WORKERS_MAX = 64, DISK_FAULT = 74 };

static struct message message;

static void need(bool good, const char *what) {
    if (good)
        return;
    log_error("double: %s", what);
    _exit(1);
}

static void receive(int channel) {
    message_clear(&message);
    int result = channel_receive_wait(channel, &message, -1);
    if (result == VAULT_E_CLOSED)
        _exit(0);
    need(result == VAULT_OK, vault_result_name(result));
}

static void send_empty(int channel, enum message_type type) {
    message_clear(&message);
    message_init(&message, type, 0);
    need(channel_send(channel, &message) == VAULT_OK, "send");
}

static void setup(enum message_type type, size_t fds) {
    receive(CONTROL);
    need(message.type == type && message.fd_count == fds, "setup");
}

static void run_gate(void) {
    char order[16] = "";
    setup(MSG_gate_setup, 5);
    need(read(message.fds[0], order, sizeof(order) - 1) >= 0, "certificate");
    if (strncmp(order, "disk fault", 10) == 0)
        _exit(DISK_FAULT);
    if (strncmp(order, "crash", 5) == 0)
        abort();
    send_empty(CONTROL, MSG_ready);
    for (;;) {
        receive(CONTROL);
        if (message.type == MSG_trust)
            log_info("double: trust renewed: fds=%zu", message.fd_count);
        if (message.type == MSG_certificate)
            log_info("double: certificate renewed: fds=%zu", message.fd_count);
    }
}

static void run_store(void) {
    setup(MSG_store_setup, 2);
    send_empty(CONTROL, MSG_ready);
    for (;;)
        receive(CONTROL);
}

struct known {
    uint64_t id;
    int channel;
};
static struct known known[WORKERS_MAX];

/* Three tokens, one after the other; the third one as if somebody had asked for it. */
static void want_token(uint64_t id) {
    if (id > 3)
        return;
    message_clear(&message);
    message_init(&message, MSG_token_wanted, id);
    message.token_wanted.by_itself = id < 3;
    need(channel_send(CONTROL, &message) == VAULT_OK, "token_wanted");
}

/* What the token says on it. One that was not started has no end either. */
static void keep_token_channel(void) {
    uint64_t id = message.id;
    if (message.fd_count == 0) {
        want_token(id + 1);
        return;
    }
    int channel = message.fds[0];
    message.fd_count = 0;
    message_clear(&message);
    if (channel_receive_wait(channel, &message, 5000) == VAULT_OK)
        log_info("double: token %llu says: %u", (unsigned long long)id, message.token_swept.destroyed);
    close(channel);
}

static void monitor_hears(void) {
    receive(CONTROL);
    switch (message.type) {
    case MSG_worker_new:
        for (int i = 0; i < WORKERS_MAX; i++)
            if (known[i].channel == 0) {
                known[i] = (struct known){message.worker_new.worker, message.fds[0]};
                message.fd_count = 0;
                return;
            }
        need(false, "room for workers");
        break;
    case MSG_worker_gone:
        for (int i = 0; i < WORKERS_MAX; i++)
            if (known[i].channel != 0 && known[i].id == message.worker_gone.worker) {
                close(known[i].channel);
                known[i].channel = 0;
            }
        log_info("double: gone: worker=%llu how=%d", (unsigned long long)message.worker_gone.worker,
                 message.worker_gone.how);
        break;
    case MSG_worker_client:
        log_info("double: client: worker=%llu kind=%d address=%s", (unsigned long long)message.worker_client.worker,
                 message.worker_client.kind, message.worker_client.address);
        break;
    case MSG_credential:
        log_info("double: credential: fds=%zu problem=%s", message.fd_count, message.credential.problem);
        break;
    case MSG_token_channel:
        log_info("double: token %llu: fds=%zu rule=%s", (unsigned long long)message.id, message.fd_count,
                 message.token_channel.rule);
        keep_token_channel();
        break;
    case MSG_token_gone:
        log_info("double: token %llu gone: rule=%s", (unsigned long long)message.id, message.token_gone.rule);
        want_token(message.id + 1);
        break;
    default: need(false, "message to the monitor");
    }
}

/* A worker that asks to be killed is killed as revoked. */
static void worker_says(struct known *k) {
    message_clear(&message);
    int result = channel_receive(k->channel, &message);
    if (result != VAULT_OK) {
        log_info("double: worker's channel: worker=%llu %s", (unsigned long long)k->id, vault_result_name(result));
        close(k->channel);
        k->channel = 0;
        return;
    }
    message_clear(&message);
    message_init(&message, MSG_worker_kill, 0);
    message.worker_kill.worker = k->id;
    message.worker_kill.why = WORKER_REVOKED;
    need(channel_send(CONTROL, &message) == VAULT_OK, "kill");
}

static void run_monitor(void) {
    setup(MSG_monitor_setup, 4);
    bool token = message.monitor_setup.token != 0;
    log_info("double: stay_sealed=%d", message.monitor_setup.stay_sealed);
    message_clear(&message);
    send_empty(CONTROL, MSG_credential_wanted);
    message_init(&message, MSG_state, 0);
    message.state.seal = SEAL_SEALED;
    message.state.by_operator = 1;
    need(channel_send(CONTROL, &message) == VAULT_OK, "state");
    if (token)
        want_token(1);
    send_empty(CONTROL, MSG_ready);
    for (;;) {
        struct pollfd p[1 + WORKERS_MAX] = {{.fd = CONTROL, .events = POLLIN}};
        for (int i = 0; i < WORKERS_MAX; i++)
            p[1 + i] = (struct pollfd){.fd = known[i].channel == 0 ? -1 : known[i].channel, .events = POLLIN};
        need(poll(p, 1 + WORKERS_MAX, -1) > 0, "poll");
        if (p[0].revents != 0)
            monitor_hears();
        for (int i = 0; i < WORKERS_MAX; i++)
            if (p[1 + i].revents != 0 && known[i].channel == p[1 + i].fd)
                worker_says(&known[i]);
    }
}

static void say(int client, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(int client, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vdprintf(client, format, arguments);
    va_end(arguments);
}

/* What the supervisor gave this process. */
static void describe(int client) {
    struct rlimit core, files, locked;
    int signal_of_death = 0;
    char open_fds[200] = "";
    size_t used = 0;
    DIR *folder = opendir("/proc/self/fd");
    need(folder != NULL && getrlimit(RLIMIT_CORE, &core) == 0 && getrlimit(RLIMIT_NOFILE, &files) == 0 &&
             getrlimit(RLIMIT_MEMLOCK, &locked) == 0 && prctl(PR_GET_PDEATHSIG, &signal_of_death) == 0,
         "describe");
    for (struct dirent *e; (e = readdir(folder)) != NULL;)
        if (e->d_name[0] != '.' && strtol(e->d_name, NULL, 10) != dirfd(folder) &&
            strtol(e->d_name, NULL, 10) != client)
            used += (size_t)snprintf(open_fds + used, sizeof(open_fds) - used, "%s,", e->d_name);
    closedir(folder);
    size_t variables = 0;
    while (environ[variables] != NULL)
        variables++;
    say(client, "uid=%u gid=%u core=%lu files=%lu locked=%lu death=%d fds=%s environment=%zu nnp=%d\n", getuid(),
        getgid(), core.rlim_cur, files.rlim_cur, locked.rlim_cur, signal_of_death, open_fds, variables,
        prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
}

static void flood(int client) {
    static char bytes[65536];
    while (send(client, bytes, sizeof(bytes), 0) > 0)
        continue;
}

enum { LINGER_SECONDS = 3600 }; /* far longer than the test waits */

static void set_linger(int client, const struct linger *l) {
    need(setsockopt(client, SOL_SOCKET, SO_LINGER, l, sizeof(*l)) == 0, "linger");
}

/* As much as the kernel takes for a client that does not read. */
static void fill_buffers(int client) {
    static char bytes[65536];
    while (send(client, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
        continue;
    need(errno == EAGAIN, "full buffers");
}

/* Ends in order, with a close of its client's socket that would wait. */
static void linger_and_exit(int client) {
    const struct linger wait = {.l_onoff = 1, .l_linger = LINGER_SECONDS};
    set_linger(client, &wait);
    fill_buffers(client);
    _exit(0);
}

static _Noreturn void *take_back(void *client) {
    const struct linger none = {0};
    for (;;)
        set_linger(*(int *)client, &none);
}

/* Asks to be killed, and takes back what the supervisor sets at the socket until it is: by more threads than one, so
 * that one is running while the supervisor is. */
static void undo_reset(int client) {
    pthread_t thread;
    fill_buffers(client);
    for (int i = 0; i < 8; i++)
        need(pthread_create(&thread, NULL, take_back, &client) == 0, "thread");
    send_empty(MONITOR, MSG_worker_kill);
    take_back(&client);
}

static void obey(int client, const char *order) {
    if (strncmp(order, "crash", 5) == 0)
        abort();
    if (strncmp(order, "exit", 4) == 0)
        _exit(0);
    if (strncmp(order, "linger", 6) == 0)
        linger_and_exit(client);
    if (strncmp(order, "undo reset", 10) == 0)
        undo_reset(client);
    if (strncmp(order, "fill", 4) == 0) {
        fill_buffers(client);
        log_info("double: filled");
    }
    if (strncmp(order, "timeout", 7) == 0)
        raise(SIGALRM);
    if (strncmp(order, "describe", 8) == 0)
        describe(client);
    if (strncmp(order, "misbehave", 9) == 0)
        send_empty(CONTROL, MSG_state);
    if (strncmp(order, "revoke", 6) == 0) {
        send_empty(MONITOR, MSG_worker_kill);
        flood(client);
    }
}

static void run_worker(void) {
    char order[64];
    receive(CONTROL);
    need(message.type == MSG_client && message.fd_count == 1, "client");
    int client = message.fds[0];
    message.fd_count = 0; /* ours now */
    say(client, "hello kind=%d address=%s head=%u\n", message.client.kind, message.client.address,
        message.client.head_ms);
    for (;;) {
        ssize_t n = recv(client, order, sizeof(order) - 1, 0);
        if (n <= 0)
            _exit(0);
        order[n] = '\0';
        obey(client, order);
    }
}

/* Does what the PIN says, and tells the monitor how many variables and descriptors it has. */
static void run_token(void) {
    char order[16] = "";
    setup(MSG_token_setup, 2);
    need(read(message.fds[0], order, sizeof(order) - 1) >= 0, "PIN");
    int monitor = dup(message.fds[1]);
    log_info("double: token: module=%s uri=%s uid=%u variable=%s", message.token_setup.module, message.token_setup.uri,
             getuid(), environ[0] == NULL ? "" : environ[0]);
    message_clear(&message);
    if (strncmp(order, "hang", 4) == 0)
        pause();
    if (strncmp(order, "crash", 5) == 0)
        abort();
    message_init(&message, MSG_token_swept, 0);
    message.token_swept.destroyed = 7391;
    need(channel_send(monitor, &message) == VAULT_OK, "answer");
    _exit(strncmp(order, "refused", 7) == 0 ? 3 : 0);
}

int main(int argc, char **argv) {
    log_start("double");
    need(argc == 1 && secret_start() == VAULT_OK, "start");
    if (strcmp(argv[0], "vaultd-gate") == 0)
        run_gate();
    else if (strcmp(argv[0], "vaultd-monitor") == 0)
        run_monitor();
    else if (strcmp(argv[0], "vaultd-store") == 0)
        run_store();
    else if (strcmp(argv[0], "vaultd-worker") == 0)
        run_worker();
    else if (strcmp(argv[0], "vaultd-token") == 0)
        run_token();
    return 1;
}
