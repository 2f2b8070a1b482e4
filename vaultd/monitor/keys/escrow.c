#include "escrow.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "ring.h"
#include "vaultd/monitor/access/listing.h"
#include "vaultd/monitor/answers.h"
#include "vaultd/monitor/opening/opening.h"
#include "vaultd/monitor/pending.h"
#include "vaultd/monitor/table.h"
#include "vault/log.h"
#include "vault/result.h"

enum { NAME = 12, DETAIL = 160 };

static int load(struct monitor *m, uint32_t number, struct escrow_value *ret) {
    uint8_t key[4];
    put_be32(key, number);
    int result = index_get_record(m->index, DB_ESCROWS, key, sizeof(key), &layout_escrow_value, ret);
    if (result == VAULT_OK && ret->number != number)
        result = VAULT_E_DAMAGED;
    return result == VAULT_NOT_FOUND ? VAULT_E_DAMAGED : result;
}

static int store(struct monitor *m, const struct escrow_value *v) {
    uint8_t key[4];
    put_be32(key, v->number);
    return index_put_record(m->index, DB_ESCROWS, key, sizeof(key), &layout_escrow_value, v);
}

/* ---- which ones there are: their numbers are in meta, so that one put back from before counts for nothing ---- */

static unsigned held(const struct monitor *m) {
    return m->meta.escrows_size / 4;
}

static uint32_t nth(const struct monitor *m, unsigned i) {
    return get_be32(m->meta.escrows + (size_t)4 * i);
}

static bool is_held(const struct monitor *m, uint32_t number) {
    for (unsigned i = 0; i < held(m); i++)
        if (nth(m, i) == number)
            return true;
    return false;
}

/* Of one whose entry is damaged nobody knows what it holds: it counts as holding everything. */
int escrows_load(struct monitor *m) {
    static struct escrow_value v;
    m->escrow_count = 0;
    for (unsigned i = 0; i < held(m); i++) {
        struct escrow *e = &m->escrows[i];
        int result = load(m, nth(m, i), &v);
        if (result != VAULT_OK && result != VAULT_E_DAMAGED)
            return result;
        *e = (struct escrow){.number = nth(m, i)};
        if (result == VAULT_OK) {
            e->oldest = v.oldest;
            e->epoch = v.epoch;
        }
        m->escrow_count++;
    }
    return VAULT_OK;
}

static int keep(struct monitor *m, const struct escrow_value *v) {
    put_be32(m->meta.escrows + m->meta.escrows_size, v->number);
    m->meta.escrows_size += 4;
    int result = store(m, v);
    if (result == VAULT_OK)
        result = meta_store(m);
    return result == VAULT_OK ? escrows_load(m) : result;
}

/* A place in the list is kept free for it. */
int escrow_suspect(struct monitor *m) {
    static struct escrow_value v;
    enum { NUMBERS_BETWEEN = 1000 }; /* more than anybody makes before a backup */
    m->meta.escrow += m->meta.escrow < UINT32_MAX - 2 * NUMBERS_BETWEEN ? NUMBERS_BETWEEN : 1;
    v = (struct escrow_value){.number = m->meta.escrow, .made = monitor_time(m), .record = m->tree.size};
    copy_string(v.made_by, sizeof(v.made_by), "not known: made after the backup that was restored");
    for (unsigned i = 0; i < m->escrow_count; i++)
        if (m->escrows[i].epoch == 0 && m->escrows[i].oldest == 0)
            return meta_store(m); /* of a restore before, or damaged: it stands for any as it is */
    return keep(m, &v);
}

static int forget(struct monitor *m, const struct escrow_value *v) {
    unsigned kept = 0;
    for (unsigned i = 0; i < held(m); i++)
        if (nth(m, i) != v->number)
            put_be32(m->meta.escrows + (size_t)4 * kept++, nth(m, i));
    m->meta.escrows_size = 4 * kept;
    int result = store(m, v);
    if (result == VAULT_OK)
        result = meta_store(m);
    return result == VAULT_OK ? escrows_load(m) : result;
}

