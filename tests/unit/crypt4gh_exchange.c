/* What crypt4gh_exchange.py calls: one function of vault/crypt4gh.h, from stdin to stdout. The exit status is 0, or 100
 * minus a fault, or 50 plus an outcome.
 *   seal PUBLIC          content -> container; keys are hex digits
 *   open PRIVATE         container -> content; the number of packets on stderr
 *   pair [PASSPHRASE]    -> public file, private file
 *   private [PASSPHRASE] file -> hex digits
 *   public               the same */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vault/buffer.h"
#include "vault/crypt4gh.h"
#include "vault/result.h"

enum { INPUT = 65536 };

static uint8_t input[INPUT];
static size_t input_size;

static void print(const struct secret *s) {
    fwrite(secret_view(s), 1, secret_size(s), stdout);
}

static void print_hex(const uint8_t key[CRYPT4GH_KEY]) {
    char hex[2 * CRYPT4GH_KEY + 1];
    hex_encode(hex, sizeof(hex), key, CRYPT4GH_KEY);
    puts(hex);
}

static struct secret *take(const void *bytes, size_t n) {
    struct secret *s = NULL;
    if (secret_new(&s, n) != VAULT_OK)
        abort();
    copy_bytes(secret_edit(s), n, bytes, n);
    return s;
}

static void key_of(const char *hex, uint8_t ret[CRYPT4GH_KEY]) {
    if (hex == NULL || !hex_decode(ret, CRYPT4GH_KEY, hex))
        abort();
}

static int seal(const char *hex) {
    uint8_t key[CRYPT4GH_KEY], sealed[CRYPT4GH_SMALL_MAX];
    CLEANUP_SECRET struct secret *content = take(input, input_size);
    size_t n = 0;
    key_of(hex, key);
    int result = crypt4gh_seal(key, content, sealed, &n);
    fwrite(sealed, 1, n, stdout);
    return result;
}

static int open_container(const char *hex) {
    uint8_t key[CRYPT4GH_KEY];
    key_of(hex, key);
    CLEANUP_SECRET struct secret *private_key = take(key, sizeof(key));
    CLEANUP_SECRET struct secret *content = NULL;
    unsigned packets = 0;
    int result = crypt4gh_open(input, input_size, private_key, &content, &packets);
    if (result == VAULT_OK)
        print(content);
    fprintf(stderr, "%u\n", packets);
    return result;
}

static int pair(const char *text) {
    char public_file[CRYPT4GH_KEY_FILE_MAX];
    CLEANUP_SECRET struct secret *passphrase = text == NULL ? NULL : take(text, strlen(text));
    CLEANUP_SECRET struct secret *private_file = NULL;
    int result = crypt4gh_key_pair(passphrase, public_file, &private_file);
    if (result == VAULT_OK) {
        fputs(public_file, stdout);
        print(private_file);
    }
    return result;
}

static int read_private(const char *text) {
    CLEANUP_SECRET struct secret *passphrase = text == NULL ? NULL : take(text, strlen(text));
    CLEANUP_SECRET struct secret *key = NULL;
    int result = crypt4gh_private_key_read(input, input_size, passphrase, &key);
    if (result == VAULT_OK)
        print_hex(secret_view(key));
    return result;
}

static int read_public(const char *unused) {
    uint8_t key[CRYPT4GH_KEY];
    (void)unused;
    int result = crypt4gh_public_key_read(input, input_size, key);
    if (result == VAULT_OK)
        print_hex(key);
    return result;
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        int (*run)(const char *argument);
    } commands[] = {
        {"seal", seal}, {"open", open_container}, {"pair", pair}, {"private", read_private}, {"public", read_public}};
    if (argc < 2 || secret_start() != VAULT_OK)
        return 1;
    input_size = fread(input, 1, sizeof(input), stdin);
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        if (strcmp(argv[1], commands[i].name) == 0) {
            int result = commands[i].run(argc > 2 ? argv[2] : NULL);
            return result == VAULT_OK ? 0 : result < 0 ? 100 - result : 50 + result;
        }
    return 1;
}
