#include "vault/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "vault/result.h"

enum { TURN_EVENTS = 64 };

struct watch {
    int fd;
    unsigned priority;
    bool removed;
    watch_handler *handler;
    void *context;
    struct watch *next_removed;
};

struct loop {
    int epoll;
    struct watch *removed; /* freed at the end of the turn: events of this turn may still point to them */
    bool turning;
};

int loop_new(struct loop **ret) {
    struct loop *l = calloc(1, sizeof(*l));
    if (l == NULL)
        return VAULT_E_MEMORY;
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (l->epoll < 0) {
        free(l);
        return VAULT_E_IO;
    }
    *ret = l;
    return VAULT_OK;
}

static void free_removed(struct loop *l) {
    while (l->removed != NULL) {
        struct watch *w = l->removed;
        l->removed = w->next_removed;
        free(w);
    }
}

void loop_free(struct loop **l) {
    if (l == NULL || *l == NULL)
        return;
    free_removed(*l);
    close((*l)->epoll);
    free(*l);
    *l = NULL;
}

int loop_add(struct loop *l, int fd, unsigned priority, watch_handler *handler, void *context, struct watch **ret) {
    if (priority >= LOOP_PRIORITIES)
        return VAULT_E_STATE;
    struct watch *w = calloc(1, sizeof(*w));
    if (w == NULL)
        return VAULT_E_MEMORY;
    *w = (struct watch){.fd = fd, .priority = priority, .handler = handler, .context = context};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = w};
    if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
        free(w);
        return VAULT_E_IO;
    }
    *ret = w;
    return VAULT_OK;
}

void loop_remove(struct loop *l, struct watch **w) {
    if (*w == NULL)
        return;
    epoll_ctl(l->epoll, EPOLL_CTL_DEL, (*w)->fd, NULL);
    (*w)->removed = true;
    (*w)->next_removed = l->removed;
    l->removed = *w;
    if (!l->turning)
        free_removed(l);
    *w = NULL;
}

int loop_turn(struct loop *l, int timeout_ms) {
    struct epoll_event events[TURN_EVENTS];
    int n = epoll_wait(l->epoll, events, TURN_EVENTS, timeout_ms);
    if (n < 0)
        return errno == EINTR ? VAULT_OK : VAULT_E_IO;
    l->turning = true;
    for (unsigned priority = 0; priority < LOOP_PRIORITIES; priority++)
        for (int i = 0; i < n; i++) {
            struct watch *w = events[i].data.ptr;
            if (!w->removed && w->priority == priority)
                w->handler(w->context);
        }
    l->turning = false;
    free_removed(l);
    return VAULT_OK;
}

uint64_t loop_now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}
