/* What one decision costs with all that is looked up for it, in the index of a dev vault that does not run.
 *
 *   inquiries STATE TWIN_FOLDER ROOT_KEY SUBJECTS APPROVALS COUNT: prints nanoseconds for each
 *
 * Asks for research on subjects and under approvals of fill_subjects, a prime's multiple from one to the next. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "dev_vault.h"
#include "vault/result.h"

enum { TURN = 64 }; /* decisions that share one read of the index, as those of a batch do */

static int ask(struct monitor *m, unsigned subject, unsigned approval) {
    static struct inquiry i;
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
    return result == VAULT_OK && !(i.subject_known && i.question.approval.known) ? VAULT_E_STATE : result;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

int main(int argc, char **argv) {
    static struct monitor m;
    const unsigned long prime = 7919;
    if (argc != 7 || !dev_vault_open(&(struct dev_vault){argv[1], argv[2], argv[3]}, &m))
        return 2;
    unsigned long subjects = strtoul(argv[4], NULL, 10), approvals = strtoul(argv[5], NULL, 10);
    unsigned long count = strtoul(argv[6], NULL, 10);
    int result = subjects > 0 && approvals > 0 ? VAULT_OK : VAULT_E_STATE;
    double begun = now();
    for (unsigned long n = 0; n < count && result == VAULT_OK; n++) {
        result = ask(&m, (unsigned)(n * prime % subjects), (unsigned)(n * prime % approvals));
        if (n % TURN == 0)
            index_end_reads(m.index);
    }
    double each = (now() - begun) / (double)count;
    dev_vault_close(&m);
    if (result == VAULT_OK)
        printf("%.0f\n", each);
    else
        (void)fprintf(stderr, "inquiries: %s\n", vault_result_name(result));
    return result == VAULT_OK ? 0 : 1;
}
