#include "documents_internal.h"

#include <string.h>

#include "vault/result.h"

DEFINE_LAYOUT(purpose);

enum { USES_TEXT = (USE_LAST - USE_FIRST + 1) * 12 }; /* with a space after each */

static const uint32_t all_uses = (USE_BIT(USE_LAST) << 1) - USE_BIT(USE_FIRST);

/* Plain ASCII without what would have to be escaped in a header or a record. */
static bool emergency_is_good(const char *text) {
    for (; *text != '\0'; text++)
        if (*text < 0x20 || *text > 0x7e || *text == '"' || *text == '\\')
            return false;
    return true;
}

int purpose_check(const struct purpose *p) {
    bool named = p->project[0] != '\0' || p->approval[0] != '\0' || p->disease[0] != '\0' || p->uses != 0;
    if (p->purpose > PURPOSE_RESEARCH || (p->purpose != PURPOSE_RESEARCH && named))
        return VAULT_E_FORMAT;
    if ((p->project[0] != '\0' && !name_is_good(p->project)) ||
        (p->approval[0] != '\0' && !name_is_good(p->approval)) ||
        (p->disease[0] != '\0' && !disease_is_good(p->disease, strlen(p->disease))) || (p->uses & ~all_uses) != 0)
        return VAULT_E_FORMAT;
    if (p->emergency[0] != '\0' && (p->purpose != PURPOSE_TREATMENT || !emergency_is_good(p->emergency)))
        return VAULT_E_FORMAT;
    return VAULT_OK;
}

/* `;key="value"`, nothing for an empty value. Values need no escapes: purpose_check leaves no quote in them. */
static void write_particular(struct writer *w, const char *key, const char *value) {
    if (value[0] == '\0')
        return;
    write_bytes(w, ";", 1);
    write_bytes(w, key, strlen(key));
    write_bytes(w, "=\"", 2);
    write_bytes(w, value, strlen(value));
    write_bytes(w, "\"", 1);
}

static void write_uses(struct writer *w, uint32_t uses) {
    char terms[USES_TEXT];
    struct writer to = writer_of(terms, sizeof(terms));
    for (unsigned number = USE_FIRST; number <= USE_LAST; number++) {
        char term[DUO_TEXT];
        if ((uses & USE_BIT(number)) == 0)
            continue;
        duo_text(number, term);
        write_bytes(&to, " ", to.used > 0);
        write_bytes(&to, term, strlen(term));
    }
    write_u8(&to, 0);
    write_particular(w, "uses", terms);
}

bool purpose_text(const struct purpose *p, char *to, size_t size) {
    struct writer w = writer_of(to, size);
    const char *name = purpose_name(p->purpose);
    if (name != NULL) {
        write_bytes(&w, name, strlen(name));
        write_particular(&w, "project", p->project);
        write_particular(&w, "approval", p->approval);
        write_particular(&w, "disease", p->disease);
        write_uses(&w, p->uses);
        write_particular(&w, "break-glass", p->emergency);
    }
    write_u8(&w, 0);
    return !w.bad;
}
