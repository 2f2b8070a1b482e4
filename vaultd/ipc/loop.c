#include "vault/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "vault/result.h"

enum { EVENTS_STEP = 64, EVENTS_MAX = 1 << 20 };

struct watch {
    int fd;
    unsigned priority;
    bool removed;
    watch_handler *handler;
    void *context;
    struct watch *before, *after; /* in the list of watches; removed ones are linked by `after` alone */
};

struct loop {
    int epoll;
    struct epoll_event *events; /* room for every watch: with less, a turn could miss one of higher priority */
    size_t room, count;
    struct watch *watches;
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

static void free_watches(struct watch **list) {
    while (*list != NULL) {
        struct watch *w = *list;
        *list = w->after;
        free(w);
    }
}

void loop_free(struct loop **l) {
    if (l == NULL || *l == NULL)
        return;
    free_watches(&(*l)->watches);
    free_watches(&(*l)->removed);
    free((*l)->events);
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
    *w = (struct watch){.fd = fd, .priority = priority, .handler = handler, .context = context, .after = l->watches};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = w};
    if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
        free(w);
        return VAULT_E_IO;
    }
    if (w->after != NULL)
        w->after->before = w;
    l->watches = w;
    l->count++;
    *ret = w;
    return VAULT_OK;
}

static void unlink_watch(struct loop *l, struct watch *w) {
    if (w->before != NULL)
        w->before->after = w->after;
    else
        l->watches = w->after;
    if (w->after != NULL)
        w->after->before = w->before;
    l->count--;
}

void loop_remove(struct loop *l, struct watch **w) {
    if (*w == NULL)
        return;
    epoll_ctl(l->epoll, EPOLL_CTL_DEL, (*w)->fd, NULL);
    unlink_watch(l, *w);
    (*w)->removed = true;
    (*w)->after = l->removed;
    l->removed = *w;
    if (!l->turning)
        free_watches(&l->removed);
    *w = NULL;
}

static int make_room(struct loop *l) {
    if (l->room > l->count)
        return VAULT_OK;
    size_t room = l->count + EVENTS_STEP;
    if (room > EVENTS_MAX)
        return VAULT_E_MEMORY;
    struct epoll_event *events = reallocarray(l->events, room, sizeof(*events));
    if (events == NULL)
        return VAULT_E_MEMORY;
    l->events = events;
    l->room = room;
    return VAULT_OK;
}

int loop_turn(struct loop *l, int timeout_ms) {
    int result = make_room(l);
    if (result != VAULT_OK)
        return result;
    int n = epoll_wait(l->epoll, l->events, (int)l->room, timeout_ms);
    if (n < 0)
        return errno == EINTR ? VAULT_OK : VAULT_E_IO;
    l->turning = true;
    for (unsigned priority = 0; priority < LOOP_PRIORITIES; priority++)
        for (int i = 0; i < n; i++) {
            struct watch *w = l->events[i].data.ptr;
            if (!w->removed && w->priority == priority)
                w->handler(w->context);
        }
    l->turning = false;
    free_watches(&l->removed);
    return VAULT_OK;
}

bool loop_is_awaited(const struct loop *l) {
    struct epoll_event event;
    return epoll_wait(l->epoll, &event, 1, 0) > 0;
}

uint64_t loop_now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}
