/* Adds subjects to the index of a dev vault that does not run, as POST /v1/subjects does but for the audit's records: a
 * benchmark's vault is as large as a country's within a minute.
 *
 *   fill_subjects STATE TWIN_FOLDER ROOT_KEY COUNT [EVERY [APPROVALS]]
 *
 * With EVERY each subject consents to treatment and has a file without content, and every EVERYth consents to research,
 * too. APPROVALS ethics approvals of project P1 are added, from A-00000000 on. */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "dev_vault.h"
#include "vaultd/monitor/current.h"
#include "vaultd/monitor/keys/subject_keys.h"
#include "vaultd/monitor/log/log.h"
#include "vault/result.h"

enum { BATCH = 2000 };

struct filling {
    unsigned count, every, approvals; /* every 0: neither consents nor files */
};

static int consent(struct monitor *m, struct subject_value *s, bool research) {
    static struct consent_value c;
    c = (struct consent_value){.version = s->consent = 1,
                               .recorded = monitor_time(m),
                               .treatment = 1,
                               .findings = FINDINGS_ALL,
                               .recontact = 1,
                               .since = "2026-11-22",
                               .signed_on = "2026-11-22",
                               .form = "2.1"};
    copy_string(c.subject, sizeof(c.subject), s->subject);
    struct writer terms = writer_of(c.research, sizeof(c.research));
    if (research)
        write_u32(&terms, DUO_GRU);
    c.research_size = (uint32_t)terms.used;
    return consent_store(m, &c);
}

static int add_file(struct monitor *m, struct subject_value *s) {
    static struct file_value f;
    struct file_name_value name;
    struct mark_value mark = {0};
    uint8_t key[HASH_SIZE], listed[HASH_SIZE + ID_SIZE];
    f = (struct file_value){.deposited = monitor_time(m), .name = "a.cram", .service = "depositor"};
    randombytes_buf(f.file, sizeof(f.file));
    copy_string(f.subject, sizeof(f.subject), s->subject);
    COPY_ARRAY(name.file, f.file);
    name_hash(m, NAME_SUBJECT, s->subject, NULL, listed);
    copy_bytes(listed + HASH_SIZE, ID_SIZE, f.file, ID_SIZE);
    name_hash(m, NAME_FILE, f.name, f.subject, key);
    s->files = 1;
    m->meta.files++;
    int result = index_put_record(m->index, DB_FILES, f.file, ID_SIZE, &layout_file_value, &f);
    if (result == VAULT_OK)
        result = index_put_record(m->index, DB_FILE_NAMES, key, HASH_SIZE, &layout_file_name_value, &name);
    return result == VAULT_OK
               ? index_put_record(m->index, DB_SUBJECT_FILES, listed, sizeof(listed), &layout_mark_value, &mark)
               : result;
}

static int add_subject(struct monitor *m, const struct filling *f, unsigned number) {
    static struct subject_value s;
    s = (struct subject_value){.added = monitor_time(m)};
    randombytes_buf(s.id, sizeof(s.id));
    if (!format_string(s.subject, sizeof(s.subject), "N-%08u", number))
        return VAULT_E_STATE;
    m->meta.subjects++;
    int result = subject_key_give(m, &s);
    if (result == VAULT_OK)
        result = journal_start_chain(m, NAME_CHAIN_SUBJECT, s.subject);
    if (result == VAULT_OK && f->every > 0)
        result = consent(m, &s, number % f->every == 0);
    if (result == VAULT_OK && f->every > 0)
        result = add_file(m, &s);
    return result == VAULT_OK ? subject_make_current(m, &s) : result;
}

static int add_approval(struct monitor *m, const struct filling *f, unsigned number) {
    static struct ethics_value e;
    (void)f;
    e = (struct ethics_value){.project = "P1", .added = monitor_time(m)};
    return format_string(e.name, sizeof(e.name), "A-%08u", number) ? ethics_make_current(m, &e) : VAULT_E_STATE;
}

static int fill(struct monitor *m, const struct filling *f, unsigned count,
                int (*add)(struct monitor *, const struct filling *, unsigned)) {
    int result = VAULT_OK;
    for (unsigned n = 0; n < count && result == VAULT_OK; n++) {
        if (n % BATCH == 0)
            result = batch_begin(m);
        if (result == VAULT_OK)
            result = add(m, f, n);
        bool last = n + 1 == count || (n + 1) % BATCH == 0;
        if (result == VAULT_OK && last)
            result = meta_store(m);
        if (result == VAULT_OK && last)
            result = batch_finish(m);
    }
    return result;
}

static unsigned number_of(const char *text) {
    return text == NULL ? 0 : (unsigned)strtoul(text, NULL, 10);
}

int main(int argc, char **argv) {
    static struct monitor m;
    if (argc < 5 || argc > 7) {
        (void)fprintf(stderr, "usage: fill_subjects STATE TWIN_FOLDER ROOT_KEY COUNT [EVERY [APPROVALS]]\n");
        return 2;
    }
    struct filling f = {.count = number_of(argv[4]),
                        .every = argc > 5 ? number_of(argv[5]) : 0,
                        .approvals = argc > 6 ? number_of(argv[6]) : 0};
    bool opened = dev_vault_open(&(struct dev_vault){argv[1], argv[2], argv[3]}, &m);
    int result = opened ? fill(&m, &f, f.count, add_subject) : VAULT_E_STATE;
    if (result == VAULT_OK)
        result = fill(&m, &f, f.approvals, add_approval);
    dev_vault_close(&m);
    if (opened && result != VAULT_OK)
        (void)fprintf(stderr, "fill_subjects: %s\n", vault_result_name(result));
    return result == VAULT_OK ? 0 : 1;
}
