/* Records of the audit as FHIR R4 AuditEvents, of the patterns of IHE BALP 1.1.5 where they are all of one. */
#ifndef VAULTCTL_AUDIT_FHIR_H
#define VAULTCTL_AUDIT_FHIR_H

#include <jansson.h>
#include <stdint.h>

#include "folder.h"
#include "vault/merkle.h"

/* The AuditEvent of a record whose leaf in the tree this is, owned by the caller. NULL: no memory. */
json_t *fhir_event_of(const struct audit_folder *f, const json_t *record, const uint8_t leaf[MERKLE_HASH]);

#endif
