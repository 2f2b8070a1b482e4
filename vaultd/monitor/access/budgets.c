#include "budgets.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "ask.h"
#include "listing.h"
#include "vaultd/monitor/answers.h"
#include "vaultd/monitor/table.h"
#include "vault/log.h"
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

static int each_count(struct monitor *m, const struct policy *p, const struct spender *s, count_visit *visit,
                      void *context) {
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

/* ---- what open reads may still come to ---- */

struct open_reads {
    struct open_reads *next;
    uint8_t purpose, per;
    unsigned reads;
    uint64_t bytes;
    char name[NAME_MAX_SIZE + 1];
};

static struct open_reads *find_open(const struct monitor *m, unsigned purpose, unsigned per, const char *name) {
    struct open_reads *o = m->budgets.open;
    while (o != NULL && !(o->purpose == purpose && o->per == per && strcmp(o->name, name) == 0))
        o = o->next;
    return o;
}

static uint64_t bytes_of_open(const struct monitor *m, unsigned purpose, unsigned per, const char *name) {
    const struct open_reads *o = find_open(m, purpose, per, name);
    return o == NULL ? 0 : o->bytes;
}

static int enter_one(struct monitor *m, struct grant *g, unsigned per, const char *name) {
    struct open_reads *o = find_open(m, g->purpose.purpose, per, name);
    if (o == NULL) {
        o = calloc(1, sizeof(*o));
        if (o == NULL)
            return VAULT_E_MEMORY;
        *o = (struct open_reads){.next = m->budgets.open, .purpose = g->purpose.purpose, .per = (uint8_t)per};
        copy_string(o->name, sizeof(o->name), name);
        m->budgets.open = o;
    }
    o->reads++;
    g->sums[per] = o;
    return VAULT_OK;
}

int budgets_enter(struct monitor *m, struct grant *g) {
    g->summed = 0;
    int result = enter_one(m, g, PER_SERVICE, g->value.service);
    if (result == VAULT_OK)
        result = enter_one(m, g, PER_PROJECT, g->purpose.project);
    if (result == VAULT_OK)
        budgets_follow(g);
    else
        budgets_leave(m, g);
    return result;
}

void budgets_follow(struct grant *g) {
    uint64_t now = g->state == GRANT_ENDING || g->closed_in_batch ? 0 : g->expected;
    for (unsigned per = 0; per < PER_COUNT; per++)
        if (g->sums[per] != NULL)
            g->sums[per]->bytes += now - g->summed; /* modulo 2^64, also downwards */
    g->summed = now;
}

void budgets_leave(struct monitor *m, struct grant *g) {
    for (unsigned per = 0; per < PER_COUNT; per++) {
        struct open_reads *o = g->sums[per], **at = &m->budgets.open;
        g->sums[per] = NULL;
        if (o == NULL)
            continue;
        o->bytes -= g->summed;
        if (--o->reads > 0)
            continue;
        while (*at != o)
            at = &(*at)->next;
        *at = o->next;
        free(o);
    }
}

/* ---- what has been used ---- */

struct using {
    const struct one_more *more;
    unsigned purpose;
    struct use(*use)[PERIOD_COUNT];
};

/* What a record may hold, and always more than any budget. */
static uint64_t bounded(uint64_t sum) {
    return sum > BUDGET_MOST ? BUDGET_MOST + 1 : sum;
}

static int add_use(struct monitor *m, struct count *c, void *context) {
    const struct using *u = context;
    uint64_t file = 0, subject = 0;
    int result = u->more->counted ? VAULT_OK : is_new(m, c, u->more->file, &file);
    if (result == VAULT_OK && !u->more->counted)
        result = is_new(m, c, u->more->subject, &subject);
    uint64_t open = bounded(bytes_of_open(m, u->purpose, c->per, c->name));
    u->use[c->per][c->period] = (struct use){.bytes = bounded(c->value.bytes + open + bounded(u->more->bytes)),
                                             .files = bounded(c->value.files + file),
                                             .subjects = bounded(c->value.subjects + subject)};
    return result;
}

int budgets_use(struct monitor *m, const struct policy *p, const struct spender *s, const struct one_more *more,
                struct use ret[PER_COUNT][PERIOD_COUNT]) {
    struct using u = {.more = more, .purpose = s->purpose->purpose, .use = ret};
    return each_count(m, p, s, add_use, &u);
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
    const struct one_more *more = context;
    int result = mark(m, c, more->file, &c->value.files);
    if (result == VAULT_OK)
        result = mark(m, c, more->subject, &c->value.subjects);
    return result == VAULT_OK ? count_store(m, c) : result;
}

int budgets_count(struct monitor *m, const struct spender *s, const uint8_t *file, const uint8_t *subject) {
    struct one_more more = {.file = file, .subject = subject};
    return each_count(m, policy_in_force(m), s, add_marks, &more);
}

static int add_bytes(struct monitor *m, struct count *c, void *context) {
    const uint64_t *bytes = context;
    uint64_t sum = c->value.bytes + *bytes;
    c->value.bytes = bounded(sum);
    return count_store(m, c);
}

int budgets_spend(struct monitor *m, const struct spender *s, uint64_t bytes) {
    return bytes == 0 ? VAULT_OK : each_count(m, policy_in_force(m), s, add_bytes, &bytes);
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
        b->looked_on = today(m);
        b->cursor_size = 0;
        return VAULT_OK;
    }
    if (result == VAULT_OK && over)
        result = batch_begin(m);
    if (result == VAULT_OK && over)
        result = remove_some(m, b->cursor, &v, &gone);
    if (!gone)
        *b = before; /* the rest of it next */
    if (result != VAULT_OK)
        b->looked_on = today(m); /* a bad page must not take others' answers with it, turn after turn */
    return result;
}

int budgets_step(struct monitor *m, bool *ret_more) {
    if (m->seal != SEAL_UNSEALED || m->index == NULL || m->budgets.looked_on == today(m))
        return VAULT_OK;
    uint64_t changes = index_changes(m->index);
    int result = remove_next(m, &m->budgets);
    *ret_more = m->budgets.looked_on != today(m);
    if (result == VAULT_OK || index_changes(m->index) != changes)
        return result;
    log_error("budgets: what is over cannot be removed today result=\"%s\"", vault_result_name(result));
    return VAULT_OK;
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
    bool over = is_over(q->monitor, v);
    uint64_t open = over ? 0 : bounded(bytes_of_open(q->monitor, v->purpose, v->per, v->name));
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
