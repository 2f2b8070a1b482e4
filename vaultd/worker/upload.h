/* One deposit: seals what comes into the store's slots, and keeps the manifest until the monitor has it. While the
 * monitor commits that one slot may be put, and while the store writes others, the next is filled. */
#ifndef VAULT_WORKER_UPLOAD_H
#define VAULT_WORKER_UPLOAD_H

#include <openssl/evp.h>

#include "ask.h"
#include "vault/manifest.h"

struct upload {
    struct worker *w;
    uint8_t id[ID_SIZE];
    struct cipher *cipher; /* owned */
    EVP_MD_CTX *whole;     /* SHA-256 of the plaintext; owned */
    EVP_MD_CTX *object;    /* SHA-256 of the slot being filled; owned */
    uint64_t size;         /* plaintext bytes so far */
    uint32_t page;         /* number of the page being gathered */
    struct manifest_page entries;
    uint8_t receipts[PAGE_CHUNKS * HASH_SIZE];
    uint32_t slot; /* being filled */
    struct {
        uint64_t put; /* id of the put under way; 0: free, or announced */
        size_t entry; /* in `entries` */
    } slots[SLOTS_MAX];
    uint64_t announced;       /* id of the announcement under way; 0: none */
    uint32_t announced_slot;  /* which it is about */
    bool refused;             /* that was the answer, and it was not told yet */
    uint8_t base[NONCE_SIZE]; /* of the chunk being filled */
    uint32_t segments;        /* in it */
    uint32_t filled;          /* sealed bytes in it */
    uint8_t store_status;     /* the first that was not STORE_DONE */
};

/* Starts from w->reply, an `upload`. On failure it still has its id, to be aborted. VAULT_E_CRYPTO, VAULT_E_MEMORY,
 * VAULT_E_IO (no buffers). */
int upload_start(struct upload *u, struct worker *w);
/* Adds 1 to SEGMENT_PLAIN bytes; fewer than SEGMENT_PLAIN only at the very end. VAULT_DENIED: w->reply is to be
 * relayed, and nothing more is added. VAULT_E_IO: the store did not keep an object, store_status says why.
 * VAULT_E_CRYPTO. */
int upload_add(struct upload *u, const uint8_t *plain, size_t n);
/* Puts what is left, waits for all receipts, and gives the SHA-256 of the whole plaintext. Errors as upload_add. */
int upload_flush(struct upload *u, uint8_t ret_sha256[HASH_SIZE]);
/* The same, and commits; w->reply is the answer. The upload is gone at the monitor when it gives VAULT_OK. */
int upload_finish(struct upload *u);
/* w->reply is a receipt of the store: takes it and frees its slot. */
void upload_take_receipt(struct upload *u);
/* True if m is the monitor's answer to the announcement under way, which comes whenever it has committed: on to the
 * store with what it permits. `request` and `reply` of the worker must be free. */
bool upload_take_answer(struct upload *u, struct message *m);
/* Waits for what is announced, and for what the store still writes. */
void upload_settle(struct upload *u);
/* The same, and has the monitor drop it all. */
void upload_abort(struct upload *u, const char *reason);
/* Wipes. */
void upload_end(struct upload *u);

#endif
