#include "standings.h"

#include <stdlib.h>
#include <string.h>

#include "vaultd/monitor/lookup.h"
#include "vaultd/monitor/names.h"
#include "vault/log.h"
#include "vault/result.h"

enum { KEY = 16, SMALLEST = 1024, TERM_OTHER = 63, SLICE_MS = 4, AT_ONCE = 64, DAY = 86400 };

enum entry_state { UNUSED, STALE, KNOWN, GONE };
enum said { SHREDDED = 1, OPTED_OUT_OF_RESEARCH = 2, TREATMENT = 4, RECONTACT = 8 };

/* Of the subject under one hash; the hash is keyed, so that half of it tells them apart. */
struct entry {
    uint8_t subject[KEY], id[ID_SIZE];
    uint64_t current, care;  /* as in the subject's value */
    uint64_t terms;          /* bit n: DUO number n; TERM_OTHER: one beyond, of which nothing can be decided here */
    uint64_t expires;        /* seconds since 1970; 0: never */
    char *named;             /* the consent's diseases and `only`, each with its NUL; NULL: neither; owned */
    uint32_t custody;        /* days since 1970-01-01: a custodian gave the consent, until then; 0: did not */
    uint32_t research_until; /* likewise; 0: not stated */
    uint32_t version;        /* of the consent in force; 0: none */
    uint8_t state, said, findings;
};

struct standings {
    struct entry *entries;
    size_t size, used; /* places, a power of two; those that are not UNUSED */
    uint64_t known, named, differing;
    bool walking, whole;
    uint8_t cursor[INDEX_KEY_MAX];
    size_t cursor_size;
    /* What is to be read anew, the first `due` of them; the others in the batch under way. */
    uint8_t (*touched)[HASH_SIZE];
    size_t due, touched_count, touched_room;
};

/* ---- the table ---- */

static size_t place_of(const struct standings *s, const uint8_t subject[KEY]) {
    size_t at = (size_t)get_be64(subject) & (s->size - 1);
    while (s->entries[at].state != UNUSED && memcmp(s->entries[at].subject, subject, KEY) != 0)
        at = (at + 1) & (s->size - 1);
    return at;
}

/* The second of the two texts. */
static const char *named_only(const char *named) {
    return named + strlen(named) + 1;
}

static size_t named_size(const char *named) {
    return named == NULL ? 0 : strlen(named) + 1 + strlen(named_only(named)) + 1;
}

static void forget_said(struct standings *s, struct entry *e, enum entry_state state) {
    if (e->state == KNOWN)
        s->known--;
    if (e->named != NULL) {
        s->named -= named_size(e->named);
        wipe(e->named, named_size(e->named));
        free(e->named);
    }
    e->named = NULL;
    e->state = (uint8_t)state;
}

/* Those that are gone are left behind; where they are many, the table stays as large as it is. */
static int grow(struct standings *s) {
    struct standings bigger = *s;
    size_t there = 0;
    for (size_t i = 0; i < s->size; i++)
        there += s->entries[i].state == STALE || s->entries[i].state == KNOWN;
    bigger.size = there > s->size / 2 ? s->size * 2 : s->size;
    bigger.used = 0;
    bigger.entries = calloc(bigger.size, sizeof(*bigger.entries));
    if (bigger.entries == NULL)
        return VAULT_E_MEMORY;
    for (size_t i = 0; i < s->size; i++) {
        const struct entry *e = &s->entries[i];
        if (e->state != STALE && e->state != KNOWN)
            continue;
        bigger.entries[place_of(&bigger, e->subject)] = *e;
        bigger.used++;
    }
    wipe(s->entries, s->size * sizeof(*s->entries));
    free(s->entries);
    *s = bigger;
    return VAULT_OK;
}

/* The subject's entry; a STALE one if there was none. NULL without memory. */
static struct entry *entry_of(struct standings *s, const uint8_t subject[KEY]) {
    struct entry *e = &s->entries[place_of(s, subject)];
    if (e->state != UNUSED)
        return e;
    if ((s->used + 1) * 4 > s->size * 3) {
        if (grow(s) != VAULT_OK)
            return NULL;
        e = &s->entries[place_of(s, subject)];
    }
    copy_bytes(e->subject, KEY, subject, KEY);
    e->state = STALE;
    s->used++;
    return e;
}

/* ---- what the index says ---- */

