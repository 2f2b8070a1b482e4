#include "budgets.h"

#include <sodium.h>
#include <string.h>

#include "listing.h"
#include "vault/result.h"

enum { KIND = HASH_SIZE, PERIOD = KIND + 1, BEGIN = PERIOD + 1, BUDGET_KEY = BEGIN + 4, MARK_KEY = 2 * ID_SIZE };
enum { DAY = 86400, REMOVED_AT_ONCE = 64 };

/* What one project or service has read for a purpose in one period. */
struct count {
    unsigned per, period;
    const char *name;
    uint8_t key[BUDGET_KEY];
    bool begun; /* it is stored */
    struct budget_value value;
};

static uint32_t today(struct monitor *m) {
    return (uint32_t)(monitor_time(m) / 1000000 / DAY);
}

static int count_load(struct monitor *m, unsigned purpose, struct count *c) {
    name_hash(m, c->per == PER_PROJECT ? NAME_PROJECT : NAME_SERVICE, c->name, NULL, c->key);
    c->key[KIND] = (uint8_t)purpose;
    c->key[PERIOD] = (uint8_t)c->period;
    put_be32(c->key + BEGIN, period_begin(c->period, monitor_time(m) / 1000000));
    int result = index_get_record(m->index, DB_BUDGETS, c->key, BUDGET_KEY, &layout_budget_value, &c->value);
    c->begun = result == VAULT_OK;
    if (result != VAULT_NOT_FOUND)
        return result;
    c->value = (struct budget_value){.purpose = (uint8_t)purpose,
                                     .per = (uint8_t)c->per,
                                     .period = (uint8_t)c->period,
                                     .begin = get_be32(c->key + BEGIN)};
    copy_string(c->value.name, sizeof(c->value.name), c->name);
    randombytes_buf(c->value.id, ID_SIZE);
    return VAULT_OK;
}

static int count_store(struct monitor *m, const struct count *c) {
    return index_put_record(m->index, DB_BUDGETS, c->key, BUDGET_KEY, &layout_budget_value, &c->value);
}

/* ---- each count that the policy bounds ---- */

typedef int count_visit(struct monitor *m, struct count *c, void *context);

static int each_count(struct monitor *m, const struct spender *s, count_visit *visit, void *context) {
    const struct policy *p = policy_in_force(m);
    int result = VAULT_OK;
    for (unsigned i = 0; p != NULL && p->budget_count > 0 && i < PER_COUNT * PERIOD_COUNT && result == VAULT_OK; i++) {
        struct count c = {.per = i / PERIOD_COUNT, .period = i % PERIOD_COUNT};
        c.name = c.per == PER_PROJECT ? s->purpose->project : s->service;
        if (policy_budget_of(p, s->purpose->purpose, c.per, c.period, c.name) == NULL)
            continue;
        result = count_load(m, s->purpose->purpose, &c);
        if (result == VAULT_OK)
            result = visit(m, &c, context);
    }
    return result;
}

static void mark_key(const struct count *c, const uint8_t what[ID_SIZE], uint8_t ret[MARK_KEY]) {
    copy_bytes(ret, MARK_KEY, c->value.id, ID_SIZE);
    copy_bytes(ret + ID_SIZE, ID_SIZE, what, ID_SIZE);
}

/* 1 if it was not counted yet. */
static int is_new(struct monitor *m, const struct count *c, const uint8_t *what, uint64_t *ret) {
    uint8_t key[MARK_KEY];
    struct mark_value v;
    int result = VAULT_NOT_FOUND;
    if (c->begun && what != NULL) {
        mark_key(c, what, key);
        result = index_get_record(m->index, DB_BUDGET_MARKS, key, sizeof(key), &layout_mark_value, &v);
    }
    *ret = result == VAULT_NOT_FOUND;
    return result == VAULT_NOT_FOUND ? VAULT_OK : result;
}

/* ---- what has been used ---- */

