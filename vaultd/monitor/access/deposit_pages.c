/* While a deposit runs: the announcement of each object before it is put, and the pages of the manifest. */
#include <stdlib.h>
#include <string.h>

#include "deposit.h"
#include "vaultd/monitor/answers.h"
#include "vaultd/monitor/lookup.h"
#include "vaultd/monitor/monitor.h"
#include "vaultd/monitor/table.h"
#include "vault/result.h"
#include "vault/token.h"

enum { ANNOUNCED_AHEAD = 2 * PAGE_CHUNKS }; /* objects that may wait for their page */

/* The upload, if it is this worker's and still open. VAULT_DENIED otherwise. */
int upload_find(struct request *q, const uint8_t id[ID_SIZE], struct upload_value *ret) {
    int result = index_get_record(q->monitor->index, DB_UPLOADS, id, ID_SIZE, &layout_upload_value, ret);
    if (result == VAULT_NOT_FOUND ||
        (result == VAULT_OK && (ret->worker != q->worker->number || ret->state != UPLOAD_OPEN)))
        return VAULT_DENIED;
    if (result == VAULT_OK)
        q->subject = ret->subject;
    return result;
}

int upload_refuse(struct request *q) {
    return refuse(q, "deposit", NULL, 403, "not-available", "Not permitted, or not there.");
}

/* From its announcement on an object is one blob's: no other can announce it, and none can drop it. */
static int put_object(struct monitor *m, const struct upload_value *u, const uint8_t address[HASH_SIZE],
                      uint8_t paged) {
    struct object_value o = {.paged = paged};
    COPY_ARRAY(o.blob, u->blob);
    return index_put_record(m->index, DB_OBJECTS, address, HASH_SIZE, &layout_object_value, &o);
}

/* The bases of attempts are random: what counts is how many there were, not how many became part of the file. */
static bool key_takes(const struct upload_value *u, uint32_t length) {
    uint64_t left = u->segments > KEY_SEGMENTS_MAX ? 0 : KEY_SEGMENTS_MAX - u->segments;
    return object_segments(length) <= left;
}

int answer_upload_announce(struct request *q) {
    static struct upload_value u;
    const struct msg_upload_announce *a = &q->message->upload_announce;
    struct mark_value mark = {.length = a->length};
    uint8_t key[ID_SIZE + HASH_SIZE];
    int result = upload_find(q, a->upload, &u);
    if (result == VAULT_DENIED)
        return upload_refuse(q);
    bool other = false;
    if (result == VAULT_OK)
        result = object_is_of_another(q->monitor, a->address, u.blob, &other);
    if (result == VAULT_OK && other)
        return refuse(q, "deposit", u.subject, 409, "object-taken", "An object of this address belongs to a file.");
    if (result == VAULT_OK && object_plain(a->length) == 0)
        return refuse(q, "deposit", u.subject, 400, "malformed", "No object has this length.");
    if (result == VAULT_OK && u.announced >= u.chunks + ANNOUNCED_AHEAD)
        return refuse(q, "deposit", u.subject, 400, "manifest-missing",
                      "Too many objects are in no manifest page yet.");
    if (result == VAULT_OK && !key_takes(&u, a->length))
        return refuse(q, "deposit", u.subject, 413, "key-exhausted",
                      "The file's data key has sealed as many segments as it may (2^24): the content is too long.");
    copy_bytes(key, sizeof(key), a->upload, ID_SIZE);
    copy_bytes(key + ID_SIZE, HASH_SIZE, a->address, HASH_SIZE);
    if (result == VAULT_OK)
        result = index_put_record(q->monitor->index, DB_UPLOAD_OBJECTS, key, sizeof(key), &layout_mark_value, &mark);
    if (result == VAULT_OK)
        result = put_object(q->monitor, &u, a->address, 0);
    u.announced++;
    u.segments += object_segments(a->length);
    if (result == VAULT_OK)
        result = index_put_record(q->monitor->index, DB_UPLOADS, a->upload, ID_SIZE, &layout_upload_value, &u);
    if (result != VAULT_OK)
        return result;
    struct message *reply = malloc(sizeof(*reply));
    if (reply == NULL)
        return VAULT_E_MEMORY;
    struct token_claim claim = {.kind = TOKEN_PUT, .worker = q->worker->number, .length = a->length};
    COPY_ARRAY(claim.upload, a->upload);
    COPY_ARRAY(claim.address, a->address);
    message_init(reply, MSG_put_token, q->message->id);
    token_make(q->monitor->store_key, &claim, reply->put_token.token);
    batch_reply(q->monitor, q->worker, reply);
    return VAULT_OK;
}

