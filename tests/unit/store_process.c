/* vaultd-store itself, inside its walls: what the core's tests show must also hold under seccomp and Landlock. */
#include "store_fixture.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vault/buffer.h"
#include "vault/result.h"
#include "vault/segment.h"

struct process {
    struct rig rig;
    pid_t pid;
};

static void exec_store(int control) {
    if (control == 3)
        fcntl(control, F_SETFD, 0);
    else
        dup2(control, 3);
    execl(STORE_PROGRAM, "vaultd-store", (char *)NULL);
    _exit(127);
}

/* Starts the program on this directory, and sends its setup. */
static void process_start(struct process *p, const char *path) {
    static struct message m;
    int control[2], monitor[2];
    assert_int_equal(channel_pair(control), VAULT_OK);
    assert_int_equal(channel_pair(monitor), VAULT_OK);
    p->pid = fork();
    assert_true(p->pid >= 0);
    if (p->pid == 0)
        exec_store(control[1]);
    close(control[1]);
    copy_string(p->rig.path, sizeof(p->rig.path), path);
    p->rig.control = control[0];
    p->rig.monitor = monitor[0];
    assert_int_equal(secret_random(&p->rig.key, SECRET_KEY_SIZE), VAULT_OK);
    message_init(&m, MSG_store_setup, 0);
    m.fds[0] = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    m.fds[1] = monitor[1];
    m.fd_count = 2;
    assert_int_equal(channel_send(control[0], &m), VAULT_OK);
    message_clear(&m);
}

static void assert_ready(struct process *p) {
    assert_int_equal(served(&p->rig, p->rig.control), VAULT_OK);
    assert_int_equal(msg.type, MSG_ready);
}

/* The exit status; fails the test if it was killed. */
static int process_status(struct process *p) {
    int status = 0;
    assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
    assert_true(WIFEXITED(status));
    close(p->rig.control);
    close(p->rig.monitor);
    secret_free(&p->rig.key);
    return WEXITSTATUS(status);
}

static int start(void **state) {
    static char path[64];
    copy_string(path, sizeof(path), "/tmp/vault-store-XXXXXX");
    *state = path;
    return secret_start() != VAULT_OK || mkdtemp(path) == NULL;
}

static void store_serves_inside_its_walls(void **state) {
    struct process p = {0};
    uint8_t address[HASH_SIZE];
    process_start(&p, *state);
    assert_ready(&p);
    rig_send_key(&p.rig);
    struct hand h = worker_born(&p.rig, 4);
    attach(&p.rig, &h);
    for (uint8_t seed = 0; seed < 8; seed++)
        assert_int_equal(put_object(&p.rig, &h, seed % 2, OBJECT_MAX, seed, address), STORE_DONE);
    assert_int_equal(put_object(&p.rig, &h, 0, OBJECT_MAX, 7, address), STORE_DONE); /* again: compares */
    assert_int_equal(get_object(&p.rig, &h, address), STORE_DONE);
    assert_int_equal(check_objects(&p.rig), 8);
    for (uint8_t seed = 0; seed < 8; seed++) {
        fill(&h, 0, OBJECT_MAX, seed, address);
        assert_int_equal(remove_object(&p.rig, address), STORE_DONE);
    }
    const struct token_claim claim = put_claim(&h, address, 28);
    send_put(&p.rig, &h, 0, &claim, &claim);
    assert_killed(&p.rig, &h);
    worker_died(&h);
    assert_int_equal(shutdown(p.rig.control, SHUT_RDWR), 0);
    assert_int_equal(process_status(&p), 0);
}

static void store_exits_0_without_its_monitor(void **state) {
    struct process p = {0};
    process_start(&p, *state);
    assert_ready(&p);
    assert_int_equal(shutdown(p.rig.monitor, SHUT_RDWR), 0);
    assert_int_equal(process_status(&p), 0);
}

static void store_exits_74_on_a_directory_that_cannot_keep_objects(void **state) {
    struct process p = {0};
    (void)state;
    process_start(&p, "/proc");
    assert_int_equal(process_status(&p), 74);
}

static void store_exits_1_on_any_other_first_message(void **state) {
    struct process p = {0};
    static struct message m;
    int control[2];
    (void)state;
    assert_int_equal(channel_pair(control), VAULT_OK);
    p.pid = fork();
    assert_true(p.pid >= 0);
    if (p.pid == 0)
        exec_store(control[1]);
    close(control[1]);
    message_init(&m, MSG_store_setup, 0); /* without its descriptors */
    assert_int_equal(channel_send(control[0], &m), VAULT_OK);
    p.rig.control = control[0];
    p.rig.monitor = -1;
    assert_int_equal(process_status(&p), 1);
}

static int stop(void **state) {
    message_clear(&msg);
    return remove_tree(*state);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(store_serves_inside_its_walls),
        cmocka_unit_test(store_exits_0_without_its_monitor),
        cmocka_unit_test(store_exits_74_on_a_directory_that_cannot_keep_objects),
        cmocka_unit_test(store_exits_1_on_any_other_first_message),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
