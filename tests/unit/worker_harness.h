/* A worker in a child process over a plain Unix stream, with this process as its client, its monitor and its store. */
#ifndef VAULT_TEST_WORKER_HARNESS_H
#define VAULT_TEST_WORKER_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include <cmocka.h>

#include "vault/manifest.h"
#include "vault/message.h"
#include "vault/result.h"

enum { PEER_OBJECTS = 48, PEER_SLOTS = 2, PEER_RECEIVED = 24 << 20 };

struct peer_object {
    int fd; /* memfd with its bytes; -1: the store has lost it */
    struct chunk chunk;
};

struct peers {
    pid_t child;
    int client, supervisor, monitor, store, gate; /* our ends */
    struct message m;
    char log[4096]; /* names of the messages that came, and what reached the client, in order */

    /* The file that the monitor grants. */
    struct secret *key;
    uint8_t *plain;
    size_t size;
    size_t object_count;
    struct peer_object objects[PEER_OBJECTS];

    /* How the monitor and the store behave. */
    uint32_t deny;      /* HTTP status of the answer to all but conversations under way; 0: granted */
    uint8_t put_status; /* of every receipt from put number `put_fails` on (from 0) */
    unsigned put_fails;
    unsigned block_count; /* audit blocks left to give */
    bool silent;          /* the monitor answers nothing */
    bool hold_tokens;     /* the monitor does not answer an announcement by itself */
    uint64_t held;        /* the id of that which it has not answered; 0: none */

    /* What the worker did. */
    uint8_t last_grant;
    struct msg_open opened;
    struct msg_grant_close closed; /* the last */
    unsigned revoked;              /* acknowledgements */
    unsigned refusals;
    struct msg_refusal refusal; /* the last */
    struct msg_upload_create created;
    struct msg_upload_commit committed;
    int slots;
    uint8_t *slot_bytes;
    unsigned announced, puts;
    uint8_t announced_addresses[PEER_OBJECTS][HASH_SIZE];
    size_t page_entries; /* receipts that came with pages */
    size_t pages;
    struct message other; /* the last message without a field above */

    char *received; /* from the worker to the client */
    size_t received_n;
    bool saying; /* the client waits for room to send */
    bool ended;  /* the client saw the end */
    bool reset;  /* ... as a reset */
};

struct response {
    unsigned status;
    const char *head; /* terminated by the body's start */
    size_t head_n;
    const char *body;
    size_t body_n;
    size_t whole_n; /* bytes in p->received */
};

/* Starts a worker; a file of `size` bytes is there to be granted. */
struct peers *peers_start(size_t size);
/* The same with a second for a head and two and a half for whatever else the client owes: what tests of these need. */
struct peers *peers_start_hasty(size_t size);
/* As peers_start() with the program itself, in its sandbox. */
struct peers *peers_start_program(size_t size);
/* Closes the client's end, serves what still comes, and gives the exit status of the worker (-1: by a signal). */
int peers_stop(struct peers *p);
void say(struct peers *p, const void *bytes, size_t n);
void say_text(struct peers *p, const char *text);
/* Serves monitor and store until a whole response is there, and takes it. Fails the test after five seconds. */
struct response await_response(struct peers *p);
/* The same for the answer to HEAD. */
struct response await_head(struct peers *p);
void forget_response(struct peers *p, const struct response *r);
/* Serves until the client saw the end of the connection. */
void await_end(struct peers *p);
/* Serves until the worker is gone. */
void await_gone(struct peers *p);
/* Serves until the log holds this. */
void await_log(struct peers *p, const char *name);
/* True if the log holds these names one after the other, others between them. */
bool log_has(const struct peers *p, const char *first, const char *second);
bool head_has(const struct response *r, const char *text);
/* Sends a revocation of grant number n. */
void send_revocation(struct peers *p, uint8_t n);
/* Answers the announcement that is held: permits the put, or refuses it with this status if that is not 0. */
void release_token(struct peers *p, uint32_t refuse);
/* The objects that were put, opened with the key given out: true if they are `plain`. */
bool stored_is(struct peers *p, const uint8_t *plain, size_t n);

#endif
