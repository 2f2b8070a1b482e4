#include "listing.h"

#include <string.h>

#include "vault/result.h"

enum { LISTING_PAGE = 50 };

static int fill(struct request *q, const struct listing *l, json_t *items, uint8_t key[INDEX_KEY_MAX], size_t *size) {
    struct index *i = q->monitor->index;
    int result = VAULT_OK;
    while (json_array_size(items) < LISTING_PAGE) {
        result = index_next(i, l->db, NULL, 0, key, *size, key, size);
        if (result == VAULT_OK)
            result = index_get_record(i, l->db, key, *size, l->layout, l->record);
        if (result != VAULT_OK)
            return result;
        json_array_append_new(items, l->item(q, l->record));
    }
    return VAULT_OK;
}

int answer_listing(struct request *q, const struct listing *l, const char *cursor) {
    char next[2 * INDEX_KEY_MAX + 1];
    uint8_t key[INDEX_KEY_MAX] = {0};
    size_t size = strlen(cursor) / 2;
    if (size > INDEX_KEY_MAX || !hex_decode(key, size, cursor))
        return refuse(q, l->event, NULL, 400, "malformed", "The cursor is malformed.");
    json_t *items = json_array();
    int result = fill(q, l, items, key, &size);
    if (result != VAULT_OK && result != VAULT_NOT_FOUND) {
        json_decref(items);
        return result;
    }
    hex_encode(next, sizeof(next), key, size);
    json_t *answer =
        json_pack("{s:o, s:o}", l->member, items, "next", result == VAULT_NOT_FOUND ? json_null() : json_string(next));
    return administer(q, l->event, NULL, 'R', NULL, 200, answer);
}
