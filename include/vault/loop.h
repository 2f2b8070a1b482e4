/* A small event loop over epoll, for the processes that wait for many channels. Single-threaded.
 *
 * Watches have a priority: in each turn all ready watches of a lower number run before those of a higher one. */
#ifndef VAULT_LOOP_H
#define VAULT_LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct loop;
struct watch;

enum { LOOP_PRIORITIES = 3 };

/* Called when the descriptor is readable or hung up. It may remove any watch, its own included. */
typedef void watch_handler(void *context);

/* VAULT_E_IO, VAULT_E_MEMORY. */
int loop_new(struct loop **ret);
/* Frees the watches too, but closes no watched descriptor. Accepts NULL. */
void loop_free(struct loop **l);
/* Watches fd (not owned) with priority 0 to LOOP_PRIORITIES - 1. VAULT_E_IO, VAULT_E_MEMORY. */
int loop_add(struct loop *l, int fd, unsigned priority, watch_handler *handler, void *context, struct watch **ret);
/* Before the descriptor is closed: a duplicate in another process would keep it registered. Accepts a pointer to NULL;
 * leaves NULL. */
void loop_remove(struct loop *l, struct watch **w);
/* Waits up to timeout_ms (-1: for ever) and runs the handlers of what is ready; one turn. Not from within a handler.
 * VAULT_E_IO, VAULT_E_MEMORY. */
int loop_turn(struct loop *l, int timeout_ms);
/* Whether a watched descriptor is ready now: somebody waits for the next turn. */
bool loop_is_awaited(const struct loop *l);
/* Milliseconds of the monotonic clock. */
uint64_t loop_now_ms(void);

#endif