/* ---- what is told ---- */

static void name_of(uint32_t number, char ret[NAME]) {
    (void)format_string(ret, NAME, "E%u", number);
}

static json_t *name_json(uint32_t number) {
    char name[NAME];
    name_of(number, name);
    return json_string(name);
}

void escrows_holding(const struct monitor *m, uint32_t generation, char ret[ESCROW_NAMES]) {
    ret[0] = '\0';
    for (unsigned i = 0; i < m->escrow_count; i++) {
        size_t used = strlen(ret);
        if (m->escrows[i].oldest <= generation)
            (void)format_string(ret + used, ESCROW_NAMES - used, "%sE%u", used > 0 ? ", " : "", m->escrows[i].number);
    }
}

json_t *escrows_holding_json(const struct monitor *m, uint32_t generation) {
    json_t *list = json_array();
    for (unsigned i = 0; i < m->escrow_count; i++)
        if (m->escrows[i].oldest <= generation)
            json_array_append_new(list, name_json(m->escrows[i].number));
    return list;
}

/* One that was made of the ring as it is. */
static bool is_current(const struct monitor *m) {
    for (unsigned i = 0; i < m->escrow_count; i++)
        if (m->escrows[i].epoch == keyring_epoch(m->keyring))
            return true;
    return false;
}

bool escrows_outdated(const struct monitor *m) {
    return m->meta.escrow > 0 && !is_current(m);
}

json_t *escrows_json(const struct monitor *m) {
    if (m->meta.escrow == 0)
        return json_null();
    return json_pack("{s:i, s:o, s:b}", "copies", (int)m->escrow_count, "newest",
                     m->escrow_count == 0 ? json_null() : name_json(m->escrows[m->escrow_count - 1].number), "current",
                     is_current(m));
}

static json_t *recipients_json(const struct escrow_value *v) {
    json_t *list = json_array();
    for (size_t at = 0; at + CRYPT4GH_KEY <= v->recipients_size; at += CRYPT4GH_KEY)
        json_array_append_new(list, json_base64(v->recipients + at, CRYPT4GH_KEY));
    return list;
}

static json_t *escrow_json(struct request *q, const void *record) {
    const struct escrow_value *v = record;
    bool destroyed = v->destroyed != 0;
    /* What meta does not know any more was destroyed, whatever the entry says. */
    const char *state = destroyed ? "destroyed" : is_held(q->monitor, v->number) ? "held" : "its entry is damaged";
    json_t *json = json_pack("{s:o, s:s, s:o, s:s, s:o, s:i, s:i, s:I, s:o, s:o, s:I}", "escrow", name_json(v->number),
                             "state", state, "made", json_time(v->made), "made_by", v->made_by, "ceremony",
                             json_hex(v->ceremony, CEREMONY_ID), "shares", (int)(v->recipients_size / CRYPT4GH_KEY),
                             "threshold", (int)v->threshold, "epoch", (json_int_t)v->epoch, "generations",
                             json_pack("[i, i]", (int)v->oldest, (int)v->newest), "recipients", recipients_json(v),
                             "record", (json_int_t)v->record);
    if (json != NULL && destroyed) {
        json_object_set_new(json, "destroyed", json_time(v->destroyed));
        json_object_set_new(json, "stated_by", json_string(v->stated_by));
        json_object_set_new(json, "approved_by", json_string(v->approved_by));
        json_object_set_new(json, "statement", json_string(v->statement));
    }
    return json;
}

int answer_key_escrow_list(struct request *q) {
    static struct escrow_value v;
    struct listing l = {.db = DB_ESCROWS,
                        .layout = &layout_escrow_value,
                        .record = &v,
                        .item = escrow_json,
                        .member = "escrows",
                        .event = "key.escrow.list"};
    return answer_listing(q, &l, q->message->key_escrow_list.cursor);
}