/* What open reads may come to. Those that have their closing record are counted. */
static uint64_t bytes_of_open(const struct monitor *m, unsigned purpose, const struct count *c) {
    uint64_t bytes = 0;
    for (const struct grant *g = m->grants; g != NULL; g = g->next) {
        const char *name = c->per == PER_PROJECT ? g->purpose.project : g->value.service;
        if (g->state == GRANT_ENDING || g->closed_in_batch || g->purpose.purpose != purpose ||
            strcmp(name, c->name) != 0)
            continue;
        bytes += g->expected;
    }
    return bytes;
}

struct one_more {
    const struct spender *spender;
    const uint8_t *file, *subject;
    uint64_t bytes;
    struct use (*use)[PERIOD_COUNT];
};

static int add_use(struct monitor *m, struct count *c, void *context) {
    const struct one_more *o = context;
    uint64_t file = 0, subject = 0;
    int result = is_new(m, c, o->file, &file);
    if (result == VAULT_OK)
        result = is_new(m, c, o->subject, &subject);
    o->use[c->per][c->period] =
        (struct use){.bytes = c->value.bytes + bytes_of_open(m, o->spender->purpose->purpose, c) + o->bytes,
                     .files = c->value.files + file,
                     .subjects = c->value.subjects + subject};
    return result;
}

int budgets_use(struct monitor *m, const struct spender *s, const uint8_t *file, const uint8_t *subject, uint64_t bytes,
                struct use ret[PER_COUNT][PERIOD_COUNT]) {
    struct one_more o = {.spender = s, .file = file, .subject = subject, .bytes = bytes, .use = ret};
    return each_count(m, s, add_use, &o);
}

uint64_t bytes_expected(uint64_t size, const struct extent *e) {
    const uint64_t page = (uint64_t)PAGE_CHUNKS * CHUNK_PLAIN;
    uint64_t from = e->kind == EXTENT_SPAN ? e->from : e->kind == EXTENT_LAST && e->to < size ? size - e->to : 0;
    uint64_t end = e->kind == EXTENT_SPAN && e->to < size ? e->to + 1 : size;
    if (from >= end)
        return 0;
    end = size - end < page ? size : (end + page - 1) / page * page;
    return (end < size ? end : size) - from / page * page;
}

/* ---- counting ---- */

static int mark(struct monitor *m, const struct count *c, const uint8_t *what, uint64_t *counted) {
    uint8_t key[MARK_KEY];
    struct mark_value v = {0};
    uint64_t new = 0;
    int result = is_new(m, c, what, &new);
    if (result != VAULT_OK || new == 0)
        return result;
    mark_key(c, what, key);
    *counted += 1;
    return index_put_record(m->index, DB_BUDGET_MARKS, key, sizeof(key), &layout_mark_value, &v);
}

static int add_marks(struct monitor *m, struct count *c, void *context) {
    const struct one_more *o = context;
    int result = mark(m, c, o->file, &c->value.files);
    if (result == VAULT_OK)
        result = mark(m, c, o->subject, &c->value.subjects);
    return result == VAULT_OK ? count_store(m, c) : result;
}

int budgets_count(struct monitor *m, const struct spender *s, const uint8_t *file, const uint8_t *subject) {
    struct one_more o = {.file = file, .subject = subject};
    return each_count(m, s, add_marks, &o);
}

static int add_bytes(struct monitor *m, struct count *c, void *context) {
    const uint64_t *bytes = context;
    uint64_t sum = c->value.bytes + *bytes;
    c->value.bytes = sum < BUDGET_MOST ? sum : BUDGET_MOST;
    return count_store(m, c);
}

int budgets_spend(struct monitor *m, const struct spender *s, uint64_t bytes) {
    return bytes == 0 ? VAULT_OK : each_count(m, s, add_bytes, &bytes);
}

/* ---- what is over goes ---- */

static bool is_over(struct monitor *m, const struct budget_value *v) {
    return v->begin != period_begin(v->period, monitor_time(m) / 1000000);
}

