/* Turns of subjects' keys: every subject gets a new key, or the one of which a file was shredded; each data key is
 * wrapped under it, and the key before is forgotten.
 *
 * A job's cursor is empty at its start, the hash of a subject whose turn is over, or hash ‖ file id within one. */
#include <string.h>

#include "jobs.h"
#include "shreds.h"
#include "subject_keys.h"
#include "vaultd/monitor/current.h"
#include "vaultd/monitor/log/log.h"
#include "vaultd/monitor/lookup.h"
#include "vault/log.h"
#include "vault/result.h"

static bool is_of_one(const struct job_value *j) {
    return j->owner[0] != '\0';
}

static void move_cursor(struct job_value *j, const uint8_t *key, size_t size) {
    copy_bytes(j->cursor, sizeof(j->cursor), key, size);
    j->cursor_size = (uint32_t)size;
}

/* The subject whose turn it is. VAULT_NOT_FOUND: there is no other. */
static int next_subject(struct monitor *m, const struct job_value *j, uint8_t ret[HASH_SIZE]) {
    uint8_t key[INDEX_KEY_MAX];
    size_t size = 0;
    if (j->cursor_size > HASH_SIZE)
        copy_bytes(ret, HASH_SIZE, j->cursor, HASH_SIZE);
    if (j->cursor_size > HASH_SIZE)
        return VAULT_OK;
    if (is_of_one(j) && j->cursor_size == HASH_SIZE)
        return VAULT_NOT_FOUND;
    if (is_of_one(j)) {
        name_hash(m, NAME_SUBJECT, j->owner, NULL, ret);
        return VAULT_OK;
    }
    int result = index_next(m->index, DB_SUBJECTS, NULL, 0, j->cursor, j->cursor_size, key, &size);
    while (result == VAULT_OK && size != HASH_SIZE) /* nobody's: the tally tells of it */
        result = index_next(m->index, DB_SUBJECTS, NULL, 0, key, size, key, &size);
    if (result == VAULT_OK)
        copy_bytes(ret, HASH_SIZE, key, HASH_SIZE);
    return result;
}

/* Begins it, unless it began before; who had a turn since needs none. */
static int begin(struct monitor *m, struct job_value *j, struct subject_value *s, bool *ret_needed) {
    j->met = 0;
    *ret_needed = !is_of_one(j) || s->key_number <= j->generation || s->turning != 0;
    if (!*ret_needed || s->turning != 0)
        return VAULT_OK;
    int result = subject_key_give(m, s);
    return result == VAULT_OK ? subject_store(m, s) : result;
}

static int rewrap_blob(struct monitor *m, const struct subject_value *s, const uint8_t file[ID_SIZE]) {
    static struct file_value f;
    struct blob_value b;
    int result = index_get_record(m->index, DB_FILES, file, ID_SIZE, &layout_file_value, &f);
    if (result == VAULT_OK && strcmp(f.subject, s->subject) != 0)
        result = VAULT_E_DAMAGED;
    if (result == VAULT_OK)
        result = index_get_record(m->index, DB_BLOBS, f.blob, ID_SIZE, &layout_blob_value, &b);
    if (result == VAULT_OK && b.generation == s->key_number)
        return VAULT_OK;
    if (result == VAULT_OK)
        result = data_key_rewrap(m, s, f.blob, &b.generation, b.key);
    if (result == VAULT_OK)
        result = index_put_record(m->index, DB_BLOBS, f.blob, ID_SIZE, &layout_blob_value, &b);
    return result == VAULT_NOT_FOUND ? VAULT_E_DAMAGED : result;
}

/* Deposits that are under way have a data key too. */
static int rewrap_uploads(struct monitor *m, const struct subject_value *s) {
    static struct upload_value u;
    uint8_t key[INDEX_KEY_MAX];
    size_t size = 0;
    int result = index_next(m->index, DB_UPLOADS, NULL, 0, NULL, 0, key, &size);
    while (result == VAULT_OK) {
        result = index_get_record(m->index, DB_UPLOADS, key, size, &layout_upload_value, &u);
        bool is_open = result == VAULT_OK && u.state == UPLOAD_OPEN && strcmp(u.subject, s->subject) == 0;
        if (is_open)
            result = data_key_rewrap(m, s, u.blob, &u.key_number, u.key);
        if (is_open && result == VAULT_OK)
            result = index_put_record(m->index, DB_UPLOADS, key, size, &layout_upload_value, &u);
        if (result == VAULT_OK || result == VAULT_E_DAMAGED)
            result = index_next(m->index, DB_UPLOADS, NULL, 0, key, size, key, &size);
    }
    return result == VAULT_NOT_FOUND ? VAULT_OK : result;
}

