#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <netinet/in.h>
#include <string.h>

#include "vault/buffer.h"
#include "vault/result.h"
#include "vaultd/supervisor/config.h"
#include "vaultd/supervisor/listen.h"

#define USERS "users: {gate: 64101, monitor: 64102, store: 64103, worker: 64104}\n"
#define TLS "tls: {certificate: /e/s.pem, key: /e/s.key, clients: /e/ca.pem, revocations: /e/crl.pem}\n"
#define KEY "root_key: {credential: vault-root}\n"
#define PLACES "state: /v/state\nobjects: /v/objects\nkeyring_twin: /w/keyring.twin\n"
#define REST "origin: genome.example/vault\n" PLACES TLS KEY

static struct config c;
static char problem[CONFIG_PROBLEM_SIZE];

static int parse(const char *text) {
    problem[0] = '\0';
    return config_parse(text, strlen(text), true, &c, problem);
}

static void assert_refused(const char *text, const char *line, const char *said) {
    assert_int_equal(parse(text), VAULT_E_FORMAT);
    if (strstr(problem, line) == NULL || strstr(problem, said) == NULL)
        fail_msg("expected '%s' and '%s', got '%s'", line, said, problem);
}

static void production_document_gives_every_value(void **state) {
    (void)state;
    assert_int_equal(
        parse("mode: production\nlisten: 192.0.2.1:8443\nsocket: /run/v.sock\nadministrator: 1000\n"
              "programs: /usr/lib/vaultd\nmap_size: 1073741824\nreserve_size: 2097152\n"
              "limits: {workers: 100, waiting: 2, unix_slots: 5, per_address: 7, per_service: 9, denials: 10,\n"
              "  handshake_seconds: 3, head_seconds: 4, idle_seconds: 5, total_seconds: 6,\n"
              "  drain_seconds: 7, failed_authentications: 3}\n"
              "key_age: {warn_days: 30, maximum_days: 90}\n" USERS REST),
        VAULT_OK);
    assert_false(c.dev);
    assert_string_equal(c.listen, "192.0.2.1:8443");
    assert_string_equal(c.socket, "/run/v.sock");
    assert_string_equal(c.twin_directory, "/w");
    assert_string_equal(c.twin_name, "keyring.twin");
    assert_string_equal(c.revocations, "/e/crl.pem");
    assert_string_equal(c.root_key.name, "vault-root");
    assert_string_equal(c.programs, "/usr/lib/vaultd");
    assert_int_equal(c.administrator, 1000);
    assert_int_equal(c.users[CHILD_WORKER].uid, 64104);
    assert_int_equal(c.limits.workers, 100);
    assert_int_equal(c.limits.drain_seconds, 7);
    assert_int_equal(c.limits.failed_authentications, 3);
    assert_int_equal(c.key_age.warn_days, 30);
    assert_int_equal(c.key_age.maximum_days, 90);
    assert_int_equal(c.map_size, 1073741824);
    assert_int_equal(c.reserve_size, 2 << 20);
}

static void key_ages_that_contradict_each_other_are_refused(void **state) {
    (void)state;
    assert_int_equal(parse("mode: dev\nkey_age: {warn_days: 90, maximum_days: 90}\n" REST), VAULT_OK);
    assert_int_equal(parse("mode: dev\nkey_age: {warn_days: 0, maximum_days: 90}\n" REST), VAULT_OK);
    assert_int_equal(c.key_age.warn_days, 0);
    assert_refused("mode: dev\nkey_age: {warn_days: 91, maximum_days: 90}\n" REST, "line 2", "warn_days (91)");
    assert_refused("mode: dev\nkey_age: {warn_days: 36501}\n" REST, "line 2", "36500");
    assert_refused("mode: dev\nkey_age: {days: 1}\n" REST, "line 2", "days");
}

