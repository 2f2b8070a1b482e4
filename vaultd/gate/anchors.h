/* The client authorities in force, and what was read from the files last. Authorities of a file that changed are not in
 * force before the monitor says so, which may wait for a second person; revocation lists are at once. */
#ifndef VAULT_GATE_ANCHORS_H
#define VAULT_GATE_ANCHORS_H

#include <stdbool.h>

#include "vault/protocol/gate.h"
#include "vaultd/gate/trust.h"

/* The two files, as they were read and found to be good. */
struct files {
    struct text authorities; /* the certificates alone, each as PEM: whatever else is in the file makes no difference */
    uint32_t count;          /* of certificates */
    char subjects[ANCHORS_SUBJECTS + 1]; /* printable ASCII; "..." at its end where there are more */
    struct text lists;
};
/* Fills all but the lists, which are there already, from the text of the authorities, and sees that both parse.
 * VAULT_E_FORMAT, VAULT_E_LIMIT (more than ANCHORS_MAX bytes of certificates), VAULT_E_MEMORY. */
int files_check(struct files *f, const struct text *authorities);
/* Harmless on zeroed ones. */
void files_free(struct files *f);

struct anchors;

/* Those of the gate's start, which are in force. Takes over what `f` owns, always. VAULT_E_FORMAT, VAULT_E_MEMORY. */
int anchors_new(struct files *f, struct anchors **ret);
/* Accepts NULL and a pointer to NULL. */
void anchors_free(struct anchors **a);
/* The files are others now; takes over what `f` owns, always. *ret_others: the authorities are not those that the file
 * had before. A fault changes nothing. VAULT_E_FORMAT, VAULT_E_MEMORY. */
int anchors_renew(struct anchors *a, struct files *f, bool *ret_others);
/* Puts these in force. A fault changes nothing. VAULT_E_FORMAT, VAULT_E_MEMORY. */
int anchors_use(struct anchors *a, const void *pem, size_t size);
/* What was read last. */
const struct files *anchors_seen(const struct anchors *a);
/* Whether the authorities of the file are not those in force. */
bool anchors_held(const struct anchors *a);
/* By which clients are verified. */
const struct trust *anchors_trust(const struct anchors *a);

#endif
