/* The writer threads: puts, removals and checks, which wait for the disk, go on beside the event loop, which answers
 * gets.
 *
 * Jobs of one address are done one after the other in the order they were added, others by whichever thread is free.
 * Only the threads touch a job between writers_add and writers_finished. Channels, tokens and workers are none of their
 * business. */
#ifndef VAULT_STORE_WRITERS_H
#define VAULT_STORE_WRITERS_H

#include <stdint.h>
#include <sys/types.h>

#include "vault/protocol/common.h"
#include "vault/protocol/store.h"

struct writers;

enum job_kind { JOB_PUT, JOB_REMOVE, JOB_CHECK };

struct job {
    struct job *next; /* of the writers */
    enum job_kind kind;
    uint64_t request; /* id of the message that asked */
    uint8_t address[HASH_SIZE];
    enum store_status status; /* the outcome, once finished */
    /* JOB_PUT only */
    uint64_t worker;
    uint8_t upload[ID_SIZE];
    uint8_t slot;
    int memory;   /* shared buffers, a descriptor of the job's own; -1 in other jobs */
    off_t offset; /* of the slot in them */
    uint32_t length;
};

/* A job with no descriptor. VAULT_E_MEMORY. */
int job_new(struct job **ret, enum job_kind kind, uint64_t request, const uint8_t address[HASH_SIZE]);
/* Closes its descriptor; accepts a pointer to NULL; leaves NULL. */
void job_free(struct job **j);

/* Prepares buffers and hashing, touches the memory; starts no thread yet. `directory` is borrowed. VAULT_E_MEMORY,
 * VAULT_E_IO, VAULT_E_CRYPTO. */
int writers_new(struct writers **ret, int directory);
/* Starts the threads: inside the sandbox, since its walls bind threads started afterwards. VAULT_E_IO. */
int writers_start(struct writers *w);
/* Lets the jobs in hand end, drops those that wait. Accepts a pointer to NULL; leaves NULL. */
void writers_free(struct writers **w);

/* What the writers write to. */
struct disk *writers_disk(struct writers *w);
/* Takes the job over. */
void writers_add(struct writers *w, struct job *j);
/* Readable when jobs have finished. */
int writers_fd(const struct writers *w);
/* All finished jobs, in order, linked by `next`; NULL if there are none. They belong to the caller, one by one. */
struct job *writers_finished(struct writers *w);

#endif
