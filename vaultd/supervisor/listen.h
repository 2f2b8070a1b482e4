/* Listening sockets: made here, or taken from the service manager. */
#ifndef VAULT_SUPERVISOR_LISTEN_H
#define VAULT_SUPERVISOR_LISTEN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "config.h"

struct listeners {
    int tls, admin; /* -1: none */
    bool own_path;  /* the Unix socket's path was made here and is removed at the end */
};

/* "127.0.0.1:8443" or "[::1]:8443"; numbers only. VAULT_E_FORMAT. */
int address_parse(const char *text, struct sockaddr_storage *ret, socklen_t *ret_size);
bool address_is_loopback(const struct sockaddr_storage *address);
/* What is counted for limits.per_address: an IPv4 address (mapped in IPv6 too), or the /64 of an IPv6 address. */
void address_group(const struct sockaddr_storage *address, uint8_t ret_group[16]);

/* Takes sockets named `tls` and `admin` from the service manager and makes what is configured and was not passed.
 * Says in the log what is wrong. VAULT_E_IO, VAULT_E_STATE (nothing to listen on, unknown names, in use). */
int listeners_open(const struct config *c, struct listeners *ret);
/* Closes them and removes the Unix socket's path if it was made here. */
void listeners_close(const struct config *c, struct listeners *l);

#endif
