/* Where the vault is: a Unix socket, or a TLS address with a client certificate. */
#ifndef VAULTCTL_CONNECTION_H
#define VAULTCTL_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>

struct connection_options {
    const char *socket, *url, *cert, *key, *ca; /* NULL: not given */
};

struct connection {
    bool tls;
    const char *socket;     /* without TLS */
    const char *url;        /* with TLS: https://HOST[:PORT], perhaps with a slash at the end */
    const char *cert, *key; /* with TLS: PEM files; NULL: none */
    const char *ca;         /* with TLS: PEM file of the authorities trusted; NULL: the system's */
};

/* Chooses from the command line and the environment (`environment` is getenv in the program). TLS if --url or --cert
 * is given, or VAULT_CERT is set and --socket is not given. False, with the reason in `error`, if what was given does
 * not go together. The strings are those of the options or of the environment. */
bool connection_choose(const struct connection_options *o, char *(*environment)(const char *name),
                       struct connection *ret, char *error, size_t error_size);

#endif
