#include "store_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vault/buffer.h"
#include "vault/loop.h"
#include "vault/result.h"
#include "vault/segment.h"

enum { PATIENCE_MS = 10000, TRACE_SIZE = 64 };

struct message msg;
static struct message outgoing;

atomic_int fail_fsync;
atomic_bool hold_fsync;
atomic_bool short_writes;
atomic_bool larger_blocks;
static pthread_mutex_t trace_lock = PTHREAD_MUTEX_INITIALIZER;
static char traced[TRACE_SIZE + 1];
static size_t trace_used;

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_linkat(int from, const char *old, int to, const char *name, int flags);
int __wrap_linkat(int from, const char *old, int to, const char *name, int flags);
int __real_futimens(int fd, const struct timespec times[2]);
int __wrap_futimens(int fd, const struct timespec times[2]);
ssize_t __real_write(int fd, const void *bytes, size_t n);
ssize_t __wrap_write(int fd, const void *bytes, size_t n);

void trace_start(void) {
    pthread_mutex_lock(&trace_lock);
    trace_used = 0;
    traced[0] = '\0';
    pthread_mutex_unlock(&trace_lock);
}

const char *trace(void) {
    return traced;
}

static void note(char c) {
    pthread_mutex_lock(&trace_lock);
    if (trace_used < TRACE_SIZE) {
        traced[trace_used++] = c;
        traced[trace_used] = '\0';
    }
    pthread_mutex_unlock(&trace_lock);
}

int __wrap_fsync(int fd) {
    struct stat status;
    note(fstat(fd, &status) == 0 && S_ISDIR(status.st_mode) ? 'D' : 'F');
    while (atomic_load(&hold_fsync))
        usleep(1000);
    if (atomic_load(&fail_fsync) > 0 && atomic_fetch_sub(&fail_fsync, 1) == 1) {
        errno = EIO;
        return -1;
    }
    return __real_fsync(fd);
}

int __wrap_linkat(int from, const char *old, int to, const char *name, int flags) {
    note('L');
    return __real_linkat(from, old, to, name, flags);
}

int __wrap_futimens(int fd, const struct timespec times[2]) {
    note('T');
    return __real_futimens(fd, times);
}

ssize_t __wrap_write(int fd, const void *bytes, size_t n) {
    if (atomic_load(&larger_blocks) && (fcntl(fd, F_GETFL) & O_DIRECT) != 0) {
        errno = EINVAL;
        return -1;
    }
    return __real_write(fd, bytes, atomic_load(&short_writes) && n > 1024 ? n / 2 : n);
}

void sha256(const void *bytes, size_t n, uint8_t ret[HASH_SIZE]) {
    assert_int_equal(EVP_Digest(bytes, n, ret, NULL, EVP_sha256(), NULL), 1);
}

struct rig *rig_new(const char *path) {
    struct rig *r = calloc(1, sizeof(*r));
    int control[2], monitor[2];
    assert_non_null(r);
    copy_string(r->path, sizeof(r->path), path);
    r->directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(r->directory >= 0);
    assert_int_equal(channel_pair(control), VAULT_OK);
    assert_int_equal(channel_pair(monitor), VAULT_OK);
    r->control = control[0];
    r->monitor = monitor[0];
    r->ours[0] = control[1];
    r->ours[1] = monitor[1];
    assert_int_equal(secret_random(&r->key, SECRET_KEY_SIZE), VAULT_OK);
    assert_int_equal(store_new(&r->store, r->directory, control[1], monitor[1]), VAULT_OK);
    assert_int_equal(store_probe(r->store), VAULT_OK);
    assert_int_equal(store_start(r->store), VAULT_OK);
    return r;
}

void rig_free(struct rig *r) {
    atomic_store(&hold_fsync, false);
    store_free(&r->store);
    secret_free(&r->key);
    close(r->control);
    close(r->monitor);
    close(r->ours[0]);
    close(r->ours[1]);
    close(r->directory);
    free(r);
}

void rig_send_key(struct rig *r) {
    uint8_t copy[SECRET_KEY_SIZE];
    COPY_ARRAY(copy, secret_view(r->key));
    message_init(&outgoing, MSG_store_key, 0);
    assert_int_equal(secret_take(&outgoing.store_key.key, copy, sizeof(copy)), VAULT_OK);
    assert_int_equal(channel_send(r->monitor, &outgoing), VAULT_OK);
    message_clear(&outgoing);
}

