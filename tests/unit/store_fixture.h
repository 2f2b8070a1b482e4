/* A real store core on socket pairs and a temporary directory, the test playing supervisor, monitor and workers; and
 * system calls that fail, fall short or wait on demand (linked with --wrap). */
#ifndef TESTS_STORE_FIXTURE_H
#define TESTS_STORE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "vault/message.h"
#include "vault/token.h"
#include "vaultd/store/core.h"

struct rig {
    struct store *store; /* NULL where the program itself runs */
    int control;         /* the supervisor's end */
    int monitor;         /* the monitor's end */
    int ours[2];         /* the store's ends */
    int directory;
    char path[64];
    struct secret *key;
};

struct hand {
    uint64_t number;
    int channel;
    uint8_t *memory;
    size_t slot_size;
    uint8_t upload[ID_SIZE];
};

extern struct message msg; /* the last one received */

/* Injected: the n-th fsync from now fails with EIO (0: none); fsync waits while held; writes are cut in halves; and the
 * order of calls since trace_start: D folder synced, F file synced, T times set, L linked. */
extern atomic_int fail_fsync;
extern atomic_bool hold_fsync;
extern atomic_bool short_writes;
extern atomic_bool larger_blocks; /* direct writes are refused */
void trace_start(void);
const char *trace(void);

/* cmocka set-up and tear-down: a rig with the key sent, in *state. */
int rig_start(void **state);
int rig_stop(void **state);
/* A rig without the key, on a directory that exists. */
struct rig *rig_new(const char *path);
void rig_free(struct rig *r);
void rig_send_key(struct rig *r);

/* Removes a directory and all in it; 0 if done. */
int remove_tree(const char *path);

/* Lets the store run until a message is on this channel, into msg. VAULT_E_TIMEOUT after 10 s. */
int served(struct rig *r, int channel);
/* Lets it run until it ends; the exit status. */
int ended(struct rig *r);
/* Some turns in which nothing is expected. */
void idle(struct rig *r);

struct hand worker_born(struct rig *r, uint64_t number);
void worker_died(struct hand *h);
/* Asks for shared buffers and maps them. */
void attach(struct rig *r, struct hand *h);
/* The worker has been killed for misbehaviour and its channel is closed. */
void assert_killed(struct rig *r, const struct hand *h);

/* n bytes that depend on the seed, into the slot; their SHA-256 is the address. */
void fill(struct hand *h, uint8_t slot, size_t n, uint8_t seed, uint8_t ret_address[HASH_SIZE]);
void sha256(const void *bytes, size_t n, uint8_t ret[HASH_SIZE]);
struct token_claim put_claim(const struct hand *h, const uint8_t address[HASH_SIZE], uint32_t length);
/* Sends requests, with a token for exactly this claim. */
void send_get(struct rig *r, const struct hand *h, const uint8_t address[HASH_SIZE], const struct token_claim *claim);
void send_put(struct rig *r, const struct hand *h, uint8_t slot, const struct token_claim *asked,
              const struct token_claim *claim);
void send_remove(struct rig *r, const uint8_t address[HASH_SIZE]);
/* Whole exchanges with a good token; the status. */
int get_object(struct rig *r, const struct hand *h, const uint8_t address[HASH_SIZE]);
int put_object(struct rig *r, struct hand *h, uint8_t slot, size_t n, uint8_t seed, uint8_t ret_address[HASH_SIZE]);
int remove_object(struct rig *r, const uint8_t address[HASH_SIZE]);

/* PATH/ab/cd/address */
void object_path(const struct rig *r, const uint8_t address[HASH_SIZE], char *to, size_t size);
/* How many files there are; each has been checked: its name is its SHA-256, its mode 0400, its mtime 0. */
size_t check_objects(const struct rig *r);

#endif
