/* How old the newest generation of the key-encryption key is, and the root key with its seal: told, warned of, and
 * beyond a maximum a reason to take no deposits. docs/keys.md. */
#ifndef VAULT_MONITOR_AGE_H
#define VAULT_MONITOR_AGE_H

#include "vaultd/monitor/monitor.h"

/* For status and key list, in whole days; a new reference. */
json_t *key_age_json(struct monitor *m);
/* Appends a sentence for each key that the configuration says is to be warned of. */
void key_age_warn(struct monitor *m, json_t *list);
/* Whether a key is too old for deposits: then its rule, and what is due. */
enum { KEY_AGE_TEXT = 160 };
bool key_age_forbids(struct monitor *m, const char **ret_rule, char ret_text[KEY_AGE_TEXT]);
/* Writes what is warned of to the log, once a day. Returns milliseconds until it wants to be called again, -1: not
 * needed. */
int key_age_tick(struct monitor *m);

#endif
