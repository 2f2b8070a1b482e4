/* The object directory: ab/cd/<64 hex>, each object named by its SHA-256. docs/format-object.md.
 *
 * An object appears under its name whole or not at all, and never changes there. Every failed system call but a full
 * disk leaves a line in the log. May be used by several threads at once; who uses it serialises puts and removals of
 * one address. */
#ifndef VAULT_STORE_DISK_H
#define VAULT_STORE_DISK_H

#include <stddef.h>
#include <stdint.h>

#include "vault/protocol/common.h"

/* Bytes whose address is a multiple of this are written to the disk past the page cache. */
enum { DISK_BLOCK = 4096 };

struct disk;

/* `directory` is borrowed. VAULT_E_MEMORY. */
int disk_new(struct disk **ret, int directory);
/* Accepts a pointer to NULL; leaves NULL. */
void disk_free(struct disk **d);

/* Whether objects can be kept there at all: the directory answers, and can hold unnamed files. A full disk, or one that
 * became read-only, can still be read and is no fault. VAULT_E_IO. */
int disk_probe(const struct disk *d);
/* Opens an object for reading. VAULT_NOT_FOUND, VAULT_E_IO (also for anything but a regular file). */
int disk_open(const struct disk *d, const uint8_t address[HASH_SIZE], int *ret_fd, uint64_t *ret_size);
/* Keeps n bytes under this address, which the caller has checked. VAULT_OK: they, or the same bytes that were there
 * already, are durable. VAULT_E_FULL; VAULT_E_DAMAGED: other bytes have this name, and stay; VAULT_E_IO,
 * VAULT_E_MEMORY.
 */
int disk_keep(struct disk *d, const uint8_t address[HASH_SIZE], const uint8_t *bytes, size_t n);
/* Reads an object whole, from the disk itself where it can. `to` is aligned to DISK_BLOCK and has whole blocks, `size`
 * bytes of them. VAULT_NOT_FOUND, VAULT_E_DAMAGED (larger than that), VAULT_E_IO. */
int disk_read(const struct disk *d, const uint8_t address[HASH_SIZE], uint8_t *to, size_t size, size_t *ret_n);
/* Removes an object durably. VAULT_NOT_FOUND (durably so), VAULT_E_FULL, VAULT_E_IO. */
int disk_remove(const struct disk *d, const uint8_t address[HASH_SIZE]);

#endif
