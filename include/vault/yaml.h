/* YAML documents (configuration, policy) as a small tree, with the place of everything for error texts.
 *
 * A deliberately small YAML: maps with distinct plain keys, lists, scalars; block or flow style, comments. Refused, by
 * line and column: anchors, aliases, tags, directives, merge keys, a second document, control characters, malformed
 * UTF-8, and whatever exceeds a limit below. Nothing is typed until it is asked for: `port: 8443` is the text "8443".
 *
 * Every function that takes `problem` writes one line there when it fails, such as
 * "line 3, column 5: unknown member 'ruels'", and gives VAULT_E_FORMAT unless it says otherwise. A problem may quote
 * the document. The usual walk is: yaml_tree_parse, yaml_need_map(root, known members), yaml_need or yaml_member for
 * each, then yaml_get_*. */
#ifndef VAULT_YAML_H
#define VAULT_YAML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    YAML_TEXT_LIMIT = 262144, /* bytes of a document */
    YAML_DEPTH_LIMIT = 8,     /* maps and lists inside each other */
    YAML_NODES_LIMIT = 8192,  /* maps, lists and scalars; keys not counted */
    YAML_MEMBERS_LIMIT = 256, /* members of one map */
    YAML_SCALAR_LIMIT = 1024, /* bytes of a scalar */
    YAML_KEY_LIMIT = 64,      /* bytes of a key, [A-Za-z0-9_.-]+ */
    YAML_PROBLEM_SIZE = 300   /* bytes of a problem text with its NUL */
};

struct yaml_tree; /* a document; owns its nodes and their strings */
struct yaml_node; /* lives as long as its tree */

enum yaml_kind { YAML_IS_SCALAR, YAML_IS_LIST, YAML_IS_MAP };

/* Parses one document of n bytes. The caller frees *ret_tree. VAULT_E_FORMAT, VAULT_E_LIMIT, VAULT_E_MEMORY. */
int yaml_tree_parse(const char *text, size_t n, struct yaml_tree **ret_tree, char problem[YAML_PROBLEM_SIZE]);
/* Frees and forgets; *tree may be NULL. */
void yaml_tree_free(struct yaml_tree **tree);
/* The top node, never NULL. An empty document does not parse. */
const struct yaml_node *yaml_tree_root(const struct yaml_tree *tree);

enum yaml_kind yaml_kind_of(const struct yaml_node *node);
/* Its key in the map it is in; of a list item, that of the list; "" where there is none. */
const char *yaml_name_of(const struct yaml_node *node);
/* Counted from 1. Of a map's member: the place of its value. */
unsigned yaml_line_of(const struct yaml_node *node);
unsigned yaml_column_of(const struct yaml_node *node);

/* Children of a list or map, in the order of the document: yaml_first, then yaml_next until NULL. A scalar has none.
 * In a map each child's key is its yaml_name_of. */
size_t yaml_count(const struct yaml_node *node);
const struct yaml_node *yaml_first(const struct yaml_node *node);
const struct yaml_node *yaml_next(const struct yaml_node *child);

/* The member with this key; NULL if the node is no map or has none. */
const struct yaml_node *yaml_member(const struct yaml_node *map, const char *key);
/* The same, where it must be there. */
int yaml_need(const struct yaml_node *map, const char *key, const struct yaml_node **ret_node,
              char problem[YAML_PROBLEM_SIZE]);
/* The node is a map, and every key of it is in `known`, a list that ends with NULL. */
int yaml_need_map(const struct yaml_node *node, const char *const *known, char problem[YAML_PROBLEM_SIZE]);
/* The node is a list. */
int yaml_need_list(const struct yaml_node *node, char problem[YAML_PROBLEM_SIZE]);

/* True for a plain `null`, `~` or nothing at all. */
bool yaml_is_null(const struct yaml_node *node);
/* A scalar, not null, of at most `max` bytes, as text without control characters. Lives as long as the tree. */
int yaml_get_string(const struct yaml_node *node, size_t max, const char **ret_text, char problem[YAML_PROBLEM_SIZE]);
/* A plain decimal number without sign or leading zeros, from least to most. */
int yaml_get_u64(const struct yaml_node *node, uint64_t least, uint64_t most, uint64_t *ret_number,
                 char problem[YAML_PROBLEM_SIZE]);
/* A plain `true` or `false`, nothing else. */
int yaml_get_bool(const struct yaml_node *node, bool *ret_value, char problem[YAML_PROBLEM_SIZE]);

/* The number that a name stands for, -1 if none. */
typedef int yaml_find(const char *name);
/* A scalar that `find` knows. */
int yaml_get_name(const struct yaml_node *node, yaml_find *find, unsigned *ret_number, char problem[YAML_PROBLEM_SIZE]);
/* A list of such names, each once, as a mask. An empty one is a mistake: whoever means "any" leaves the member out. */
int yaml_get_mask(const struct yaml_node *list, yaml_find *find, uint32_t *ret_mask, char problem[YAML_PROBLEM_SIZE]);

/* Writes "line L, column C: " and the text to `problem`, cut where it does not fit, for what only the caller can
 * judge. Always gives VAULT_E_FORMAT: `return yaml_refuse(node, problem, "'%s': no such user", name);` */
int yaml_refuse(const struct yaml_node *node, char problem[YAML_PROBLEM_SIZE], const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
