/* Backups: copies of the index that a process of its own makes and verifies while the vault serves, what is known of
 * those that were made, and the copy that is put back. docs/backup.md. */
#ifndef VAULT_MONITOR_BACKUP_H
#define VAULT_MONITOR_BACKUP_H

#include "vaultd/monitor/monitor.h"

/* ---- backup.c: the process ---- */

/* Has the supervisor start it for a task; backup_concluded follows. Not while one runs (backup_runs). */
void backup_start(struct monitor *m, enum backup_task task, const char *name);
bool backup_runs(const struct monitor *m);
/* Whether a process may still have the key of the index. */
bool backup_has_key(const struct monitor *m);
/* The supervisor's answer to backup_wanted, and its word that the process has ended. */
void backup_channel(struct monitor *m, struct message *in);
void backup_gone(struct monitor *m, const struct message *in);
/* Records what a copy came to, once that is known. Faults of the index. */
int backup_step(struct monitor *m, bool *ret_more);
/* The batch is durable, or was dropped. */
void backup_settled(struct monitor *m, bool durable);
/* The vault is being sealed: records that the copy under way comes to nothing. Faults of the index. */
int backup_abandon(struct monitor *m);
void backup_close(struct monitor *m);

/* ---- backups.c: what was made ---- */

/* Keeps a verified backup, whose record comes next in the log. Faults of the index. */
int backups_add(struct monitor *m, const struct msg_backup_copied *copied);
/* Whether the newest one needs the newest generation only: objects that older ones name may be gone by now. Faults of
 * the index. */
int backups_cover(struct monitor *m, bool *ret);
/* The names of those that die when the older generations are retired, or (`of_index`) when the index gets another key,
 * with commas, as many as fit; empty: none does. Faults of the index. */
int backups_dying(struct monitor *m, bool of_index, char *to, size_t size);
/* Marks those as dead that need a key that the ring has no more. Faults of the index. */
int backups_die(struct monitor *m);

#endif