int rig_start(void **state) {
    char path[] = "/tmp/vault-store-XXXXXX";
    assert_int_equal(secret_start(), VAULT_OK);
    assert_non_null(mkdtemp(path));
    atomic_store(&fail_fsync, 0);
    atomic_store(&hold_fsync, false);
    atomic_store(&short_writes, false);
    atomic_store(&larger_blocks, false);
    struct rig *r = rig_new(path);
    rig_send_key(r);
    *state = r;
    return 0;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk) {
    (void)status;
    (void)type;
    (void)walk;
    return remove(path);
}

int remove_tree(const char *path) {
    return nftw(path, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

int rig_stop(void **state) {
    struct rig *r = *state;
    char path[sizeof(r->path)];
    COPY_ARRAY(path, r->path);
    message_clear(&msg);
    rig_free(r);
    return remove_tree(path);
}

int served(struct rig *r, int channel) {
    uint64_t end = loop_now_ms() + PATIENCE_MS;
    message_clear(&msg);
    while (loop_now_ms() < end) {
        if (r->store != NULL)
            store_turn(r->store, 5);
        else
            usleep(1000);
        int result = channel_receive(channel, &msg);
        if (result != VAULT_AGAIN)
            return result;
    }
    return VAULT_E_TIMEOUT;
}

int ended(struct rig *r) {
    uint64_t end = loop_now_ms() + PATIENCE_MS;
    while (loop_now_ms() < end && store_exit_status(r->store) < 0)
        store_turn(r->store, 5);
    return store_exit_status(r->store);
}

void idle(struct rig *r) {
    for (int i = 0; i < 10; i++)
        store_turn(r->store, 5);
}

struct hand worker_born(struct rig *r, uint64_t number) {
    int ends[2];
    struct hand h = {.number = number, .upload = {(uint8_t)number, 2, 3}};
    assert_int_equal(channel_pair(ends), VAULT_OK);
    message_init(&outgoing, MSG_worker_new, 0);
    outgoing.worker_new.worker = number;
    outgoing.fds[0] = ends[1];
    outgoing.fd_count = 1;
    assert_int_equal(channel_send(r->control, &outgoing), VAULT_OK);
    message_clear(&outgoing);
    h.channel = ends[0];
    return h;
}

void worker_died(struct hand *h) {
    if (h->memory != NULL)
        munmap(h->memory, STORE_SLOTS * h->slot_size);
    close(h->channel);
}

void attach(struct rig *r, struct hand *h) {
    struct token_claim claim = {.kind = TOKEN_BUFFERS, .worker = h->number};
    COPY_ARRAY(claim.upload, h->upload);
    message_init(&outgoing, MSG_buffers_get, 1);
    COPY_ARRAY(outgoing.buffers_get.upload, h->upload);
    token_make(r->key, &claim, outgoing.buffers_get.token);
    assert_int_equal(channel_send(h->channel, &outgoing), VAULT_OK);
    assert_int_equal(served(r, h->channel), VAULT_OK);
    assert_int_equal(msg.type, MSG_buffers);
    assert_int_equal(msg.buffers.status, STORE_DONE);
    assert_int_equal(msg.buffers.slots, STORE_SLOTS);
    assert_int_equal(msg.fd_count, 1);
    h->slot_size = msg.buffers.slot_size;
    assert_true(h->slot_size >= OBJECT_MAX);
    h->memory = mmap(NULL, STORE_SLOTS * h->slot_size, PROT_READ | PROT_WRITE, MAP_SHARED, msg.fds[0], 0);
    assert_true(h->memory != MAP_FAILED);
}

void assert_killed(struct rig *r, const struct hand *h) {
    assert_int_equal(served(r, r->control), VAULT_OK);
    assert_int_equal(msg.type, MSG_worker_kill);
    assert_int_equal(msg.worker_kill.worker, h->number);
    assert_int_equal(msg.worker_kill.why, WORKER_MISBEHAVED);
    int result = served(r, h->channel);
    while (result == VAULT_OK) /* what it had not read yet */
        result = served(r, h->channel);
    assert_int_equal(result, VAULT_E_CLOSED);
}

void fill(struct hand *h, uint8_t slot, size_t n, uint8_t seed, uint8_t ret_address[HASH_SIZE]) {
    uint8_t *at = h->memory + slot * h->slot_size;
    for (size_t i = 0; i < n; i++)
        at[i] = (uint8_t)(i * 31 + (i >> 8) + seed);
    sha256(at, n, ret_address);
}

struct token_claim put_claim(const struct hand *h, const uint8_t address[HASH_SIZE], uint32_t length) {
    struct token_claim claim = {.kind = TOKEN_PUT, .worker = h->number, .length = length};
    COPY_ARRAY(claim.upload, h->upload);
    COPY_ARRAY(claim.address, address);
    return claim;
}

void send_get(struct rig *r, const struct hand *h, const uint8_t address[HASH_SIZE], const struct token_claim *claim) {
    message_init(&outgoing, MSG_object_get, 7);
    COPY_ARRAY(outgoing.object_get.address, address);
    token_make(r->key, claim, outgoing.object_get.token);
    assert_int_equal(channel_send(h->channel, &outgoing), VAULT_OK);
}

void send_put(struct rig *r, const struct hand *h, uint8_t slot, const struct token_claim *asked,
              const struct token_claim *claim) {
    message_init(&outgoing, MSG_object_put, 100u + slot);
    outgoing.object_put.slot = slot;
    outgoing.object_put.length = asked->length;
    COPY_ARRAY(outgoing.object_put.upload, asked->upload);
    COPY_ARRAY(outgoing.object_put.address, asked->address);
    token_make(r->key, claim, outgoing.object_put.token);
    assert_int_equal(channel_send(h->channel, &outgoing), VAULT_OK);
}

void send_remove(struct rig *r, const uint8_t address[HASH_SIZE]) {
    message_init(&outgoing, MSG_object_remove, 55);
    COPY_ARRAY(outgoing.object_remove.address, address);
    assert_int_equal(channel_send(r->monitor, &outgoing), VAULT_OK);
}

int get_object(struct rig *r, const struct hand *h, const uint8_t address[HASH_SIZE]) {
    struct token_claim claim = {.kind = TOKEN_GET, .worker = h->number};
    COPY_ARRAY(claim.address, address);
    send_get(r, h, address, &claim);
    assert_int_equal(served(r, h->channel), VAULT_OK);
    assert_int_equal(msg.type, MSG_object_is);
    assert_int_equal(msg.id, 7);
    assert_int_equal(msg.fd_count, msg.object_is.status == STORE_DONE);
    return msg.object_is.status;
}

int put_object(struct rig *r, struct hand *h, uint8_t slot, size_t n, uint8_t seed, uint8_t ret_address[HASH_SIZE]) {
    fill(h, slot, n, seed, ret_address);
    struct token_claim claim = put_claim(h, ret_address, (uint32_t)n);
    send_put(r, h, slot, &claim, &claim);
    assert_int_equal(served(r, h->channel), VAULT_OK);
    assert_int_equal(msg.type, MSG_receipt);
    assert_int_equal(msg.id, 100 + slot);
    assert_int_equal(msg.receipt.slot, slot);
    return msg.receipt.status;
}

int remove_object(struct rig *r, const uint8_t address[HASH_SIZE]) {
    send_remove(r, address);
    assert_int_equal(served(r, r->monitor), VAULT_OK);
    assert_int_equal(msg.type, MSG_object_removed);
    assert_int_equal(msg.id, 55);
    assert_memory_equal(msg.object_removed.address, address, HASH_SIZE);
    return msg.object_removed.status;
}

void object_path(const struct rig *r, const uint8_t address[HASH_SIZE], char *to, size_t size) {
    char hex[2 * HASH_SIZE + 1];
    hex_encode(hex, sizeof(hex), address, HASH_SIZE);
    assert_true(format_string(to, size, "%s/%.2s/%.2s/%s", r->path, hex, hex + 2, hex));
}

static size_t objects_seen;

static int check_entry(const char *path, const struct stat *status, int type, struct FTW *walk) {
    static uint8_t bytes[OBJECT_MAX + 1];
    uint8_t hash[HASH_SIZE];
    char name[2 * HASH_SIZE + 1];
    if (type != FTW_F)
        return 0;
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t n = fread(bytes, 1, sizeof(bytes), f);
    fclose(f);
    sha256(bytes, n, hash);
    hex_encode(name, sizeof(name), hash, sizeof(hash));
    assert_string_equal(path + walk->base, name);
    assert_int_equal(walk->level, 3);
    assert_int_equal(status->st_mode & 07777, 0400);
    assert_int_equal(status->st_mtim.tv_sec, 0);
    assert_int_equal(status->st_mtim.tv_nsec, 0);
    objects_seen++;
    return 0;
}

size_t check_objects(const struct rig *r) {
    objects_seen = 0;
    assert_int_equal(nftw(r->path, check_entry, 8, FTW_PHYS), 0);
    return objects_seen;
}
