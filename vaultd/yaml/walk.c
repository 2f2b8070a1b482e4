#include "tree_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "vault/fields.h"
#include "vault/result.h"

/* What was cut in the middle of a character loses the rest of it, so that the text stays UTF-8. */
static void __attribute__((format(printf, 4, 0)))
write_problem(unsigned line, unsigned column, char *problem, const char *format, va_list arguments) {
    int n = snprintf(problem, YAML_PROBLEM_SIZE, "line %u, column %u: ", line, column);
    if (n < 0 || vsnprintf(problem + n, (size_t)(YAML_PROBLEM_SIZE - n), format, arguments) < 0) {
        problem[0] = '\0';
        return;
    }
    for (size_t length = strlen(problem); length > 0 && !text_is_clean(problem, length);)
        problem[--length] = '\0';
}

int refuse_at(unsigned line, unsigned column, char problem[YAML_PROBLEM_SIZE], const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    write_problem(line, column, problem, format, arguments);
    va_end(arguments);
    return VAULT_E_FORMAT;
}

int yaml_refuse(const struct yaml_node *node, char problem[YAML_PROBLEM_SIZE], const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    write_problem(node->line, node->column, problem, format, arguments);
    va_end(arguments);
    return VAULT_E_FORMAT;
}

const struct yaml_node *yaml_tree_root(const struct yaml_tree *tree) {
    return tree->nodes;
}

enum yaml_kind yaml_kind_of(const struct yaml_node *node) {
    return node->kind;
}

const char *yaml_name_of(const struct yaml_node *node) {
    return node->name;
}

unsigned yaml_line_of(const struct yaml_node *node) {
    return node->line;
}

unsigned yaml_column_of(const struct yaml_node *node) {
    return node->column;
}

size_t yaml_count(const struct yaml_node *node) {
    return node->count;
}

const struct yaml_node *yaml_first(const struct yaml_node *node) {
    return node->first;
}

const struct yaml_node *yaml_next(const struct yaml_node *child) {
    return child->next;
}

const struct yaml_node *yaml_member(const struct yaml_node *map, const char *key) {
    if (map->kind != YAML_IS_MAP)
        return NULL;
    for (const struct yaml_node *child = map->first; child != NULL; child = child->next)
        if (strcmp(child->key, key) == 0)
            return child;
    return NULL;
}

/* For texts: "'rules': " or nothing where the node has no name. */
static const char *named(const struct yaml_node *node, char to[YAML_KEY_LIMIT + 8]) {
    to[0] = '\0';
    if (node->name[0] != '\0')
        format_string(to, YAML_KEY_LIMIT + 8, "'%s': ", node->name);
    return to;
}

static int refuse_value(const struct yaml_node *node, char *problem, const char *what) {
    char name[YAML_KEY_LIMIT + 8];
    return yaml_refuse(node, problem, "%s%s", named(node, name), what);
}

int yaml_need(const struct yaml_node *map, const char *key, const struct yaml_node **ret_node,
              char problem[YAML_PROBLEM_SIZE]) {
    const struct yaml_node *child = yaml_member(map, key);
    if (child == NULL)
        return yaml_refuse(map, problem, "member '%s' is missing", key);
    *ret_node = child;
    return VAULT_OK;
}

static bool is_known(const char *key, const char *const *known) {
    for (; *known != NULL; known++)
        if (strcmp(key, *known) == 0)
            return true;
    return false;
}

int yaml_need_map(const struct yaml_node *node, const char *const *known, char problem[YAML_PROBLEM_SIZE]) {
    if (node->kind != YAML_IS_MAP)
        return refuse_value(node, problem, "not a map");
    for (const struct yaml_node *child = node->first; child != NULL; child = child->next)
        if (!is_known(child->key, known))
            return yaml_refuse(child, problem, "unknown member '%s'", child->key);
    return VAULT_OK;
}