static void short_document_has_the_documented_defaults(void **state) {
    (void)state;
    assert_int_equal(parse("mode: dev\n" REST), VAULT_OK);
    assert_true(c.dev);
    assert_string_equal(c.listen, "");
    assert_string_equal(c.socket, "/run/vaultd/vaultd.sock");
    assert_int_equal(c.administrator, 0);
    assert_false(c.users[CHILD_GATE].set);
    const struct limits l = {256, 4, 8, 64, 64, 600, 10, 15, 60, 0, 10, 0};
    assert_memory_equal(&c.limits, &l, sizeof(l));
    assert_int_equal(c.key_age.warn_days, 365);
    assert_int_equal(c.key_age.maximum_days, 0);
    assert_int_equal(c.map_size, 64ULL << 30);
    assert_int_equal(c.reserve_size, 64 << 20);
    assert_true(c.programs[0] == '/');
}

static void backups_have_a_directory_outside_the_state(void **state) {
    (void)state;
    assert_int_equal(parse("mode: dev\n" REST), VAULT_OK);
    assert_string_equal(c.backups, "");
    assert_int_equal(parse("mode: dev\nbackups: /b/c\n" REST), VAULT_OK);
    assert_string_equal(c.backups, "/b/c");
    assert_refused("mode: dev\nbackups: b\n" REST, "line 2", "absolute");
    assert_int_equal(
        parse("mode: dev\nbackups: /state-of\norigin: o\nstate: /state\nobjects: /o\nkeyring_twin: /t/t\n" TLS KEY),
        VAULT_OK);
    assert_refused(
        "mode: dev\nbackups: /state/in\norigin: o\nstate: /state/\nobjects: /o\nkeyring_twin: /t/t\n" TLS KEY, "line 2",
        "backups");
    assert_refused("mode: dev\nbackups: /state\norigin: o\nstate: /state\nobjects: /o\nkeyring_twin: /t/t\n" TLS KEY,
                   "line 2", "outside");
}

static void origin_leaves_room_for_restores(void **state) {
    char text[1024], origin[182];
    (void)state;
    for (size_t i = 0; i < sizeof(origin) - 1; i++)
        origin[i] = 'o';
    origin[181] = '\0';
    assert_true(format_string(text, sizeof(text), "mode: dev\norigin: %s\n" PLACES TLS KEY, origin));
    assert_refused(text, "line 2", "origin");
    origin[180] = '\0';
    assert_true(format_string(text, sizeof(text), "mode: dev\norigin: %s\n" PLACES TLS KEY, origin));
    assert_int_equal(parse(text), VAULT_OK);
}

static void backup_runs_as_the_monitor(void **state) {
    (void)state;
    assert_int_equal(parse("mode: production\n" USERS REST), VAULT_OK);
    assert_true(c.users[CHILD_BACKUP].set && c.users[CHILD_BACKUP].uid == c.users[CHILD_MONITOR].uid);
    assert_refused("mode: production\nusers: {gate: 1, monitor: 2, store: 3, worker: 4, backup: 5}\n" REST, "line",
                   "backup");
}

static void unknown_keys_are_refused_with_their_line(void **state) {
    (void)state;
    assert_refused("mode: dev\nmoed: dev\n" REST, "line 2", "moed");
    assert_refused("mode: dev\n" REST "limits: {wrokers: 3}\n", "line 8", "wrokers");
    assert_refused("mode: dev\norigin: o\n" PLACES KEY
                   "tls: {certificate: /a, key: /b, clients: /c, revocations: /d, cipher: x}\n",
                   "line 7", "cipher");
}

static void each_needed_key_is_missed(void **state) {
    (void)state;
    assert_refused(REST, "line", "mode");
    assert_refused("mode: dev\n" PLACES TLS KEY, "line", "origin");
    assert_refused("mode: dev\norigin: o\nobjects: /o\nkeyring_twin: /t/t\n" TLS KEY, "line", "state");
    assert_refused("mode: dev\norigin: o\nstate: /o\nkeyring_twin: /t/t\n" TLS KEY, "line", "objects");
    assert_refused("mode: dev\norigin: o\n" PLACES KEY, "line", "tls");
    assert_refused("mode: dev\norigin: o\n" PLACES TLS, "line", "root_key");
    assert_refused("mode: production\n" REST, "line", "users");
    assert_refused("mode: dev\norigin: o\n" PLACES KEY "tls: {certificate: /a, key: /b, clients: /c}\n", "line",
                   "revocations");
}

