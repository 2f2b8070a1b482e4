#include "writers.h"

#include <errno.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "disk.h"
#include "vault/log.h"
#include "vault/result.h"
#include "vault/segment.h"

enum {
    WRITERS = 2,
    COPY_SIZE = (OBJECT_MAX + DISK_BLOCK - 1) / DISK_BLOCK * DISK_BLOCK /* aligned_alloc wants whole blocks */
};

struct queue {
    struct job *first;
    struct job **end; /* where the next one is linked */
};

struct writer_thread {
    struct writers *all;
    const struct job *active; /* under the lock */
    pthread_t thread;
    /* For an object that is checked, and its own copy of what a worker wants kept, so that the worker cannot change it
     * between hash and write. Reused: fresh memory costs several times the copy. */
    uint8_t *copy;
    EVP_MD_CTX *hash;
};

struct writers {
    struct disk *disk;
    EVP_MD *sha256;
    struct writer_thread each[WRITERS];
    size_t started;
    int event;
    pthread_mutex_t lock; /* over what follows, and `active` of each */
    pthread_cond_t changed;
    struct queue waiting;
    struct queue finished;
    bool ending;
};

static void queue_init(struct queue *q) {
    q->first = NULL;
    q->end = &q->first;
}

static void queue_add(struct queue *q, struct job *j) {
    j->next = NULL;
    *q->end = j;
    q->end = &j->next;
}

/* Unlinks the job that *at points to. */
static struct job *queue_take(struct queue *q, struct job **at) {
    struct job *j = *at;
    *at = j->next;
    if (j->next == NULL)
        q->end = at;
    j->next = NULL;
    return j;
}

static void queue_drop(struct queue *q) {
    while (q->first != NULL) {
        struct job *j = queue_take(q, &q->first);
        job_free(&j);
    }
}

int job_new(struct job **ret, enum job_kind kind, uint64_t request, const uint8_t address[HASH_SIZE]) {
    struct job *j = calloc(1, sizeof(*j));
    if (j == NULL)
        return VAULT_E_MEMORY;
    j->kind = kind;
    j->request = request;
    j->memory = -1;
    COPY_ARRAY(j->address, address);
    *ret = j;
    return VAULT_OK;
}

void job_free(struct job **j) {
    if (*j != NULL && (*j)->memory >= 0)
        close((*j)->memory);
    free(*j);
    *j = NULL;
}

static enum store_status status_of(int result) {
    switch (result) {
    case VAULT_OK: return STORE_DONE;
    case VAULT_NOT_FOUND: return STORE_MISSING;
    case VAULT_E_FULL: return STORE_FULL;
    default: return STORE_FAILED;
    }
}

static int copy_out(const struct job *j, uint8_t *to) {
    size_t done = 0;
    while (done < j->length) {
        ssize_t got = pread(j->memory, to + done, j->length - done, j->offset + (off_t)done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            log_error("shared buffer cannot be read: error=%s", got < 0 ? strerrorname_np(errno) : "short");
            return VAULT_E_IO;
        }
        done += (size_t)got;
    }
    return VAULT_OK;
}

static int hash_copy(const struct writer_thread *w, size_t n, uint8_t ret_hash[HASH_SIZE]) {
    if (EVP_DigestInit_ex(w->hash, w->all->sha256, NULL) != 1 || EVP_DigestUpdate(w->hash, w->copy, n) != 1 ||
        EVP_DigestFinal_ex(w->hash, ret_hash, NULL) != 1)
        return VAULT_E_CRYPTO;
    return VAULT_OK;
}

static enum store_status do_put(const struct writer_thread *w, const struct job *j) {
    uint8_t hash[HASH_SIZE];
    int result = copy_out(j, w->copy);
    if (result == VAULT_OK)
        result = hash_copy(w, j->length, hash);
    if (result != VAULT_OK)
        return STORE_FAILED;
    if (memcmp(hash, j->address, HASH_SIZE) != 0) /* public: it is the name that ends up on disk */
        return STORE_REFUSED;
    return status_of(disk_keep(w->all->disk, j->address, w->copy, j->length));
}

static enum store_status do_check(const struct writer_thread *w, const struct job *j) {
    uint8_t found[HASH_SIZE];
    size_t n = 0;
    int result = disk_read(w->all->disk, j->address, w->copy, COPY_SIZE, &n);
    if (result == VAULT_OK)
        result = hash_copy(w, n, found);
    if (result == VAULT_OK && memcmp(found, j->address, HASH_SIZE) != 0)
        result = VAULT_E_DAMAGED;
    return result == VAULT_E_DAMAGED ? STORE_DAMAGED : status_of(result);
}

static enum store_status do_job(const struct writer_thread *w, const struct job *j) {
    if (j->kind == JOB_PUT)
        return do_put(w, j);
    if (j->kind == JOB_CHECK)
        return do_check(w, j);
    return status_of(disk_remove(w->all->disk, j->address));
}

