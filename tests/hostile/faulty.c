/* A worker with a planted fault, which a sanitizer must report from behind the worker's own walls: the real worker, but
 * each TLS client makes it write past the end of a heap block (FAULTY_OVERFLOW) or overflow a signed integer. On the
 * Unix socket it is sound. Built only with sanitizers (tests/hostile/faulty.cmake), never installed. */
#include <limits.h>
#include <stdlib.h>

#include "vaultd/worker/stream.h"

int __real_stream_open_tls(int socket, int gate, uint32_t handshake_ms, uint32_t idle_ms, struct stream **ret);
int __wrap_stream_open_tls(int socket, int gate, uint32_t handshake_ms, uint32_t idle_ms, struct stream **ret);

#ifdef FAULTY_OVERFLOW
static void do_wrong(void) {
    volatile size_t end = 8;
    volatile char *block = malloc(end);
    if (block != NULL)
        block[end] = 1;
    free((void *)(uintptr_t)block);
}
#else
static void do_wrong(void) {
    volatile int most = INT_MAX;
    most = most + 1;
}
#endif

int __wrap_stream_open_tls(int socket, int gate, uint32_t handshake_ms, uint32_t idle_ms, struct stream **ret) {
    do_wrong();
    return __real_stream_open_tls(socket, gate, handshake_ms, idle_ms, ret);
}
