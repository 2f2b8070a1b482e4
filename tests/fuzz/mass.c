/* Executes a fuzz harness on a great many inputs, mutated from its corpus, in one process and without instrumentation.
 *   mass_NAME [-s FIRST_SEED] [-r ROUNDS] [-n EXECUTIONS_PER_ROUND] [-t HANG_SECONDS] [-d DICTIONARY] CORPUS...
 * A seed makes always the same inputs, so a run goes on where another stopped, and any input can be made again. Each
 * input lies against a page that nobody may touch: reading one byte beyond it ends the program. A line per round on
 * stdout; exit 0 if all rounds ran and each had inputs that the parser took. What ended it is written to a file. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "mutate.h"
#include "taken.h"

#include "vault/buffer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct mutator mutator;
static long hang_seconds = 60;
static uint8_t *area; /* INPUT_MAX bytes between two guard pages */
static struct {
    uint64_t seed;
    volatile uint64_t executed;
    const uint8_t *at;
    size_t n;
} now;

static void report(int signal_number) {
    static uint64_t last = UINT64_MAX;
    char path[128];
    if (signal_number == SIGALRM && now.executed != last) {
        last = now.executed;
        return;
    }
    snprintf(path, sizeof(path), "%s-%llu-%llu", program_invocation_short_name, (unsigned long long)now.seed,
             (unsigned long long)now.executed);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool kept = fd >= 0 && write(fd, now.at, now.n) == (ssize_t)now.n;
    dprintf(STDERR_FILENO, "%s: %s at execution %llu of seed %llu; input %s %s\n", program_invocation_short_name,
            signal_number == SIGALRM ? "hangs" : sigabbrev_np(signal_number), (unsigned long long)now.executed,
            (unsigned long long)now.seed, kept ? "in" : "could not be written to", path);
    _exit(3);
}

static void watch(void) {
    static uint8_t stack[65536];
    const stack_t alternate = {.ss_sp = stack, .ss_size = sizeof(stack)};
    const struct itimerval every = {{hang_seconds, 0}, {hang_seconds, 0}};
    const int deadly[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGALRM};
    struct sigaction action = {.sa_handler = report, .sa_flags = SA_ONSTACK | SA_RESTART};
    sigaltstack(&alternate, NULL);
    for (size_t i = 0; i < sizeof(deadly) / sizeof(deadly[0]); i++)
        sigaction(deadly[i], &action, NULL);
    setitimer(ITIMER_REAL, &every, NULL);
}

static bool make_area(void) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *whole = mmap(NULL, INPUT_MAX + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (whole == MAP_FAILED || mprotect(whole + page, INPUT_MAX, PROT_READ | PROT_WRITE) != 0)
        return false;
    area = whole + page;
    return true;
}

/* Against the guard behind it; one in eight against the guard before it. */
static void execute(const uint8_t *bytes, size_t n) {
    uint8_t *at = now.executed % 8 == 7 ? area : area + INPUT_MAX - n;
    copy_bytes(at, INPUT_MAX, bytes, n);
    now.at = at;
    now.n = n;
    LLVMFuzzerTestOneInput(at, n);
    now.executed++;
}

/* Each input of the corpus as it is, once, to know which are good. */
static void try_corpus(void) {
    for (size_t i = 0; i < mutator.input_count; i++) {
        uint64_t before = fuzz_taken;
        execute(mutator.inputs[i].at, mutator.inputs[i].n);
        if (fuzz_taken != before)
            mutator_good(&mutator, i);
    }
}

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static bool run_round(uint64_t seed, uint64_t executions) {
    double start = seconds();
    now.seed = seed;
    now.executed = 0;
    fuzz_taken = 0;
    mutator_seed(&mutator, seed);
    while (now.executed < executions) {
        mutator_next(&mutator);
        execute(mutator.work, mutator.n);
    }
    printf("%s seed %llu executions %llu taken %llu seconds %.1f\n", program_invocation_short_name,
           (unsigned long long)seed, (unsigned long long)executions, (unsigned long long)fuzz_taken, seconds() - start);
    fflush(stdout);
    return fuzz_taken > 0;
}

static int wrong(const char *what) {
    perror(what);
    return 2;
}

int main(int argc, char **argv) {
    uint64_t first = 0;
    uint64_t rounds = 1;
    uint64_t executions = 1000000;
    int option;
    while ((option = getopt(argc, argv, "s:r:n:t:d:")) != -1) {
        switch (option) {
        case 's': first = strtoull(optarg, NULL, 10); break;
        case 'r': rounds = strtoull(optarg, NULL, 10); break;
        case 'n': executions = strtoull(optarg, NULL, 10); break;
        case 't': hang_seconds = strtol(optarg, NULL, 10); break;
        case 'd':
            if (mutator_add_tokens(&mutator, optarg) != 0)
                return wrong(optarg);
            break;
        default: return 2;
        }
    }
    for (int i = optind; i < argc; i++)
        if (mutator_add(&mutator, argv[i]) != 0)
            return wrong(argv[i]);
    if (mutator.input_count == 0 || !make_area())
        return wrong("no corpus");
    watch();
    try_corpus();
    for (uint64_t round = 0; round < rounds; round++)
        if (!run_round(first + round, executions)) {
            fprintf(stderr, "%s: seed %llu: no input was taken\n", program_invocation_short_name,
                    (unsigned long long)(first + round));
            return 1;
        }
    return 0;
}
