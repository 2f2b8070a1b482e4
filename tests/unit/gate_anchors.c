/* The gate and its client authorities: those of a file that changed are in force once the monitor says so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/unit/gate_rig.h"
#include "vault/result.h"

static struct rig rig;
static struct identity other, old_client, new_client; /* another authority; a client of each */
static struct msg_anchors_seen first;                 /* what the gate saw at its start */

static const char *const uri = "URI:urn:vault:service:clinic";

static int start(void **state) {
    (void)state;
    rig_start(&rig, 0, 86400);
    rig_forget(&rig);
    rig_pump(&rig);
    assert_int_equal(rig.seen, 1);
    first = rig.anchors;
    other = authority_new("Another authority");
    old_client = issue(&rig.authority, &(struct wanted){.san = uri});
    new_client = issue(&other, &(struct wanted){.san = uri});
    rig_forget(&rig);
    return 0;
}

static int stop(void **state) {
    (void)state;
    rig_stop(&rig);
    identity_free(&other);
    identity_free(&old_client);
    identity_free(&new_client);
    return 0;
}

static int outcome_of(const struct identity *client) {
    struct outcome o;
    rig_connect(&rig, &(struct client){.identity = client}, NULL, NULL, &o);
    int result = o.client;
    outcome_clear(&o);
    return result;
}

/* The file holds the other authority, and its list. */
static void swap(void) {
    rig_trust_of(&rig, certificate_file(other.certificate), list_file(&other, NULL, 86400));
}

static void expect_old_in_force(void) {
    assert_int_equal(outcome_of(&old_client), 0);
    assert_int_equal(outcome_of(&new_client), SSL_AD_UNKNOWN_CA);
}

static void expect_new_in_force(void) {
    assert_int_equal(outcome_of(&new_client), 0);
    assert_int_equal(outcome_of(&old_client), SSL_AD_UNKNOWN_CA);
}

static void gate_tells_what_it_starts_with(void **state) {
    (void)state;
    assert_int_equal(first.count, 1);
    assert_string_equal(first.subjects, "CN=Test authority");
    assert_memory_equal(first.pem, "-----BEGIN CERTIFICATE-----\n", 28);
}

static void other_authorities_of_a_file_are_told_and_not_used(void **state) {
    (void)state;
    swap();
    assert_int_equal(rig.seen, 1);
    assert_string_equal(rig.anchors.subjects, "CN=Another authority");
    expect_old_in_force();
    assert_int_equal(rig.losses, 0);
    swap();
    assert_int_equal(rig.seen, 1); /* not told again */
}

static void authorities_are_used_when_the_monitor_says_so(void **state) {
    (void)state;
    swap();
    assert_int_equal(outcome_of(&old_client), 0);
    uint64_t worker = rig.identity.worker;
    rig_use(&rig, 7, &rig.anchors);
    assert_int_equal(rig.used, 1);
    assert_int_equal(rig.used_id, 7);
    assert_int_equal(rig.losses, 1); /* who was vouched for by the old ones */
    assert_int_equal(rig.lost.worker, worker);
    expect_new_in_force();
}

static void authorities_of_before_are_used_again_when_the_monitor_says_so(void **state) {
    (void)state;
    swap();
    rig_use(&rig, 1, &rig.anchors);
    rig_trust_of(&rig, certificate_file(other.certificate), list_file(&rig.authority, NULL, 86400));
    rig_use(&rig, 2, &first);
    assert_int_equal(rig.used_id, 2);
    expect_old_in_force();
}

static void revocation_is_in_force_though_the_authorities_are_not(void **state) {
    (void)state;
    swap();
    assert_int_equal(outcome_of(&old_client), 0);
    rig_trust_of(&rig, certificate_file(other.certificate), list_file(&rig.authority, old_client.certificate, 86400));
    assert_int_equal(rig.losses, 1);
    assert_string_equal(rig.lost.reason, "certificate is revoked");
    assert_int_equal(outcome_of(&old_client), SSL_AD_CERTIFICATE_REVOKED);
}

static void file_that_changes_back_is_told(void **state) {
    (void)state;
    swap();
    rig_trust(&rig, list_file(&rig.authority, NULL, 86400));
    assert_int_equal(rig.seen, 2);
    assert_int_equal(rig.anchors.pem_size, first.pem_size);
    assert_memory_equal(rig.anchors.pem, first.pem, first.pem_size);
    expect_old_in_force();
}

static void words_around_the_certificates_make_no_other_authorities(void **state) {
    static char text[ANCHORS_MAX + 100];
    (void)state;
    assert_true(format_string(text, sizeof(text), "The authority:\n%.*s\nThat was it.\n", (int)first.pem_size,
                              (const char *)first.pem));
    rig_trust_of(&rig, text_file(text), list_file(&rig.authority, NULL, 86400));
    assert_int_equal(rig.seen, 0);
    expect_old_in_force();
}

/* Many certificates of one key, since making keys takes long. */
static int many_authorities(const struct identity *of, unsigned count) {
    int fd = memfd_create("authorities", MFD_CLOEXEC);
    uint8_t *pem = NULL;
    BIO *bio = BIO_new(BIO_s_mem());
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(PEM_write_bio_X509(bio, of->certificate), 1);
    long n = BIO_get_mem_data(bio, &pem);
    assert_int_equal(write(fd, pem, (size_t)n), n);
    BIO_free(bio);
    return fd;
}

static void names_of_many_authorities_are_cut_short(void **state) {
    (void)state;
    rig_trust_of(&rig, many_authorities(&other, 60), list_file(&other, NULL, 86400));
    assert_int_equal(rig.seen, 1);
    assert_int_equal(rig.anchors.count, 60);
    size_t n = strlen(rig.anchors.subjects);
    assert_in_range(n, 500, ANCHORS_SUBJECTS);
    assert_string_equal(rig.anchors.subjects + n - 3, "...");
}

static void too_many_authorities_are_refused_as_a_bad_file(void **state) {
    (void)state;
    rig_trust_of(&rig, many_authorities(&other, 200), list_file(&other, NULL, 86400));
    assert_int_equal(rig.seen, 0);
    expect_old_in_force();
}

static void bad_file_changes_nothing(void **state) {
    (void)state;
    rig_trust_of(&rig, text_file("-----BEGIN CERTIFICATE-----\nhalf"), list_file(&other, NULL, 86400));
    rig_trust_of(&rig, certificate_file(other.certificate), text_file("no list\n"));
    assert_int_equal(rig.seen, 0);
    expect_old_in_force();
}

#define WITH_GATE(test) cmocka_unit_test_setup_teardown(test, start, stop)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_GATE(gate_tells_what_it_starts_with),
        WITH_GATE(other_authorities_of_a_file_are_told_and_not_used),
        WITH_GATE(authorities_are_used_when_the_monitor_says_so),
        WITH_GATE(authorities_of_before_are_used_again_when_the_monitor_says_so),
        WITH_GATE(revocation_is_in_force_though_the_authorities_are_not),
        WITH_GATE(file_that_changes_back_is_told),
        WITH_GATE(words_around_the_certificates_make_no_other_authorities),
        WITH_GATE(names_of_many_authorities_are_cut_short),
        WITH_GATE(too_many_authorities_are_refused_as_a_bad_file),
        WITH_GATE(bad_file_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
