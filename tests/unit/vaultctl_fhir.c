/* Records of the audit as FHIR AuditEvents: those that a test's vault does not make, and what happens without memory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "vaultctl/audit/fhir.h"
#include "vault/buffer.h"
#include "vaultctl/audit/fhir.h"

static const struct audit_folder folder = {.origin = "vault.example/\"log\""};
static const uint8_t leaf[MERKLE_HASH] = {0xab};

/* The event of a record that has these members besides those that all have. */
static json_t *event_of(const char *members) {
    json_t *record = json_loads(members, 0, NULL),
           *all = json_pack("{s:i, s:s}", "seq", 7, "time", "2026-11-27T18:31:29.117828Z");
    assert_non_null(record);
    assert_int_equal(json_object_update(all, record), 0);
    json_t *event = fhir_event_of(&folder, all, leaf);
    json_decref(record);
    json_decref(all);
    return event;
}

static void expect(const json_t *event, const char *path, const char *text) {
    assert_string_equal(audit_text(event, path), text);
}

static const json_t *at(const json_t *event, const char *list, size_t i) {
    return json_array_get(json_object_get(event, list), i);
}

static void expect_code(const json_t *agent, const char *code) {
    expect(json_array_get(json_object_get(json_object_get(agent, "type"), "coding"), 0), "code", code);
}

