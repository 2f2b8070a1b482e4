/* Which keys may have signed an export: the given one, and those that followed it or went before, by the records of
 * changes that the export holds. Nothing of them is believed before their lines were verified as all others are. */
#include <stdlib.h>
#include <string.h>

#include "export_internal.h"
#include "vault/buffer.h"
#include "vault/result.h"

/* A key that changed a thousand times within one export is no key that anybody follows. */
enum { CHANGES_MAX = 1000 };

void keys_free(struct key_chain *k) {
    free(k->changes);
    *k = (struct key_chain){.changes = NULL};
}

static int add(struct key_chain *k, const struct key_change *c) {
    if (k->count == CHANGES_MAX)
        return VAULT_E_LIMIT;
    struct key_change *grown = reallocarray(k->changes, k->count + 1, sizeof(*grown));
    if (grown == NULL)
        return VAULT_E_MEMORY;
    k->changes = grown;
    k->changes[k->count++] = *c;
    return VAULT_OK;
}

/* Lines that say nothing of it are not parsed. What is wrong with a line is told when it is verified. */
static int scan_line(struct key_chain *k, const char *line, size_t n) {
    static const char member[] = "\"" EXPORT_KEY_MEMBER "\":";
    static const uint8_t name_key[NAME_KEY];
    struct export_record r;
    struct key_change change;
    const char *why;
    if (memmem(line, n, member, sizeof(member) - 1) == NULL)
        return VAULT_OK;
    int result = export_record_parse(line, n, name_key, &r, &why);
    if (result == VAULT_OK && r.changes_key)
        result = export_change_parse(line, n, &change, &why);
    if (result == VAULT_OK && r.changes_key)
        return add(k, &change);
    return result == VAULT_E_MEMORY ? result : VAULT_OK;
}

int keys_scan(struct key_chain *k, int folder) {
    static char line[RECORD_LINE_MAX];
    static struct line_source records;
    size_t n = 0;
    k->scanned = true;
    int result = source_open(&records, folder, "records.jsonl");
    while (result == VAULT_OK && source_line(&records, line, sizeof(line), &n) == VAULT_OK)
        result = scan_line(k, line, n);
    source_close(&records);
    return result;
}

const char *keys_after(const struct key_chain *k, const char *key, size_t *at) {
    for (; *at < k->count; ++*at)
        if (strcmp(k->changes[*at].from, key) == 0)
            return k->changes[(*at)++].to;
    return NULL;
}

const char *keys_before(const struct key_chain *k, const char *key, size_t *at) {
    while (*at > 0)
        if (strcmp(k->changes[--*at].to, key) == 0)
            return k->changes[*at].from;
    return NULL;
}

static bool same(const struct key_change *a, const struct key_change *b) {
    return a->size == b->size && strcmp(a->from, b->from) == 0 && strcmp(a->to, b->to) == 0 &&
           memcmp(a->root, b->root, MERKLE_HASH) == 0;
}

bool keys_meet(struct key_chain *k, const struct key_change *c) {
    return !k->scanned || (k->met < k->count && same(&k->changes[k->met++], c));
}

bool keys_all_met(const struct key_chain *k) {
    return !k->scanned || k->met == k->count;
}
