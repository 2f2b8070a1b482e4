/* What was granted to this connection: at most GRANTS_MAX files, each with its data key inside a cipher. */
#ifndef VAULT_WORKER_GRANTS_H
#define VAULT_WORKER_GRANTS_H

#include <stdbool.h>
#include <stdint.h>

#include "vault/documents.h"
#include "vault/manifest.h"
#include "vault/message.h"

enum { GRANTS_MAX = 16, PURPOSE_TEXT_MAX = 512 };

struct grant {
    bool used;
    uint64_t last_use; /* grants.clock at that time */

    /* What was asked: the same question again is this grant. */
    uint8_t action; /* enum open_action */
    uint8_t asked_file[ID_SIZE];
    char asked_subject[NAME_MAX_SIZE + 1];
    char asked_name[NAME_MAX_SIZE + 1];
    char purpose[PURPOSE_TEXT_MAX];

    /* What was granted. */
    uint8_t id[ID_SIZE];
    uint8_t request[ID_SIZE];
    uint64_t seq;
    uint64_t size;
    uint8_t sha256[HASH_SIZE];
    uint32_t chunks;
    char obligations[257];
    struct cipher *cipher; /* owned; NULL for OPEN_HEAD */

    /* The manifest page last handed out. */
    bool has_page;
    uint32_t page;
    struct manifest_page manifest;
    uint8_t tokens[PAGE_CHUNKS * HASH_SIZE];

    /* What became of it, for its closing record. */
    uint64_t bytes;
    uint32_t ranges;
    uint8_t outcome; /* enum grant_outcome */
    uint8_t damaged[HASH_SIZE];
};

struct grants {
    uint64_t clock;
    struct grant all[GRANTS_MAX];
    /* One that had to make room: its key is wiped, and the next open that is granted closes it. Zero: none. */
    struct msg_grant_close closing;
};

/* The grant that answers this question, NULL if there is none. */
struct grant *grants_find(struct grants *g, const struct msg_open *question, const char *purpose);
struct grant *grants_by_id(struct grants *g, const uint8_t id[ID_SIZE]);
/* A free place, NULL if there is none; and the place used longest ago. */
struct grant *grants_free_place(struct grants *g);
struct grant *grants_oldest(struct grants *g);
/* Takes a grant into a free place, its key out of the message. VAULT_E_CRYPTO, VAULT_E_MEMORY. */
int grants_add(struct grants *g, struct grant *place, const struct msg_open *question, const char *purpose,
               struct msg_grant *granted);
/* What its closing record is to say. */
void grants_closing(const struct grant *grant, struct msg_grant_close *ret);
/* Wipes it, its key first. */
void grants_forget(struct grant *grant);

#endif
