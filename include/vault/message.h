/* Messages between processes, over SOCK_SEQPACKET socket pairs: one packet, one message.
 *
 *   u8 version = 1 ‖ u8 0 ‖ u16 type ‖ u32 body length ‖ u64 id ‖ body          (little-endian)
 *
 * The id of an answer is the id of its request; 0 for messages that nobody asked for. The body is a record
 * (vault/fields.h). Anything else (unknown version or type, wrong length, trailing bytes, a descriptor too many) is
 * VAULT_E_PROTOCOL, and ends the peer. Whether the descriptors that it needs have come is for the handler of a message
 * to check: what has not come is -1. docs/format-messages.md is this in prose. */
#ifndef VAULT_MESSAGE_H
#define VAULT_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

#include "vault/fields.h"
#include "vault/protocol/access.h"
#include "vault/protocol/admin.h"
#include "vault/protocol/backup.h"
#include "vault/protocol/courier.h"
#include "vault/protocol/gate.h"
#include "vault/protocol/life.h"
#include "vault/protocol/store.h"
#include "vault/protocol/rekey.h"
#include "vault/protocol/token.h"

enum { MESSAGE_HEAD = 16, MESSAGE_MAX = 57344, MESSAGE_FDS = 5 };

#define PROTOCOL(M)                                                                                                    \
    PROTOCOL_LIFE(M)                                                                                                   \
    PROTOCOL_GATE(M)                                                                                                   \
    PROTOCOL_STORE(M)                                                                                                  \
    PROTOCOL_ACCESS(M) PROTOCOL_ADMIN(M) PROTOCOL_TOKEN(M) PROTOCOL_REKEY(M) PROTOCOL_BACKUP(M) PROTOCOL_COURIER(M)

#define MESSAGE_ENUM(name, number, fds) MSG_##name = number,
enum message_type { PROTOCOL(MESSAGE_ENUM) };
#undef MESSAGE_ENUM

/* struct msg_open { ... }; extern const struct layout layout_msg_open; ... */
#define MESSAGE_STRUCT(name, number, fds)                                                                              \
    struct msg_##name {                                                                                                \
        FIELDS_##name(FIELD_DECL, msg_##name)                                                                          \
    };                                                                                                                 \
    extern const struct layout layout_msg_##name;
PROTOCOL(MESSAGE_STRUCT)
#undef MESSAGE_STRUCT

/* About 60 KiB: keep one, do not put it on deep stacks. Zero it (or MESSAGE_INIT) before first use. */
struct message {
    enum message_type type;
    uint64_t id;
    int fds[MESSAGE_FDS]; /* owned; -1 where there is none. Sending does not close them. */
    size_t fd_count;
    union {
#define MESSAGE_MEMBER(name, number, fds) struct msg_##name name;
        PROTOCOL(MESSAGE_MEMBER)
#undef MESSAGE_MEMBER
    };
};

/* Starts a message: wipes the union member of this type and sets type and id. The message must own nothing. */
void message_init(struct message *m, enum message_type type, uint64_t id);
/* Frees keys, closes descriptors, wipes the body. Harmless on a cleared or zeroed message. */
void message_clear(struct message *m);
/* The layout of a type, NULL if there is no such type. */
const struct layout *message_layout(unsigned type);
/* How many descriptors may come with it at the most. */
size_t message_fd_limit(unsigned type);
/* "open"; "unknown" if there is no such type. */
const char *message_name(unsigned type);

/* Encodes to bytes: VAULT_E_LIMIT when the fields do not fit their maxima. For channels and fuzzing. */
int message_encode(const struct message *m, uint8_t *to, size_t size, size_t *ret_used);
/* Decodes one packet (without descriptors) into a message that owns nothing before. VAULT_E_PROTOCOL, VAULT_E_MEMORY.
 */
int message_decode(struct message *m, const uint8_t *from, size_t size);

/* A connected pair of channel ends, close-on-exec. VAULT_E_IO. */
int channel_pair(int ret_ends[2]);
/* Sends one message and wipes the encoded form. Never blocks: a full queue is VAULT_E_LIMIT (a peer that does not
 * read). VAULT_E_CLOSED, VAULT_E_IO, VAULT_E_LIMIT. */
int channel_send(int channel, const struct message *m);
/* As channel_send, but waits up to timeout_ms (-1: for ever) for room. VAULT_E_TIMEOUT too. */
int channel_send_wait(int channel, const struct message *m, int timeout_ms);
/* Takes one message if there is one, into a message that owns nothing. VAULT_AGAIN, VAULT_E_CLOSED, VAULT_E_PROTOCOL,
 * VAULT_E_IO, VAULT_E_MEMORY. After a fault the message owns nothing. */
int channel_receive(int channel, struct message *m);
/* Waits up to timeout_ms (-1: for ever) for one message. VAULT_E_TIMEOUT too. */
int channel_receive_wait(int channel, struct message *m, int timeout_ms);

#endif
