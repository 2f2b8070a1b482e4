/* Exit statuses: from HTTP, from a broken answer, from the alerts of TLS. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "vaultctl/outcome.h"

static void outcome_follows_the_contract(void **state) {
    static const struct {
        long status;
        enum outcome outcome;
    } cases[] = {{200, OUTCOME_DONE},   {201, OUTCOME_DONE},   {206, OUTCOME_DONE},      {400, OUTCOME_USAGE},
                 {401, OUTCOME_DENIED}, {403, OUTCOME_DENIED}, {404, OUTCOME_NOT_FOUND}, {409, OUTCOME_FAILED},
                 {413, OUTCOME_FAILED}, {416, OUTCOME_FAILED}, {422, OUTCOME_INTEGRITY}, {423, OUTCOME_NO_SERVICE},
                 {429, OUTCOME_FAILED}, {500, OUTCOME_FAILED}, {503, OUTCOME_FAILED},    {507, OUTCOME_FAILED},
                 {302, OUTCOME_FAILED}};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(outcome_of_status(cases[i].status, false), cases[i].outcome);
    assert_int_equal(outcome_of_status(500, true), OUTCOME_INTEGRITY);
}

static void broken_answer_is_never_a_success(void **state) {
    (void)state;
    assert_int_equal(outcome_of_fate(0), OUTCOME_FAILED);
    assert_int_equal(outcome_of_fate(1), OUTCOME_FAILED);
    assert_int_equal(outcome_of_fate(3), OUTCOME_DENIED);
    assert_int_equal(outcome_of_fate(6), OUTCOME_INTEGRITY);
    assert_int_equal(outcome_of_fate(-7), OUTCOME_FAILED);
    assert_int_equal(outcome_of_fate(INT64_MAX), OUTCOME_FAILED);
}

static void alert_is_found_in_openssl_text(void **state) {
    static const struct {
        const char *text;
        int alert;
    } cases[] = {
        {"OpenSSL SSL_read: error:0A00045C:SSL routines::tlsv13 alert certificate required, errno 0", 116},
        {"OpenSSL SSL_read: error:0A000418:SSL routines::tlsv1 alert unknown ca, errno 0", 48},
        {"error:0A000415:SSL routines::sslv3 alert certificate expired", 45},
        {"error:0A000414:SSL routines::sslv3 alert certificate revoked", 44},
        {"error:0A000412:SSL routines::sslv3 alert bad certificate", 42},
        {"OpenSSL/3.0.22: error:0A00042E:SSL routines::tlsv1 alert protocol version", 70},
        {"SSL_read: tlsv1 alert unknown ca", 48},
        {"OpenSSL SSL_read: error:0A000126:SSL routines::unexpected eof while reading, errno 0", 0},
        {"error:0A00041", 0},
        {"Connection reset by peer", 0},
        {"", 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(tls_alert_of(cases[i].text), cases[i].alert);
}

static void alerts_read_differently(void **state) {
    static const int alerts[] = {42, 44, 45, 48, 116, 200};
    (void)state;
    for (size_t i = 0; i < 6; i++) {
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(tls_alert_text(alerts[i]), tls_alert_text(alerts[j]));
    }
    assert_non_null(strstr(tls_alert_text(44), "revoked"));
    assert_non_null(strstr(tls_alert_text(45), "expired"));
    assert_non_null(strstr(tls_alert_text(48), "authority"));
    assert_non_null(strstr(tls_alert_text(116), "none was given"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outcome_follows_the_contract),
        cmocka_unit_test(broken_answer_is_never_a_success),
        cmocka_unit_test(alert_is_found_in_openssl_text),
        cmocka_unit_test(alerts_read_differently),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
