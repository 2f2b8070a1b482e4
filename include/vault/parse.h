/* From text to the bounded forms of vault/documents.h: in the worker, whose client may send anything, and in vaultctl.
 * What crosses to the monitor is checked there again. docs/format-documents.md says what each text may hold.
 *
 * On failure *ret is untouched and `problem` holds one line for the client that names the member or place at fault,
 * such as "permits.research[1]: not a DUO term"; it is clean UTF-8 and may quote the text. */
#ifndef VAULT_PARSE_H
#define VAULT_PARSE_H

#include <stddef.h>

#include "vault/documents.h"

enum {
    PURPOSE_PROBLEM = 200,
    CONSENT_PROBLEM = 200,
    POLICY_PROBLEM = 300,
    PURPOSE_TEXT_LIMIT = 1024, /* bytes */
    CONSENT_TEXT_LIMIT = 16384,
    CONSENT_DEPTH_LIMIT = 4 /* objects and lists inside each other */
};

/* A Purpose header's value: one RFC 9651 item, the token `treatment` or `research`, with string parameters. Stricter
 * than the RFC in that a parameter may come only once. VAULT_E_FORMAT. */
int purpose_parse(const char *header, struct purpose *ret, char problem[PURPOSE_PROBLEM]);

/* A consent document of n bytes of JSON, about `subject_expected`. VAULT_E_FORMAT, VAULT_E_LIMIT (too long),
 * VAULT_E_MEMORY. */
int consent_parse(const char *json, size_t n, const char *subject_expected, struct consent *ret,
                  char problem[CONSENT_PROBLEM]);

/* A policy document of n bytes of YAML. VAULT_E_FORMAT, VAULT_E_LIMIT (too long), VAULT_E_MEMORY. */
int policy_parse(const char *yaml, size_t n, struct policy *ret, char problem[POLICY_PROBLEM]);

#endif
