#include "listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "vault/buffer.h"
#include "vault/log.h"
#include "vault/result.h"

enum { BACKLOG = 512, PORT_MAX = 5 };

/* Splits at the last colon; an IPv6 address stands in brackets. */
static int split_address(const char *text, char *host, size_t host_size, const char **ret_port) {
    const char *colon = strrchr(text, ':');
    if (colon == NULL || colon == text)
        return VAULT_E_FORMAT;
    const char *start = text;
    size_t n = (size_t)(colon - text);
    if (text[0] == '[') {
        if (colon[-1] != ']' || n < 3)
            return VAULT_E_FORMAT;
        start++;
        n -= 2;
    } else if (memchr(text, ':', n) != NULL) {
        return VAULT_E_FORMAT;
    }
    if (n >= host_size)
        return VAULT_E_FORMAT;
    copy_bytes(host, host_size, start, n);
    host[n] = '\0';
    *ret_port = colon + 1;
    return VAULT_OK;
}

static bool port_is_good(const char *port) {
    size_t n = strspn(port, "0123456789");
    return n > 0 && n <= PORT_MAX && port[n] == '\0' && port[0] != '0' && strtoul(port, NULL, 10) <= 65535;
}

int address_parse(const char *text, struct sockaddr_storage *ret, socklen_t *ret_size) {
    char host[64];
    const char *port = NULL;
    if (split_address(text, host, sizeof(host), &port) != VAULT_OK || !port_is_good(port))
        return VAULT_E_FORMAT;
    const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    if (getaddrinfo(host, port, &hints, &found) != 0)
        return VAULT_E_FORMAT;
    *ret = (struct sockaddr_storage){0};
    copy_bytes(ret, sizeof(*ret), found->ai_addr, found->ai_addrlen);
    *ret_size = found->ai_addrlen;
    freeaddrinfo(found);
    return VAULT_OK;
}

void address_group(const struct sockaddr_storage *address, uint8_t ret_group[16]) {
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    struct writer w = writer_of(ret_group, 16);
    if (address->ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)address;
        write_bytes(&w, mapped, sizeof(mapped));
        write_bytes(&w, &v4->sin_addr, 4);
        return;
    }
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)address;
    bool is_mapped = address->ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr);
    write_bytes(&w, &v6->sin6_addr, is_mapped ? 16 : 8);
    if (!is_mapped)
        write_u64(&w, 0);
}

bool address_is_loopback(const struct sockaddr_storage *address) {
    if (address->ss_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)(const void *)address)->sin_addr.s_addr) >> 24 == 127;
    return address->ss_family == AF_INET6 &&
           IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr);
}

static int listen_tls(const struct config *c, int *ret) {
    struct sockaddr_storage address;
    socklen_t size = 0;
    const int on = 1;
    int result = address_parse(c->listen, &address, &size);
    if (result != VAULT_OK)
        return result;
    int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
        bind(fd, (const struct sockaddr *)&address, size) != 0 || listen(fd, BACKLOG) != 0) {
        log_error("listen: %s: %s", c->listen, strerror(errno));
        if (fd >= 0)
            close(fd);
        return VAULT_E_IO;
    }
    *ret = fd;
    return VAULT_OK;
}

/* Removes a socket that nobody listens on any more; refuses anything else in its place. */
static int clear_path(const struct sockaddr_un *address) {
    struct stat found;
    if (lstat(address->sun_path, &found) != 0)
        return errno == ENOENT ? VAULT_OK : VAULT_E_IO;
    if (!S_ISSOCK(found.st_mode)) {
        log_error("listen: %s is in the way, and no socket", address->sun_path);
        return VAULT_E_STATE;
    }
    int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (probe < 0)
        return VAULT_E_IO;
    bool answers = connect(probe, (const struct sockaddr *)address, sizeof(*address)) == 0;
    close(probe);
    if (answers) {
        log_error("listen: another vaultd answers on %s", address->sun_path);
        return VAULT_E_STATE;
    }
    return unlink(address->sun_path) == 0 ? VAULT_OK : VAULT_E_IO;
}

/* Owner and group may connect; the owner is the administrator where that is not who we are. */
static int bind_admin(int fd, const struct sockaddr_un *address, const struct config *c) {
    mode_t before = umask(0117);
    int bound = bind(fd, (const struct sockaddr *)address, sizeof(*address));
    umask(before);
    if (bound != 0)
        return VAULT_E_IO;
    if (geteuid() == 0 && c->administrator != 0 &&
        fchownat(AT_FDCWD, address->sun_path, (uid_t)c->administrator, (gid_t)-1, AT_SYMLINK_NOFOLLOW) != 0)
        return VAULT_E_IO;
    return listen(fd, BACKLOG) == 0 ? VAULT_OK : VAULT_E_IO;
}

static int listen_admin(const struct config *c, int *ret) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    copy_string(address.sun_path, sizeof(address.sun_path), c->socket);
    int result = clear_path(&address);
    if (result != VAULT_OK)
        return result;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    result = fd < 0 ? VAULT_E_IO : bind_admin(fd, &address, c);
    if (result != VAULT_OK) {
        log_error("listen: %s: %s", c->socket, strerror(errno));
        if (fd >= 0)
            close(fd);
        return result;
    }
    *ret = fd;
    return VAULT_OK;
}

static int take_passed(int fd, const char *name, struct listeners *l) {
    int *place = strcmp(name, "tls") == 0 ? &l->tls : strcmp(name, "admin") == 0 ? &l->admin : NULL;
    if (place == NULL || *place >= 0) {
        log_error("listen: a socket named '%s' was passed; expected one tls and one admin", name);
        return VAULT_E_STATE;
    }
    bool fits = place == &l->admin ? sd_is_socket(fd, AF_UNIX, SOCK_STREAM, 1) > 0
                                   : sd_is_socket_inet(fd, AF_UNSPEC, SOCK_STREAM, 1, 0) > 0;
    int flags = fcntl(fd, F_GETFL);
    if (!fits || flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
        log_error("listen: the socket passed as '%s' is not a listening %s socket", name,
                  place == &l->admin ? "Unix stream" : "TCP");
        return VAULT_E_STATE;
    }
    *place = fd;
    return VAULT_OK;
}

static int take_all_passed(struct listeners *l) {
    char **names = NULL;
    int count = sd_listen_fds_with_names(1, &names);
    int result = count < 0 ? VAULT_E_IO : VAULT_OK;
    for (int i = 0; result == VAULT_OK && i < count; i++)
        result = take_passed(SD_LISTEN_FDS_START + i, names[i], l);
    for (int i = 0; i < count; i++)
        free(names[i]);
    free(names);
    return result;
}

int listeners_open(const struct config *c, struct listeners *ret) {
    struct listeners l = {.tls = -1, .admin = -1};
    int result = take_all_passed(&l);
    if (result == VAULT_OK && l.tls < 0 && c->listen[0] != '\0')
        result = listen_tls(c, &l.tls);
    if (result == VAULT_OK && l.admin < 0) {
        result = listen_admin(c, &l.admin);
        l.own_path = result == VAULT_OK;
    }
    if (result != VAULT_OK) {
        listeners_close(c, &l);
        return result;
    }
    if (l.tls < 0)
        log_notice("listen: no TLS socket is configured or passed; the Unix socket only");
    *ret = l;
    return VAULT_OK;
}

void listeners_close(const struct config *c, struct listeners *l) {
    if (l->tls >= 0)
        close(l->tls);
    if (l->admin >= 0)
        close(l->admin);
    if (l->own_path)
        unlink(c->socket);
    *l = (struct listeners){.tls = -1, .admin = -1};
}
