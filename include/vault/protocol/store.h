/* Worker and store, monitor and store. The store obeys tokens and receipts (vault/token.h), made with a key that it
 * shares with the monitor; it believes [w] nothing else. Descriptors travel with: buffers, object_is. */
#ifndef VAULT_PROTOCOL_STORE_H
#define VAULT_PROTOCOL_STORE_H

#include "vault/protocol/common.h"

enum store_status {
    STORE_DONE = 0,
    STORE_MISSING = 1,
    STORE_REFUSED = 2,
    STORE_FULL = 3,
    STORE_FAILED = 4,
    STORE_DAMAGED = 5
};

/* Monitor to store, first message: the key for tokens and receipts of this start. */
#define FIELDS_store_key(F, R) F(R, KEY, key, 32)
/* Monitor to store: delete one object. Answer: object_removed. A missing object is STORE_MISSING. */
#define FIELDS_object_remove(F, R) F(R, FIXED, address, HASH_SIZE) /* [m] */
#define FIELDS_object_removed(F, R)                                                                                    \
    F(R, FIXED, address, HASH_SIZE) /* [t] */                                                                          \
    F(R, U8, status, 0)             /* [t] enum store_status */

/* Monitor to store: read one object from the disk, and compare it with its address. Answer: object_checked:
 * STORE_DONE, STORE_MISSING, STORE_DAMAGED (other bytes), STORE_FAILED (it cannot be read). */
#define FIELDS_object_check(F, R) F(R, FIXED, address, HASH_SIZE) /* [m] */
#define FIELDS_object_checked(F, R)                                                                                    \
    F(R, FIXED, address, HASH_SIZE) /* [t] */                                                                          \
    F(R, U8, status, 0)             /* [t] enum store_status */

/* Worker to store: read one object. Answer: object_is, with 1 descriptor (read-only) when done. */
#define FIELDS_object_get(F, R)                                                                                        \
    F(R, FIXED, address, HASH_SIZE)                                                                                    \
    F(R, FIXED, token, HASH_SIZE) /* TOKEN_GET */
#define FIELDS_object_is(F, R)                                                                                         \
    F(R, U8, status, 0)                                                                                                \
    F(R, U64, size, 0) /* bytes of the object as found on disk */

/* Worker to store, once per connection: shared memory to seal chunks into. Answer: buffers, with 1 descriptor: a memfd
 * of slots * slot_size bytes, its size sealed, to be mapped read-write. `token` is TOKEN_BUFFERS of the upload. */
#define FIELDS_buffers_get(F, R)                                                                                       \
    F(R, FIXED, upload, ID_SIZE)                                                                                       \
    F(R, FIXED, token, HASH_SIZE)
#define FIELDS_buffers(F, R)                                                                                           \
    F(R, U8, status, 0)                                                                                                \
    F(R, U32, slots, 0)                                                                                                \
    F(R, U32, slot_size, 0)
/* Worker to store: keep the first `length` bytes of this slot. The store copies them, hashes its copy, refuses if that
 * is not `address`, writes, syncs file and folder, links. One put per slot may be in flight. Answer: receipt. */
#define FIELDS_object_put(F, R)                                                                                        \
    F(R, U8, slot, 0)                                                                                                  \
    F(R, U32, length, 0)                                                                                               \
    F(R, FIXED, upload, ID_SIZE)                                                                                       \
    F(R, FIXED, address, HASH_SIZE)                                                                                    \
    F(R, FIXED, token, HASH_SIZE) /* TOKEN_PUT */
#define FIELDS_receipt(F, R)                                                                                           \
    F(R, U8, status, 0)                                                                                                \
    F(R, U8, slot, 0)                                                                                                  \
    F(R, FIXED, receipt, HASH_SIZE) /* TOKEN_RECEIPT; zero unless STORE_DONE */

#define PROTOCOL_STORE(M)                                                                                              \
    M(store_key, 0x0301, 0)                                                                                            \
    M(object_remove, 0x0302, 0)                                                                                        \
    M(object_removed, 0x0303, 0)                                                                                       \
    M(object_get, 0x0304, 0)                                                                                           \
    M(object_is, 0x0305, 1)                                                                                            \
    M(buffers_get, 0x0306, 0)                                                                                          \
    M(buffers, 0x0307, 1)                                                                                              \
    M(object_put, 0x0308, 0)                                                                                           \
    M(receipt, 0x0309, 0)                                                                                              \
    M(object_check, 0x030a, 0)                                                                                         \
    M(object_checked, 0x030b, 0)

#endif
