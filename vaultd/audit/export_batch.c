/* Lines of records, read and parsed a batch at a time: while one is taken, helpers parse the next. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "export_internal.h"
#include "vault/buffer.h"
#include "vault/result.h"

/* ---- reading ---- */

int records_open(struct record_file *f, int folder) {
    f->at = 0;
    f->over = false;
    f->fd = openat(folder, "records.jsonl", O_RDONLY | O_CLOEXEC);
    return f->fd < 0 ? VAULT_E_IO : VAULT_OK;
}

void records_close(struct record_file *f) {
    if (f->fd >= 0)
        close(f->fd);
    f->fd = -1;
}

static void add_line(struct export_batch *b, const char *text, size_t size) {
    struct export_line *l = &b->lines[b->count++];
    l->text = text;
    l->size = size;
    l->result = VAULT_OK;
}

/* A line that cannot be read, in its place: it is told when its turn comes. */
static void add_fault(struct export_batch *b, struct record_file *f, int result, const char *phrase) {
    add_line(b, b->text, 0);
    b->lines[b->count - 1].result = result;
    b->lines[b->count - 1].fault = phrase;
    f->over = true;
}

/* The lines that are whole in the text. What is behind them is read again with the next. */
static void cut_lines(struct export_batch *b, struct record_file *f, size_t used) {
    const char *at = b->text, *end = b->text + used;
    while (b->count < BATCH_LINES && at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        size_t size = (size_t)((newline == NULL ? end : newline) - at);
        if (size > RECORD_LINE_MAX) {
            add_fault(b, f, VAULT_E_FORMAT, "is longer than any record");
            return;
        }
        if (newline == NULL && used < BATCH_BYTES)
            add_fault(b, f, VAULT_E_FORMAT, "has no end: records.jsonl was cut short");
        if (newline == NULL)
            return;
        add_line(b, at, size);
        at = newline + 1;
        f->at += size + 1;
    }
}

void batch_read(struct export_batch *b, struct record_file *f) {
    size_t used = 0;
    ssize_t n = 1;
    b->count = 0;
    while (!f->over && used < BATCH_BYTES && n != 0) {
        n = pread(f->fd, b->text + used, BATCH_BYTES - used, (off_t)(f->at + used));
        if (n < 0 && errno != EINTR)
            break;
        used += n > 0 ? (size_t)n : 0;
    }
    if (n < 0)
        add_fault(b, f, VAULT_E_IO, "cannot be read from records.jsonl");
    else
        cut_lines(b, f, used);
}

/* ---- threads ---- */

enum { CLAIM = 16 /* lines that a thread takes at a time */ };

struct team {
    pthread_mutex_t lock;
    pthread_cond_t given, done;
    struct export_batch *batch; /* what is under way; borrowed */
    size_t begun, parsed;       /* lines of it */
    bool over;
    uint8_t name_key[NAME_KEY];
    size_t helpers;
    pthread_t threads[];
};

static void parse(struct export_line *l, const uint8_t name_key[NAME_KEY]) {
    if (l->result == VAULT_OK)
        l->result = export_record_parse(l->text, l->size, name_key, &l->record, &l->fault);
}

/* Parses lines that nobody has begun. False: there are none. Holds the lock, but not while it parses. */
static bool parse_some(struct team *t) {
    struct export_batch *b = t->batch;
    if (b == NULL || t->begun == b->count)
        return false;
    size_t from = t->begun, to = b->count - from < CLAIM ? b->count : from + CLAIM;
    t->begun = to;
    pthread_mutex_unlock(&t->lock);
    for (size_t i = from; i < to; i++)
        parse(&b->lines[i], t->name_key);
    pthread_mutex_lock(&t->lock);
    t->parsed += to - from;
    if (t->parsed == b->count)
        pthread_cond_signal(&t->done);
    return true;
}

static void *help(void *context) {
    struct team *t = context;
    pthread_mutex_lock(&t->lock);
    while (!t->over)
        if (!parse_some(t))
            pthread_cond_wait(&t->given, &t->lock);
    pthread_mutex_unlock(&t->lock);
    return NULL;
}

int team_start(size_t helpers, const uint8_t name_key[NAME_KEY], struct team **ret) {
    struct team *t = calloc(1, sizeof(*t) + helpers * sizeof(t->threads[0]));
    if (t == NULL)
        return VAULT_E_MEMORY;
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->given, NULL);
    pthread_cond_init(&t->done, NULL);
    copy_bytes(t->name_key, sizeof(t->name_key), name_key, NAME_KEY);
    while (t->helpers < helpers && pthread_create(&t->threads[t->helpers], NULL, help, t) == 0)
        t->helpers++;
    *ret = t;
    return VAULT_OK;
}

void team_give(struct team *t, struct export_batch *b) {
    pthread_mutex_lock(&t->lock);
    t->batch = b;
    t->begun = t->parsed = 0;
    pthread_cond_broadcast(&t->given);
    pthread_mutex_unlock(&t->lock);
}

void team_finish(struct team *t) {
    pthread_mutex_lock(&t->lock);
    while (parse_some(t))
        ;
    while (t->batch != NULL && t->parsed < t->batch->count)
        pthread_cond_wait(&t->done, &t->lock);
    t->batch = NULL;
    pthread_mutex_unlock(&t->lock);
}

void team_end(struct team *t) {
    if (t == NULL)
        return;
    pthread_mutex_lock(&t->lock);
    t->over = true;
    pthread_cond_broadcast(&t->given);
    pthread_mutex_unlock(&t->lock);
    for (size_t i = 0; i < t->helpers; i++)
        pthread_join(t->threads[i], NULL);
    pthread_cond_destroy(&t->done);
    pthread_cond_destroy(&t->given);
    pthread_mutex_destroy(&t->lock);
    free(t);
}
