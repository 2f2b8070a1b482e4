/* Witnesses of the audit: the log's head is taken to each of them again and again, and who cosigns it vouches that it
 * continues all that this witness has seen. An index that was put back in time is told that way: a witness has seen
 * more of its log, or another. docs/format-audit.md, docs/backup.md. */
#ifndef VAULT_MONITOR_WITNESSES_H
#define VAULT_MONITOR_WITNESSES_H

#include "vaultd/monitor/monitor.h"

/* Takes the configured ones from the setup. VAULT_E_FORMAT (a key that is none), VAULT_E_MEMORY. */
int witnesses_start(struct monitor *m);
void witnesses_free(struct monitor *m);
/* The vault was opened: nobody has cosigned yet, and a round begins. It is sealed: a round that runs is over. */
void witnesses_opened(struct monitor *m);
void witnesses_closed(struct monitor *m);
/* A record of a checkpoint was appended just now, and is to be witnessed at once. */
void witnesses_wake(struct monitor *m);
/* Milliseconds until it wants to be called again, -1: not needed. */
int witnesses_tick(struct monitor *m);
/* What of a round needs the index. Faults of the index. */
int witnesses_step(struct monitor *m, bool *ret_more);
/* The batch is durable, or was dropped. */
void witnesses_settled(struct monitor *m, bool durable);

/* From the supervisor: the channel to the process that was wanted, or why there is none; its end. */
void courier_channel(struct monitor *m, struct message *in);
void courier_gone(struct monitor *m, const struct message *in);

/* Whether a witness has seen another log than this one, and that was not answered for or taken back. */
bool witnesses_doubt(const struct monitor *m);
/* Whether the request is for content, and nobody has vouched for the log since the vault was opened, or for longer
 * than the configuration permits. */
bool witnesses_forbid(const struct request *q);
/* Records and answers that. Faults of the index. */
int witnesses_refuse(struct request *q);

/* The last head that was cosigned: {"checkpoint", "size", "time", "witnesses"}, the note with all cosignatures and the
 * names of who made them; null. */
json_t *witnessed_json(const struct monitor *m);
/* When one last cosigned, seconds since 1970; 0: none has since the vault was opened. */
uint64_t witnesses_last(const struct monitor *m);
/* For the status: null without witnesses, or {"required_within", "doubted", "each"}. */
json_t *witnesses_json(const struct monitor *m);
/* Adds what custodians should see to. */
void witnesses_warn(const struct monitor *m, json_t *list);

#endif