static void bad_values_are_refused_with_their_line(void **state) {
    (void)state;
    assert_refused("mode: test\n" REST, "line 1", "neither dev nor production");
    assert_refused("mode: dev\nlisten: localhost\n" REST, "line 2", "ADDRESS:PORT");
    assert_refused("mode: dev\nlisten: 127.0.0.1:70000\n" REST, "line 2", "ADDRESS:PORT");
    assert_refused("mode: dev\nlisten: 0.0.0.0:8443\n" REST, "line 2", "loopback");
    assert_refused("mode: dev\nsocket: run/x\n" REST, "line 2", "absolute");
    assert_refused("mode: dev\nmap_size: 16777217\n" REST, "line 2", "4096");
    assert_refused("mode: dev\nreserve_size: 1048577\n" REST, "line 2", "4096");
    assert_refused("mode: dev\nreserve_size: 4096\n" REST, "line 2", "reserve_size");
    assert_refused("mode: dev\nlimits: {workers: 0}\n" REST, "line 2", "workers");
    assert_refused("mode: dev\nlimits: {workers: 8, unix_slots: 8}\n" REST, "line 2", "unix_slots");
    assert_refused("mode: dev\naudit_keep_days: 0\n" REST, "line 2", "audit_keep_days");
    assert_refused("mode: dev\nadministrator: -1\n" REST, "line 2", "administrator");
    assert_refused("mode: dev\norigin: two words\n" PLACES TLS KEY, "line 2", "origin");
    assert_refused("mode: dev\norigin: o\nstate: /v\nobjects: /o\nkeyring_twin: /v/twin\n" TLS KEY, "line 5",
                   "outside");
    assert_refused("mode: dev\norigin: o\nstate: /v\nobjects: /o\nkeyring_twin: /v/\n" TLS KEY, "line 5", "file name");
}

static void root_key_comes_from_one_place(void **state) {
    (void)state;
    assert_refused("mode: dev\norigin: o\n" PLACES TLS "root_key: {credential: a, file: /b}\n", "line 7", "either");
    assert_refused("mode: dev\norigin: o\n" PLACES TLS "root_key: {}\n", "line 7", "either");
    assert_refused("mode: dev\norigin: o\n" PLACES TLS "root_key: {credential: ../a}\n", "line 7", "name of a cred");
    assert_refused("mode: dev\norigin: o\n" PLACES TLS "root_key: {file: a}\n", "line 7", "absolute");
}

#define TOKEN(members) "token: {module: /m.so, uri: \"pkcs11:token=t;object=o\", pin: {file: /p}" members "}\n"
#define TOKEN_OF(uri) "token: {module: /m.so, pin: {file: /p}, uri: \"" uri "\"}\n"

static void token_has_its_module_uri_and_pin(void **state) {
    (void)state;
    assert_int_equal(parse("mode: dev\n" REST), VAULT_OK);
    assert_false(c.token.set);
    assert_int_equal(parse("mode: dev\n" TOKEN("") REST), VAULT_OK);
    assert_true(c.token.set);
    assert_string_equal(c.token.module, "/m.so");
    assert_string_equal(c.token.uri, "pkcs11:token=t;object=o");
    assert_string_equal(c.token.pin.file, "/p");
    assert_int_equal(c.token.seconds, 10);
    assert_string_equal(c.token.environment[0], "");
    assert_int_equal(parse("mode: dev\n" TOKEN(", seconds: 120, environment: [A_1=b c, B=]") REST), VAULT_OK);
    assert_int_equal(c.token.seconds, 120);
    assert_string_equal(c.token.environment[0], "A_1=b c");
    assert_string_equal(c.token.environment[1], "B=");
    assert_string_equal(c.token.environment[2], "");
}

