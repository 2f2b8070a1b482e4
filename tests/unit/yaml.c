#include "vault/yaml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vault/buffer.h"
#include "vault/fields.h"
#include "vault/result.h"

static struct yaml_tree *tree_of(const char *text) {
    struct yaml_tree *tree = NULL;
    char problem[YAML_PROBLEM_SIZE] = "";
    int result = yaml_tree_parse(text, strlen(text), &tree, problem);
    if (result != VAULT_OK)
        print_message("%s\n", problem);
    assert_int_equal(result, VAULT_OK);
    return tree;
}

static void walk_finds_members_items_and_scalars(void **state) {
    (void)state;
    struct yaml_tree *tree = tree_of("# a comment\nlisten: \"127.0.0.1\"\nport: 8443\ndev: true\n"
                                     "paths:\n  - one\n  - {deep: two}\nnothing:\n");
    const struct yaml_node *root = yaml_tree_root(tree), *paths, *node = NULL;
    const char *text;
    uint64_t number;
    bool flag = false;
    char problem[YAML_PROBLEM_SIZE];
    assert_int_equal(yaml_kind_of(root), YAML_IS_MAP);
    assert_int_equal(yaml_count(root), 5);
    assert_int_equal(yaml_get_string(yaml_member(root, "listen"), 20, &text, problem), VAULT_OK);
    assert_string_equal(text, "127.0.0.1");
    assert_int_equal(yaml_get_u64(yaml_member(root, "port"), 1, 65535, &number, problem), VAULT_OK);
    assert_int_equal(number, 8443);
    assert_int_equal(yaml_get_bool(yaml_member(root, "dev"), &flag, problem), VAULT_OK);
    assert_true(flag);
    assert_true(yaml_is_null(yaml_member(root, "nothing")));
    assert_int_equal(yaml_need(root, "paths", &paths, problem), VAULT_OK);
    assert_int_equal(yaml_need_list(paths, problem), VAULT_OK);
    assert_int_equal(yaml_count(paths), 2);
    node = yaml_next(yaml_first(paths));
    assert_int_equal(yaml_kind_of(node), YAML_IS_MAP);
    assert_string_equal(yaml_name_of(node), "paths");
    assert_int_equal(yaml_line_of(node), 7);
    assert_int_equal(yaml_column_of(node), 5);
    assert_string_equal(yaml_name_of(yaml_first(node)), "deep");
    assert_null(yaml_next(node));
    assert_null(yaml_member(root, "absent"));
    assert_null(yaml_member(paths, "deep"));
    yaml_tree_free(&tree);
    assert_null(tree);
    yaml_tree_free(&tree);
}

struct refusal {
    const char *text;
    const char *problem; /* its beginning */
};

static void refuses(const struct refusal *r) {
    struct yaml_tree *tree = NULL;
    char problem[YAML_PROBLEM_SIZE] = "";
    assert_int_equal(yaml_tree_parse(r->text, strlen(r->text), &tree, problem), VAULT_E_FORMAT);
    assert_null(tree);
    if (strncmp(problem, r->problem, strlen(r->problem)) != 0)
        fail_msg("%s\n  expected: %s\n  got:      %s", r->text, r->problem, problem);
}

static void parser_refuses_what_is_not_the_small_language(void **state) {
    (void)state;
    static const struct refusal refusals[] = {
        {"", "line 1, column 1: the document is empty"},
        {"# only a comment\n", "line 1, column 1: the document is empty"},
        {"rules: 1\nname: x\nrules: 2\n", "line 3, column 1: duplicate key 'rules'"},
        {"a: &x 1\n", "line 1, column 4: anchors and tags are not allowed"},
        {"a: &x [1]\n", "line 1, column 4: anchors and tags are not allowed"},
        {"a: !!str 1\n", "line 1, column 4: anchors and tags are not allowed"},
        {"a: !x {b: 1}\n", "line 1, column 4: anchors and tags are not allowed"},
        {"&k a: 1\n", "line 1, column 1: anchors and tags are not allowed"},
        {"a: *x\n", "line 1, column 4: aliases are not allowed"},
        {"<<: 1\n", "line 1, column 1: a key must be plain text"},
        {"\"a\": 1\n", "line 1, column 1: a key must be plain text"},
        {"? [a]\n: 1\n", "line 1, column 3: a key must be plain text"},
        {": 1\n", "line 1, column 1: "},
        {"a: 1\n---\nb: 2\n", "line 2, column 1: a second document"},
        {"%YAML 1.1\n---\na: 1\n", "line 1, column 1: directives are not allowed"},
        {"%TAG ! tag:x,2000:\n---\na: 1\n", "line 1, column 1: directives are not allowed"},
        {"a: \"x\\0y\"\n", "line 1, column 4: control characters or line ends in a text"},
        {"a: |\n  x\n  y\n", "line 1, column 4: control characters or line ends in a text"},
        {"a: [1, 2\n", "line 2, column 1: "},
        {"a: 1\n b: 2\n", "line 2, column 3: "},
        {"ok: 1\na: \xff\n", "line 2, column 4: "},
        {"a: \x01\n", "line 1, column 4: "},
        {"[[[[[[[[[1]]]]]]]]]\n", "line 1, column 9: more than 8 maps and lists inside each other"},
    };
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
        refuses(&refusals[i]);
}

