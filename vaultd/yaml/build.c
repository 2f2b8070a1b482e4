/* From libyaml's events to the tree; the only file that knows libyaml. */
#include "tree_internal.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "vault/buffer.h"
#include "vault/fields.h"
#include "vault/result.h"

struct builder {
    struct yaml_tree *tree;
    struct yaml_node *open[YAML_DEPTH_LIMIT]; /* maps and lists not yet ended, outermost first */
    size_t depth;
    char *key; /* owned; read, its value not yet */
    unsigned documents;
    yaml_event_t event; /* the one being taken */
    char *problem;
};

static unsigned line_of(const struct builder *b) {
    return (unsigned)b->event.start_mark.line + 1;
}

static unsigned column_of(const struct builder *b) {
    return (unsigned)b->event.start_mark.column + 1;
}

#define REFUSE(b, ...) refuse_at(line_of(b), column_of(b), (b)->problem, __VA_ARGS__)

static struct yaml_node *inside(const struct builder *b) {
    return b->depth == 0 ? NULL : b->open[b->depth - 1];
}

static bool key_expected(const struct builder *b) {
    return inside(b) != NULL && inside(b)->kind == YAML_IS_MAP && b->key == NULL;
}

static bool key_is_good(const char *text, size_t n) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
    return n > 0 && n <= YAML_KEY_LIMIT && strspn(text, letters) == n;
}

static int keep_text(const char *text, size_t n, char **ret) {
    char *copy = malloc(n + 1);
    if (copy == NULL)
        return VAULT_E_MEMORY;
    copy_bytes(copy, n, text, n);
    copy[n] = '\0';
    *ret = copy;
    return VAULT_OK;
}

static int add_key(struct builder *b) {
    const char *text = (const char *)b->event.data.scalar.value;
    size_t n = b->event.data.scalar.length;
    const struct yaml_node *map = inside(b);
    if (b->event.data.scalar.style != YAML_PLAIN_SCALAR_STYLE || !key_is_good(text, n))
        return REFUSE(b, "a key must be plain text of [A-Za-z0-9_.-], at most %d bytes", YAML_KEY_LIMIT);
    if (yaml_member(map, text) != NULL)
        return REFUSE(b, "duplicate key '%s'", text);
    if (map->count == YAML_MEMBERS_LIMIT)
        return REFUSE(b, "more than %d members in a map", YAML_MEMBERS_LIMIT);
    return keep_text(text, n, &b->key);
}

/* A new node under the one that is open, which takes over the key. */
static int add_node(struct builder *b, enum yaml_kind kind, struct yaml_node **ret_node) {
    if (b->tree->used == YAML_NODES_LIMIT)
        return REFUSE(b, "more than %d values in the document", YAML_NODES_LIMIT);
    struct yaml_node *node = &b->tree->nodes[b->tree->used++], *parent = inside(b);
    *node = (struct yaml_node){.kind = kind, .line = line_of(b), .column = column_of(b), .key = b->key, .name = b->key};
    b->key = NULL;
    if (node->name == NULL)
        node->name = parent == NULL ? "" : parent->name;
    *ret_node = node;
    if (parent == NULL)
        return VAULT_OK;
    if (parent->last == NULL)
        parent->first = node;
    else
        parent->last->next = node;
    parent->last = node;
    parent->count++;
    return VAULT_OK;
}

static int add_scalar(struct builder *b) {
    const char *text = (const char *)b->event.data.scalar.value;
    size_t n = b->event.data.scalar.length;
    struct yaml_node *node;
    if (b->event.data.scalar.anchor != NULL || b->event.data.scalar.tag != NULL)
        return REFUSE(b, "anchors and tags are not allowed");
    if (key_expected(b))
        return add_key(b);
    if (n > YAML_SCALAR_LIMIT)
        return REFUSE(b, "text of more than %d bytes", YAML_SCALAR_LIMIT);
    if (!text_is_clean(text, n))
        return REFUSE(b, "control characters or line ends in a text");
    int result = add_node(b, YAML_IS_SCALAR, &node);
    if (result != VAULT_OK)
        return result;
    node->plain = b->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    return keep_text(text, n, &node->text);
}

static int start(struct builder *b, enum yaml_kind kind, bool marked) {
    struct yaml_node *node;
    if (marked)
        return REFUSE(b, "anchors and tags are not allowed");
    if (key_expected(b))
        return REFUSE(b, "a key must be plain text");
    if (b->depth == YAML_DEPTH_LIMIT)
        return REFUSE(b, "more than %d maps and lists inside each other", YAML_DEPTH_LIMIT);
    int result = add_node(b, kind, &node);
    if (result == VAULT_OK)
        b->open[b->depth++] = node;
    return result;
}