/* False: there is no memory. */
static bool copy_named(const struct consent_value *c, char **ret) {
    size_t diseases = strlen(c->diseases) + 1, only = strlen(c->only) + 1;
    *ret = NULL;
    if (diseases + only == 2)
        return true;
    char *named = malloc(diseases + only);
    if (named == NULL)
        return false;
    copy_bytes(named, diseases + only, c->diseases, diseases);
    copy_bytes(named + diseases, only, c->only, only);
    *ret = named;
    return true;
}

/* In few bytes what a decision asks of a consent. False: there is no memory. */
static bool compress(const struct consent_value *c, struct entry *e) {
    struct reader r = reader_of(c->research, c->research_size);
    while (r.left >= 4) {
        uint32_t term = read_u32(&r);
        e->terms |= UINT64_C(1) << (term < TERM_OTHER ? term : TERM_OTHER);
    }
    e->expires = c->expires;
    e->custody = (uint32_t)(c->custody_until / DAY);
    e->research_until = (uint32_t)(c->research_until / DAY);
    e->findings = c->findings;
    e->said |= (c->treatment != 0 ? TREATMENT : 0) | (c->recontact != 0 ? RECONTACT : 0);
    return copy_named(c, &e->named);
}

static int read_consent(struct monitor *m, const uint8_t subject[HASH_SIZE], uint32_t version, struct entry *e) {
    static struct consent_value c;
    uint8_t key[HASH_SIZE + 4];
    copy_bytes(key, sizeof(key), subject, HASH_SIZE);
    put_be32(key + HASH_SIZE, version);
    int result = index_get_record(m->index, DB_CONSENTS, key, sizeof(key), &layout_consent_value, &c);
    if (result != VAULT_OK)
        return result == VAULT_NOT_FOUND ? VAULT_E_DAMAGED : result;
    return compress(&c, e) ? VAULT_OK : VAULT_E_MEMORY;
}

/* What the index says of a subject whose value was read with its witness. *ret owns what it points to. */
static int read_entry(struct monitor *m, const uint8_t subject[HASH_SIZE], const struct subject_value *s,
                      struct entry *ret) {
    *ret = (struct entry){.state = KNOWN, .current = s->current, .care = s->care, .version = s->consent};
    copy_bytes(ret->subject, KEY, subject, KEY);
    COPY_ARRAY(ret->id, s->id);
    ret->said = (s->shredded != 0 ? SHREDDED : 0) | (s->opt_out != 0 ? OPTED_OUT_OF_RESEARCH : 0);
    return s->consent == 0 ? VAULT_OK : read_consent(m, subject, s->consent, ret);
}

/* VAULT_NOT_FOUND. */
static int read_hashed(struct monitor *m, const uint8_t subject[HASH_SIZE], struct entry *ret) {
    static struct subject_value s;
    int result = index_get_record(m->index, DB_SUBJECTS, subject, HASH_SIZE, &layout_subject_value, &s);
    if (result == VAULT_OK)
        result = subject_is_of_now(m, &s);
    return result == VAULT_OK ? read_entry(m, subject, &s, ret) : result;
}

static void replace(struct standings *s, struct entry *e, const struct entry *with) {
    forget_said(s, e, STALE);
    *e = *with;
    s->known++;
    s->named += named_size(e->named);
}

/* Reads a stale entry. Faults leave it so: whoever asks looks into the index, and finds the same there. */
static int refresh(struct monitor *m, const uint8_t subject[HASH_SIZE], struct entry *e) {
    struct entry now;
    int result = read_hashed(m, subject, &now);
    if (result == VAULT_OK)
        replace(m->standings, e, &now);
    if (result == VAULT_NOT_FOUND)
        forget_said(m->standings, e, GONE);
    return result;
}

/* But for whom and which diseases it names. */
static bool say_the_same(const struct entry *a, const struct entry *b) {
    return (a->version == 0) == (b->version == 0) && a->terms == b->terms && a->expires == b->expires &&
           a->custody == b->custody && a->research_until == b->research_until && a->said == b->said &&
           a->findings == b->findings;
}

static bool are_same(const struct entry *a, const struct entry *b) {
    size_t size = named_size(a->named);
    return memcmp(a->id, b->id, ID_SIZE) == 0 && a->current == b->current && a->care == b->care &&
           a->version == b->version && say_the_same(a, b) && size == named_size(b->named) &&
           (size == 0 || memcmp(a->named, b->named, size) == 0);
}

/* ---- its life ---- */

