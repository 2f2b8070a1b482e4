/* The text of a share as somebody typed it. Most inputs have a wrong check value, so each that has the digits of a
 * share is tried a second time with the right one: then its ranges alone decide. What is read must give its text back.
 */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "taken.h"
#include "vault/buffer.h"
#include "vault/result.h"
#include "vault/shares.h"

enum {
    LABEL = 18,
    PREFIX = 7,
    BODY = CEREMONY_ID + 3 + SECRET_KEY_SIZE,
    CHECK = 4,
    BARE = PREFIX + 2 * (BODY + CHECK)
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The input without what does not matter, in lower case. How long it is; one more than BARE where it is longer. */
static size_t lay_bare(const uint8_t *data, size_t size, char ret[BARE + 2]) {
    size_t n = 0;
    for (size_t i = 0; i < size && n <= BARE; i++)
        if (memchr(" \t\r\n-", data[i], 5) == NULL)
            ret[n++] = (char)(data[i] >= 'A' && data[i] <= 'Z' ? data[i] + ('a' - 'A') : data[i]);
    ret[n] = '\0';
    return n;
}

/* What was read from a text with these characters is written with the same ones. */
static void expect_back(const struct share *s, const char bare[BARE + 2]) {
    char back[BARE + 2];
    struct secret *text = NULL;
    if (share_write(s, &text) != VAULT_OK || secret_size(text) != SHARE_TEXT - 1)
        abort();
    if (lay_bare(secret_view(text), secret_size(text), back) != BARE || memcmp(back, bare, BARE) != 0)
        abort();
    secret_free(&text);
}

static int try_text(const void *text, size_t size, const char bare[BARE + 2]) {
    struct share s = {0};
    int result = share_read(text, size, &s);
    if (result == VAULT_OK) {
        fuzz_taken++;
        expect_back(&s, bare);
    } else if (s.value != NULL || (result != VAULT_E_FORMAT && result != VAULT_E_DAMAGED)) {
        abort();
    }
    share_clear(&s);
    return result;
}

static bool in_range(const uint8_t *body) {
    unsigned number = body[CEREMONY_ID], count = body[CEREMONY_ID + 1], threshold = body[CEREMONY_ID + 2];
    return number >= 1 && number <= count && threshold >= 2 && threshold <= count && count <= SHARES_MAX;
}

static void set_check(uint8_t body[BODY + CHECK]) {
    uint8_t hashed[LABEL + BODY], hash[32];
    copy_bytes(hashed, sizeof(hashed), "vault-share-text-1", LABEL);
    copy_bytes(hashed + LABEL, BODY, body, BODY);
    if (crypto_generichash(hash, sizeof(hash), hashed, sizeof(hashed), NULL, 0) != 0)
        abort();
    copy_bytes(body + BODY, CHECK, hash, CHECK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static bool started;
    char bare[BARE + 2];
    uint8_t body[BODY + CHECK];
    if (!started && secret_start() != VAULT_OK)
        abort();
    started = true;
    size_t n = lay_bare(data, size, bare);
    bool has_digits =
        n == BARE && memcmp(bare, "vshare1", PREFIX) == 0 && hex_decode(body, sizeof(body), bare + PREFIX);
    int result = try_text(data, size, bare);
    if (!has_digits && result != VAULT_E_FORMAT)
        abort();
    if (!has_digits)
        return 0;
    if (result == (in_range(body) ? VAULT_E_FORMAT : VAULT_OK))
        abort();
    set_check(body);
    hex_encode(bare + PREFIX, sizeof(bare) - PREFIX, body, sizeof(body));
    if (try_text(bare, BARE, bare) != (in_range(body) ? VAULT_OK : VAULT_E_FORMAT))
        abort();
    return 0;
}
