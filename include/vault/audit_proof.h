/* The proof that one record is in the log, without the record: what a service keeps of its own accesses, and a court
 * compares with the record that an auditor shows. docs/format-audit.md. */
#ifndef VAULT_AUDIT_PROOF_H
#define VAULT_AUDIT_PROOF_H

#include "vault/checkpoint.h"

struct audit_proof {
    uint64_t seq;           /* number of the record */
    struct checkpoint tree; /* that it is in */
    char problem[200];      /* what is wrong, for people; empty if verified */
};

/* Verifies the proof document of n bytes against the verifier key, and, unless `record` is NULL, that it is the proof
 * of this line (of `record_size` bytes, without a newline). VAULT_OK, VAULT_E_DAMAGED or VAULT_E_FORMAT with
 * ret->problem filled. `ret` is filled in any case. */
int audit_proof_verify(const char *document, size_t n, const char *vkey, const char *record, size_t record_size,
                       struct audit_proof *ret);

#endif