static size_t size_for(uint64_t subjects) {
    size_t size = SMALLEST;
    while (size * 3 / 4 < subjects + 1 && size < SIZE_MAX / 2 / sizeof(struct entry))
        size *= 2;
    return size;
}

/* What is forgotten cannot be wrong. */
static void do_without(struct monitor *m) {
    log_warning("standings: there is no memory for what patients have said; lists will take longer");
    standings_forget(m);
}

void standings_start(struct monitor *m) {
    standings_forget(m);
    struct standings *s = calloc(1, sizeof(*s));
    if (s != NULL) {
        s->size = size_for(m->meta.subjects);
        s->entries = calloc(s->size, sizeof(*s->entries));
        s->walking = true;
    }
    m->standings = s;
    if (s == NULL || s->entries == NULL)
        do_without(m);
}

void standings_forget(struct monitor *m) {
    struct standings *s = m->standings;
    m->standings = NULL;
    if (s == NULL)
        return;
    for (size_t i = 0; s->entries != NULL && i < s->size; i++)
        forget_said(s, &s->entries[i], UNUSED);
    if (s->entries != NULL)
        wipe(s->entries, s->size * sizeof(*s->entries));
    free(s->entries);
    free(s->touched);
    free(s);
}

static void make_stale(struct standings *s, const uint8_t subject[KEY]) {
    struct entry *e = &s->entries[place_of(s, subject)];
    if (e->state != UNUSED)
        forget_said(s, e, STALE);
}

static int remember(struct standings *s, const uint8_t subject[HASH_SIZE]) {
    if (s->touched_count == s->touched_room) {
        size_t room = s->touched_room == 0 ? AT_ONCE : 2 * s->touched_room;
        uint8_t(*bigger)[HASH_SIZE] = reallocarray(s->touched, room, sizeof(*bigger));
        if (bigger == NULL)
            return VAULT_E_MEMORY;
        s->touched = bigger;
        s->touched_room = room;
    }
    copy_bytes(s->touched[s->touched_count++], HASH_SIZE, subject, HASH_SIZE);
    return VAULT_OK;
}

void standings_touch(struct monitor *m, const uint8_t subject[HASH_SIZE]) {
    struct standings *s = m->standings;
    if (s == NULL)
        return;
    make_stale(s, subject);
    if (remember(s, subject) != VAULT_OK)
        do_without(m);
}

void standings_dropped(struct monitor *m) {
    struct standings *s = m->standings;
    for (size_t i = s == NULL ? 0 : s->due; s != NULL && i < s->touched_count; i++)
        make_stale(s, s->touched[i]);
    standings_committed(m);
}

void standings_committed(struct monitor *m) {
    if (m->standings != NULL)
        m->standings->due = m->standings->touched_count;
}

/* ---- the walk over all subjects, and what was touched since ---- */

void standings_check(struct monitor *m) {
    if (m->standings == NULL)
        return;
    m->standings->walking = true;
    m->standings->whole = false;
    m->standings->cursor_size = 0;
}

/* What the index says is taken; false: it is something else. Takes what `now` owns. */
static bool confirm(struct standings *s, struct entry *e, struct entry *now) {
    bool same = are_same(e, now);
    if (!same) {
        log_error("standings: what was kept of a subject differs from the index, and was replaced");
        s->differing++;
    }
    replace(s, e, now);
    return same;
}

static int compare(struct monitor *m, const uint8_t subject[HASH_SIZE], struct entry *e) {
    struct entry now;
    int result = read_hashed(m, subject, &now);
    if (result == VAULT_OK)
        (void)confirm(m->standings, e, &now);
    return result;
}

/* What cannot be read stays unknown here, and the others go on. */
static int take_one(struct monitor *m, const uint8_t subject[HASH_SIZE]) {
    struct entry *e = entry_of(m->standings, subject);
    if (e == NULL)
        return VAULT_E_MEMORY;
    int result = e->state == KNOWN ? compare(m, subject, e) : refresh(m, subject, e);
    return result == VAULT_E_DAMAGED || result == VAULT_NOT_FOUND ? VAULT_OK : result;
}

static void read_due(struct monitor *m, uint64_t until) {
    struct standings *s = m->standings;
    while (s->due > 0 && loop_now_ms() < until) {
        const uint8_t *subject = s->touched[--s->due];
        struct entry *e = entry_of(s, subject);
        int result = e == NULL || e->state == KNOWN ? VAULT_OK : refresh(m, subject, e);
        if (result == VAULT_E_IO)
            index_end_reads(m->index); /* it saw a bad page: nothing else can be read in it */
        s->touched_count = s->due;
    }
}

