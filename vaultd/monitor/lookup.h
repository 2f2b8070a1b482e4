/* Values by name, and who asks. */
#ifndef VAULT_MONITOR_LOOKUP_H
#define VAULT_MONITOR_LOOKUP_H

#include "vaultd/monitor/monitor.h"

/* VAULT_NOT_FOUND if there is none and never was; VAULT_E_DAMAGED also if there must be one. */
int find_subject(struct monitor *m, const char *subject, struct subject_value *ret);
/* Without a look at its witness: for what the vault does by itself. */
int subject_load(struct monitor *m, const char *subject, struct subject_value *ret);
/* Whether a value that was read otherwise is the one in force, by its witness: VAULT_E_DAMAGED if it is not. */
int subject_is_of_now(struct monitor *m, const struct subject_value *s);
int find_service(struct monitor *m, const char *name, struct service_value *ret);
int find_project(struct monitor *m, const char *name, struct project_value *ret);
int find_ethics(struct monitor *m, const char *name, struct ethics_value *ret);
int find_consent(struct monitor *m, const char *subject, uint32_t version, struct consent_value *ret);
/* By id, or by subject and name where id is all zero. */
int find_file(struct monitor *m, const uint8_t id[ID_SIZE], const char *subject, const char *name,
              struct file_value *ret);
/* Whether a manifest other than this blob's names the object. Faults of the index. */
int object_is_of_another(struct monitor *m, const uint8_t address[HASH_SIZE], const uint8_t blob[ID_SIZE],
                         bool *ret_other);
/* True if the comma-separated list holds the item. */
bool list_holds(const char *list, const char *item);
bool id_is_zero(const uint8_t id[ID_SIZE]);
/* What the registry says of a service. */
void asker_fill(const struct service_value *s, struct asker *a);
/* Who is behind this worker. Faults of the index; an unknown service is 0 with known false. */
int find_asker(struct monitor *m, struct worker *w, struct asker *ret);
/* Whether it has an administrative role: such may see what there is without a purpose, but no content. */
bool is_administrator(const struct asker *a);

#endif
