/* The audit as a FHIR R4 Bundle of AuditEvents, one for each record: docs/format-audit.md. */
#include "fhir.h"

#include <stdlib.h>
#include <string.h>

#include "vaultctl/names.h"
#include "vault/buffer.h"
#include "vault/result.h"

struct writing {
    const struct audit_folder *folder;
    struct output bundle;
    uint64_t entries;
};

/* The first 128 bits of the leaf as a UUID of version 8 (RFC 9562). */
static json_t *full_url(const uint8_t leaf[MERKLE_HASH]) {
    enum { UUID = 16 };
    uint8_t bytes[UUID];
    char hex[2 * UUID + 1];
    copy_bytes(bytes, sizeof(bytes), leaf, UUID);
    bytes[6] = (uint8_t)((bytes[6] & 0x0f) | 0x80);
    bytes[8] = (uint8_t)((bytes[8] & 0x3f) | 0x80);
    hex_encode(hex, sizeof(hex), bytes, UUID);
    return json_sprintf("urn:uuid:%.8s-%.4s-%.4s-%.4s-%s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
}

/* The line was verified to be in canonical form, so it is what jansson makes of the record again. */
static bool take_leaf(const json_t *record, uint8_t ret[MERKLE_HASH]) {
    char *line = json_dumps(record, JSON_COMPACT | JSON_SORT_KEYS);
    if (line != NULL)
        merkle_leaf(line, strlen(line), ret);
    free(line);
    return line != NULL;
}

static char *entry_text(const struct audit_folder *f, const json_t *record) {
    uint8_t leaf[MERKLE_HASH];
    if (!take_leaf(record, leaf))
        return NULL;
    json_t *entry = json_pack("{s:o, s:o}", "fullUrl", full_url(leaf), "resource", fhir_event_of(f, record, leaf));
    char *text = entry == NULL ? NULL : json_dumps(entry, JSON_COMPACT);
    json_decref(entry);
    return text;
}

static int take(void *context, const json_t *record) {
    struct writing *w = context;
    char *text = entry_text(w->folder, record);
    if (text == NULL)
        return VAULT_E_MEMORY;
    bool good = audit_put(&w->bundle, format_text("%s", w->entries++ == 0 ? ",\"entry\":[\n" : ",\n"));
    return audit_put(&w->bundle, text) && good ? VAULT_OK : VAULT_E_IO;
}

/* All members but the entries, open at the end: they come one by one. */
static int put_head(struct writing *w) {
    json_t *head = json_pack(
        "{s:s, s:{s:s, s:o}, s:s}", "resourceType", "Bundle", "identifier", "system", "urn:vault:checkpoint", "value",
        json_sprintf("%s %llu", w->folder->origin, (unsigned long long)w->folder->verified->tree_size), "type",
        "collection");
    char *text = head == NULL ? NULL : json_dumps(head, JSON_COMPACT);
    json_decref(head);
    if (text == NULL)
        return VAULT_E_MEMORY;
    text[strlen(text) - 1] = '\0';
    return audit_put(&w->bundle, text) ? VAULT_OK : VAULT_E_IO;
}

static int write_bundle(struct writing *w, char **ret_path) {
    int result = put_head(w);
    if (result == VAULT_OK)
        result = audit_folder_each(w->folder, take, w, ret_path);
    if (result == VAULT_OK && !audit_put(&w->bundle, format_text("%s", w->entries > 0 ? "]}\n" : "}\n")))
        result = VAULT_E_IO;
    if (result == VAULT_OK)
        result = output_keep(&w->bundle);
    if (result == VAULT_E_IO && *ret_path == NULL)
        *ret_path = audit_failed_path(&w->bundle);
    return result;
}

int audit_fhir_write(const struct audit_folder *f, char **ret_path) {
    struct writing w = {.folder = f};
    *ret_path = NULL;
    int result = audit_folder_create(f, "auditevents.json", &w.bundle, ret_path);
    if (result == VAULT_OK)
        result = write_bundle(&w, ret_path);
    output_close(&w.bundle);
    return result;
}
