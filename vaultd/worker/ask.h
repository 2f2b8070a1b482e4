/* Conversations with the monitor and the store. Whatever goes wrong on a channel ends the process (worker.h, 1). */
#ifndef VAULT_WORKER_ASK_H
#define VAULT_WORKER_ASK_H

#include "worker.h"

enum { ANSWER_MS = 60000 }; /* how long an ordinary answer may take */

/* Starts w->request; the reply of the conversation before is cleared. */
void ask_start(struct worker *w, enum message_type type);
/* Sends w->request to the monitor and waits for w->reply, handling revocations meanwhile. VAULT_OK: it is of the type
 * expected. VAULT_DENIED: it is an `answer` instead, to be relayed. */
int ask(struct worker *w, enum message_type expected);
/* The same in two steps: between them the client may be written to, and `reply` is the answer's; nothing else is asked.
 * The second must follow. */
void ask_ahead(struct worker *w);
int ask_end(struct worker *w, enum message_type expected);
/* Its first half: sends w->request and tells its id. The answer comes by upload_take_answer. */
uint64_t monitor_send(struct worker *w);
/* The same with the store, which knows no `answer`. */
void ask_store(struct worker *w, enum message_type expected);
/* The two halves of ask_store: sends w->request and tells its id; waits for any message into w->reply. */
uint64_t store_send(struct worker *w);
void store_receive(struct worker *w);

/* One file each, named after the message. */

/* Asks w->request, an `open`. VAULT_OK with the grant in the table; VAULT_DENIED with w->reply to be relayed. */
int ask_open(struct worker *w, const char *purpose, struct grant **ret);
/* Makes the page with this chunk the grant's current one. VAULT_OK, VAULT_DENIED as above. */
int ask_page(struct worker *w, struct grant *grant, uint64_t chunk);
/* Has it recorded that the worker turns this request away. VAULT_OK: w->reply is an `answer` with that status.
 * VAULT_DENIED: with another, to be relayed. */
int ask_refusal(struct worker *w, unsigned status, const char *rule, const char *text);
/* Reports what was read, and forgets the grant. */
void ask_grant_close(struct worker *w, struct grant *grant);
/* Reports the grant that made room for others, if no open has closed it. */
void ask_close_the_one_that_made_room(struct worker *w);
/* A descriptor of the object of this chunk, to be closed by the caller. VAULT_NOT_FOUND, VAULT_E_IO (the store could
 * not), VAULT_E_DAMAGED (another size than the manifest says). */
int ask_object(struct worker *w, const struct chunk *chunk, const uint8_t token[HASH_SIZE], int *ret_fd);

#endif
