/* Paged lists of index values: one loop for all of them. */
#ifndef VAULT_MONITOR_LISTING_H
#define VAULT_MONITOR_LISTING_H

#include "monitor.h"

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

/* Answers with the page after `cursor`. Faults of the index. */
int answer_listing(struct request *q, const struct listing *l, const char *cursor);

#endif
