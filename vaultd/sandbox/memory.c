/* How much memory a worker may take. Locked memory bounds it only where it has not the right to lock more
 * (docs/decisions/0005-lock-right.md), and memory shared with nobody is not among a process's own data, so that the
 * limit is of its addresses. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "sandbox_internal.h"
#include "vault/log.h"
#include "vault/result.h"

/* Bytes beyond what it has when its walls go up. An honest worker needs little more than the store's buffers: its own
 * large buffers are there already. */
#define GROWTH (64UL << 20)

/* Pages of addresses that the process has: the first number of the kernel's line. */
static int mapped_pages(unsigned long *ret) {
    char line[128];
    char *end = line;
    FILE *f = fopen("/proc/self/statm", "re");
    if (f == NULL)
        return VAULT_E_IO;
    if (fgets(line, sizeof(line), f) != NULL)
        *ret = strtoul(line, &end, 10);
    (void)fclose(f);
    return end != line ? VAULT_OK : VAULT_E_IO;
}

int memory_limit(void) {
    unsigned long pages = 0;
    int result = mapped_pages(&pages);
    const rlim_t most = pages * (unsigned long)sysconf(_SC_PAGESIZE) + GROWTH;
    const struct rlimit both = {most, most};
    if (result == VAULT_OK && setrlimit(RLIMIT_AS, &both) != 0)
        result = VAULT_E_IO;
    if (result != VAULT_OK)
        log_error("sandbox: memory cannot be limited: result=%s", vault_result_name(result));
    return result;
}
