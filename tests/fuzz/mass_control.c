/* Not a parser of ours: a harness with planted faults, one for each way in which an execution can go wrong. The mass
 * executor must notice every one of them, or its silence about the parsers means nothing. The fault is chosen by the
 * environment: over (reads one byte behind the input), under (one before it), abort, hang; or refuse: takes
 * nothing. */
#include <stdlib.h>
#include <string.h>

#include "taken.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *fault;
    static volatile uint8_t seen;
    if (fault == NULL && (fault = getenv("PLANTED_FAULT")) == NULL)
        fault = "none";
    fuzz_taken += strcmp(fault, "refuse") != 0;
    /* Only an input that starts with a changed word: mutation has to find it. */
    if (size < 2 || memcmp(data, "PW", 2) != 0)
        return 0;
    if (strcmp(fault, "over") == 0)
        seen = data[size];
    if (strcmp(fault, "under") == 0)
        seen = data[-1];
    if (strcmp(fault, "abort") == 0)
        abort();
    while (strcmp(fault, "hang") == 0)
        seen++;
    return 0;
}
