#include "vault/message.h"

#include <unistd.h>

#include "vault/result.h"

enum { MESSAGE_VERSION = 1 };

#define MESSAGE_LAYOUT(name, number, fds)                                                                              \
    static const struct field fields_of_##name[] = {FIELDS_##name(FIELD_ROW, msg_##name)};                             \
    const struct layout layout_msg_##name = {#name, fields_of_##name, sizeof(fields_of_##name) / sizeof(struct field), \
                                             sizeof(struct msg_##name)};
PROTOCOL(MESSAGE_LAYOUT)

struct kind {
    unsigned type;
    size_t fds; /* the most that may come with it */
    const struct layout *layout;
};

static const struct kind kinds[] = {
#define MESSAGE_KIND(name, number, fds) {number, fds, &layout_msg_##name},
    PROTOCOL(MESSAGE_KIND)};

static const struct kind *kind_of(unsigned type) {
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (kinds[i].type == type)
            return &kinds[i];
    return NULL;
}

const struct layout *message_layout(unsigned type) {
    const struct kind *k = kind_of(type);
    return k == NULL ? NULL : k->layout;
}

size_t message_fd_limit(unsigned type) {
    const struct kind *k = kind_of(type);
    return k == NULL ? 0 : k->fds;
}

const char *message_name(unsigned type) {
    const struct kind *k = kind_of(type);
    return k == NULL ? "unknown" : k->layout->name;
}

/* Where the record of any type starts: the members of the union share their address. */
static void *body_of(struct message *m) {
    return &m->done;
}

static void start(struct message *m, unsigned type, uint64_t id) {
    m->type = type;
    m->id = id;
    m->fd_count = 0;
    for (size_t i = 0; i < MESSAGE_FDS; i++)
        m->fds[i] = -1;
}

void message_init(struct message *m, enum message_type type, uint64_t id) {
    const struct layout *l = message_layout(type);
    start(m, type, id);
    if (l != NULL)
        layout_init(l, body_of(m));
}

void message_clear(struct message *m) {
    const struct layout *l = message_layout(m->type);
    if (l == NULL)
        return;
    layout_clear(l, body_of(m));
    for (size_t i = 0; i < m->fd_count; i++)
        if (m->fds[i] >= 0)
            close(m->fds[i]);
    m->fd_count = 0;
    m->type = 0;
}

int message_encode(const struct message *m, uint8_t *to, size_t size, size_t *ret_used) {
    const struct layout *l = message_layout(m->type);
    if (l == NULL)
        return VAULT_E_STATE;
    struct writer w = writer_of(to, size);
    write_u8(&w, MESSAGE_VERSION);
    write_u8(&w, 0);
    write_u16(&w, (uint16_t)m->type);
    write_u32(&w, 0);
    write_u64(&w, m->id);
    layout_encode(l, &m->done, &w);
    if (w.bad) {
        wipe(to, w.used);
        return VAULT_E_LIMIT;
    }
    struct writer length = writer_of(to + 4, 4);
    write_u32(&length, (uint32_t)(w.used - MESSAGE_HEAD));
    *ret_used = w.used;
    return VAULT_OK;
}

int message_decode(struct message *m, const uint8_t *from, size_t size) {
    struct reader r = reader_of(from, size);
    uint8_t version = read_u8(&r);
    uint8_t zero = read_u8(&r);
    uint16_t type = read_u16(&r);
    uint32_t length = read_u32(&r);
    uint64_t id = read_u64(&r);
    const struct layout *l = message_layout(type);
    if (r.bad || version != MESSAGE_VERSION || zero != 0 || l == NULL || length != r.left)
        return VAULT_E_PROTOCOL;
    start(m, type, id); /* the body is made by its decoder */
    int result = layout_decode(l, &r, body_of(m));
    if (result != VAULT_OK)
        m->type = 0;
    return result == VAULT_E_FORMAT ? VAULT_E_PROTOCOL : result;
}
