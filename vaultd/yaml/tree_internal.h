/* The tree behind vault/yaml.h.
 *
 * 1. All nodes lie in one array of the tree and never move, so pointers to them stay good.
 * 2. A node owns its text and its key; its name is borrowed (its own key, its list's name, or "").
 * 3. Texts and keys are clean: well-formed UTF-8 without control characters, terminated. */
#ifndef VAULT_YAML_TREE_INTERNAL_H
#define VAULT_YAML_TREE_INTERNAL_H

#include "vault/yaml.h"

struct yaml_node {
    enum yaml_kind kind;
    bool plain; /* a scalar written without quotes and not as a block */
    unsigned line, column;
    char *text; /* of a scalar */
    char *key;  /* in a map */
    const char *name;
    size_t count; /* of children */
    struct yaml_node *first, *last, *next;
};

struct yaml_tree {
    struct yaml_node *nodes; /* the first is the root */
    size_t used;
};

/* yaml_refuse for a place where no node is yet. */
int refuse_at(unsigned line, unsigned column, char problem[YAML_PROBLEM_SIZE], const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
