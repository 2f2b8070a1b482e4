/* Objects of uploads that came to nothing. */
#ifndef VAULT_MONITOR_CLEANING_H
#define VAULT_MONITOR_CLEANING_H

#include "vaultd/monitor/monitor.h"

/* Marks an upload as dropped, in the transaction: what it announced is removed afterwards. Faults of the index. */
int upload_drop(struct monitor *m, const uint8_t id[ID_SIZE]);
/* The same for what a gone worker left unfinished, and at start for what a crash left. Faults of the index. */
int uploads_drop_of_worker(struct monitor *m, uint64_t worker);
int uploads_drop_of_subject(struct monitor *m, const char *subject, const char *name); /* name: NULL for all */
int uploads_recover(struct monitor *m);
/* The same for all gone workers, where a dropped batch may have held it. Faults of the index. */
int uploads_settle(struct monitor *m);
/* Removes announced objects of dropped uploads, one at a time. True if there is more to do that waits for nobody. */
bool uploads_clean(struct monitor *m);
void uploads_object_removed(struct monitor *m, const struct msg_object_removed *removed);

#endif
