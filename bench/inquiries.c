/* What one decision costs with all that is looked up for it, in a dev vault that does not run: what patients have said
 * in memory, as in one that does, and all else in its index. And what it costs more where the index vouches for it.
 *
 *   inquiries STATE TWIN_FOLDER ROOT_KEY SUBJECTS APPROVALS COUNT: prints nanoseconds for each, and those with a vouch
 *
 * Asks for research on subjects and under approvals of fill_subjects, a prime's multiple from one to the next. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "dev_vault.h"
#include "vaultd/monitor/access/ask.h"
#include "vault/result.h"

enum { TURN = 64 }; /* decisions that share one read of the index, as those of a batch do */

static int ask(struct monitor *m, unsigned subject, unsigned approval, bool vouched) {
    static struct inquiry i;
    static struct subject_value s;
    static const struct asker a = {
        .known = true, .name = "research", .roles = 1u << ROLE_READER, .purposes = 1u << PURPOSE_RESEARCH};
    struct purpose p = {.purpose = PURPOSE_RESEARCH, .project = "P1"};
    char name[NAME_MAX_SIZE + 1];
    if (!format_string(name, sizeof(name), "N-%08u", subject) ||
        !format_string(p.approval, sizeof(p.approval), "A-%08u", approval))
        return VAULT_E_STATE;
    struct inquiry_wanted wanted = {
        .asker = &a, .action = ACTION_READ, .purpose = &p, .subject = name, .subject_only = true};
    int result = inquire(m, &wanted, &i);
    if (result == VAULT_OK && !(i.subject_known && i.question.approval.known))
        result = VAULT_E_STATE;
    return result == VAULT_OK && vouched ? standings_vouch(m, name, &s) : result;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int ask_all(struct monitor *m, unsigned long subjects, unsigned long approvals, unsigned long count,
                   bool vouched, double *ret_each) {
    const unsigned long prime = 7919;
    int result = VAULT_OK;
    double begun = now();
    for (unsigned long n = 0; n < count && result == VAULT_OK; n++) {
        result = ask(m, (unsigned)(n * prime % subjects), (unsigned)(n * prime % approvals), vouched);
        if (n % TURN == 0)
            index_end_reads(m->index);
    }
    *ret_each = (now() - begun) / (double)count;
    return result;
}

static void fill_table(struct monitor *m) {
    m->seal = SEAL_UNSEALED;
    standings_start(m);
    while (standings_step(m))
        index_end_reads(m->index);
}

int main(int argc, char **argv) {
    static struct monitor m;
    if (argc != 7 || !dev_vault_open(&(struct dev_vault){argv[1], argv[2], argv[3]}, &m))
        return 2;
    unsigned long subjects = strtoul(argv[4], NULL, 10), approvals = strtoul(argv[5], NULL, 10);
    unsigned long count = strtoul(argv[6], NULL, 10);
    double each = 0, vouched = 0;
    fill_table(&m);
    int result = subjects > 0 && approvals > 0 && standings_count(&m) >= subjects ? VAULT_OK : VAULT_E_STATE;
    if (result == VAULT_OK)
        result = ask_all(&m, subjects, approvals, count, false, &each);
    if (result == VAULT_OK)
        result = ask_all(&m, subjects, approvals, count, true, &vouched);
    standings_forget(&m);
    dev_vault_close(&m);
    if (result == VAULT_OK)
        printf("%.0f %.0f\n", each, vouched);
    else
        (void)fprintf(stderr, "inquiries: %s\n", vault_result_name(result));
    return result == VAULT_OK ? 0 : 1;
}