/* Some of its marks, and after the last of them itself. */
static int remove_some(struct monitor *m, const uint8_t *key, const struct budget_value *v, bool *ret_gone) {
    uint8_t mark[INDEX_KEY_MAX];
    size_t size = 0;
    int result = VAULT_OK;
    for (unsigned n = 0; n < REMOVED_AT_ONCE && result == VAULT_OK; n++) {
        result = index_next(m->index, DB_BUDGET_MARKS, v->id, ID_SIZE, NULL, 0, mark, &size);
        if (result == VAULT_OK)
            result = index_delete(m->index, DB_BUDGET_MARKS, mark, size);
    }
    *ret_gone = result == VAULT_NOT_FOUND;
    return *ret_gone ? index_delete(m->index, DB_BUDGETS, key, BUDGET_KEY) : result;
}

/* The next count of the walk, which a dropped batch does not set back: what is left is met the next day. A damaged one
 * stays: reading tells of it. */
static int walk_on(struct monitor *m, struct budgets *b, bool *ret_over, struct budget_value *ret) {
    uint8_t key[INDEX_KEY_MAX];
    size_t size = 0;
    int result = index_next(m->index, DB_BUDGETS, NULL, 0, b->cursor, b->cursor_size, key, &size);
    if (result != VAULT_OK)
        return result;
    result = size == BUDGET_KEY ? index_get_record(m->index, DB_BUDGETS, key, size, &layout_budget_value, ret)
                                : VAULT_E_DAMAGED;
    *ret_over = result == VAULT_OK && is_over(m, ret);
    copy_bytes(b->cursor, sizeof(b->cursor), key, size);
    b->cursor_size = size;
    return result == VAULT_E_DAMAGED ? VAULT_OK : result;
}

static int remove_next(struct monitor *m, struct budgets *b) {
    static struct budget_value v;
    struct budgets before = *b;
    bool over = false, gone = true;
    int result = walk_on(m, b, &over, &v);
    if (result == VAULT_NOT_FOUND) {
        *b = (struct budgets){.looked_on = today(m)};
        return VAULT_OK;
    }
    if (result == VAULT_OK && over)
        result = batch_begin(m);
    if (result == VAULT_OK && over)
        result = remove_some(m, b->cursor, &v, &gone);
    if (!gone)
        *b = before; /* the rest of it next */
    return result;
}

int budgets_step(struct monitor *m, bool *ret_more) {
    if (m->seal != SEAL_UNSEALED || m->index == NULL || m->budgets.looked_on == today(m))
        return VAULT_OK;
    int result = remove_next(m, &m->budgets);
    *ret_more = result == VAULT_OK && m->budgets.looked_on != today(m);
    return result;
}

/* ---- for people ---- */

static json_t *most_json(uint64_t most) {
    return most == 0 ? json_null() : json_integer((json_int_t)most);
}

static json_t *budget_json(struct request *q, const void *record) {
    static const struct policy_budget none;
    const struct budget_value *v = record;
    const struct policy *p = policy_in_force(q->monitor);
    const struct policy_budget *b = p == NULL ? NULL : policy_budget_of(p, v->purpose, v->per, v->period, v->name);
    const struct policy_budget *most = b == NULL ? &none : b;
    struct count c = {.per = v->per, .name = v->name};
    bool over = is_over(q->monitor, v);
    uint64_t open = over ? 0 : bytes_of_open(q->monitor, v->purpose, &c);
    return json_pack("{s:s?, s:s, s:s, s:s, s:s, s:o, s:b, s:I, s:I, s:I, s:I, s:o, s:o, s:o}", "budget",
                     b == NULL ? NULL : b->id, "purpose", purpose_name(v->purpose), "per", budget_per_name(v->per),
                     "name", v->name, "period", budget_period_name(v->period), "begins",
                     json_day((uint64_t)v->begin * DAY), "over", over, "bytes", (json_int_t)v->bytes, "open",
                     (json_int_t)open, "files", (json_int_t)v->files, "subjects", (json_int_t)v->subjects, "most_bytes",
                     most_json(most->bytes), "most_files", most_json(most->files), "most_subjects",
                     most_json(most->subjects));
}

int answer_budget_list(struct request *q) {
    static struct budget_value v;
    struct listing l = {.db = DB_BUDGETS,
                        .layout = &layout_budget_value,
                        .record = &v,
                        .item = budget_json,
                        .member = "budgets",
                        .event = "budget.list"};
    return answer_listing(q, &l, q->message->budget_list.cursor);
}
