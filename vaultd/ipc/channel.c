#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vault/loop.h"
#include "vault/message.h"
#include "vault/result.h"

/* One packet in flight in either direction, in locked memory since it may hold a key. Single-threaded processes. */
static struct secret *packet_buffer(void) {
    static struct secret *buffer;
    if (buffer == NULL && secret_new(&buffer, MESSAGE_MAX) != VAULT_OK)
        return NULL;
    return buffer;
}

/* Room for several of the largest messages, and for one to be refused rather than to block. */
static int widen(int fd) {
    int size = 4 * MESSAGE_MAX;
    return setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
}

int channel_pair(int ret_ends[2]) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
        return VAULT_E_IO;
    if (widen(ends[0]) != 0 || widen(ends[1]) != 0) {
        close(ends[0]);
        close(ends[1]);
        return VAULT_E_IO;
    }
    ret_ends[0] = ends[0];
    ret_ends[1] = ends[1];
    return VAULT_OK;
}

union control {
    char bytes[CMSG_SPACE(sizeof(int) * MESSAGE_FDS)];
    struct cmsghdr aligned;
};

static void attach_fds(struct msghdr *head, union control *control, const struct message *m) {
    if (m->fd_count == 0)
        return;
    wipe(control, sizeof(*control));
    head->msg_control = control->bytes;
    head->msg_controllen = CMSG_SPACE(sizeof(int) * m->fd_count);
    struct cmsghdr *c = CMSG_FIRSTHDR(head);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int) * m->fd_count);
    copy_bytes(CMSG_DATA(c), sizeof(int) * MESSAGE_FDS, m->fds, sizeof(int) * m->fd_count);
}

static int send_result(ssize_t sent) {
    if (sent >= 0)
        return VAULT_OK;
    switch (errno) {
    case EAGAIN:
    case ENOBUFS: return VAULT_E_LIMIT;
    case EPIPE:
    case ECONNRESET: return VAULT_E_CLOSED;
    default: return VAULT_E_IO;
    }
}

int channel_send(int channel, const struct message *m) {
    struct secret *buffer = packet_buffer();
    size_t used = 0;
    if (buffer == NULL)
        return VAULT_E_MEMORY;
    if (m->fd_count > message_fd_limit(m->type))
        return VAULT_E_STATE;
    int result = message_encode(m, secret_edit(buffer), MESSAGE_MAX, &used);
    if (result != VAULT_OK)
        return VAULT_E_STATE;
    union control control;
    struct iovec part = {.iov_base = secret_edit(buffer), .iov_len = used};
    struct msghdr head = {.msg_iov = &part, .msg_iovlen = 1};
    attach_fds(&head, &control, m);
    ssize_t sent;
    do
        sent = sendmsg(channel, &head, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (sent < 0 && errno == EINTR);
    result = send_result(sent);
    wipe(secret_edit(buffer), used);
    return result;
}

/* When a wait that starts now is over; UINT64_MAX: never. */
static uint64_t deadline_of(int timeout_ms) {
    return timeout_ms < 0 ? UINT64_MAX : loop_now_ms() + (uint64_t)timeout_ms;
}

/* Waits until the channel is ready for `events`. The deadline holds over signals and over wake-ups for nothing. */
static int wait_ready(int channel, short events, uint64_t deadline) {
    struct pollfd p = {.fd = channel, .events = events};
    int n;
    do {
        uint64_t now = loop_now_ms();
        int left = deadline == UINT64_MAX ? -1 : now >= deadline ? 0 : (int)(deadline - now);
        n = poll(&p, 1, left);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? VAULT_E_IO : n == 0 ? VAULT_E_TIMEOUT : VAULT_OK;
}

int channel_send_wait(int channel, const struct message *m, int timeout_ms) {
    uint64_t deadline = deadline_of(timeout_ms);
    int result = channel_send(channel, m);
    while (result == VAULT_E_LIMIT) {
        result = wait_ready(channel, POLLOUT, deadline);
        if (result == VAULT_OK)
            result = channel_send(channel, m);
    }
    return result;
}

/* Collects what came with the packet; too many, or a control message of another kind, closes them all. */
static int collect_fds(struct msghdr *head, int fds[MESSAGE_FDS], size_t *ret_count) {
    size_t count = 0;
    bool bad = (head->msg_flags & (MSG_CTRUNC | MSG_TRUNC)) != 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(head); c != NULL; c = CMSG_NXTHDR(head, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
            bad = true;
            continue;
        }
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int fd;
            copy_bytes(&fd, sizeof(fd), CMSG_DATA(c) + i * sizeof(int), sizeof(int));
            if (count < MESSAGE_FDS) {
                fds[count++] = fd;
            } else {
                bad = true; /* the kernel's alignment leaves room for one more than was asked for */
                close(fd);
            }
        }
    }
    *ret_count = count;
    return bad ? VAULT_E_PROTOCOL : VAULT_OK;
}

static int receive_packet(int channel, struct secret *buffer, size_t *ret_size, int fds[MESSAGE_FDS], size_t *ret_fds) {
    union control control;
    struct iovec part = {.iov_base = secret_edit(buffer), .iov_len = MESSAGE_MAX};
    struct msghdr head = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)};
    ssize_t n;
    do
        n = recvmsg(channel, &head, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == EAGAIN ? VAULT_AGAIN : errno == ECONNRESET ? VAULT_E_CLOSED : VAULT_E_IO;
    *ret_size = (size_t)n;
    /* Also of an empty packet, which looks like the end: a peer could fill our table with descriptors otherwise. */
    int result = collect_fds(&head, fds, ret_fds);
    return n == 0 ? VAULT_E_CLOSED : result;
}

int channel_receive(int channel, struct message *m) {
    struct secret *buffer = packet_buffer();
    size_t size = 0;
    size_t fd_count = 0;
    int fds[MESSAGE_FDS];
    if (buffer == NULL)
        return VAULT_E_MEMORY;
    int result = receive_packet(channel, buffer, &size, fds, &fd_count);
    if (result == VAULT_OK)
        result = message_decode(m, secret_view(buffer), size);
    wipe(secret_edit(buffer), size);
    if (result == VAULT_OK && fd_count > message_fd_limit(m->type)) {
        message_clear(m);
        result = VAULT_E_PROTOCOL;
    }
    for (size_t i = 0; i < fd_count; i++) {
        if (result == VAULT_OK)
            m->fds[i] = fds[i];
        else
            close(fds[i]);
    }
    if (result == VAULT_OK)
        m->fd_count = fd_count;
    return result;
}

int channel_receive_wait(int channel, struct message *m, int timeout_ms) {
    uint64_t deadline = deadline_of(timeout_ms);
    int result = channel_receive(channel, m);
    while (result == VAULT_AGAIN) {
        result = wait_ready(channel, POLLIN, deadline);
        if (result == VAULT_OK)
            result = channel_receive(channel, m);
    }
    return result;
}
