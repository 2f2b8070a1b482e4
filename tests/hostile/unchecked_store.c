/* The store's own check among those that a test can switch off (unchecked.h). */
#include <sys/socket.h>

#include "tests/hostile/unchecked.h"

int __real_setsockopt(int socket, int level, int name, const void *value, socklen_t size);
int __wrap_setsockopt(int socket, int level, int name, const void *value, socklen_t size);

/* The bound on what a worker may leave unread. */
int __wrap_setsockopt(int socket, int level, int name, const void *value, socklen_t size) {
    return name == SO_SNDBUF && check_is_off("send_buffer") ? 0 : __real_setsockopt(socket, level, name, value, size);
}