static void parser_takes_eight_levels(void **state) {
    (void)state;
    struct yaml_tree *tree = tree_of("[[[[[[[[1]]]]]]]]\n");
    yaml_tree_free(&tree);
}

/* `head`, then `count` times `item`. */
static char *repeated(const char *head, const char *item, size_t count, size_t *ret_n) {
    size_t size = strlen(head) + strlen(item) * count;
    char *text = malloc(size + 1);
    assert_non_null(text);
    struct writer w = writer_of(text, size);
    write_bytes(&w, head, strlen(head));
    for (size_t i = 0; i < count; i++)
        write_bytes(&w, item, strlen(item));
    assert_false(w.bad);
    *ret_n = size;
    return text;
}

static void refuses_repeated(const char *head, const char *item, size_t count, int expected,
                             const char *expected_text) {
    size_t n;
    char *text = repeated(head, item, count, &n), problem[YAML_PROBLEM_SIZE] = "";
    struct yaml_tree *tree = NULL;
    int result = yaml_tree_parse(text, n, &tree, problem);
    free(text);
    yaml_tree_free(&tree);
    assert_int_equal(result, expected);
    assert_non_null(strstr(problem, expected_text));
}

static void parser_keeps_its_limits(void **state) {
    (void)state;
    refuses_repeated("a: ", "x", YAML_SCALAR_LIMIT, VAULT_OK, "");
    refuses_repeated("a: ", "x", YAML_SCALAR_LIMIT + 1, VAULT_E_FORMAT, "text of more than 1024 bytes");
    refuses_repeated("", "- 1\n", YAML_NODES_LIMIT - 1, VAULT_OK, "");
    refuses_repeated("", "- 1\n", YAML_NODES_LIMIT, VAULT_E_FORMAT, "line 8192, column 3: more than 8192 values");
    refuses_repeated("a: 1\n", " ", YAML_TEXT_LIMIT, VAULT_E_LIMIT, "more than 262144 bytes");
}

static void parser_refuses_a_key_that_is_too_long(void **state) {
    (void)state;
    char text[YAML_KEY_LIMIT + 5], problem[YAML_PROBLEM_SIZE];
    struct yaml_tree *tree = NULL;
    memset(text, 'k', sizeof(text));
    copy_bytes(text + YAML_KEY_LIMIT, 5, ": 1\n", 5);
    assert_int_equal(yaml_tree_parse(text, YAML_KEY_LIMIT + 4, &tree, problem), VAULT_OK);
    yaml_tree_free(&tree);
    copy_bytes(text + YAML_KEY_LIMIT, 5, "k: 1", 5);
    assert_int_equal(yaml_tree_parse(text, YAML_KEY_LIMIT + 4, &tree, problem), VAULT_E_FORMAT);
    assert_string_equal(problem, "line 1, column 1: a key must be plain text of [A-Za-z0-9_.-], at most 64 bytes");
}

static void parser_refuses_a_map_of_too_many_members(void **state) {
    (void)state;
    enum { SIZE = 8192 };
    char *text = malloc(SIZE), problem[YAML_PROBLEM_SIZE] = "";
    struct yaml_tree *tree = NULL;
    size_t n = 0;
    assert_non_null(text);
    for (unsigned i = 0; i <= YAML_MEMBERS_LIMIT; i++) {
        assert_true(format_string(text + n, SIZE - n, "k%u: 1\n", i));
        n += strlen(text + n);
    }
    int result = yaml_tree_parse(text, n, &tree, problem);
    free(text);
    assert_int_equal(result, VAULT_E_FORMAT);
    assert_string_equal(problem, "line 257, column 1: more than 256 members in a map");
}

