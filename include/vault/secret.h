/* Secrets: bytes in locked, guarded memory that no core dump or child sees, wiped when freed.
 *
 * A secret has one owner. It is moved, never copied: secret_take empties what it takes from, and messages move
 * secrets out of their decoded form. Memory is the kernel's secret memory where the program reserved some and the
 * kernel has it, else libsodium's sodium_malloc (guard pages, mlock); a lock that fails is an error (VAULT_E_MEMORY),
 * not a warning. docs/decisions/0013-memory.md. */
#ifndef VAULT_SECRET_H
#define VAULT_SECRET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SECRET_KEY_SIZE = 32, SECRET_MAX = 65536 };

struct secret;

/* A secret of n (1 to SECRET_MAX) zero bytes, to be filled through secret_edit. VAULT_E_MEMORY: also when all that was
 * reserved is in use. VAULT_E_LIMIT. */
int secret_new(struct secret **ret, size_t n);
/* A secret of n random bytes. Errors as above. */
int secret_random(struct secret **ret, size_t n);
/* Takes n bytes from `from` and wipes them there, also on failure. Errors as above. */
int secret_take(struct secret **ret, void *from, size_t n);
/* Valid until the secret is freed or moved. */
const uint8_t *secret_view(const struct secret *s);
uint8_t *secret_edit(struct secret *s);
size_t secret_size(const struct secret *s);
/* Constant time in the contents. Different sizes are different. */
bool secret_equal(const struct secret *a, const struct secret *b);
/* Hands over ownership: returns *from and leaves NULL there. */
struct secret *secret_move(struct secret **from);
/* Wipes and frees; accepts NULL and a pointer to NULL; leaves NULL. */
void secret_free(struct secret **s);
/* Wipes ordinary memory in a way that the compiler keeps. */
void wipe(void *bytes, size_t n);
/* Wipes what functions that calculated with a key have left of it: the stack below the caller, and vector registers. */
void wipe_traces(void);

#define CLEANUP_SECRET __attribute__((cleanup(secret_free)))

/* To be called once, first thing in every program: libsodium, locked memory. VAULT_E_CRYPTO. */
int secret_start(void);
/* No core dumps of this program, and no reading of its memory by others of its user. VAULT_E_IO. */
int secret_no_dumps(void);
/* Reserves secret memory for as many secrets of up to 4,000 bytes, and larger ones, as the program has at the most. To
 * be called once, after secret_start, before the first secret and before the walls; from then on secrets are made by
 * one thread alone, and a child has none of them. VAULT_OK also where the kernel has none: then secrets are in locked
 * memory, which secret_memory_name tells. VAULT_E_MEMORY: the limit of locked memory is too low for it. VAULT_E_STATE.
 */
int secret_reserve(unsigned small, unsigned large);
/* Where secrets are: "secret" (memory that the kernel itself cannot read) or "locked". */
const char *secret_memory_name(void);

#endif
