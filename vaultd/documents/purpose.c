#include "documents_internal.h"

#include <string.h>

#include "vault/result.h"

DEFINE_LAYOUT(purpose);

/* A term of an ontology as a compact identifier: MONDO:0005070. */
static bool disease_is_good(const char *disease) {
    size_t prefix = strcspn(disease, ":");
    return prefix > 0 && prefix <= 32 && strspn(disease, LETTERS_UPPER LETTERS_LOWER) == prefix &&
           disease[prefix] == ':' && text_is_of(disease + prefix + 1, 31, LETTERS_DIGIT);
}

int purpose_check(const struct purpose *p) {
    bool named = p->project[0] != '\0' || p->approval[0] != '\0' || p->disease[0] != '\0';
    if (p->purpose > PURPOSE_RESEARCH || (p->purpose != PURPOSE_RESEARCH && named))
        return VAULT_E_FORMAT;
    if ((p->project[0] != '\0' && !name_is_good(p->project)) ||
        (p->approval[0] != '\0' && !name_is_good(p->approval)) ||
        (p->disease[0] != '\0' && !disease_is_good(p->disease)))
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

bool purpose_text(const struct purpose *p, char *to, size_t size) {
    struct writer w = writer_of(to, size);
    const char *name = purpose_name(p->purpose);
    if (name != NULL) {
        write_bytes(&w, name, strlen(name));
        write_particular(&w, "project", p->project);
        write_particular(&w, "approval", p->approval);
        write_particular(&w, "disease", p->disease);
    }
    write_u8(&w, 0);
    return !w.bad;
}