static void every_outcome_has_its_code(void **state) {
    static const char *const outcomes[][3] = {
        {"{\"event\":\"read.close\",\"outcome\":\"done\",\"service\":{\"name\":\"a\"}}", "0", ""},
        {"{\"event\":\"read.close\",\"outcome\":\"interrupted\",\"service\":{\"name\":\"a\"}}", "4", "interrupted"},
        {"{\"event\":\"read.close\",\"outcome\":\"revoked\",\"service\":{\"name\":\"a\"}}", "4", "revoked"},
        {"{\"event\":\"seal.change\",\"outcome\":\"failed\",\"detail\":\"no\"}", "8", "no"},
        {"{\"event\":\"x\",\"outcome\":\"unheard of\"}", "8", "unheard of"},
        {"{\"event\":\"read\",\"outcome\":\"denied\",\"reasons\":[{\"rule\":\"a\",\"text\":\"B.\"},"
         "{\"rule\":\"c\",\"text\":\"D.\"}],\"detail\":\"e\"}",
         "4", "a: B. c: D. e"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(outcomes) / sizeof(outcomes[0]); i++) {
        json_t *event = event_of(outcomes[i][0]);
        expect(event, "outcome", outcomes[i][1]);
        expect(event, "outcomeDesc", outcomes[i][2]);
        assert_true(json_array_size(json_object_get(event, "agent")) > 0);
        assert_null(json_object_get(event, "meta"));
        json_decref(event);
    }
}

static void the_vault_itself_is_the_only_agent_of_what_it_did(void **state) {
    (void)state;
    json_t *event = event_of("{\"event\":\"key.rotated\",\"outcome\":\"done\",\"action\":\"U\"}");
    expect(event, "type.code", "110100");
    expect(event, "id", "seq-7");
    assert_int_equal(json_array_size(json_object_get(event, "agent")), 1);
    expect(at(event, "agent", 0), "who.identifier.value", folder.origin);
    assert_null(json_object_get(event, "entity"));
    json_decref(event);
}

static void who_is_not_known_is_an_agent_all_the_same(void **state) {
    (void)state;
    json_t *event = event_of("{\"event\":\"denials\",\"outcome\":\"denied\",\"action\":\"R\"}");
    expect(at(event, "agent", 1), "who.display", "unknown");
    assert_true(json_is_true(json_object_get(at(event, "agent", 1), "requestor")));
    json_decref(event);
    event = event_of(
        "{\"event\":\"read\",\"outcome\":\"denied\",\"address\":\"2001:db8::1\",\"service\":{\"san\":\"urn:x\"}}");
    expect(at(event, "agent", 0), "who.identifier.system", "urn:ietf:rfc:3986");
    expect(at(event, "agent", 0), "who.identifier.value", "urn:x");
    expect(at(event, "agent", 0), "network.type", "2");
    assert_null(json_object_get(at(event, "agent", 1), "name"));
    json_decref(event);
}

/* By the pattern of a create the client is the source, of a read the vault. */
static void data_flows_where_the_action_says(void **state) {
    static const struct {
        const char *action, *interaction, *client, *server, *user;
    } flows[] = {{"C", "create", "110153", "110152", "AUT"},
                 {"R", "read", "110152", "110153", "IRCP"},
                 {"U", "update", "110153", "110152", "AUT"},
                 {"D", "delete", "110153", "110152", "AUT"},
                 {"E", "operation", "110153", "110152", "AUT"}};
    (void)state;
    for (size_t i = 0; i < sizeof(flows) / sizeof(flows[0]); i++) {
        char members[128];
        assert_true(format_string(members, sizeof(members),
                                  "{\"event\":\"x\",\"outcome\":\"done\",\"action\":\"%s\","
                                  "\"service\":{\"name\":\"a\"}}",
                                  flows[i].action));
        json_t *event = event_of(members);
        expect(at(event, "subtype", 0), "code", flows[i].interaction);
        expect_code(at(event, "agent", 0), flows[i].client);
        expect_code(at(event, "agent", 1), flows[i].server);
        expect_code(at(event, "agent", 2), flows[i].user);
        json_decref(event);
    }
    json_t *event =
        event_of("{\"event\":\"service.list\",\"outcome\":\"done\",\"action\":\"R\",\"service\":{\"name\":\"a\"}}");
    expect(at(event, "subtype", 0), "code", "search-type");
    json_decref(event);
}

static void a_purpose_without_a_code_is_told_as_it_was_said(void **state) {
    (void)state;
    json_t *event = event_of(
        "{\"event\":\"read\",\"outcome\":\"permitted\",\"action\":\"R\",\"purpose\":\"treatments;a=\\\"b\\\"\","
        "\"service\":{\"name\":\"a\"}}");
    const json_t *purpose = at(at(event, "agent", 2), "purposeOfUse", 0);
    expect(purpose, "text", "treatments;a=\"b\"");
    assert_null(json_object_get(purpose, "coding"));
    json_decref(event);
}

/* ---- without memory ---- */

static size_t refused; /* which allocation is, from 1; 0: none */
static size_t asked;

static void *allocate(size_t n) {
    return ++asked == refused ? NULL : malloc(n);
}

/* Nothing is left out in silence: the event is whole, or there is none. */
static void without_memory_there_is_no_event(void **state) {
    static const char *const members[] = {
        "{\"event\":\"read\",\"outcome\":\"permitted\",\"action\":\"R\",\"address\":\"10.0.0.1\",\"subject\":\"S\","
        "\"file\":\"f\","
        "\"bytes\":1,\"ranges\":1,\"request\":\"r\",\"consent\":1,\"policy\":\"p\",\"purpose\":\"treatment;break-glass="
        "\\\"x\\\"\","
        "\"asked\":{\"roles\":3},\"service\":{\"name\":\"a\",\"san\":\"b\"},\"reasons\":[{\"rule\":\"a\",\"text\":"
        "\"b\"}]}",
        "{\"event\":\"read\",\"outcome\":\"denied\",\"action\":\"R\",\"address\":\"10.0.0.1\",\"subject\":\"S\","
        "\"consent\":1,"
        "\"asked\":{\"organisation\":\"o\"},\"service\":{\"name\":\"a\"}}",
        "{\"event\":\"audit.export\",\"outcome\":\"done\",\"action\":\"E\",\"address\":\"unix:0\",\"subject\":\"S\","
        "\"detail\":\"d\","
        "\"service\":{\"name\":\"a\"}}",
        "{\"event\":\"x\",\"outcome\":\"done\",\"action\":\"E\"}",
    };
    (void)state;
    json_set_alloc_funcs(allocate, free);
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        json_t *record = json_loads(members[i], 0, NULL);
        assert_non_null(record);
        json_t *whole = fhir_event_of(&folder, record, leaf);
        refused = 1;
        do {
            asked = 0;
            json_t *event = fhir_event_of(&folder, record, leaf);
            assert_true(event == NULL || json_equal(event, whole));
            json_decref(event);
        } while (asked >= refused++);
        assert_true(refused > 50);
        refused = 0;
        json_decref(whole);
        json_decref(record);
    }
    json_set_alloc_funcs(malloc, free);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_outcome_has_its_code),
        cmocka_unit_test(the_vault_itself_is_the_only_agent_of_what_it_did),
        cmocka_unit_test(who_is_not_known_is_an_agent_all_the_same),
        cmocka_unit_test(data_flows_where_the_action_says),
        cmocka_unit_test(a_purpose_without_a_code_is_told_as_it_was_said),
        cmocka_unit_test(without_memory_there_is_no_event),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
