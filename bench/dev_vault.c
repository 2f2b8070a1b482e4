#include "dev_vault.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "vault/result.h"

static int open_ring(struct monitor *m, const char *root_key) {
    CLEANUP_SECRET struct secret *key = NULL;
    struct seal seal;
    uint8_t vault[KEYRING_ID];
    bool repaired = false;
    int fd = open(root_key, O_RDONLY | O_CLOEXEC);
    int result = fd < 0 ? VAULT_E_IO : root_key_read(fd, &key);
    if (result == VAULT_OK)
        result = keyring_peek(&m->place, &seal, vault);
    if (result == VAULT_OK)
        result = seal_open(&seal, key, vault, &m->root);
    return result == VAULT_OK ? keyring_load(&m->place, m->root, &m->keyring, &repaired) : result;
}

static int open_index(struct monitor *m) {
    struct index_keys keys = {.key = keyring_index_key(m->keyring),
                              .next = keyring_next_index_key(m->keyring),
                              .generation = keyring_index_generation(m->keyring)};
    int result = index_open(&keys, m->setup.map_size, false, &m->index);
    return result == VAULT_OK ? monitor_reload(m) : result;
}

bool dev_vault_open(const struct dev_vault *at, struct monitor *m) {
    int result = secret_start();
    if (result == VAULT_OK)
        result = secret_reserve(128, 2);
    if (result == VAULT_OK && chdir(at->state) != 0)
        result = VAULT_E_IO;
    m->replies_end = &m->replies;
    m->setup.map_size = 16ULL << 30;
    m->setup.dev = 1;
    m->place = (struct keyring_place){.directory = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC),
                                      .twin_directory = open(at->twin, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
                                      .name = "keyring",
                                      .twin_name = "keyring"};
    if (result == VAULT_OK)
        result = open_ring(m, at->root_key);
    if (result == VAULT_OK)
        result = open_index(m);
    if (result != VAULT_OK)
        (void)fprintf(stderr, "%s: %s\n", at->state, vault_result_name(result));
    return result == VAULT_OK;
}

void dev_vault_close(struct monitor *m) {
    index_close(&m->index);
    keyring_free(&m->keyring);
    secret_free(&m->root);
}
