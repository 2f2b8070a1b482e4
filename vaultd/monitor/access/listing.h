/* Paged lists of index values: one loop for all of them. */
#ifndef VAULT_MONITOR_LISTING_H
#define VAULT_MONITOR_LISTING_H

#include "vaultd/monitor/log/log.h"
#include "vaultd/monitor/monitor.h"

struct cursor {
    uint8_t key[INDEX_KEY_MAX]; /* the last key that was given out */
    size_t size;                /* 0: at the start */
    uint64_t moves;             /* where names had moved to then (names_moves), if that matters to the list */
    bool ended;                 /* there is nothing behind it */
};

/* The text of rule list-moved: some entry could be passed over. */
extern const char list_moved[];

/* What goes into the answer's `next`: an opaque text, null at the end. A new reference; NULL after a fault. */
json_t *cursor_json(struct monitor *m, const struct cursor *c);
/* False if the text is none of ours; "" is the start. */
bool cursor_parse(struct monitor *m, const char *text, struct cursor *ret);
/* The next key with this prefix. VAULT_OK also at the end (ret_next->ended). Faults of the index. */
int cursor_step(struct monitor *m, enum index_db db, const void *prefix, size_t prefix_size, const struct cursor *c,
                struct cursor *ret_next);

/* One value as JSON; a new reference. */
typedef json_t *list_item(struct request *q, const void *record);

struct listing {
    enum index_db db;
    const struct layout *layout;
    void *record; /* room for one value */
    list_item *item;
    const char *member; /* of the answer: {"<member>": [...], "next": ...} */
    const char *event;  /* for the record */
};

/* Answers with the page after `cursor`; with 409, rule list-moved, if entries were given another key since the page
 * before: it could pass over some. Faults of the index. */
int answer_listing(struct request *q, const struct listing *l, const char *cursor);

#endif
