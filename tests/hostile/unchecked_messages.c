/* The checks on messages that the programs share, and those of tokens and receipts. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "tests/hostile/unchecked.h"
#include "vault/message.h"
#include "vault/token.h"

bool __real_token_check(const struct secret *key, const struct token_claim *claim, const uint8_t token[HASH_SIZE]);
bool __wrap_token_check(const struct secret *key, const struct token_claim *claim, const uint8_t token[HASH_SIZE]);
int __real_layout_decode(const struct layout *l, struct reader *r, void *record);
int __wrap_layout_decode(const struct layout *l, struct reader *r, void *record);
size_t __real_message_fd_limit(unsigned type);
size_t __wrap_message_fd_limit(unsigned type);
int __real_message_decode(struct message *m, const uint8_t *from, size_t size);
int __wrap_message_decode(struct message *m, const uint8_t *from, size_t size);

bool check_is_off(const char *check) {
    char text[256] = "";
    int file = open("unchecked", O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return false;
    ssize_t n = read(file, text, sizeof(text) - 1);
    close(file);
    return n > 0 && strstr(text, check) != NULL;
}

/* Tokens at the store, receipts at the monitor. */
bool __wrap_token_check(const struct secret *key, const struct token_claim *claim, const uint8_t token[HASH_SIZE]) {
    return check_is_off("token_check") || __real_token_check(key, claim, token);
}

/* That nothing follows the last field. */
int __wrap_layout_decode(const struct layout *l, struct reader *r, void *record) {
    return check_is_off("trailing") ? layout_decode_next(l, r, record) : __real_layout_decode(l, r, record);
}

/* That descriptors come only with what may bring them. */
size_t __wrap_message_fd_limit(unsigned type) {
    return check_is_off("descriptors") ? MESSAGE_FDS : __real_message_fd_limit(type);
}

/* That the peer speaks this version of the protocol. */
int __wrap_message_decode(struct message *m, const uint8_t *from, size_t size) {
    static uint8_t patched[MESSAGE_MAX];
    if (!check_is_off("version") || size == 0)
        return __real_message_decode(m, from, size);
    copy_bytes(patched, sizeof(patched), from, size);
    patched[0] = 1;
    int result = __real_message_decode(m, patched, size);
    wipe(patched, size);
    return result;
}
