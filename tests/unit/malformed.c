#include "malformed.h"

#include <stdio.h>
#include <stdlib.h>

#include "vault/buffer.h"
#include "vault/result.h"

enum { VERSION = 1, WELL_FORMED_ONE_IN = 64, STR_MOST = 40, BYTES_MOST = 100, NOISE_MOST = 2000 };

static const uint16_t all_types[] = {
#define NUMBER_OF(name, number, fds) number,
    PROTOCOL(NUMBER_OF)
#undef NUMBER_OF
};
enum { TYPES = sizeof(all_types) / sizeof(all_types[0]) };

/* xorshift64 */
static uint64_t draw(struct mill *m) {
    m->state ^= m->state << 13;
    m->state ^= m->state >> 7;
    m->state ^= m->state << 17;
    return m->state;
}

static size_t below(struct mill *m, size_t n) {
    return (size_t)(draw(m) % n);
}

static void write_noise(struct mill *m, struct writer *w, size_t n) {
    while (n-- > 0)
        write_u8(w, (uint8_t)draw(m));
}

static bool is_own(const struct mill *m, uint16_t type) {
    for (size_t i = 0; i < m->own_count; i++)
        if (m->own[i] == type)
            return true;
    return false;
}

static uint16_t own_type(struct mill *m) {
    return m->own[below(m, m->own_count)];
}

static uint16_t foreign_type(struct mill *m) {
    uint16_t type;
    do
        type = all_types[below(m, TYPES)];
    while (is_own(m, type));
    return type;
}

static uint16_t no_type(struct mill *m) {
    uint16_t type;
    do
        type = (uint16_t)draw(m);
    while (message_layout(type) != NULL);
    return type;
}

static void write_field(struct mill *m, const struct field *f, struct writer *w) {
    size_t n;
    switch (f->kind) {
    case FIELD_U8: write_u8(w, (uint8_t)draw(m)); break;
    case FIELD_U32: write_u32(w, (uint32_t)draw(m)); break;
    case FIELD_U64: write_u64(w, draw(m)); break;
    case FIELD_FIXED:
    case FIELD_KEY: write_noise(m, w, f->max); break;
    case FIELD_STR:
        n = below(m, (f->max < STR_MOST ? f->max : STR_MOST) + 1);
        write_u16(w, (uint16_t)n);
        while (n-- > 0)
            write_u8(w, (uint8_t)('a' + below(m, 26)));
        break;
    case FIELD_BYTES:
        n = below(m, (f->max < BYTES_MOST ? f->max : BYTES_MOST) + 1);
        write_u32(w, (uint32_t)n);
        write_noise(m, w, n);
    }
}

/* A packet whose head has this type and a true length. */
static void write_packet(struct mill *m, uint16_t type, size_t more) {
    struct writer w = writer_of(m->packet, sizeof(m->packet));
    const struct layout *l = message_layout(type);
    write_u8(&w, VERSION);
    write_u8(&w, 0);
    write_u16(&w, type);
    write_u32(&w, 0);
    write_u64(&w, draw(m) | 1);
    for (size_t i = 0; l != NULL && i < l->count; i++)
        write_field(m, &l->fields[i], &w);
    write_noise(m, &w, more);
    struct writer length = writer_of(m->packet + 4, 4);
    write_u32(&length, (uint32_t)(w.used - MESSAGE_HEAD));
    m->size = w.used;
}

static void spoil_length(struct mill *m) {
    struct writer length = writer_of(m->packet + 4, 4);
    uint32_t was = (uint32_t)(m->size - MESSAGE_HEAD);
    uint32_t wrong;
    do
        wrong = (uint32_t)draw(m) >> below(m, 32);
    while (wrong == was);
    write_u32(&length, wrong);
}

/* One that would be taken, were it not for the bytes behind it. */
static void write_own(struct mill *m, size_t more) {
    if (m->good == NULL) {
        write_packet(m, own_type(m), more);
        return;
    }
    if (message_encode(m->good, m->packet, sizeof(m->packet), &m->size) != VAULT_OK)
        abort();
    struct writer w = writer_of(m->packet + m->size, sizeof(m->packet) - m->size);
    write_noise(m, &w, more);
    m->size += w.used;
    struct writer length = writer_of(m->packet + 4, 4);
    write_u32(&length, (uint32_t)(m->size - MESSAGE_HEAD));
}

static void make(struct mill *m, enum wrong kind) {
    struct writer w = writer_of(m->packet, sizeof(m->packet));
    switch (kind) {
    case WRONG_TYPE: write_packet(m, no_type(m), below(m, BYTES_MOST)); break;
    case WRONG_PEER: write_packet(m, foreign_type(m), 0); break;
    case WRONG_LONG: write_own(m, MESSAGE_MAX + below(m, 4096)); break;
    case WRONG_TRAILING: write_own(m, 1 + below(m, BYTES_MOST)); break;
    case WRONG_CUT:
        write_own(m, 0);
        m->size = 1 + below(m, m->size - 1);
        break;
    case WRONG_VERSION:
        write_own(m, 0);
        m->packet[below(m, 2)] = (uint8_t)(2 + below(m, 254));
        break;
    case WRONG_LENGTH:
        write_own(m, 0);
        spoil_length(m);
        break;
    case WRONG_NOISE:
        write_u8(&w, (uint8_t)(2 + below(m, 254))); /* what begins with a good head is another kind */
        write_noise(m, &w, below(m, NOISE_MOST));
        m->size = w.used;
        break;
    default: write_own(m, 0);
    }
}

enum wrong mill_make(struct mill *m) {
    enum wrong kind = below(m, WELL_FORMED_ONE_IN) == 0 ? WELL_FORMED : (enum wrong)below(m, WELL_FORMED);
    make(m, kind);
    m->sent[kind]++;
    return kind;
}

bool mill_sent_all(const struct mill *m) {
    for (size_t kind = 0; kind < WRONG_KINDS; kind++)
        if (m->sent[kind] == 0)
            return false;
    return true;
}

unsigned long mill_rounds(int argc, char **argv, unsigned long otherwise) {
    return argc > 1 ? strtoul(argv[1], NULL, 10) : otherwise;
}

void mill_report(const struct mill *m, const char *process) {
    static const char *const names[] = {"unknown type",  "another's type", "over-long", "trailing bytes", "cut short",
                                        "wrong version", "wrong length",   "noise",     "well-formed"};
    for (size_t kind = 0; kind < WRONG_KINDS; kind++)
        (void)fprintf(stderr, "%-8s %-15s sent=%-7lu ended=%-7lu answered=%lu\n", process, names[kind], m->sent[kind],
                      m->ended[kind], m->answered[kind]);
}
