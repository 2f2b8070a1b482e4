/* How much memory a worker may take: locked memory bounds it only where it has not the right to lock more
 * (docs/decisions/0005-lock-right.md), so its own data are bounded too. */
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "sandbox_internal.h"
#include "vault/log.h"
#include "vault/result.h"

/* Bytes beyond what it has when its walls go up. An honest worker needs a few: its large buffers are there already. */
#define GROWTH (64UL << 20)

/* Pages of the process's own data: the sixth number of the kernel's line. */
static int data_pages(unsigned long *ret) {
    FILE *f = fopen("/proc/self/statm", "re");
    if (f == NULL)
        return VAULT_E_IO;
    int found = fscanf(f, "%*u %*u %*u %*u %*u %lu", ret);
    (void)fclose(f);
    return found == 1 ? VAULT_OK : VAULT_E_IO;
}

int memory_limit(void) {
    unsigned long pages = 0;
    int result = data_pages(&pages);
    const rlim_t most = pages * (unsigned long)sysconf(_SC_PAGESIZE) + GROWTH;
    const struct rlimit both = {most, most};
    if (result == VAULT_OK && setrlimit(RLIMIT_DATA, &both) != 0)
        result = VAULT_E_IO;
    if (result != VAULT_OK)
        log_error("sandbox: memory cannot be limited: result=%s", vault_result_name(result));
    return result;
}
