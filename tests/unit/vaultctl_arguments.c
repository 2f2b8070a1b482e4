/* The command line of vaultctl: what is understood, and what is refused by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "vaultctl/commands.h"

static struct call call;

/* Parses "vaultctl" and the words given. */
#define PARSE(...)                                                                                                     \
    parse((const char *const[]){"vaultctl", __VA_ARGS__, NULL},                                                        \
          (int)(sizeof((const char *const[]){"vaultctl", __VA_ARGS__}) / sizeof(char *)))

static int parse(const char *const *argv, int argc) {
    return arguments_parse(&call, all_commands, argc, argv);
}

static void expect_refusal(int outcome, const char *named) {
    assert_int_equal(outcome, OUTCOME_USAGE);
    if (strstr(call.error, named) == NULL)
        fail_msg("'%s' does not name '%s'", call.error, named);
}

static void expect_list(const char *option, const char *const *values) {
    json_t *list = option_list(&call, option);
    size_t n = 0;
    for (; values[n] != NULL; n++)
        assert_string_equal(json_string_value(json_array_get(list, n)), values[n]);
    assert_int_equal(json_array_size(list), n);
    json_decref(list);
}

static void arguments_take_options_in_any_place(void **state) {
    (void)state;
    assert_int_equal(PARSE("--json", "get", "--purpose", "treatment", "S/f", "--socket=/s", "-o", "out"), OUTCOME_DONE);
    assert_ptr_equal(call.command, &command_get);
    assert_true(call.json);
    assert_string_equal(call.words[0], "S/f");
    assert_string_equal(call.connection.socket, "/s");
    assert_string_equal(option_text(&call, "purpose"), "treatment");
    assert_string_equal(option_text(&call, "output"), "out");
    assert_int_equal(PARSE("subject", "--json", "--ca", "ca", "add", "S-1", "--opt-out"), OUTCOME_DONE);
    assert_ptr_equal(call.command, &command_subject_add);
    assert_true(option_given(&call, "opt-out"));
}

static void arguments_take_the_longest_name_of_a_command(void **state) {
    (void)state;
    assert_int_equal(PARSE("key", "escrow", "--shares", "3", "--threshold", "2", "--to", "a", "-o", "d"), OUTCOME_DONE);
    assert_ptr_equal(call.command, &command_key_escrow);
    assert_int_equal(PARSE("--json", "key", "escrow", "list"), OUTCOME_DONE);
    assert_ptr_equal(call.command, &command_key_escrow_list);
    assert_int_equal(PARSE("key", "escrow", "destroyed", "E1", "--statement", "burnt"), OUTCOME_DONE);
    assert_ptr_equal(call.command, &command_key_escrow_destroyed);
    assert_string_equal(call.words[0], "E1");
    expect_refusal(PARSE("key", "escrow", "moon"), "moon");
    expect_refusal(PARSE("key", "list", "escrow"), "escrow");
    expect_refusal(PARSE("key", "escrow", "--", "list"), "list"); /* a word, and not the name's */
}

static void arguments_understand_key_by_command(void **state) {
    (void)state;
    assert_int_equal(PARSE("audit", "--key", "V", "verify", "folder"), OUTCOME_DONE);
    assert_string_equal(option_text(&call, "key"), "V");
    assert_null(call.connection.key);
    assert_int_equal(PARSE("audit", "tail", "--key", "tls.key", "-n5"), OUTCOME_DONE);
    assert_string_equal(call.connection.key, "tls.key");
    assert_string_equal(option_text(&call, "count"), "5");
}

static void arguments_collect_repeated_options(void **state) {
    (void)state;
    assert_int_equal(PARSE("service", "add", "n", "--san", "u", "--role", "a", "b", "--role", "c,d"), OUTCOME_DONE);
    expect_list("role", (const char *const[]){"a", "b", "c", "d", NULL});
    assert_int_equal(PARSE("service", "add", "--role", "a", "n", "--san", "u"), OUTCOME_DONE);
    expect_list("role", (const char *const[]){"a", NULL});
    assert_string_equal(call.words[0], "n");
}

static void arguments_refuse_by_name(void **state) {
    (void)state;
    expect_refusal(PARSE("gc"), "'gc'");
    expect_refusal(PARSE("subject", "drop", "S"), "'subject drop'");
    expect_refusal(PARSE("get", "S/f"), "--purpose");
    expect_refusal(PARSE("get", "--purpose", "treatment"), "FILE");
    expect_refusal(PARSE("consent", "set", "S"), "FILE");
    expect_refusal(PARSE("get", "S/f", "--purpose"), "--purpose");
    expect_refusal(PARSE("get", "S/f", "--purpose", "--json"), "--purpose");
    expect_refusal(PARSE("get", "S/f", "--purpose", ""), "--purpose");
    expect_refusal(PARSE("get", "S/f", "--purpose", "a", "--purpose", "b"), "--purpose");
    expect_refusal(PARSE("get", "S/f", "--purpose", "a", "--crypt4gh-to", "k"), "'--crypt4gh-to'");
    expect_refusal(PARSE("get", "S/f", "T/g", "--purpose", "a"), "'T/g'");
    expect_refusal(PARSE("status", "--json=yes"), "--json");
    expect_refusal(PARSE("--frob", "status"), "'--frob'");
    expect_refusal(PARSE("key"), "'key'");
    expect_refusal(PARSE("--", "status"), "before");
    expect_refusal(parse((const char *const[]){"vaultctl", NULL}, 1), "no command");
}