/* Every object of the page is durable by the store's own word. */
static bool receipts_are_good(const struct request *q, const struct manifest_page *page) {
    const struct msg_upload_page *p = &q->message->upload_page;
    if (p->receipts_size != page->count * HASH_SIZE)
        return false;
    for (size_t n = 0; n < page->count; n++) {
        struct token_claim claim = {
            .kind = TOKEN_RECEIPT, .worker = q->worker->number, .length = page->chunks[n].length};
        COPY_ARRAY(claim.upload, p->upload);
        COPY_ARRAY(claim.address, page->chunks[n].address);
        if (!token_check(q->monitor->store_key, &claim, p->receipts + n * HASH_SIZE))
            return false;
    }
    return true;
}

/* In its turn, and of no more objects than were announced: an object is named once. */
static bool page_fits(const struct upload_value *u, const struct msg_upload_page *p, const struct manifest_page *page) {
    bool full_so_far = u->chunks == u->pages * PAGE_CHUNKS && (u->chunks == 0 || u->last == OBJECT_MAX);
    return p->page == u->pages && full_so_far && page->count > 0 && page->count <= u->announced - u->chunks;
}

/* Every object of the page was announced for this blob, so that none is missing from another. */
static int announced_all(struct monitor *m, const struct upload_value *u, const struct manifest_page *page,
                         bool *ret_all) {
    struct object_value o;
    *ret_all = true;
    for (size_t n = 0; n < page->count && *ret_all; n++) {
        int result =
            index_get_record(m->index, DB_OBJECTS, page->chunks[n].address, HASH_SIZE, &layout_object_value, &o);
        if (result != VAULT_OK && result != VAULT_NOT_FOUND)
            return result;
        *ret_all = result == VAULT_OK && memcmp(o.blob, u->blob, ID_SIZE) == 0;
    }
    return VAULT_OK;
}

static int put_objects(struct monitor *m, const struct upload_value *u, const struct manifest_page *page) {
    int result = VAULT_OK;
    for (size_t n = 0; n < page->count && result == VAULT_OK; n++)
        result = put_object(m, u, page->chunks[n].address, 1);
    return result;
}

int answer_upload_page(struct request *q) {
    static struct upload_value u;
    static struct manifest_page page;
    static struct page_value value;
    const struct msg_upload_page *p = &q->message->upload_page;
    uint8_t key[ID_SIZE + 4];
    int result = upload_find(q, p->upload, &u);
    if (result == VAULT_DENIED)
        return upload_refuse(q);
    if (result != VAULT_OK)
        return result;
    bool good = manifest_decode(&page, p->chunks, p->chunks_size) == VAULT_OK && page_fits(&u, p, &page) &&
                receipts_are_good(q, &page);
    result = good ? announced_all(q->monitor, &u, &page, &good) : VAULT_OK;
    if (result != VAULT_OK)
        return result;
    if (!good)
        return refuse(q, "deposit", u.subject, 400, "manifest-refused",
                      "A manifest page is out of order or lacks the store's receipts.");
    u.pages++;
    u.chunks += (uint32_t)page.count;
    u.last = page.chunks[page.count - 1].length;
    value = (struct page_value){.chunks_size = p->chunks_size};
    copy_bytes(value.chunks, sizeof(value.chunks), p->chunks, p->chunks_size);
    copy_bytes(key, sizeof(key), u.blob, ID_SIZE);
    put_be32(key + ID_SIZE, p->page);
    result = index_put_record(q->monitor->index, DB_PAGES, key, sizeof(key), &layout_page_value, &value);
    if (result == VAULT_OK)
        result = put_objects(q->monitor, &u, &page);
    if (result == VAULT_OK)
        result = index_put_record(q->monitor->index, DB_UPLOADS, p->upload, ID_SIZE, &layout_upload_value, &u);
    if (result == VAULT_OK)
        answer_done(q->monitor, q->worker, q->message);
    return result;
}
