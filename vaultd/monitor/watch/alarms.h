/* What is out of the ordinary in the stream of decisions, by rules of the configuration: told in the log, in `status`
 * and in the metrics, by service, without a patient's name. Nothing depends on it; what a dropped batch took back may
 * have been counted. docs/configuration.md. */
#ifndef VAULT_MONITOR_ALARMS_H
#define VAULT_MONITOR_ALARMS_H

#include "vaultd/monitor/log/log.h"
#include "vaultd/monitor/monitor.h"

/* A decision that is being recorded, at `time` (microseconds since 1970); `emergency`: it breaks glass. */
void alarms_see(struct monitor *m, const struct event *e, uint64_t time, bool emergency);
/* The vault is sealed: what was seen of patients is forgotten; what was counted stays. */
void alarms_forget(struct monitor *m);
void alarms_free(struct monitor *m);
/* {"denials", "subjects", "hours", "break-glass": how often since the start, "last": the newest of them, each
 * {"time", "kind", "service", "text"}}. */
json_t *alarms_json(const struct monitor *m);
/* How often since the start: alarms by their kind's name, and decisions. */
enum { ALARM_KINDS = 4 };
const char *alarm_kind(const struct monitor *m, unsigned kind, uint64_t *ret_count);
void decisions_counted(const struct monitor *m, uint64_t *ret_permitted, uint64_t *ret_denied);

#endif
