/* What a decision was asked, as its record holds it: with the consent and the policy of which the record names versions
 * it is the whole question, so that it can be asked again. docs/format-audit.md, `asked`. */
#ifndef VAULT_MONITOR_ASKED_H
#define VAULT_MONITOR_ASKED_H

#include "vault/json_out.h"
#include "vaultd/monitor/monitor.h"

/* Of a question, and of what the vault had when it was asked. */
struct asked {
    const struct monitor *monitor;
    const struct question *question;
};

/* Writes the members (`of`: a struct asked), for struct record_object. */
void asked_write(struct json_out *o, const void *of);

/* A decision that was made once. */
struct replay {
    json_t *record; /* the whole line */
    struct question question;
    struct purpose purpose;
    struct consent_value consent;
    struct consent document;
    uint32_t policy;      /* version; 0: none was loaded */
    const char *diseases; /* SHA-256 of the table, hex; NULL: there was none. In the record */
    struct decision decision;
};

/* Reads record `seq` and all that its question needs but the policy and the table of diseases, which stay NULL; points
 * into itself. VAULT_NOT_FOUND: there is no such record; VAULT_DENIED: it holds no decision; VAULT_E_DAMAGED: what it
 * speaks of is not there. Afterwards replay_end(), whatever was returned. */
int replay_begin(struct monitor *m, uint64_t seq, struct replay *ret);
void replay_end(struct replay *r);
/* Whether the question depends on the table of diseases, and that is another one now. */
bool replay_needs_other_table(const struct monitor *m, const struct replay *r);
/* Decides under this policy (NULL: none). */
void replay_decide(const struct monitor *m, struct replay *r, const struct policy *p);
/* Whether the record says that it was permitted. */
bool replay_was_permitted(const struct replay *r);

#endif
