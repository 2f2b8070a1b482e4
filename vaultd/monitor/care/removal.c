/* Files that are taken out: at once from the index, and bit by bit from the store. What is to be removed becomes an
 * upload that came to nothing, page by page, and cleaning.c does the rest. */
#include <sodium.h>

#include "failures.h"
#include "vaultd/monitor/access/grants.h"
#include "vaultd/monitor/current.h"
#include "vaultd/monitor/keys/shreds.h"
#include "vaultd/monitor/names.h"
#include "vaultd/monitor/opening/restore.h"
#include "vault/result.h"

static int gone(int result) {
    return result == VAULT_NOT_FOUND ? VAULT_OK : result;
}

static int remove_names(struct monitor *m, const struct file_value *f) {
    uint8_t subject[HASH_SIZE];
    uint8_t key[HASH_SIZE + ID_SIZE];
    name_hash(m, NAME_SUBJECT, f->subject, NULL, subject);
    name_hash(m, NAME_FILE, f->name, f->subject, key);
    int result = gone(index_delete(m->index, DB_FILE_NAMES, key, HASH_SIZE));
    copy_bytes(key, sizeof(key), subject, HASH_SIZE);
    copy_bytes(key + HASH_SIZE, ID_SIZE, f->file, ID_SIZE);
    if (result == VAULT_OK)
        result = gone(index_delete(m->index, DB_SUBJECT_FILES, key, sizeof(key)));
    if (result != VAULT_OK || f->dataset[0] == '\0')
        return result;
    name_hash(m, NAME_DATASET, f->dataset, f->subject, key);
    return gone(index_delete(m->index, DB_DATASET_FILES, key, sizeof(key)));
}

static int count_out(struct monitor *m, struct subject_value *s) {
    s->files -= s->files > 0 ? 1 : 0;
    m->meta.files -= m->meta.files > 0 ? 1 : 0;
    int result = subject_store(m, s);
    return result == VAULT_OK ? meta_store(m) : result;
}

/* A blob whose entry is damaged has the pages that are found. */
static struct removed_value content_of(const struct file_value *f) {
    struct removed_value r = {.pages = (uint32_t)((blob_chunks(f->size) + PAGE_CHUNKS - 1) / PAGE_CHUNKS)};
    randombytes_buf(r.upload, sizeof(r.upload));
    copy_string(r.subject, sizeof(r.subject), f->subject);
    return r;
}

/* Its entry, and what is counted of its damage, go at once. */
static int forget_blob(struct monitor *m, const struct file_value *f) {
    int result = gone(index_delete(m->index, DB_BLOBS, f->blob, ID_SIZE));
    return result == VAULT_OK ? failure_forget(m, f->blob) : result;
}

int content_remove(struct monitor *m, const struct file_value *f) {
    struct removed_value r = content_of(f);
    m->removal_wanted = true;
    int result = forget_blob(m, f);
    return result != VAULT_OK ? result
                              : index_put_record(m->index, DB_REMOVED, f->blob, ID_SIZE, &layout_removed_value, &r);
}

/* Whether the newest backup is from before the log had this size. */
static bool is_held(const struct monitor *m, uint64_t size) {
    return m->setup.backups != 0 && m->meta.backed_up != 0 && m->meta.backed_up <= size;
}

int content_replaced(struct monitor *m, const struct file_value *f) {
    struct removed_value r = content_of(f);
    uint8_t key[8 + ID_SIZE];
    if (!is_held(m, m->tree.size))
        return content_remove(m, f);
    put_be64(key, m->tree.size);
    copy_bytes(key + 8, ID_SIZE, f->blob, ID_SIZE);
    int result = forget_blob(m, f);
    return result == VAULT_OK ? index_put_record(m->index, DB_HELD, key, sizeof(key), &layout_removed_value, &r)
                              : result;
}

/* The first that is held, if a newer backup was verified since. VAULT_NOT_FOUND: there is none. */
static int release(struct monitor *m) {
    struct removed_value r;
    uint8_t key[INDEX_KEY_MAX];
    size_t size = 0;
    int result = index_next(m->index, DB_HELD, NULL, 0, NULL, 0, key, &size);
    if (result == VAULT_OK && (size != 8 + ID_SIZE || is_held(m, get_be64(key))))
        return VAULT_NOT_FOUND;
    if (result == VAULT_OK)
        result = index_get_record(m->index, DB_HELD, key, size, &layout_removed_value, &r);
    bool damaged = result == VAULT_E_DAMAGED; /* its objects stay, as bytes that nobody needs */
    if (result == VAULT_OK)
        result = index_put_record(m->index, DB_REMOVED, key + 8, ID_SIZE, &layout_removed_value, &r);
    return result == VAULT_OK || damaged ? index_delete(m->index, DB_HELD, key, size) : result;
}

