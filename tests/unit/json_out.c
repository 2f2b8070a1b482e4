#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "vault/json_out.h"
#include "vault/result.h"

static void write_all_forms(struct json_out *o) {
    out_object(o, NULL);
    out_list(o, "a");
    out_number(o, NULL, 0);
    out_string(o, NULL, "x/y");
    out_object(o, NULL);
    out_object_end(o);
    out_list(o, NULL);
    out_list_end(o);
    out_list_end(o);
    out_string(o, "b", "");
    out_string(o, "c", NULL);
    out_text(o, "d", "", 0);
    out_text(o, "e", "\"\\ \xc3\xa6 \xf0\x9d\x84\x9e", 10);
    out_number(o, "f", (UINT64_C(1) << 53) - 1);
    out_object_end(o);
}

static const char all_forms[] = "{\"a\":[0,\"x/y\",{},[]],\"d\":\"\",\"e\":\"\\\"\\\\ æ 𝄞\",\"f\":9007199254740991}";

static void every_form_is_written(void **state) {
    (void)state;
    struct json_out o;
    char text[256];
    size_t n = 0;
    json_out_begin(&o, text, sizeof(text));
    write_all_forms(&o);
    assert_int_equal(json_out_end(&o, &n), VAULT_OK);
    assert_string_equal(text, all_forms);
    assert_int_equal(n, strlen(all_forms));
}

/* Another library reads the same, and would write the same. */
static void another_reads_the_same(void **state) {
    (void)state;
    json_t *read = json_loads(all_forms, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(read);
    char *again = json_dumps(read, JSON_COMPACT | JSON_SORT_KEYS);
    assert_string_equal(again, all_forms);
    free(again);
    json_decref(read);
}

static void nothing_is_written_beyond_the_room(void **state) {
    (void)state;
    for (size_t room = 0; room <= sizeof(all_forms); room++) {
        struct json_out o;
        char *text = malloc(room == 0 ? 1 : room); /* what is beyond is found by the address sanitizer */
        size_t n = 77;
        json_out_begin(&o, text, room);
        write_all_forms(&o);
        bool fits = room >= sizeof(all_forms);
        assert_int_equal(json_out_end(&o, &n), fits ? VAULT_OK : VAULT_E_LIMIT);
        assert_int_equal(n, fits ? strlen(all_forms) : 77);
        free(text);
    }
}

static void number(struct json_out *o) {
    out_number(o, NULL, UINT64_C(1) << 53);
}

static void control(struct json_out *o) {
    out_text(o, NULL, "a\tb", 3);
}

static void no_utf8(struct json_out *o) {
    out_string(o, NULL, "\xc0\x80");
}

static void nothing(struct json_out *o) {
    (void)o;
}

static void unclosed(struct json_out *o) {
    out_object(o, NULL);
    out_list(o, "a");
    out_list_end(o);
}

static void nameless(struct json_out *o) {
    out_object(o, NULL);
    out_number(o, NULL, 1);
    out_object_end(o);
}

static void two_documents(struct json_out *o) {
    out_number(o, NULL, 1);
    out_number(o, NULL, 2);
}

static void a_writers_own(struct json_out *o) {
    out_list(o, NULL);
    json_out_fail(o, VAULT_E_DAMAGED);
    json_out_fail(o, VAULT_E_IO);
    out_number(o, NULL, UINT64_C(1) << 53);
    out_list_end(o);
}

static void first_fault_is_told(void **state) {
    (void)state;
    static const struct {
        void (*write)(struct json_out *o);
        int result;
    } faults[] = {{number, VAULT_E_LIMIT},        {control, VAULT_E_FORMAT},       {no_utf8, VAULT_E_FORMAT},
                  {nothing, VAULT_E_STATE},       {unclosed, VAULT_E_STATE},       {nameless, VAULT_E_STATE},
                  {two_documents, VAULT_E_STATE}, {a_writers_own, VAULT_E_DAMAGED}};
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        struct json_out o;
        char text[64];
        size_t n = 77;
        json_out_begin(&o, text, sizeof(text));
        faults[i].write(&o);
        assert_int_equal(json_out_end(&o, &n), faults[i].result);
        assert_int_equal(n, 77);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_is_written),
        cmocka_unit_test(another_reads_the_same),
        cmocka_unit_test(nothing_is_written_beyond_the_room),
        cmocka_unit_test(first_fault_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