/* VAULT_OK: there is more. */
static int walk(struct monitor *m, uint64_t until) {
    struct standings *s = m->standings;
    int result = VAULT_OK;
    while (result == VAULT_OK && loop_now_ms() < until)
        for (unsigned n = 0; n < AT_ONCE && result == VAULT_OK; n++) {
            result = index_next(m->index, DB_SUBJECTS, NULL, 0, s->cursor, s->cursor_size, s->cursor, &s->cursor_size);
            if (result == VAULT_OK && s->cursor_size == HASH_SIZE)
                result = take_one(m, s->cursor);
        }
    return result;
}

static void end_walk(struct monitor *m, int result) {
    struct standings *s = m->standings;
    s->walking = false;
    s->cursor_size = 0;
    s->whole = result == VAULT_NOT_FOUND;
    if (s->whole)
        return;
    index_end_reads(m->index);
    log_error("standings: the subjects cannot all be read: %s", vault_result_name(result));
}

bool standings_step(struct monitor *m) {
    struct standings *s = m->standings;
    uint64_t until = loop_now_ms() + SLICE_MS;
    if (m->seal != SEAL_UNSEALED || s == NULL || (!s->walking && s->due == 0))
        return false;
    read_due(m, until);
    if (s->walking && s->due == 0) {
        int result = walk(m, until);
        if (result != VAULT_OK)
            end_walk(m, result);
    }
    return s->walking || s->due > 0;
}

/* ---- what is asked of it ---- */

static void decompress(const struct entry *e, struct consent *to) {
    struct writer w = writer_of(to->research, sizeof(to->research));
    for (uint32_t term = 0; term <= TERM_OTHER; term++)
        if ((e->terms >> term & 1) != 0)
            write_u32(&w, term);
    to->research_size = (uint32_t)w.used;
    to->treatment = (e->said & TREATMENT) != 0;
    to->recontact = (e->said & RECONTACT) != 0;
    to->findings = e->findings;
    to->expires = e->expires;
    to->custody_until = (uint64_t)e->custody * DAY;
    to->research_until = (uint64_t)e->research_until * DAY;
    copy_string(to->diseases, sizeof(to->diseases), e->named == NULL ? "" : e->named);
    copy_string(to->only, sizeof(to->only), e->named == NULL ? "" : named_only(e->named));
}

static void say(const struct entry *e, struct standing *ret) {
    ret->subject[0] = '\0';
    COPY_ARRAY(ret->id, e->id);
    ret->current = e->current;
    ret->care = e->care;
    ret->version = e->version;
    ret->shredded = (e->said & SHREDDED) != 0;
    ret->opted_out = (e->said & OPTED_OUT_OF_RESEARCH) != 0;
    if (e->version != 0)
        decompress(e, &ret->consent);
}

void standing_tell(const struct standing *s, struct question *q) {
    q->subject.known = !s->shredded; /* for whoever asks it is as if it never was */
    q->subject.opted_out = s->opted_out;
    q->subject.consent = s->version != 0 ? &s->consent : NULL;
}

bool standings_at(struct monitor *m, const uint8_t subject[HASH_SIZE], struct standing *ret) {
    struct entry *e = m->standings == NULL ? NULL : entry_of(m->standings, subject);
    if (e == NULL)
        return false;
    if (e->state != KNOWN && refresh(m, subject, e) != VAULT_OK)
        return false;
    say(e, ret);
    return true;
}

static struct entry *known_entry(struct monitor *m, const uint8_t subject[HASH_SIZE]) {
    struct standings *s = m->standings;
    struct entry *e = s == NULL ? NULL : &s->entries[place_of(s, subject)];
    return e != NULL && e->state == KNOWN ? e : NULL;
}

/* As the index says it. Whoever is not there gets no place in the table. */
static int read_named(struct monitor *m, const char *subject, const uint8_t hash[HASH_SIZE], struct subject_value *ret,
                      struct entry *ret_entry) {
    int result = find_subject(m, subject, ret);
    return result == VAULT_OK ? read_entry(m, hash, ret, ret_entry) : result;
}

static void keep(struct monitor *m, const struct entry *now) {
    struct entry *e = m->standings == NULL ? NULL : entry_of(m->standings, now->subject);
    if (e != NULL)
        replace(m->standings, e, now);
    else
        free(now->named);
}