int yaml_need_list(const struct yaml_node *node, char problem[YAML_PROBLEM_SIZE]) {
    return node->kind == YAML_IS_LIST ? VAULT_OK : refuse_value(node, problem, "not a list");
}

static bool is_plain(const struct yaml_node *node, const char *text) {
    return node->kind == YAML_IS_SCALAR && node->plain && strcmp(node->text, text) == 0;
}

bool yaml_is_null(const struct yaml_node *node) {
    return is_plain(node, "") || is_plain(node, "~") || is_plain(node, "null");
}

int yaml_get_string(const struct yaml_node *node, size_t max, const char **ret_text, char problem[YAML_PROBLEM_SIZE]) {
    char name[YAML_KEY_LIMIT + 8];
    if (node->kind != YAML_IS_SCALAR)
        return refuse_value(node, problem, "not a text");
    if (yaml_is_null(node))
        return refuse_value(node, problem, "empty");
    if (strlen(node->text) > max)
        return yaml_refuse(node, problem, "%smore than %zu bytes", named(node, name), max);
    *ret_text = node->text;
    return VAULT_OK;
}

static bool parse_number(const char *text, uint64_t *ret) {
    uint64_t number = 0;
    if (text[0] == '\0' || (text[0] == '0' && text[1] != '\0'))
        return false;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9' || __builtin_mul_overflow(number, 10u, &number) ||
            __builtin_add_overflow(number, (uint64_t)(*text - '0'), &number))
            return false;
    }
    *ret = number;
    return true;
}

int yaml_get_u64(const struct yaml_node *node, uint64_t least, uint64_t most, uint64_t *ret_number,
                 char problem[YAML_PROBLEM_SIZE]) {
    char name[YAML_KEY_LIMIT + 8];
    uint64_t number;
    if (node->kind != YAML_IS_SCALAR || !node->plain || !parse_number(node->text, &number))
        return refuse_value(node, problem, "not a whole number");
    if (number < least || number > most)
        return yaml_refuse(node, problem, "%snot from %llu to %llu", named(node, name), (unsigned long long)least,
                           (unsigned long long)most);
    *ret_number = number;
    return VAULT_OK;
}

int yaml_get_bool(const struct yaml_node *node, bool *ret_value, char problem[YAML_PROBLEM_SIZE]) {
    if (!is_plain(node, "true") && !is_plain(node, "false"))
        return refuse_value(node, problem, "not true or false");
    *ret_value = is_plain(node, "true");
    return VAULT_OK;
}

int yaml_get_name(const struct yaml_node *node, yaml_find *find, unsigned *ret, char problem[YAML_PROBLEM_SIZE]) {
    const char *name;
    int result = yaml_get_string(node, YAML_KEY_LIMIT, &name, problem);
    if (result != VAULT_OK)
        return result;
    int found = find(name);
    if (found < 0)
        return yaml_refuse(node, problem, "'%s': unknown '%s'", yaml_name_of(node), name);
    *ret = (unsigned)found;
    return VAULT_OK;
}

int yaml_get_mask(const struct yaml_node *list, yaml_find *find, uint32_t *ret_mask, char problem[YAML_PROBLEM_SIZE]) {
    uint32_t mask = 0;
    int result = yaml_need_list(list, problem);
    if (result != VAULT_OK)
        return result;
    if (yaml_count(list) == 0)
        return yaml_refuse(list, problem, "'%s': an empty list", yaml_name_of(list));
    for (const struct yaml_node *item = yaml_first(list); item != NULL; item = yaml_next(item)) {
        unsigned number = 0;
        result = yaml_get_name(item, find, &number, problem);
        if (result != VAULT_OK)
            return result;
        if ((mask & 1u << number) != 0)
            return yaml_refuse(item, problem, "'%s': named twice", yaml_name_of(list));
        mask |= 1u << number;
    }
    *ret_mask = mask;
    return VAULT_OK;
}
