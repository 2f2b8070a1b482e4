/* Adds subjects to the index of a dev vault that does not run, as POST /v1/subjects does but for the audit's records: a
 * benchmark's vault is as large as a country's within a minute.
 *
 *   fill_subjects STATE TWIN_FOLDER ROOT_KEY COUNT */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "vaultd/monitor/monitor.h"
#include "vaultd/monitor/keys/subject_keys.h"
#include "vault/log.h"
#include "vault/result.h"

enum { BATCH = 2000 };

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

static int add(struct monitor *m, unsigned number) {
    static struct subject_value s;
    s = (struct subject_value){.added = monitor_time(m)};
    if (!format_string(s.subject, sizeof(s.subject), "N-%08u", number))
        return VAULT_E_STATE;
    m->meta.subjects++;
    int result = subject_key_give(m, &s);
    if (result == VAULT_OK)
        result = journal_start_chain(m, NAME_CHAIN_SUBJECT, s.subject);
    return result == VAULT_OK ? subject_make_current(m, &s) : result;
}

static int fill(struct monitor *m, unsigned count) {
    int result = monitor_reload(m);
    for (unsigned n = 0; n < count && result == VAULT_OK; n++) {
        if (n % BATCH == 0)
            result = batch_begin(m);
        if (result == VAULT_OK)
            result = add(m, n);
        bool last = n + 1 == count || (n + 1) % BATCH == 0;
        if (result == VAULT_OK && last)
            result = meta_store(m);
        if (result == VAULT_OK && last)
            result = batch_finish(m);
    }
    return result;
}

int main(int argc, char **argv) {
    static struct monitor m;
    if (argc != 5 || secret_start() != VAULT_OK || secret_reserve(128, 2) != VAULT_OK || chdir(argv[1]) != 0) {
        (void)fprintf(stderr, "usage: fill_subjects STATE TWIN_FOLDER ROOT_KEY COUNT\n");
        return 2;
    }
    m.replies_end = &m.replies;
    m.setup.map_size = 16ULL << 30;
    m.setup.dev = 1;
    m.place = (struct keyring_place){.directory = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC),
                                     .twin_directory = open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC),
                                     .name = "keyring",
                                     .twin_name = "keyring"};
    int result = open_ring(&m, argv[3]);
    if (result == VAULT_OK)
        result = index_open(&(struct index_keys){.key = keyring_index_key(m.keyring),
                                                 .next = keyring_next_index_key(m.keyring),
                                                 .generation = keyring_index_generation(m.keyring)},
                            m.setup.map_size, false, &m.index);
    if (result == VAULT_OK)
        result = fill(&m, (unsigned)strtoul(argv[4], NULL, 10));
    index_close(&m.index);
    keyring_free(&m.keyring);
    secret_free(&m.root);
    if (result != VAULT_OK)
        (void)fprintf(stderr, "fill_subjects: %s\n", vault_result_name(result));
    return result == VAULT_OK ? 0 : 1;
}