int file_remove(struct monitor *m, struct subject_value *s, const struct file_value *f) {
    int result = remove_names(m, f);
    if (result == VAULT_OK)
        result = gone(index_delete(m->index, DB_FILES, f->file, ID_SIZE));
    if (result == VAULT_OK)
        result = content_remove(m, f);
    return result == VAULT_OK ? count_out(m, s) : result;
}

/* Marks the objects of one page. One that is damaged or gone names none any more: its objects stay in the store, as
 * bytes that no key opens. */
static int mark_page(struct monitor *m, const uint8_t blob[ID_SIZE], const struct removed_value *r) {
    static struct page_value value;
    static struct manifest_page page;
    uint8_t key[ID_SIZE + 4];
    copy_bytes(key, sizeof(key), blob, ID_SIZE);
    put_be32(key + ID_SIZE, r->marked);
    int result = index_get_record(m->index, DB_PAGES, key, sizeof(key), &layout_page_value, &value);
    if (result == VAULT_OK && manifest_decode(&page, value.chunks, value.chunks_size) != VAULT_OK)
        result = VAULT_E_DAMAGED;
    if (result == VAULT_NOT_FOUND || result == VAULT_E_DAMAGED)
        return VAULT_OK;
    for (size_t i = 0; result == VAULT_OK && i < page.count; i++) {
        uint8_t mark_key[ID_SIZE + HASH_SIZE];
        struct mark_value mark = {.length = page.chunks[i].length};
        copy_bytes(mark_key, sizeof(mark_key), r->upload, ID_SIZE);
        copy_bytes(mark_key + ID_SIZE, HASH_SIZE, page.chunks[i].address, HASH_SIZE);
        result = index_put_record(m->index, DB_UPLOAD_OBJECTS, mark_key, sizeof(mark_key), &layout_mark_value, &mark);
    }
    return result;
}

/* Everything is marked: cleaning takes it from here. */
static int hand_over(struct monitor *m, const uint8_t blob[ID_SIZE], const struct removed_value *r) {
    static struct upload_value u;
    u = (struct upload_value){.pages = r->pages, .state = UPLOAD_DROPPED};
    COPY_ARRAY(u.blob, blob);
    copy_string(u.subject, sizeof(u.subject), r->subject);
    m->clean_wanted = true;
    int result = index_put_record(m->index, DB_UPLOADS, r->upload, ID_SIZE, &layout_upload_value, &u);
    return result == VAULT_OK ? index_delete(m->index, DB_REMOVED, blob, ID_SIZE) : result;
}

/* The first that can be read and that no grant needs: a damaged one is passed over, and its objects stay as bytes that
 * no key opens. VAULT_NOT_FOUND. */
static int next_removed(struct monitor *m, uint8_t blob[INDEX_KEY_MAX], struct removed_value *ret) {
    size_t size = 0;
    int result = index_next(m->index, DB_REMOVED, NULL, 0, NULL, 0, blob, &size);
    m->removal_waits = false;
    while (result == VAULT_OK) {
        bool needed = size == ID_SIZE && grants_need(m, blob);
        m->removal_waits |= needed;
        result = size == ID_SIZE ? index_get_record(m->index, DB_REMOVED, blob, size, &layout_removed_value, ret)
                                 : VAULT_E_DAMAGED;
        if (!needed && result != VAULT_E_DAMAGED)
            return result;
        if (result < 0 && result != VAULT_E_DAMAGED)
            return result;
        result = index_next(m->index, DB_REMOVED, NULL, 0, blob, size, blob, &size);
    }
    return result;
}

int removal_step(struct monitor *m, bool *ret_more) {
    struct removed_value r;
    uint8_t blob[INDEX_KEY_MAX];
    *ret_more = false;
    if (m->seal != SEAL_UNSEALED || !m->removal_wanted || m->space.state != SPACE_ENOUGH || !content_may_go(m))
        return VAULT_OK;
    int result = batch_begin(m);
    if (result == VAULT_OK)
        result = release(m);
    if (result == VAULT_OK || result == VAULT_NOT_FOUND)
        result = next_removed(m, blob, &r);
    m->removal_wanted = result == VAULT_OK;
    if (result != VAULT_OK)
        return gone(result);
    if (r.marked == r.pages)
        result = hand_over(m, blob, &r);
    else
        result = mark_page(m, blob, &r);
    r.marked++;
    if (result == VAULT_OK && r.marked <= r.pages)
        result = index_put_record(m->index, DB_REMOVED, blob, ID_SIZE, &layout_removed_value, &r);
    *ret_more = result == VAULT_OK;
    return result;
}
