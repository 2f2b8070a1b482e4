/* Packets as an exploited worker might send them, made at random from a seed, each known to be wrong in one way; and a
 * tally of what came of them. For tests that send very many to one process's handlers. */
#ifndef TESTS_MALFORMED_H
#define TESTS_MALFORMED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vault/message.h"

enum { PACKET_ROOM = 1 << 16 };

/* All but the last must end the worker; what is well-formed may be answered. */
enum wrong {
    WRONG_TYPE,     /* there is no such type */
    WRONG_PEER,     /* a type that is not for this process to take from a worker */
    WRONG_LONG,     /* longer than any message */
    WRONG_TRAILING, /* bytes behind the last field, and the length says so */
    WRONG_CUT,      /* the message's end is missing */
    WRONG_VERSION,
    WRONG_LENGTH, /* the length in the head is not that of the packet */
    WRONG_NOISE,
    WELL_FORMED, /* a type that it takes */
    WRONG_KINDS
};

struct mill {
    uint64_t state;      /* any seed but 0 */
    const uint16_t *own; /* types that this process takes from a worker */
    size_t own_count;
    const struct message *good; /* what is well-formed is this; NULL: any of its own types, with fields at random */
    uint8_t packet[PACKET_ROOM];
    size_t size;
    unsigned long sent[WRONG_KINDS], ended[WRONG_KINDS], answered[WRONG_KINDS];
};

/* Makes the next packet: of these kinds in turn, a well-formed one now and then. */
enum wrong mill_make(struct mill *m);
/* True if there was at least one packet of each kind. */
bool mill_sent_all(const struct mill *m);
/* How many the program is to send: its first argument, else this. */
unsigned long mill_rounds(int argc, char **argv, unsigned long otherwise);
/* One line for each kind, on standard error. */
void mill_report(const struct mill *m, const char *process);

#endif