/* Whether the subject's list holds as many files as they have: what is not listed was not rewrapped. Those that the
 * turn met are counted anew only where they differ: files come and go meanwhile. */
static int list_is_whole(struct monitor *m, const struct job_value *j, const struct subject_value *s,
                         const uint8_t subject[HASH_SIZE], bool *ret) {
    uint8_t key[INDEX_KEY_MAX];
    size_t size = 0;
    uint64_t count = 0;
    *ret = j->met == s->files;
    int result = *ret ? VAULT_NOT_FOUND : VAULT_OK;
    while (result == VAULT_OK) {
        result = index_next(m->index, DB_SUBJECT_FILES, subject, HASH_SIZE, key, size, key, &size);
        count += result == VAULT_OK;
    }
    *ret |= count == s->files;
    return result == VAULT_NOT_FOUND ? VAULT_OK : result;
}

/* Every data key is under the new key. With a file that could not be rewrapped the key before stays: a copy of what is
 * damaged may be found, and nothing else would open it. */
static int finish(struct monitor *m, struct job_value *j, struct subject_value *s, const uint8_t subject[HASH_SIZE]) {
    bool whole = true;
    int result = list_is_whole(m, j, s, subject, &whole);
    bool kept = s->turning == TURN_INCOMPLETE || !whole;
    if (result == VAULT_OK)
        result = rewrap_uploads(m, s);
    if (result != VAULT_OK)
        return result;
    if (kept) {
        log_error("keys: the key before of a subject is kept, since a file of theirs is damaged");
        s->turning = TURN_UNDER_WAY;
    } else {
        result = subject_keys_forget(m, s, false);
    }
    if (result == VAULT_OK)
        result = subject_make_current(m, s); /* its value of before is told from it */
    if (result == VAULT_OK && !kept)
        result = shreds_key_forgotten(m, s);
    j->failed += kept;
    move_cursor(j, subject, HASH_SIZE);
    if (is_of_one(j) && !kept && s->key_number <= j->generation)
        j->cursor_size = 0; /* what was left of a turn before is done; now for its own */
    else
        j->done++;
    return result;
}

/* The next file of the subject, or the end of its turn. */
static int advance(struct monitor *m, struct job_value *j, struct subject_value *s, const uint8_t subject[HASH_SIZE]) {
    uint8_t key[INDEX_KEY_MAX];
    size_t size = j->cursor_size > HASH_SIZE ? j->cursor_size : 0;
    int result = index_next(m->index, DB_SUBJECT_FILES, subject, HASH_SIZE, j->cursor, size, key, &size);
    if (result == VAULT_NOT_FOUND)
        return finish(m, j, s, subject);
    if (result == VAULT_OK)
        result = size == HASH_SIZE + ID_SIZE ? rewrap_blob(m, s, key + HASH_SIZE) : VAULT_E_DAMAGED;
    if (result == VAULT_E_DAMAGED) {
        s->turning = TURN_INCOMPLETE;
        result = subject_store(m, s);
    }
    if (result == VAULT_OK)
        move_cursor(j, key, size);
    j->met++;
    return result;
}

/* One file of one subject. */
static int turn_step(struct monitor *m, struct job_value *j) {
    static struct subject_value s;
    uint8_t subject[HASH_SIZE];
    int result = next_subject(m, j, subject);
    if (result != VAULT_OK)
        return result;
    result = index_get_record(m->index, DB_SUBJECTS, subject, HASH_SIZE, &layout_subject_value, &s);
    bool needed = result == VAULT_OK && s.shredded == 0;
    if (needed && j->cursor_size <= HASH_SIZE)
        result = begin(m, j, &s, &needed);
    if (result == VAULT_OK && needed)
        return advance(m, j, &s, subject);
    if (result != VAULT_OK && result != VAULT_E_DAMAGED)
        return result;
    if (result == VAULT_E_DAMAGED)
        log_error("keys: a subject's entry is damaged, and has no turn");
    j->failed += result == VAULT_E_DAMAGED;
    move_cursor(j, subject, HASH_SIZE);
    return VAULT_OK;
}

static int turn_end(struct monitor *m, const struct job_value *j) {
    static struct subject_value s;
    char detail[96];
    struct event e = {.name = "key.rotated", .outcome = "done", .action = 'U', .detail = detail};
    if (is_of_one(j) && subject_load(m, j->owner, &s) == VAULT_OK)
        e.subject = s.subject;
    if (!format_string(detail, sizeof(detail), "subject, %llu keys, %llu with damaged files",
                       (unsigned long long)j->done, (unsigned long long)j->failed))
        return VAULT_E_STATE;
    return journal(m, &e, NULL);
}

const struct job_kind job_turn = {"subject", turn_step, turn_end};