static int start_document(struct builder *b) {
    if (b->documents++ > 0)
        return REFUSE(b, "a second document");
    if (b->event.data.document_start.version_directive != NULL ||
        b->event.data.document_start.tag_directives.start != b->event.data.document_start.tag_directives.end)
        return REFUSE(b, "directives are not allowed");
    return VAULT_OK;
}

static int take_event(struct builder *b) {
    const yaml_event_t *e = &b->event;
    switch (e->type) {
    case YAML_DOCUMENT_START_EVENT: return start_document(b);
    case YAML_ALIAS_EVENT: return REFUSE(b, "aliases are not allowed");
    case YAML_SCALAR_EVENT: return add_scalar(b);
    case YAML_SEQUENCE_START_EVENT:
        return start(b, YAML_IS_LIST, e->data.sequence_start.anchor != NULL || e->data.sequence_start.tag != NULL);
    case YAML_MAPPING_START_EVENT:
        return start(b, YAML_IS_MAP, e->data.mapping_start.anchor != NULL || e->data.mapping_start.tag != NULL);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT: b->depth--; return VAULT_OK;
    default: return VAULT_OK;
    }
}

/* Counts lines up to a byte, for errors below the level at which libyaml knows lines. */
static int refuse_at_byte(const char *text, size_t n, size_t byte, char *problem, const char *what) {
    unsigned line = 1, column = 1;
    for (size_t i = 0; i < byte && i < n; i++) {
        column = text[i] == '\n' ? 1 : column + 1;
        line += text[i] == '\n';
    }
    return refuse_at(line, column, problem, "%s", what);
}

static int parser_failed(const yaml_parser_t *parser, const char *text, size_t n, char *problem) {
    const char *what = parser->problem == NULL ? "not YAML" : parser->problem;
    if (parser->error == YAML_MEMORY_ERROR)
        return VAULT_E_MEMORY;
    if (parser->error == YAML_READER_ERROR)
        return refuse_at_byte(text, n, parser->problem_offset, problem, what);
    return refuse_at((unsigned)parser->problem_mark.line + 1, (unsigned)parser->problem_mark.column + 1, problem, "%s",
                     what);
}

static int take_events(yaml_parser_t *parser, struct builder *b, const char *text, size_t n) {
    for (bool ended = false; !ended;) {
        if (!yaml_parser_parse(parser, &b->event))
            return parser_failed(parser, text, n, b->problem);
        ended = b->event.type == YAML_STREAM_END_EVENT;
        int result = take_event(b);
        yaml_event_delete(&b->event);
        if (result != VAULT_OK)
            return result;
    }
    return b->tree->used > 0 ? VAULT_OK : refuse_at(1, 1, b->problem, "the document is empty");
}

static int build(const char *text, size_t n, struct yaml_tree *tree, char *problem) {
    yaml_parser_t parser;
    struct builder b = {.tree = tree, .problem = problem};
    if (!yaml_parser_initialize(&parser))
        return VAULT_E_MEMORY;
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, n);
    int result = take_events(&parser, &b, text, n);
    free(b.key);
    yaml_parser_delete(&parser);
    return result;
}

int yaml_tree_parse(const char *text, size_t n, struct yaml_tree **ret_tree, char problem[YAML_PROBLEM_SIZE]) {
    if (n > YAML_TEXT_LIMIT) {
        refuse_at(1, 1, problem, "a document of more than %d bytes", YAML_TEXT_LIMIT);
        return VAULT_E_LIMIT;
    }
    int result = VAULT_E_MEMORY;
    struct yaml_tree *tree = calloc(1, sizeof(*tree));
    if (tree != NULL)
        tree->nodes = calloc(YAML_NODES_LIMIT, sizeof(*tree->nodes));
    if (tree != NULL && tree->nodes != NULL)
        result = build(text, n, tree, problem);
    if (result == VAULT_OK) {
        *ret_tree = tree;
        return VAULT_OK;
    }
    if (result == VAULT_E_MEMORY)
        format_string(problem, YAML_PROBLEM_SIZE, "no memory");
    yaml_tree_free(&tree);
    return result;
}

void yaml_tree_free(struct yaml_tree **tree) {
    struct yaml_tree *t = *tree;
    if (t == NULL)
        return;
    for (size_t i = 0; i < t->used; i++) {
        free(t->nodes[i].text);
        free(t->nodes[i].key);
    }
    free(t->nodes);
    free(t);
    *tree = NULL;
}