/* ---- making one ---- */

/* Somebody who gets two shares counts twice towards the threshold. */
static bool are_distinct(const struct sealing *by) {
    for (unsigned i = 0; i < by->shares; i++)
        for (unsigned k = 0; k < i; k++)
            if (memcmp(by->recipients[i], by->recipients[k], CRYPT4GH_KEY) == 0)
                return false;
    return true;
}

/* The copy's file and its shares, for the answer. Its root key lives no longer than this. */
static int make_copy(struct monitor *m, const struct sealing *by, struct seal *ret_seal, json_t **ret) {
    CLEANUP_SECRET struct secret *root = NULL;
    static uint8_t file[KEYRING_FILE_MAX];
    json_t *shares = NULL;
    size_t size = 0;
    int result = secret_random(&root, SECRET_KEY_SIZE);
    if (result == VAULT_OK)
        result = seals_make(by, root, ret_seal, &shares);
    if (result == VAULT_OK)
        result = keyring_copy(m->keyring, ret_seal, root, file, &size);
    if (result != VAULT_OK) {
        json_decref(shares);
        return result;
    }
    *ret = json_pack("{s:o, s:o}", "keyring", json_base64(file, size), "containers", shares);
    return *ret == NULL ? VAULT_E_MEMORY : VAULT_OK;
}

static void describe(const struct request *q, const struct sealing *by, const struct seal *seal,
                     struct escrow_value *ret) {
    struct monitor *m = q->monitor;
    uint64_t created = 0;
    *ret = (struct escrow_value){.number = m->meta.escrow,
                                 .made = monitor_time(m),
                                 .record = m->tree.size,
                                 .threshold = by->threshold,
                                 .epoch = keyring_epoch(m->keyring),
                                 .oldest = keyring_generation(m->keyring, 0, &created),
                                 .newest = keyring_newest(m->keyring)};
    copy_string(ret->made_by, sizeof(ret->made_by), q->asker.name);
    COPY_ARRAY(ret->ceremony, seal->ceremony.id);
    ret->recipients_size = by->shares * CRYPT4GH_KEY;
    for (unsigned i = 0; i < by->shares; i++)
        copy_bytes(ret->recipients + (size_t)i * CRYPT4GH_KEY, CRYPT4GH_KEY, by->recipients[i], CRYPT4GH_KEY);
}

static bool describe_record(const struct escrow_value *v, char ret[DETAIL]) {
    char id[2 * CEREMONY_ID + 1];
    hex_encode(id, sizeof(id), v->ceremony, CEREMONY_ID);
    return format_string(ret, DETAIL, "E%u: %u shares, threshold %u, ceremony %s, generations %u to %u", v->number,
                         v->recipients_size / CRYPT4GH_KEY, v->threshold, id, v->oldest, v->newest);
}

static int make(struct request *q, const struct sealing *by) {
    static struct escrow_value v;
    struct monitor *m = q->monitor;
    struct seal seal;
    char detail[DETAIL];
    json_t *copy = NULL;
    int result = make_copy(m, by, &seal, &copy);
    if (result != VAULT_OK)
        return result;
    m->meta.escrow++;
    describe(q, by, &seal, &v);
    result = describe_record(&v, detail) ? keep(m, &v) : VAULT_E_STATE;
    json_t *told = result == VAULT_OK ? escrow_json(q, &v) : NULL;
    if (result == VAULT_OK && (told == NULL || json_object_update(copy, told) != 0))
        result = VAULT_E_MEMORY;
    json_decref(told);
    if (result == VAULT_OK)
        return administer(q, "key.escrow", NULL, 'C', detail, 201, copy);
    json_decref(copy);
    return result;
}

