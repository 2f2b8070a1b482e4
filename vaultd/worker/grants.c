#include "grants.h"

#include <string.h>

#include "vault/result.h"

struct grant *grants_find(struct grants *g, const struct msg_open *question, const char *purpose) {
    for (struct grant *at = g->all; at < g->all + GRANTS_MAX; at++) {
        bool same = at->used && at->action == question->action &&
                    memcmp(at->asked_file, question->file, ID_SIZE) == 0 &&
                    strcmp(at->asked_subject, question->subject) == 0 && strcmp(at->asked_name, question->name) == 0 &&
                    strcmp(at->purpose, purpose) == 0;
        if (same) {
            at->last_use = ++g->clock;
            return at;
        }
    }
    return NULL;
}

struct grant *grants_by_id(struct grants *g, const uint8_t id[ID_SIZE]) {
    for (struct grant *at = g->all; at < g->all + GRANTS_MAX; at++)
        if (at->used && memcmp(at->id, id, ID_SIZE) == 0)
            return at;
    return NULL;
}

struct grant *grants_free_place(struct grants *g) {
    for (struct grant *at = g->all; at < g->all + GRANTS_MAX; at++)
        if (!at->used)
            return at;
    return NULL;
}

struct grant *grants_oldest(struct grants *g) {
    struct grant *oldest = NULL;
    for (struct grant *at = g->all; at < g->all + GRANTS_MAX; at++)
        if (at->used && (oldest == NULL || at->last_use < oldest->last_use))
            oldest = at;
    return oldest;
}

int grants_add(struct grants *g, struct grant *place, const struct msg_open *question, const char *purpose,
               struct msg_grant *granted) {
    struct cipher *cipher = NULL;
    if (question->action == OPEN_READ) {
        int result = cipher_new(&cipher, granted->key);
        if (result != VAULT_OK)
            return result;
    }
    secret_free(&granted->key);
    *place = (struct grant){.used = true,
                            .last_use = ++g->clock,
                            .action = question->action,
                            .seq = granted->seq,
                            .size = granted->size,
                            .chunks = granted->chunks,
                            .cipher = cipher,
                            .outcome = GRANT_DONE};
    COPY_ARRAY(place->asked_file, question->file);
    COPY_ARRAY(place->asked_subject, question->subject);
    COPY_ARRAY(place->asked_name, question->name);
    copy_string(place->purpose, sizeof(place->purpose), purpose);
    COPY_ARRAY(place->id, granted->grant);
    COPY_ARRAY(place->request, granted->request);
    COPY_ARRAY(place->sha256, granted->sha256);
    COPY_ARRAY(place->obligations, granted->obligations);
    return VAULT_OK;
}

void grants_closing(const struct grant *grant, struct msg_grant_close *ret) {
    COPY_ARRAY(ret->grant, grant->id);
    ret->outcome = grant->outcome;
    ret->bytes = grant->bytes;
    ret->ranges = grant->ranges;
    COPY_ARRAY(ret->address, grant->damaged);
}

void grants_forget(struct grant *grant) {
    cipher_free(&grant->cipher);
    wipe(grant, sizeof(*grant));
}
