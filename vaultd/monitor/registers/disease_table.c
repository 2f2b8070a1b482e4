#include "disease_table.h"

#include <sodium.h>
#include <stdlib.h>
#include <unistd.h>

#include "vaultd/monitor/answers.h"
#include "vault/file.h"
#include "vault/log.h"
#include "vault/result.h"

static int read_table(struct disease_table *t, int file, char *text) {
    size_t n = 0;
    int result = fd_read(file, text, DISEASES_TEXT_MAX + 1, &n);
    if (result == VAULT_OK)
        result = diseases_read(&t->diseases, text, n, t->problem);
    if (result == VAULT_OK)
        crypto_hash_sha256(t->hash, (const uint8_t *)text, n);
    return result;
}

static int take_file(struct disease_table *t) {
    char *text = malloc(DISEASES_TEXT_MAX + 1);
    int result = text == NULL ? VAULT_E_MEMORY : read_table(t, t->file, text);
    free(text);
    close(t->file);
    t->file = -1;
    return result;
}

void disease_table_read(struct monitor *m) {
    struct disease_table *t = &m->disease_table;
    if (m->setup.diseases == 0)
        return;
    int result = t->file < 0 ? VAULT_E_IO : take_file(t);
    if (result != VAULT_OK && t->problem[0] == '\0')
        copy_string(t->problem, sizeof(t->problem), "the file cannot be read");
    if (result != VAULT_OK)
        log_error("diseases: the table is not used: %s", t->problem);
    else
        log_info("diseases: read count=%zu bytes=%zu", diseases_count(t->diseases), diseases_bytes(t->diseases));
}

int disease_table_record(struct monitor *m) {
    const struct disease_table *t = &m->disease_table;
    char detail[DISEASES_PROBLEM + 2 * HASH_SIZE];
    char hash[2 * HASH_SIZE + 1];
    struct event e = {.name = "diseases.loaded", .action = 'E', .detail = detail};
    if (m->setup.diseases == 0)
        return VAULT_OK;
    e.outcome = t->diseases != NULL ? "done" : "failed";
    hex_encode(hash, sizeof(hash), t->hash, sizeof(t->hash));
    bool fits = t->diseases == NULL ? format_string(detail, sizeof(detail), "none is used: %s", t->problem)
                                    : format_string(detail, sizeof(detail), "%zu diseases, sha-256:%s",
                                                    diseases_count(t->diseases), hash);
    return fits ? journal(m, &e, NULL) : VAULT_E_STATE;
}

json_t *disease_table_json(const struct monitor *m) {
    const struct disease_table *t = &m->disease_table;
    if (m->setup.diseases == 0)
        return json_null();
    if (t->diseases == NULL)
        return json_pack("{s:s}", "problem", t->problem);
    return json_pack("{s:I, s:o}", "count", (json_int_t)diseases_count(t->diseases), "sha256",
                     json_hex(t->hash, sizeof(t->hash)));
}