static void token_that_is_not_clear_is_refused(void **state) {
    (void)state;
    assert_refused("mode: dev\ntoken: {module: m.so, uri: x, pin: {file: /p}}\n" REST, "line 2", "absolute");
    assert_refused("mode: dev\ntoken: {module: /m.so, pin: {file: /p}}\n" REST, "line 2", "uri");
    assert_refused("mode: dev\ntoken: {module: /m.so, uri: \"pkcs11:object=o\"}\n" REST, "line 2", "pin");
    assert_refused("mode: dev\n" TOKEN(", pins: 3") REST, "line 2", "pins");
    assert_refused("mode: dev\n" TOKEN(", seconds: 0") REST, "line 2", "seconds");
    assert_refused("mode: dev\n" TOKEN(", seconds: 121") REST, "line 2", "seconds");
    assert_refused("mode: dev\n" TOKEN_OF("token=t;object=o") REST, "line 2", "pkcs11:");
    assert_refused("mode: dev\n" TOKEN_OF("pkcs11:token=t") REST, "line 2", "object= is missing");
    assert_refused("mode: dev\n" TOKEN_OF("pkcs11:") REST, "line 2", "none of");
    assert_refused("mode: dev\n" TOKEN_OF("pkcs11:token=t;object=") REST, "line 2", "no value");
    assert_refused("mode: dev\n" TOKEN_OF("pkcs11:object=o;id=%01") REST, "line 2", "none of");
    assert_refused("mode: dev\n" TOKEN_OF("pkcs11:object=o?pin-value=1234") REST, "line 2", "behind '?'");
    assert_null(strstr(problem, "1234"));
    assert_refused("mode: dev\n" TOKEN_OF("pkcs11:object=o;token=a%2") REST, "line 2", "percent-encoded");
    assert_refused("mode: dev\n" TOKEN_OF("pkcs11:object=o;token=a b") REST, "line 2", "percent-encoded");
    assert_refused("mode: dev\n" TOKEN(", environment: [A]") REST, "line 2", "NAME=VALUE");
    assert_refused("mode: dev\n" TOKEN(", environment: [LD_PRELOAD=/x.so]") REST, "line 2", "dynamic loader");
    assert_refused("mode: dev\n" TOKEN(", environment: [A=, B=, C=, D=, E=, F=, G=, H=, I=]") REST, "line 2",
                   "more than 8");
}

static void token_runs_as_a_user_of_its_own(void **state) {
    (void)state;
    assert_refused("mode: production\n" USERS TOKEN("") REST, "line 2", "token");
    assert_refused("mode: production\nusers: {gate: 1, monitor: 2, store: 3, worker: 4, token: 4}\n" TOKEN("") REST,
                   "line 2", "same user as worker");
    assert_int_equal(
        parse("mode: production\nusers: {gate: 1, monitor: 2, store: 3, worker: 4, token: 5}\n" TOKEN("") REST),
        VAULT_OK);
    assert_int_equal(c.users[CHILD_TOKEN].uid, 5);
}

static void users_are_four_and_none_is_root(void **state) {
    (void)state;
    assert_refused("mode: production\nusers: {gate: 1, monitor: 2, store: 3, worker: 3}\n" REST, "line 2",
                   "same user as store");
    assert_refused("mode: production\nusers: {gate: 0, monitor: 2, store: 3, worker: 4}\n" REST, "line 2", "root");
    assert_refused("mode: production\nusers: {gate: root, monitor: 2, store: 3, worker: 4}\n" REST, "line 2", "root");
    assert_refused("mode: production\nusers: {gate: no-such-user, monitor: 2, store: 3, worker: 4}\n" REST, "line 2",
                   "no user");
    assert_refused("mode: production\nusers: {gate: 1, monitor: 2, store: 3}\n" REST, "line 2", "worker");
    assert_refused("mode: production\nusers: {gate: 99999999999, monitor: 2, store: 3, worker: 4}\n" REST, "line 2",
                   "no user");
}

