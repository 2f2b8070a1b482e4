/* Secrets: bytes in locked, guarded memory that no core dump or child sees, wiped when freed.
 *
 * A secret has one owner. It is moved, never copied: secret_take empties what it takes from, and messages move
 * secrets out of their decoded form. Memory comes from libsodium's sodium_malloc (guard pages, mlock). A lock that
 * fails is an error (VAULT_E_MEMORY), not a warning. */
#ifndef VAULT_SECRET_H
#define VAULT_SECRET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SECRET_KEY_SIZE = 32, SECRET_MAX = 65536 };

struct secret;

/* A secret of n (1 to SECRET_MAX) zero bytes, to be filled through secret_edit. VAULT_E_MEMORY, VAULT_E_LIMIT. */
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

#define CLEANUP_SECRET __attribute__((cleanup(secret_free)))

/* To be called once, first thing in every program: libsodium, locked memory. VAULT_E_CRYPTO. */
int secret_start(void);

#endif
