#include <stdlib.h>
#include <string.h>

#include "export_internal.h"
#include "vault/buffer.h"
#include "vault/result.h"

const char *const export_chain_names[CHAIN_COUNT] = {"subject", "service", "project"};

void chains_free(struct chain_table *t) {
    free(t->entries);
    *t = (struct chain_table){.entries = NULL};
}

/* The entry of a name, or the free one where it belongs. Names are keyed hashes, so their first bytes spread well. */
static struct chain_entry *find(const struct chain_table *t, const uint8_t name[NAME_KEY]) {
    struct reader r = reader_of(name, NAME_KEY);
    size_t at = (size_t)read_u64(&r) & (t->size - 1);
    while (t->entries[at].used && memcmp(t->entries[at].name, name, NAME_KEY) != 0)
        at = (at + 1) & (t->size - 1);
    return &t->entries[at];
}

/* Keeps a third of the table free at the least. */
static int make_room(struct chain_table *t) {
    if (t->used < t->size / 3 * 2)
        return VAULT_OK;
    struct chain_table larger = {.size = t->size == 0 ? 64 : t->size * 2, .used = t->used};
    larger.entries = calloc(larger.size, sizeof(*larger.entries));
    if (larger.entries == NULL)
        return VAULT_E_MEMORY;
    for (size_t i = 0; i < t->size; i++)
        if (t->entries[i].used)
            *find(&larger, t->entries[i].name) = t->entries[i];
    free(t->entries);
    *t = larger;
    return VAULT_OK;
}

static const char *link_fault(const struct chain_entry *before, unsigned chain, const struct record_link *l,
                              bool gapless, bool from_start) {
    static const char *const first[] = {"has a link in its subject's chain that does not fit its number there",
                                        "has a link in its service's chain that does not fit its number there",
                                        "has a link in its project's chain that does not fit its number there"};
    static const char *const again[] = {"repeats a number of its subject's chain",
                                        "repeats a number of its service's chain",
                                        "repeats a number of its project's chain"};
    static const char *const skips[] = {"skips a number of its subject's chain",
                                        "skips a number of its service's chain",
                                        "skips a number of its project's chain"};
    static const char *const other[] = {"does not link to the record before it in its subject's chain",
                                        "does not link to the record before it in its service's chain",
                                        "does not link to the record before it in its project's chain"};
    static const uint8_t zero[MERKLE_HASH];
    if ((l->n == 0) != (memcmp(l->prev, zero, MERKLE_HASH) == 0))
        return first[chain];
    if (!before->used)
        return from_start && l->n != 0 ? skips[chain] : NULL;
    if (l->n <= before->n)
        return again[chain];
    if (l->n > before->n + 1)
        return gapless ? skips[chain] : NULL;
    return memcmp(l->prev, before->leaf, MERKLE_HASH) != 0 ? other[chain] : NULL;
}

int chains_add(struct chain_table *t, unsigned chain, const struct export_link *l, const uint8_t leaf[MERKLE_HASH],
               bool gapless, bool from_start, const char **ret_fault) {
    if (!l->link.present)
        return VAULT_OK;
    if (make_room(t) != VAULT_OK) {
        *ret_fault = "cannot be checked: there is not enough memory";
        return VAULT_E_MEMORY;
    }
    struct chain_entry *entry = find(t, l->name);
    const char *phrase = link_fault(entry, chain, &l->link, gapless, from_start);
    if (phrase != NULL) {
        *ret_fault = phrase;
        return VAULT_E_DAMAGED;
    }
    t->used += !entry->used;
    entry->used = true;
    entry->n = l->link.n;
    COPY_ARRAY(entry->name, l->name);
    copy_bytes(entry->leaf, sizeof(entry->leaf), leaf, MERKLE_HASH);
    return VAULT_OK;
}

static void coverage_start(struct coverage *c, const struct export_record *r) {
    *c = (struct coverage){.count = 1, .first = r->seq, .last = r->seq, .gapless = true};
    for (unsigned i = 0; i < CHAIN_COUNT; i++) {
        c->chains[i].gapless = r->chains[i].link.present;
        c->chains[i].first = r->chains[i].link.n;
        c->chains[i].last = r->chains[i];
    }
}

