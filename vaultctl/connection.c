#include "connection.h"

#include <strings.h>

#include "vault/buffer.h"

static const char *const default_socket = "/run/vaultd/vaultd.sock";

/* The option, else the variable, else NULL. An empty variable is as good as none. */
static const char *either(const char *option, char *(*environment)(const char *), const char *variable) {
    if (option != NULL)
        return option;
    const char *value = environment(variable);
    return value != NULL && *value != '\0' ? value : NULL;
}

static bool choose_tls(const struct connection_options *o, char *(*environment)(const char *), struct connection *ret,
                       char *error, size_t error_size) {
    struct connection c = {.tls = true};
    c.url = either(o->url, environment, "VAULT_URL");
    c.cert = either(o->cert, environment, "VAULT_CERT");
    c.key = either(o->key, environment, "VAULT_KEY");
    c.ca = either(o->ca, environment, "VAULT_CA");
    if (c.url == NULL) {
        (void)format_string(error, error_size, "a client certificate is given, but no address: --url or VAULT_URL");
        return false;
    }
    if (strncasecmp(c.url, "https://", 8) != 0 || c.url[8] == '\0') {
        (void)format_string(error, error_size, "--url (or VAULT_URL) must be https://HOST[:PORT], not '%s'", c.url);
        return false;
    }
    if (c.cert != NULL && c.key == NULL)
        c.key = c.cert;
    *ret = c;
    return true;
}

bool connection_choose(const struct connection_options *o, char *(*environment)(const char *name),
                       struct connection *ret, char *error, size_t error_size) {
    if (o->socket != NULL && (o->url != NULL || o->cert != NULL)) {
        (void)format_string(error, error_size, "--socket and %s exclude each other",
                            o->url != NULL ? "--url" : "--cert");
        return false;
    }
    if (o->url != NULL || o->cert != NULL || (o->socket == NULL && either(NULL, environment, "VAULT_CERT") != NULL))
        return choose_tls(o, environment, ret, error, error_size);
    const char *socket = either(o->socket, environment, "VAULT_SOCKET");
    *ret = (struct connection){.socket = socket != NULL ? socket : default_socket};
    return true;
}
