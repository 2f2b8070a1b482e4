/* asked.jsonl: the record of the export itself, which says what was asked for, and its proof. */
#include <jansson.h>
#include <string.h>

#include "export_internal.h"
#include "merkle_internal.h"
#include "vault/buffer.h"
#include "vault/result.h"

/* Whether the record itself is one of the chain. */
static bool is_own(const json_t *record, unsigned kind, const char *name) {
    const json_t *who = json_object_get(record, export_chain_names[kind]);
    const char *its = json_string_value(kind == CHAIN_SERVICE ? json_object_get(who, "name") : who);
    return its != NULL && strcmp(its, name) == 0 &&
           json_object_get(json_object_get(record, "chain"), export_chain_names[kind]) != NULL;
}

static bool get_chain(const json_t *record, const json_t *exported, struct export_asked *a) {
    const char *of = json_string_value(json_object_get(exported, "of"));
    const char *name = json_string_value(json_object_get(exported, "name"));
    a->kind = CHAIN_COUNT;
    if (json_object_get(exported, "of") == NULL)
        return json_object_size(exported) == 2;
    for (unsigned i = 0; of != NULL && i < CHAIN_COUNT; i++)
        a->kind = strcmp(of, export_chain_names[i]) == 0 ? i : a->kind;
    if (a->kind == CHAIN_COUNT || name == NULL || !format_string(a->name, sizeof(a->name), "%s", name) ||
        !export_number_get(exported, "count", &a->count))
        return false;
    a->own = is_own(record, a->kind, name);
    return true;
}

static bool get_asked(const json_t *record, struct export_asked *a) {
    const json_t *exported = json_object_get(record, "exported");
    const char *event = json_string_value(json_object_get(record, "event"));
    const char *who = json_string_value(json_object_get(json_object_get(record, "service"), "name"));
    const char *when = json_string_value(json_object_get(record, "time"));
    return event != NULL && strcmp(event, "audit.export") == 0 && export_number_get(exported, "from", &a->from) &&
           export_number_get(exported, "to", &a->to) && a->from < a->to && get_chain(record, exported, a) &&
           format_string(a->by, sizeof(a->by), "%s", who == NULL ? "nobody" : who) &&
           format_string(a->when, sizeof(a->when), "%.27s", when == NULL ? "" : when);
}

static int parse(const char *line, size_t n, struct export_asked *a, const char **ret_fault) {
    json_t *record = json_loadb(line, n, JSON_REJECT_DUPLICATES, NULL);
    bool good = record != NULL && get_asked(record, a);
    json_decref(record);
    if (!good)
        *ret_fault = "has no record of an export";
    return good ? VAULT_OK : VAULT_E_FORMAT;
}

/* It is the last record that the checkpoint has: the head was signed for just this export. */
static int prove(const char *line, size_t n, const char *proof, size_t proof_n, const struct checkpoint *tree,
                 const char **ret_fault) {
    static struct export_block b;
    struct merkle_fold before, after;
    int result = export_block_parse(proof, proof_n, &b, ret_fault);
    if (result != VAULT_OK)
        return result;
    *ret_fault = "has a record that is not the last one of the checkpoint's log";
    if (b.leaf_count != 1 || b.proof.seq + 1 != tree->size)
        return VAULT_E_DAMAGED;
    merkle_leaf(line, n, b.leaves[0]);
    merkle_fold_before(b.proof.seq, tree->size, (const uint8_t(*)[MERKLE_HASH])b.proof.hashes, b.proof.count, &before);
    return export_block_holds(&b, (const uint8_t(*)[MERKLE_HASH])b.leaves, &before, tree, &after) ? VAULT_OK
                                                                                                  : VAULT_E_DAMAGED;
}

int asked_read(int folder, const struct checkpoint *tree, struct export_asked *ret, const char **ret_fault) {
    static char text[RECORD_LINE_MAX + AUDIT_PROOF_LINE_MAX + 2];
    int result = source_text(folder, "asked.jsonl", text, sizeof(text));
    if (result == VAULT_E_IO)
        return VAULT_NOT_FOUND;
    char *end = result == VAULT_OK ? strchr(text, '\n') : NULL;
    char *last = end == NULL ? NULL : strchr(end + 1, '\n');
    *ret_fault = "has not two lines";
    if (last == NULL || last[1] != '\0')
        return VAULT_E_FORMAT;
    ret->seq = tree->size - 1;
    result = parse(text, (size_t)(end - text), ret, ret_fault);
    return result == VAULT_OK ? prove(text, (size_t)(end - text), end + 1, (size_t)(last - end - 1), tree, ret_fault)
                              : result;
}

/* ---- what is here, beside what was asked for ---- */

/* The records by number. The text says what is missing. */
static bool range_is_here(const struct export_asked *a, const struct coverage *c, uint64_t tree_size) {
    uint64_t end = a->to < tree_size ? a->to : tree_size;
    return c->gapless && c->count > 0 && c->first == a->from && c->last + 1 == end;
}

/* A chain's beginning and end show where nothing bounded the export on that side; it may have been asked for at a bound
 * where the chain has nothing. */
static bool chain_is_here(const struct export_asked *a, const struct coverage *c, uint64_t tree_size, bool *ret_shown) {
    bool from_start = a->from == 0, to_end = a->to >= tree_size;
    uint64_t last = a->count - 1 + (a->own ? 1 : 0);
    *ret_shown = from_start && to_end;
    if (c->count == 0 || !c->chains[a->kind].gapless || strcmp(c->chains[a->kind].last.shown, a->name) != 0)
        return false;
    return c->first >= a->from && c->last < a->to && (!from_start || c->chains[a->kind].first == 0) &&
           (!to_end || c->chains[a->kind].last.link.n == last);
}

static void describe(const struct export_asked *a, char *text, size_t size) {
    char of[NAME_SHOWN + 32] = "";
    if (a->kind < CHAIN_COUNT)
        (void)format_string(of, sizeof(of), " of %s %s", export_chain_names[a->kind], a->name);
    (void)format_string(text, size, "records %llu to %llu%s, by %s at %s (record %llu)", (unsigned long long)a->from,
                        (unsigned long long)(a->to - 1), of, a->by, a->when, (unsigned long long)a->seq);
}

int asked_compare(const struct export_asked *a, const struct coverage *c, uint64_t tree_size, char *text, size_t size,
                  bool *ret_shown) {
    *ret_shown = true;
    describe(a, text, size);
    bool here = a->kind < CHAIN_COUNT ? chain_is_here(a, c, tree_size, ret_shown) : range_is_here(a, c, tree_size);
    return here ? VAULT_OK : VAULT_E_DAMAGED;
}
