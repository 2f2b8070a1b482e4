/* What each patient has said, in the monitor's memory: what decisions ask of a subject. Nothing leaves the vault on its
 * word: what is permitted is compared with the index before a key, a name or a page is given out (standings_vouch).
 *
 * 88 bytes for each subject, in a table of which three quarters are used at the most, and up to 1,033 more
 * for what a consent names. A table that is too small is made twice as large at once; one that is made
 * when the vault is opened has room for those who are there then. Filled when the vault is opened, in slices beside
 * everything else; what is not in it yet is read when it is asked for. Each change of a subject or a consent makes what
 * is here of it stale, and so does the end of a batch that was dropped; it is read again when it is asked for, or after
 * the batch. */
#ifndef VAULT_MONITOR_STANDINGS_H
#define VAULT_MONITOR_STANDINGS_H

#include "vaultd/monitor/monitor.h"

/* What decisions ask of one subject. */
struct standing {
    char subject[NAME_MAX_SIZE + 1]; /* empty where only its hash was known */
    uint8_t id[ID_SIZE];
    uint64_t current, care; /* as in subject_value */
    uint32_t version;       /* of the consent in force; 0: none was given */
    bool shredded, opted_out;
    struct consent consent; /* where there is a version: its terms, without subject, day and form */
};

/* The vault was opened: begins to fill it. Without memory there is none, and nothing else is different. */
void standings_start(struct monitor *m);
/* The vault is sealed, or ends: wipes it. */
void standings_forget(struct monitor *m);
/* The subject under this hash, or a consent of it, is changed in the transaction. */
void standings_touch(struct monitor *m, const uint8_t subject[HASH_SIZE]);
/* The batch was dropped: what was read of it is not so. */
void standings_dropped(struct monitor *m);
/* The batch is durable. */
void standings_committed(struct monitor *m);

/* Compares all of it with the index once more, in slices. */
void standings_check(struct monitor *m);
/* One slice of filling or comparing, between two batches. A subject that cannot be read ends it: it only makes lists
 * take longer, and whoever asks for that subject finds the same. True if there is more to do. */
bool standings_step(struct monitor *m);

/* Of the subject with this name. VAULT_NOT_FOUND if there is none and never was, VAULT_E_DAMAGED; other faults of the
 * index, which is asked for whom the table does not know. */
int standings_find(struct monitor *m, const char *subject, struct standing *ret);
/* The same of the subject under this hash. False: nothing can be known here. */
bool standings_at(struct monitor *m, const uint8_t subject[HASH_SIZE], struct standing *ret);
/* Reads of a subject that was found here what the index says, with its witness, before anything leaves the vault on it.
 * VAULT_E_DAMAGED also if that is something else than what was found: then it is taken into the table. Faults of the
 * index. */
int standings_vouch(struct monitor *m, const char *subject, struct subject_value *ret);
/* Fills what a question says of its subject, but for care; it points into the standing. */
void standing_tell(const struct standing *s, struct question *q);

/* How many have differed from the index since the vault was opened. */
uint64_t standings_differing(const struct monitor *m);
/* How many are known. */
uint64_t standings_count(const struct monitor *m);

/* Calls `visit` with what a question says of its subject, once for many of whom it is alike, and with how many they
 * are. For questions about now (`time`, seconds since 1970) that name no disease: of expiry and diseases it only says
 * whether there are any; each is in the care of who asks. */
typedef void standings_visit(void *context, const struct question *q, uint64_t count);
void standings_each(const struct monitor *m, uint64_t time, standings_visit *visit, void *context);

/* {"subjects", "bytes", "state", "differing"}: how many are known, what the table takes, "none", "reading" or "whole",
 * and how many have differed from the index since the vault was opened. */
json_t *standings_json(const struct monitor *m);

#endif
