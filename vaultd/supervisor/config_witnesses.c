/* The section `witnesses`: who cosigns the audit's checkpoints, and how long the vault does without. */
#include <string.h>

#include "config_internal.h"
#include "vault/buffer.h"
#include "vault/result.h"

typedef const struct yaml_node node;

enum { DAY = 86400, EVERY_MOST = DAY, WITHIN_MOST = 31 * DAY };

/* `http://` or `https://`, a host, and what stands behind it, as it goes over the wire: no query, no user. */
static int check_url(node *at, struct witness_config *w, char *problem) {
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~:[]/%";
    const char *rest = strncmp(w->url, "https://", 8) == 0  ? w->url + 8
                       : strncmp(w->url, "http://", 7) == 0 ? w->url + 7
                                                            : NULL;
    if (rest == NULL || rest[0] == '\0' || rest[0] == '/' || rest[strspn(rest, plain)] != '\0')
        return yaml_refuse(at, problem, "url: '%s' is not http:// or https://, a host and a path", w->url);
    size_t n = strlen(w->url);
    while (n > 0 && w->url[n - 1] == '/')
        w->url[--n] = '\0';
    return VAULT_OK;
}

static int check_key(node *at, const struct witnesses_config *to, const struct witness_config *w, char *problem) {
    struct witness_key key, other;
    if (witness_key_parse(w->key, &key) != VAULT_OK)
        return yaml_refuse(at, problem,
                           "key: '%s' is no verifier key of a witness: NAME+8 hex digits+base64 of 0x04 and an Ed25519 "
                           "key",
                           w->key);
    for (uint32_t i = 0; i < to->count; i++)
        if (witness_key_parse(to->each[i].key, &other) == VAULT_OK &&
            memcmp(other.public_key, key.public_key, sizeof(key.public_key)) == 0)
            return yaml_refuse(at, problem, "key: the same key as of witness %u: it would count twice", i + 1);
    return VAULT_OK;
}

static int take_witness(node *each, struct witnesses_config *to, char *problem) {
    static const char *const known[] = {"url", "key", NULL};
    struct witness_config *w = &to->each[to->count];
    int result = yaml_need_map(each, known, problem);
    if (result == VAULT_OK)
        result = take_text(each, "url", true, w->url, sizeof(w->url), problem);
    if (result == VAULT_OK)
        result = check_url(yaml_member(each, "url"), w, problem);
    if (result == VAULT_OK)
        result = take_text(each, "key", true, w->key, sizeof(w->key), problem);
    if (result == VAULT_OK)
        result = check_key(yaml_member(each, "key"), to, w, problem);
    if (result == VAULT_OK)
        to->count++;
    return result;
}

static int take_list(node *section, struct witnesses_config *to, char *problem) {
    node *list = NULL;
    int result = yaml_need(section, "list", &list, problem);
    if (result == VAULT_OK)
        result = yaml_need_list(list, problem);
    if (result != VAULT_OK)
        return result;
    if (yaml_count(list) == 0 || yaml_count(list) > WITNESSES_MOST)
        return yaml_refuse(list, problem, "list: needs 1 to %d witnesses", WITNESSES_MOST);
    for (node *each = yaml_first(list); result == VAULT_OK && each != NULL; each = yaml_next(each))
        result = take_witness(each, to, problem);
    return result;
}

/* Where nothing else is said, those that the system trusts. */
static int take_authorities(node *section, struct witnesses_config *to, char *problem) {
    bool tls = false;
    for (uint32_t i = 0; i < to->count; i++)
        tls |= strncmp(to->each[i].url, "https://", 8) == 0;
    if (tls)
        copy_string(to->authorities, sizeof(to->authorities), "/etc/ssl/certs/ca-certificates.crt");
    return take_path(section, "authorities", false, to->authorities, sizeof(to->authorities), problem);
}

int take_witnesses(node *root, struct witnesses_config *to, char *problem) {
    static const char *const known[] = {"every", "within", "seconds", "authorities", "list", NULL};
    node *section = yaml_member(root, "witnesses");
    if (section == NULL)
        return VAULT_OK;
    to->every = 300;
    to->seconds = 10;
    int result = yaml_need_map(section, known, problem);
    if (result == VAULT_OK)
        result = take_u32(section, "every", 1, EVERY_MOST, &to->every, problem);
    if (result == VAULT_OK)
        result = take_u32(section, "within", 0, WITHIN_MOST, &to->within, problem);
    if (result == VAULT_OK && to->within != 0 && to->within <= to->every)
        return yaml_refuse(section, problem, "witnesses: within (%u) is not longer than every (%u)", to->within,
                           to->every);
    if (result == VAULT_OK)
        result = take_u32(section, "seconds", 1, 60, &to->seconds, problem);
    if (result == VAULT_OK)
        result = take_list(section, to, problem);
    return result == VAULT_OK ? take_authorities(section, to, problem) : result;
}