int answer_key_escrow(struct request *q) {
    struct monitor *m = q->monitor;
    const struct msg_key_escrow *asked = &q->message->key_escrow;
    const char *problem = "";
    struct sealing by;
    if (!sealing_read(asked->shares, asked->threshold, asked->recipients, &by, &problem))
        return refuse(q, "key.escrow", NULL, 400, "malformed", problem);
    if (!are_distinct(&by))
        return refuse(q, "key.escrow", NULL, 400, "malformed", "Each share needs a recipient of its own.");
    if (held(m) >= ESCROWS_MOST - 1 || m->meta.escrow == UINT32_MAX)
        return refuse(q, "key.escrow", NULL, 409, "too-many-escrows",
                      "There are 31 escrow copies: destroy older ones, and state that first.");
    return make(q, &by);
}

/* ---- the end of one ---- */

/* A retirement that it was an exception of is complete no earlier than now. */
static int clear_retirements(struct monitor *m, const struct escrow_value *v) {
    struct retired_value r;
    uint8_t key[INDEX_KEY_MAX];
    size_t size = 4;
    put_be32(key, v->oldest);
    int result = index_next(m->index, DB_RETIRED, NULL, 0, key, size, key, &size);
    while (result == VAULT_OK) {
        result = index_get_record(m->index, DB_RETIRED, key, size, &layout_retired_value, &r);
        if (result == VAULT_OK) {
            r.cleared = v->destroyed;
            result = index_put_record(m->index, DB_RETIRED, key, size, &layout_retired_value, &r);
        }
        if (result == VAULT_OK || result == VAULT_E_DAMAGED) /* a damaged one only tells when */
            result = index_next(m->index, DB_RETIRED, NULL, 0, key, size, key, &size);
    }
    return result == VAULT_NOT_FOUND ? VAULT_OK : result;
}

static int destroy(struct request *q, struct escrow_value *v, const char *detail) {
    struct monitor *m = q->monitor;
    v->destroyed = monitor_time(m);
    copy_string(v->stated_by, sizeof(v->stated_by), q->asked_by);
    copy_string(v->approved_by, sizeof(v->approved_by), q->asker.name);
    copy_string(v->statement, sizeof(v->statement), q->message->key_escrow_destroyed.statement);
    int result = forget(m, v);
    if (result == VAULT_OK)
        result = clear_retirements(m, v);
    return result == VAULT_OK ? administer(q, "key.escrow.destroyed", NULL, 'D', detail, 200, escrow_json(q, v))
                              : result;
}

/* Nobody but custodians can know whether it was destroyed: the vault keeps what they say, and who. */
int answer_key_escrow_destroyed(struct request *q) {
    static struct escrow_value v;
    const struct msg_key_escrow_destroyed *d = &q->message->key_escrow_destroyed;
    char detail[PENDING_DETAIL];
    _Static_assert(ESCROW_STATEMENT + 16 < PENDING_DETAIL, "an approver is told all of it");
    if (d->number == 0 || d->number > q->monitor->meta.escrow)
        return refuse(q, "key.escrow.destroyed", NULL, 404, "no-such-escrow", "There is no such escrow copy.");
    if (!is_held(q->monitor, d->number))
        return refuse(q, "key.escrow.destroyed", NULL, 409, "destroyed", "It was stated to be destroyed before.");
    if (d->statement[0] == '\0')
        return refuse(q, "key.escrow.destroyed", NULL, 400, "malformed",
                      "A statement is needed: what was destroyed, and how.");
    int result = load(q->monitor, d->number, &v);
    if (result == VAULT_E_DAMAGED) /* what it held is not known, and need not be */
        v = (struct escrow_value){.number = d->number};
    else if (result != VAULT_OK)
        return result;
    if (!format_string(detail, sizeof(detail), "E%u: %s", d->number, d->statement))
        return VAULT_E_STATE;
    return q->asked_by != NULL ? destroy(q, &v, detail) : pending_ask(q, "key.escrow.destroyed", NULL, detail);
}