static bool address_is_busy(const struct writers *all, const uint8_t address[HASH_SIZE]) {
    for (size_t i = 0; i < WRITERS; i++)
        if (all->each[i].active != NULL && memcmp(all->each[i].active->address, address, HASH_SIZE) == 0)
            return true;
    return false;
}

/* The first job whose address nobody works on; with the lock held. */
static struct job *take_job(struct writers *all) {
    for (struct job **at = &all->waiting.first; *at != NULL; at = &(*at)->next)
        if (!address_is_busy(all, (*at)->address))
            return queue_take(&all->waiting, at);
    return NULL;
}

static void notify(const struct writers *all) {
    const uint64_t one = 1;
    if (write(all->event, &one, sizeof(one)) != sizeof(one)) {
        log_error("finished jobs cannot be reported: error=%s", strerrorname_np(errno));
        abort();
    }
}

static void *writer_main(void *context) {
    struct writer_thread *w = context;
    struct writers *all = w->all;
    pthread_mutex_lock(&all->lock);
    while (!all->ending) {
        struct job *j = take_job(all);
        if (j == NULL) {
            pthread_cond_wait(&all->changed, &all->lock);
            continue;
        }
        w->active = j;
        pthread_mutex_unlock(&all->lock);
        j->status = do_job(w, j);
        pthread_mutex_lock(&all->lock);
        w->active = NULL;
        queue_add(&all->finished, j);
        pthread_cond_broadcast(&all->changed); /* a job of the same address may wait for this one */
        notify(all);
    }
    pthread_mutex_unlock(&all->lock);
    return NULL;
}

static int prepare_writer(struct writers *all, struct writer_thread *w) {
    w->all = all;
    w->copy = aligned_alloc(DISK_BLOCK, COPY_SIZE);
    w->hash = EVP_MD_CTX_new();
    if (w->copy == NULL || w->hash == NULL)
        return VAULT_E_MEMORY;
    wipe(w->copy, COPY_SIZE); /* touches every page now, not in the first put */
    return VAULT_OK;
}

int writers_new(struct writers **ret, int directory) {
    struct writers *all = calloc(1, sizeof(*all));
    if (all == NULL)
        return VAULT_E_MEMORY;
    queue_init(&all->waiting);
    queue_init(&all->finished);
    pthread_mutex_init(&all->lock, NULL);
    pthread_cond_init(&all->changed, NULL);
    all->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int result = all->event < 0 ? VAULT_E_IO : disk_new(&all->disk, directory);
    for (size_t i = 0; i < WRITERS && result == VAULT_OK; i++)
        result = prepare_writer(all, &all->each[i]);
    if (result == VAULT_OK && (all->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL)) == NULL)
        result = VAULT_E_CRYPTO;
    if (result != VAULT_OK) {
        writers_free(&all);
        return result;
    }
    *ret = all;
    return VAULT_OK;
}

int writers_start(struct writers *w) {
    for (; w->started < WRITERS; w->started++) {
        struct writer_thread *each = &w->each[w->started];
        if (pthread_create(&each->thread, NULL, writer_main, each) != 0)
            return VAULT_E_IO;
    }
    return VAULT_OK;
}

void writers_free(struct writers **w) {
    struct writers *all = *w;
    if (all == NULL)
        return;
    pthread_mutex_lock(&all->lock);
    all->ending = true;
    pthread_cond_broadcast(&all->changed);
    pthread_mutex_unlock(&all->lock);
    for (size_t i = 0; i < all->started; i++)
        pthread_join(all->each[i].thread, NULL);
    queue_drop(&all->waiting);
    queue_drop(&all->finished);
    for (size_t i = 0; i < WRITERS; i++) {
        free(all->each[i].copy);
        EVP_MD_CTX_free(all->each[i].hash);
    }
    EVP_MD_free(all->sha256);
    disk_free(&all->disk);
    if (all->event >= 0)
        close(all->event);
    pthread_cond_destroy(&all->changed);
    pthread_mutex_destroy(&all->lock);
    free(all);
    *w = NULL;
}

struct disk *writers_disk(struct writers *w) {
    return w->disk;
}

void writers_add(struct writers *w, struct job *j) {
    pthread_mutex_lock(&w->lock);
    queue_add(&w->waiting, j);
    pthread_cond_signal(&w->changed);
    pthread_mutex_unlock(&w->lock);
}

int writers_fd(const struct writers *w) {
    return w->event;
}

struct job *writers_finished(struct writers *w) {
    uint64_t count;
    ssize_t got = read(w->event, &count, sizeof(count));
    (void)got; /* empties the event; the queue is what counts */
    pthread_mutex_lock(&w->lock);
    struct job *first = w->finished.first;
    queue_init(&w->finished);
    pthread_mutex_unlock(&w->lock);
    return first;
}
