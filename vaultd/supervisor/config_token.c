/* The section `token`: a PKCS#11 module, and which token of it (RFC 7512). */
#include <string.h>

#include "config_internal.h"
#include "vault/buffer.h"
#include "vault/result.h"

typedef const struct yaml_node node;

static bool is_hex(char c) {
    return c != '\0' && strchr("0123456789abcdefABCDEF", c) != NULL;
}

/* The characters that a value may have: unreserved and reserved ones of the RFC, and what is percent-encoded. */
static bool value_is_good(const char *value, size_t n) {
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~:[]@!$'()*+,=&";
    for (size_t i = 0; i < n; i++) {
        if (value[i] == '%') {
            if (n - i < 3 || !is_hex(value[i + 1]) || !is_hex(value[i + 2]))
                return false;
            i += 2;
        } else if (strchr(plain, value[i]) == NULL) {
            return false;
        }
    }
    return n > 0;
}

/* One attribute, `name=value` of n bytes. Those of the path that select a token, and the label of the vault's keys;
 * what else there is has its own place here (the PIN, the module), or is the vault's own to choose (the id). */
static int check_attribute(node *at, const char *text, size_t n, bool *found_object, char *problem) {
    static const char *const known[] = {"token=", "manufacturer=", "serial=", "model=", "object="};
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        size_t head = strlen(known[i]);
        if (n < head || strncmp(text, known[i], head) != 0)
            continue;
        if (!value_is_good(text + head, n - head))
            return yaml_refuse(at, problem, "uri: '%.*s' has no value, or characters that must be percent-encoded",
                               (int)n, text);
        *found_object |= i == sizeof(known) / sizeof(known[0]) - 1;
        return VAULT_OK;
    }
    return yaml_refuse(at, problem, "uri: '%.*s' is none of token=, manufacturer=, serial=, model= and object=", (int)n,
                       text);
}

static int check_uri(node *at, const char *uri, char *problem) {
    static const char scheme[] = "pkcs11:";
    bool object = false;
    int result = VAULT_OK;
    if (strncmp(uri, scheme, sizeof(scheme) - 1) != 0)
        return yaml_refuse(at, problem, "uri: '%s' does not begin with 'pkcs11:'", uri);
    if (strchr(uri, '?') != NULL) /* not quoted: it may be a PIN */
        return yaml_refuse(at, problem, "uri: what is behind '?' has its own place here: pin, module");
    for (const char *part = uri + sizeof(scheme) - 1; result == VAULT_OK;) {
        size_t n = strcspn(part, ";");
        result = check_attribute(at, part, n, &object, problem);
        if (part[n] == '\0')
            break;
        part += n + 1;
    }
    if (result == VAULT_OK && !object)
        return yaml_refuse(at, problem, "uri: object= is missing: the label of the vault's keys in the token");
    return result;
}

/* `NAME=VALUE`. What the dynamic loader would take for itself is not for the module. */
static int check_variable(node *at, const char *text, char *problem) {
    size_t n = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_");
    if (n == 0 || text[n] != '=' || strncmp(text, "LD_", 3) == 0)
        return yaml_refuse(at, problem, "environment: '%s' is not NAME=VALUE, or a variable of the dynamic loader",
                           text);
    return VAULT_OK;
}

static int take_environment(node *section, struct token_config *to, char *problem) {
    node *list = yaml_member(section, "environment");
    const char *text = NULL;
    size_t used = 0;
    if (list == NULL)
        return VAULT_OK;
    int result = yaml_need_list(list, problem);
    if (result == VAULT_OK && yaml_count(list) > TOKEN_VARIABLES)
        return yaml_refuse(list, problem, "environment: more than %d variables", TOKEN_VARIABLES);
    for (node *each = yaml_first(list); result == VAULT_OK && each != NULL; each = yaml_next(each)) {
        result = yaml_get_string(each, sizeof(to->environment[0]) - 1, &text, problem);
        if (result == VAULT_OK)
            result = check_variable(each, text, problem);
        if (result == VAULT_OK)
            copy_string(to->environment[used++], sizeof(to->environment[0]), text);
    }
    return result;
}

int take_token(node *root, struct token_config *to, char *problem) {
    static const char *const known[] = {"module", "uri", "pin", "seconds", "environment", NULL};
    node *section = yaml_member(root, "token");
    if (section == NULL)
        return VAULT_OK;
    to->seconds = 10;
    int result = yaml_need_map(section, known, problem);
    if (result == VAULT_OK)
        result = take_path(section, "module", true, to->module, sizeof(to->module), problem);
    if (result == VAULT_OK)
        result = take_text(section, "uri", true, to->uri, sizeof(to->uri), problem);
    if (result == VAULT_OK)
        result = check_uri(yaml_member(section, "uri"), to->uri, problem);
    if (result == VAULT_OK)
        result = take_credential(section, "pin", &to->pin, problem);
    if (result == VAULT_OK)
        result = take_u32(section, "seconds", 1, 120, &to->seconds, problem);
    if (result == VAULT_OK)
        result = take_environment(section, to, problem);
    to->set = result == VAULT_OK;
    return result;
}
