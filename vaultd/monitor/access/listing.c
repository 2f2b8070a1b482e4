#include "listing.h"

#include <string.h>

#include "vaultd/monitor/answers.h"
#include "vault/result.h"

enum { LISTING_PAGE = 50, MOVES = 8, PLAIN_MAX = MOVES + INDEX_KEY_MAX };

/* A cursor is where a list goes on: be64 moves ‖ the last key, sealed, since keys are nobody's to know. */
static const char cursor_purpose[] = "list-cursor";

const char list_moved[] =
    "Names are given another key, and entries have moved since the page before: begin the list anew.";

json_t *cursor_json(struct monitor *m, const struct cursor *c) {
    uint8_t plain[PLAIN_MAX], sealed[PLAIN_MAX + SEAL_OVERHEAD];
    char text[2 * sizeof(sealed) + 1];
    if (c->ended)
        return json_null();
    put_be64(plain, c->moves);
    copy_bytes(plain + MOVES, INDEX_KEY_MAX, c->key, c->size);
    if (seal_bytes(keyring_index_key(m->keyring), cursor_purpose, sizeof(cursor_purpose), plain, MOVES + c->size,
                   sealed) != VAULT_OK)
        return NULL;
    hex_encode(text, sizeof(text), sealed, MOVES + c->size + SEAL_OVERHEAD);
    return json_string(text);
}

bool cursor_parse(struct monitor *m, const char *text, struct cursor *ret) {
    uint8_t plain[PLAIN_MAX], sealed[PLAIN_MAX + SEAL_OVERHEAD];
    size_t n = strlen(text) / 2;
    *ret = (struct cursor){0};
    if (text[0] == '\0')
        return true;
    if (n <= MOVES + SEAL_OVERHEAD || n > sizeof(sealed) || !hex_decode(sealed, n, text) ||
        unseal_bytes(keyring_index_key(m->keyring), cursor_purpose, sizeof(cursor_purpose), sealed, n, plain) !=
            VAULT_OK)
        return false;
    ret->size = n - MOVES - SEAL_OVERHEAD;
    ret->moves = get_be64(plain);
    copy_bytes(ret->key, sizeof(ret->key), plain + MOVES, ret->size);
    return true;
}

int cursor_step(struct monitor *m, enum index_db db, const void *prefix, size_t prefix_size, const struct cursor *c,
                struct cursor *ret_next) {
    struct cursor next = *c;
    int result = index_next(m->index, db, prefix, prefix_size, c->key, c->size, next.key, &next.size);
    next.ended = result == VAULT_NOT_FOUND;
    *ret_next = next;
    return next.ended ? VAULT_OK : result;
}

static int fill(struct request *q, const struct listing *l, json_t *items, struct cursor *at) {
    struct cursor next;
    size_t bytes = 0;
    while (json_array_size(items) < LISTING_PAGE) {
        int result = cursor_step(q->monitor, l->db, NULL, 0, at, &next);
        if (result == VAULT_OK && !next.ended)
            result = index_get_record(q->monitor->index, l->db, next.key, next.size, l->layout, l->record);
        if (result != VAULT_OK)
            return result;
        if (!next.ended && !json_append_fitting(items, &bytes, l->item(q, l->record)))
            break;
        *at = next;
        if (next.ended)
            break;
    }
    return VAULT_OK;
}

int answer_listing(struct request *q, const struct listing *l, const char *cursor) {
    struct cursor at;
    if (!cursor_parse(q->monitor, cursor, &at))
        return refuse(q, l->event, NULL, 400, "malformed", "The cursor is malformed.");
    uint64_t moves = names_moves(q->monitor, l->db);
    if (at.size != 0 && at.moves != moves)
        return refuse(q, l->event, NULL, 409, "list-moved", list_moved);
    at.moves = moves;
    json_t *items = json_array();
    int result = fill(q, l, items, &at);
    if (result != VAULT_OK) {
        json_decref(items);
        return result;
    }
    json_t *answer = json_pack("{s:o, s:o}", l->member, items, "next", cursor_json(q->monitor, &at));
    return administer(q, l->event, NULL, 'R', NULL, 200, answer);
}
