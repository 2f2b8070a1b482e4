#include "records.h"

#include <stdlib.h>

#include "frame.h"
#include "vault/log.h"
#include "vault/record.h"
#include "vault/result.h"

/* Three of LMDB's pages, with its header and the seal: ten records as they mostly are, and little room left over. One
 * line may be longer. */
enum { OPEN_ROOM = 3 * 4096 - 16 - SEAL_OVERHEAD };

struct records {
    struct frame open; /* the last one, with all that was appended */
    bool stored;       /* the index has the open one, ... */
    bool changed;      /* ... but not all of it */
    struct frame read; /* another that was read */
};

static void key_of(const struct frame *f, uint8_t ret[8]) {
    put_be64(ret, f->first);
}

/* The frame that has this record, or would have it. VAULT_NOT_FOUND: there is none. */
static int load(struct monitor *m, uint64_t seq, struct frame *f) {
    uint8_t wanted[8], key[INDEX_KEY_MAX];
    size_t key_size = 0;
    put_be64(wanted, seq);
    frame_start(f, seq);
    int result = index_get_upto(m->index, DB_RECORDS, wanted, sizeof(wanted), key, &key_size, f->text, sizeof(f->text),
                                &f->used);
    if (result != VAULT_OK)
        return result;
    f->first = key_size == sizeof(wanted) ? get_be64(key) : seq + 1;
    if (f->first <= seq && frame_count(f))
        return VAULT_OK;
    frame_start(f, seq);
    return VAULT_E_DAMAGED;
}

/* Where the last frame is not what it was, its records are lost to who asks for them, and another begins. */
int records_load(struct monitor *m) {
    if (m->records == NULL)
        m->records = calloc(1, sizeof(*m->records));
    struct records *r = m->records;
    if (r == NULL)
        return VAULT_E_MEMORY;
    frame_start(&r->read, 0);
    int result = load(m, m->tree.size, &r->open);
    r->changed = false;
    r->stored = result == VAULT_OK && r->open.end == m->tree.size;
    if (result != VAULT_OK && result != VAULT_NOT_FOUND && result != VAULT_E_DAMAGED)
        return result;
    if (result == VAULT_OK && r->open.end > m->tree.size)
        return VAULT_E_DAMAGED; /* the tree is older than the log */
    if (!r->stored && m->meta.archived < m->tree.size)
        log_error("audit: the last records are damaged");
    if (!r->stored)
        frame_start(&r->open, m->tree.size);
    return VAULT_OK;
}

void records_free(struct monitor *m) {
    if (m->records != NULL) {
        frame_start(&m->records->open, 0);
        frame_start(&m->records->read, 0);
    }
    free(m->records);
    m->records = NULL;
}

static int put(struct monitor *m, const struct frame *f, bool replaces) {
    uint8_t key[8];
    key_of(f, key);
    return replaces ? index_put(m->index, DB_RECORDS, key, sizeof(key), f->text, f->used)
                    : index_append(m->index, DB_RECORDS, key, sizeof(key), f->text, f->used);
}

int records_store(struct monitor *m) {
    struct records *r = m->records;
    if (r == NULL || !r->changed)
        return VAULT_OK;
    int result = put(m, &r->open, r->stored);
    if (result == VAULT_OK) {
        r->stored = true;
        r->changed = false;
    }
    return result;
}

int records_append(struct monitor *m, const char *line, size_t n) {
    struct records *r = m->records;
    if (r->open.used > 0 && r->open.used + n + 1 > OPEN_ROOM) {
        int result = records_store(m);
        if (result != VAULT_OK)
            return result;
        frame_start(&r->open, m->tree.size);
        r->stored = false;
    }
    r->changed = true;
    return frame_add(&r->open, line, n) ? VAULT_OK : VAULT_E_STATE;
}

int records_line(struct monitor *m, uint64_t seq, const char **ret, size_t *ret_n) {
    struct records *r = m->records;
    struct frame *f = seq >= r->open.first ? &r->open : &r->read;
    if (f == &r->read && (seq < f->first || seq >= f->end)) {
        int result = load(m, seq, f);
        if (result != VAULT_OK)
            return result == VAULT_NOT_FOUND ? VAULT_E_DAMAGED : result;
    }
    return frame_line(f, seq, ret, ret_n) ? VAULT_OK : VAULT_E_DAMAGED;
}

/* Cuts the open frame, which moves to another key. */
static int cut_open(struct monitor *m, struct records *r, uint64_t end) {
    uint8_t key[8];
    key_of(&r->open, key);
    int result = r->stored ? index_delete(m->index, DB_RECORDS, key, sizeof(key)) : VAULT_OK;
    r->stored = false;
    r->changed = end < r->open.end;
    if (!r->changed)
        frame_start(&r->open, end);
    else if (!frame_cut(&r->open, end))
        result = VAULT_E_DAMAGED;
    return result;
}

/* Takes out a frame, and puts back what is left of it. */
static int forget_frame(struct monitor *m, struct frame *f, uint64_t end) {
    uint8_t key[8];
    key_of(f, key);
    int result = index_delete(m->index, DB_RECORDS, key, sizeof(key));
    if (result != VAULT_OK || f->end <= end)
        return result;
    return frame_cut(f, end) ? put(m, f, true) : VAULT_E_DAMAGED;
}

int records_forget(struct monitor *m, uint64_t end) {
    struct records *r = m->records;
    int result = VAULT_OK;
    for (uint64_t at = m->meta.archived; at < end && at < r->open.first && result == VAULT_OK; at = r->read.end) {
        result = load(m, at, &r->read);
        if (result == VAULT_OK)
            result = forget_frame(m, &r->read, end);
    }
    frame_start(&r->read, 0);
    if (result == VAULT_OK && r->open.first < end)
        result = cut_open(m, r, end);
    return result == VAULT_NOT_FOUND ? VAULT_E_DAMAGED : result;
}