static void getters_name_the_member_and_its_place(void **state) {
    (void)state;
    struct yaml_tree *tree = tree_of("name: x\nport: 70000\nflag: yes\nlist: [a, {b: 1}]\nquoted: \"1\"\nzero: 01\n"
                                     "nothing: ~\nbig: 18446744073709551616\n");
    const struct yaml_node *root = yaml_tree_root(tree), *node;
    static const char *const known[] = {"name", "port", NULL};
    char problem[YAML_PROBLEM_SIZE];
    const char *text = "untouched";
    uint64_t number = 7;
    bool flag;
    assert_int_equal(yaml_need_map(root, known, problem), VAULT_E_FORMAT);
    assert_string_equal(problem, "line 3, column 7: unknown member 'flag'");
    assert_int_equal(yaml_need(root, "user", &node, problem), VAULT_E_FORMAT);
    assert_string_equal(problem, "line 1, column 1: member 'user' is missing");
    assert_int_equal(yaml_get_u64(yaml_member(root, "port"), 1, 65535, &number, problem), VAULT_E_FORMAT);
    assert_string_equal(problem, "line 2, column 7: 'port': not from 1 to 65535");
    assert_int_equal(yaml_get_u64(yaml_member(root, "quoted"), 0, 9, &number, problem), VAULT_E_FORMAT);
    assert_int_equal(yaml_get_u64(yaml_member(root, "zero"), 0, 9, &number, problem), VAULT_E_FORMAT);
    assert_int_equal(yaml_get_u64(yaml_member(root, "big"), 0, UINT64_MAX, &number, problem), VAULT_E_FORMAT);
    assert_string_equal(problem, "line 8, column 6: 'big': not a whole number");
    assert_int_equal(number, 7);
    assert_int_equal(yaml_get_bool(yaml_member(root, "flag"), &flag, problem), VAULT_E_FORMAT);
    assert_string_equal(problem, "line 3, column 7: 'flag': not true or false");
    assert_int_equal(yaml_get_string(yaml_member(root, "list"), 9, &text, problem), VAULT_E_FORMAT);
    assert_string_equal(problem, "line 4, column 7: 'list': not a text");
    assert_int_equal(yaml_get_string(yaml_member(root, "nothing"), 9, &text, problem), VAULT_E_FORMAT);
    assert_string_equal(problem, "line 7, column 10: 'nothing': empty");
    assert_int_equal(yaml_get_string(yaml_member(root, "big"), 9, &text, problem), VAULT_E_FORMAT);
    assert_string_equal(problem, "line 8, column 6: 'big': more than 9 bytes");
    assert_string_equal(text, "untouched");
    assert_int_equal(yaml_need_list(yaml_member(root, "name"), problem), VAULT_E_FORMAT);
    assert_string_equal(problem, "line 1, column 7: 'name': not a list");
    yaml_tree_free(&tree);
}

static void problem_is_never_cut_inside_a_character(void **state) {
    (void)state;
    struct yaml_tree *tree = tree_of("a: 1\n");
    char problem[YAML_PROBLEM_SIZE], text[YAML_PROBLEM_SIZE + 40];
    for (size_t shift = 0; shift < 3; shift++) {
        size_t n = 0;
        while (n < shift)
            text[n++] = 'x';
        for (; n + 3 < sizeof(text); n += 3)
            copy_bytes(text + n, 3, "\xe2\x82\xac", 3);
        text[n] = '\0';
        assert_int_equal(yaml_refuse(yaml_tree_root(tree), problem, "%s", text), VAULT_E_FORMAT);
        assert_true(text_is_clean(problem, strlen(problem)));
        assert_true(strlen(problem) > YAML_PROBLEM_SIZE - 5);
    }
    yaml_tree_free(&tree);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(walk_finds_members_items_and_scalars),
        cmocka_unit_test(parser_refuses_what_is_not_the_small_language),
        cmocka_unit_test(parser_takes_eight_levels),
        cmocka_unit_test(parser_keeps_its_limits),
        cmocka_unit_test(parser_refuses_a_key_that_is_too_long),
        cmocka_unit_test(parser_refuses_a_map_of_too_many_members),
        cmocka_unit_test(getters_name_the_member_and_its_place),
        cmocka_unit_test(problem_is_never_cut_inside_a_character),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