static void addresses_are_grouped_by_who_can_make_them(void **state) {
    (void)state;
    struct sockaddr_storage a;
    socklen_t n = 0;
    uint8_t one[16];
    uint8_t two[16];
    assert_int_equal(address_parse("[2001:db8::1]:1", &a, &n), VAULT_OK);
    address_group(&a, one);
    assert_int_equal(address_parse("[2001:db8::ffff:2]:1", &a, &n), VAULT_OK);
    address_group(&a, two);
    assert_memory_equal(one, two, 16);
    assert_int_equal(address_parse("192.0.2.1:1", &a, &n), VAULT_OK);
    address_group(&a, one);
    assert_int_equal(address_parse("[::ffff:192.0.2.1]:1", &a, &n), VAULT_OK);
    address_group(&a, two);
    assert_memory_equal(one, two, 16);
    assert_int_equal(address_parse("192.0.2.2:1", &a, &n), VAULT_OK);
    address_group(&a, two);
    assert_memory_not_equal(one, two, 16);
}

static void addresses_are_numbers_with_a_port(void **state) {
    (void)state;
    static const char *const bad[] = {
        "",       ":",       ":1",   "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:1x", "127.0.0.1:65536",
        "::1:80", "[::1]80", "[]:1", "host:1",    "[::1:1",     "127.0.0.1:-1"};
    struct sockaddr_storage a;
    socklen_t n = 0;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (address_parse(bad[i], &a, &n) != VAULT_E_FORMAT)
            fail_msg("'%s' was taken", bad[i]);
    assert_int_equal(address_parse("[::1]:65535", &a, &n), VAULT_OK);
    assert_true(address_is_loopback(&a));
    assert_int_equal(address_parse("127.9.9.9:1", &a, &n), VAULT_OK);
    assert_true(address_is_loopback(&a));
    assert_int_equal(address_parse("128.0.0.1:1", &a, &n), VAULT_OK);
    assert_false(address_is_loopback(&a));
}

static void a_file_that_is_not_there_is_named(void **state) {
    (void)state;
    assert_int_equal(config_load("/nonexistent/vaultd.yaml", true, &c, problem), VAULT_E_IO);
    assert_non_null(strstr(problem, "/nonexistent/vaultd.yaml: No such file"));
}

/* Its users need not exist here. */
static void shipped_example_is_good(void **state) {
    (void)state;
    if (config_load(VAULT_SOURCE_DIR "/dist/vaultd.yaml", true, &c, problem) != VAULT_OK)
        assert_non_null(strstr(problem, "there is no user 'vaultd-gate'"));
    assert_int_equal(config_load(VAULT_SOURCE_DIR "/dist/vaultd.yaml", false, &c, problem), VAULT_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(production_document_gives_every_value),
        cmocka_unit_test(short_document_has_the_documented_defaults),
        cmocka_unit_test(key_ages_that_contradict_each_other_are_refused),
        cmocka_unit_test(backups_have_a_directory_outside_the_state),
        cmocka_unit_test(origin_leaves_room_for_restores),
        cmocka_unit_test(backup_runs_as_the_monitor),
        cmocka_unit_test(unknown_keys_are_refused_with_their_line),
        cmocka_unit_test(each_needed_key_is_missed),
        cmocka_unit_test(bad_values_are_refused_with_their_line),
        cmocka_unit_test(root_key_comes_from_one_place),
        cmocka_unit_test(token_has_its_module_uri_and_pin),
        cmocka_unit_test(token_that_is_not_clear_is_refused),
        cmocka_unit_test(token_runs_as_a_user_of_its_own),
        cmocka_unit_test(users_are_four_and_none_is_root),
        cmocka_unit_test(addresses_are_grouped_by_who_can_make_them),
        cmocka_unit_test(addresses_are_numbers_with_a_port),
        cmocka_unit_test(a_file_that_is_not_there_is_named),
        cmocka_unit_test(shipped_example_is_good),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