/* Goes on in one chain. True if the record is of the same chain but leaves numbers out. */
static bool chain_jumps(struct coverage *c, unsigned chain, const struct export_link *l) {
    const struct export_link *last = &c->chains[chain].last;
    if (!c->chains[chain].gapless)
        return false;
    bool same = l->link.present && memcmp(l->name, last->name, NAME_KEY) == 0;
    c->chains[chain].gapless = same && l->link.n == last->link.n + 1;
    if (c->chains[chain].gapless)
        c->chains[chain].last = *l;
    return same && !c->chains[chain].gapless;
}

/* "record 4 is" or "records 4 to 6 are" missing. */
void missing_text(uint64_t from, uint64_t to, const char *whose, uint64_t line, char *text, size_t text_size) {
    if (from == to)
        format_string(text, text_size, "record %llu%s is missing before line %llu (removed, or moved)",
                      (unsigned long long)from, whose, (unsigned long long)line);
    else
        format_string(text, text_size, "records %llu to %llu%s are missing before line %llu (removed, or moved)",
                      (unsigned long long)from, (unsigned long long)to, whose, (unsigned long long)line);
}

/* The kind of chain in which this record leaves numbers out, CHAIN_COUNT if none. */
static unsigned chains_go_on(struct coverage *c, const struct export_record *r) {
    unsigned jumped = CHAIN_COUNT;
    for (unsigned i = 0; i < CHAIN_COUNT; i++)
        if (chain_jumps(c, i, &r->chains[i]) && jumped == CHAIN_COUNT)
            jumped = i;
    return jumped;
}

/* The first kind of chain of which none is left out so far; CHAIN_COUNT: none is. */
static unsigned whole_chain(const struct coverage *c) {
    unsigned i = 0;
    while (i < CHAIN_COUNT && !c->chains[i].gapless)
        i++;
    return i;
}

int coverage_add(struct coverage *c, uint64_t line, const struct export_record *r, uint64_t *ret_line, char *text,
                 size_t text_size) {
    if (c->count == 0) {
        coverage_start(c, r);
        return VAULT_OK;
    }
    if (c->gapless && r->seq != c->last + 1) {
        c->gapless = false;
        c->gap_line = line;
        c->gap_after = c->last;
        c->gap_before = r->seq;
    }
    c->last = r->seq;
    c->count++;
    unsigned jumped = chains_go_on(c, r);
    if (c->gapless || whole_chain(c) < CHAIN_COUNT)
        return VAULT_OK;
    if (jumped == CHAIN_COUNT || line == c->gap_line) {
        missing_text(c->gap_after + 1, c->gap_before - 1, "", c->gap_line, text, text_size);
        *ret_line = c->gap_line;
        return VAULT_E_DAMAGED;
    }
    char whose[2 * NAME_SHOWN];
    format_string(whose, sizeof(whose), " in the chain of %s %s", export_chain_names[jumped], r->chains[jumped].shown);
    missing_text(c->chains[jumped].last.link.n + 1, r->chains[jumped].link.n - 1, whose, line, text, text_size);
    *ret_line = line;
    return VAULT_E_DAMAGED;
}

void coverage_text(const struct coverage *c, uint64_t tree_size, char *text, size_t text_size) {
    if (c->count == tree_size) {
        format_string(text, text_size, "the whole log, %llu records", (unsigned long long)tree_size);
        return;
    }
    if (c->gapless) {
        format_string(text, text_size, "records %llu to %llu of a log of %llu, none left out",
                      (unsigned long long)c->first, (unsigned long long)c->last, (unsigned long long)tree_size);
        return;
    }
    unsigned i = whole_chain(c);
    format_string(text, text_size, "numbers %llu to %llu in the chain of %s %s, none left out",
                  (unsigned long long)c->chains[i].first, (unsigned long long)c->chains[i].last.link.n,
                  export_chain_names[i], c->chains[i].last.shown);
}
