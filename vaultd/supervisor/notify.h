/* What the service manager and the journal are told. The only user of libsystemd beside listen.c. */
#ifndef VAULT_SUPERVISOR_NOTIFY_H
#define VAULT_SUPERVISOR_NOTIFY_H

#include <stdint.h>

#include "vault/log.h"

/* Finds out whether standard error is the journal, and whether a watchdog waits for us. */
void notify_start(void);
void notify_ready(void);
void notify_reloading(void);
void notify_stopping(void);
/* Shown by `systemctl status`. */
void notify_status(const char *text);
/* Tells the watchdog, at half its interval, that the loop turns. */
void notify_alive(uint64_t now_ms);
/* An event that operators search for: a line in the log; in the journal, with fields VAULT_EVENT and VAULT_PROCESS. */
void event_log(enum log_level level, const char *event, const char *process, const char *text);

#endif