int standings_find(struct monitor *m, const char *subject, struct standing *ret) {
    static struct subject_value s;
    struct entry now;
    uint8_t hash[HASH_SIZE];
    name_hash(m, NAME_SUBJECT, subject, NULL, hash);
    const struct entry *e = known_entry(m, hash);
    int result = e == NULL ? read_named(m, subject, hash, &s, &now) : VAULT_OK;
    if (result != VAULT_OK)
        return result;
    say(e == NULL ? &now : e, ret);
    copy_string(ret->subject, sizeof(ret->subject), subject);
    if (e == NULL)
        keep(m, &now);
    return VAULT_OK;
}

int standings_vouch(struct monitor *m, const char *subject, struct subject_value *ret) {
    struct entry now;
    uint8_t hash[HASH_SIZE];
    name_hash(m, NAME_SUBJECT, subject, NULL, hash);
    int result = read_named(m, subject, hash, ret, &now);
    if (result != VAULT_OK)
        return result == VAULT_NOT_FOUND ? VAULT_E_DAMAGED : result;
    struct entry *e = known_entry(m, hash);
    if (e == NULL)
        keep(m, &now);
    else if (!confirm(m->standings, e, &now))
        result = VAULT_E_DAMAGED;
    return result;
}

uint64_t standings_differing(const struct monitor *m) {
    return m->standings == NULL ? 0 : m->standings->differing;
}

uint64_t standings_count(const struct monitor *m) {
    return m->standings == NULL ? 0 : m->standings->known;
}

/* ---- how many have said the same ---- */

enum { ALIKE = 4096, ALIKE_MOST = ALIKE / 4 * 3 };

struct alike {
    struct entry like; /* borrows what it names */
    uint64_t count;    /* 0: an empty place */
};

static bool is_like(const struct entry *a, const struct entry *b) {
    return say_the_same(a, b) && (a->named == NULL) == (b->named == NULL);
}

static struct alike *find_alike(struct alike *all, const struct entry *e) {
    uint64_t mix = (e->terms ^ (uint64_t)e->said << 56 ^ (uint64_t)e->findings << 52 ^ e->expires << 48) *
                   UINT64_C(0x9e3779b97f4a7c15);
    size_t at = (size_t)(mix >> 32) & (ALIKE - 1);
    while (all[at].count != 0 && !is_like(&all[at].like, e))
        at = (at + 1) & (ALIKE - 1);
    return &all[at];
}

static void visit_all(struct alike *all, standings_visit *visit, void *context) {
    static struct standing s;
    struct question q = {.subject.in_care = true};
    for (size_t i = 0; i < ALIKE; i++) {
        if (all[i].count == 0)
            continue;
        say(&all[i].like, &s);
        standing_tell(&s, &q);
        visit(context, &q, all[i].count);
        all[i].count = 0;
    }
}

void standings_each(const struct monitor *m, uint64_t time, standings_visit *visit, void *context) {
    static struct alike all[ALIKE];
    const struct standings *s = m->standings;
    size_t kinds = 0;
    for (size_t i = 0; s != NULL && i < s->size; i++) {
        struct entry e = s->entries[i];
        if (e.state != KNOWN)
            continue;
        e.expires = e.expires != 0 && e.expires <= time;
        e.custody = e.custody != 0 && (uint64_t)e.custody * DAY <= time;
        if (e.research_until != 0)
            e.research_until = (uint64_t)e.research_until * DAY <= time ? 1 : UINT32_MAX;
        struct alike *a = find_alike(all, &e);
        if (a->count++ != 0)
            continue;
        a->like = e;
        if (++kinds < ALIKE_MOST)
            continue;
        visit_all(all, visit, context);
        kinds = 0;
    }
    visit_all(all, visit, context);
    wipe(all, sizeof(all));
}

static bool standings_are_whole(const struct monitor *m) {
    return m->standings != NULL && m->standings->whole && m->standings->touched_count == 0;
}

json_t *standings_json(const struct monitor *m) {
    const struct standings *s = m->standings;
    if (s == NULL)
        return json_pack("{s:i, s:i, s:s, s:i}", "subjects", 0, "bytes", 0, "state", "none", "differing", 0);
    return json_pack("{s:I, s:I, s:s, s:I}", "subjects", (json_int_t)s->known, "bytes",
                     (json_int_t)(s->size * sizeof(*s->entries) + s->named), "state",
                     standings_are_whole(m) ? "whole" : "reading", "differing", (json_int_t)s->differing);
}