static void arguments_allow_help_without_the_rest(void **state) {
    (void)state;
    assert_int_equal(PARSE("get", "--help"), OUTCOME_DONE);
    assert_true(call.help);
    assert_ptr_equal(call.command, &command_get);
    assert_int_equal(PARSE("subject", "-h"), OUTCOME_DONE);
    assert_string_equal(call.group, "subject");
    assert_int_equal(PARSE("--version"), OUTCOME_DONE);
    assert_true(call.version);
}

static void arguments_after_two_dashes_are_words(void **state) {
    (void)state;
    assert_int_equal(PARSE("subject", "add", "--", "--opt-out"), OUTCOME_DONE);
    assert_string_equal(call.words[0], "--opt-out");
    assert_false(option_given(&call, "opt-out"));
}

static void json_is_known_even_of_a_wrong_line(void **state) {
    (void)state;
    expect_refusal(PARSE("frob", "--json"), "'frob'");
    assert_true(call.json);
}

static void commands_all_explain_themselves(void **state) {
    (void)state;
    for (const struct command *const *p = all_commands; *p != NULL; p++) {
        char word[64];
        assert_true(strlen((*p)->summary) > 0 && strlen((*p)->help) > 0 && (*p)->run != NULL);
        snprintf(word, sizeof(word), "vaultctl %s", (*p)->name);
        assert_non_null(strstr((*p)->example, word));
        for (const struct option *o = (*p)->options; o != NULL && o->name != NULL; o++) {
            char dashes[64];
            char letter[8];
            snprintf(dashes, sizeof(dashes), "--%s", o->name);
            snprintf(letter, sizeof(letter), "-%c ", o->letter);
            if (strstr((*p)->synopsis, dashes) == NULL && (o->letter == 0 || strstr((*p)->synopsis, letter) == NULL))
                fail_msg("synopsis of %s lacks --%s", (*p)->name, o->name);
        }
    }
}

/* An environment for connection_choose. */
static char *test_environment[8][2];

static char *from_environment(const char *name) {
    for (size_t i = 0; test_environment[i][0] != NULL; i++) {
        if (strcmp(test_environment[i][0], name) == 0)
            return test_environment[i][1];
    }
    return NULL;
}

static bool choose(struct connection_options o, struct connection *ret) {
    char error[200];
    return connection_choose(&o, from_environment, ret, error, sizeof(error));
}

static void set_environment(size_t i, const char *name, const char *value) {
    free(test_environment[i][0]);
    free(test_environment[i][1]);
    test_environment[i][0] = name != NULL ? strdup(name) : NULL;
    test_environment[i][1] = value != NULL ? strdup(value) : NULL;
}

static void connection_is_the_socket_unless_a_certificate_is_there(void **state) {
    struct connection k;
    (void)state;
    set_environment(0, NULL, NULL);
    assert_true(choose((struct connection_options){.socket = NULL}, &k));
    assert_string_equal(k.socket, "/run/vaultd/vaultd.sock");
    set_environment(0, "VAULT_SOCKET", "/v");
    set_environment(1, "VAULT_URL", "https://v:8443");
    set_environment(2, NULL, NULL);
    assert_true(choose((struct connection_options){.socket = NULL}, &k));
    assert_false(k.tls);
    assert_string_equal(k.socket, "/v");
    set_environment(2, "VAULT_CERT", "c.pem");
    set_environment(3, NULL, NULL);
    assert_true(choose((struct connection_options){.socket = NULL}, &k));
    assert_true(k.tls);
    assert_string_equal(k.key, "c.pem");
    assert_true(choose((struct connection_options){.socket = "/x"}, &k));
    assert_false(k.tls);
}

static void connection_refuses_what_does_not_go_together(void **state) {
    struct connection k;
    (void)state;
    set_environment(0, NULL, NULL);
    assert_false(choose((struct connection_options){.cert = "c"}, &k));
    assert_false(choose((struct connection_options){.url = "http://v"}, &k));
    assert_false(choose((struct connection_options){.url = "https://"}, &k));
    assert_false(choose((struct connection_options){.url = "https://v", .socket = "/s"}, &k));
    assert_true(choose((struct connection_options){.url = "https://v"}, &k));
    assert_null(k.cert);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arguments_take_options_in_any_place),
        cmocka_unit_test(arguments_take_the_longest_name_of_a_command),
        cmocka_unit_test(arguments_understand_key_by_command),
        cmocka_unit_test(arguments_collect_repeated_options),
        cmocka_unit_test(arguments_refuse_by_name),
        cmocka_unit_test(arguments_allow_help_without_the_rest),
        cmocka_unit_test(arguments_after_two_dashes_are_words),
        cmocka_unit_test(json_is_known_even_of_a_wrong_line),
        cmocka_unit_test(commands_all_explain_themselves),
        cmocka_unit_test(connection_is_the_socket_unless_a_certificate_is_there),
        cmocka_unit_test(connection_refuses_what_does_not_go_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
