/* The gate with honest workers: whom it accepts, whom it refuses and why, and what ends an identity. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <openssl/ssl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/unit/gate_rig.h"
#include "vault/result.h"

enum { CERTIFICATE = 11, PROOF = 15 }; /* handshake messages */

static struct rig rig;

static int start(void **state) {
    (void)state;
    rig_start(&rig, 0, 86400);
    return 0;
}

static int stop(void **state) {
    (void)state;
    rig_stop(&rig);
    return 0;
}

static const char *const uri = "URI:urn:vault:service:clinic";

static void expect_accepted(const struct client *client) {
    struct outcome o;
    rig_forget(&rig);
    rig_connect(&rig, client, NULL, NULL, &o);
    assert_int_equal(o.worker, VAULT_OK);
    assert_int_equal(o.client, 0);
    assert_int_equal(rig.identities, 1);
    assert_int_equal(rig.kills, 0);
    assert_int_equal(rig.identity.worker, rig.last_worker);
    assert_string_equal(rig.identity.san, "urn:vault:service:clinic");
    outcome_clear(&o);
}

static void expect_refused(const struct client *client, int alert, const char *reason) {
    struct outcome o;
    rig_forget(&rig);
    rig_connect(&rig, client, NULL, NULL, &o);
    assert_int_equal(o.client, alert);
    assert_int_equal(o.worker, VAULT_DENIED);
    assert_int_equal(rig.identities, 0);
    assert_int_equal(rig.kills, 0);
    if (reason != NULL) {
        assert_string_equal(o.reason, reason);
        assert_int_equal(o.alert, alert);
    }
    outcome_clear(&o);
}

static void refuse_wanted(const struct wanted *wanted, int alert, const char *reason) {
    struct identity i = issue(&rig.authority, wanted);
    expect_refused(&(struct client){.identity = &i}, alert, reason);
    identity_free(&i);
}

static void gate_accepts_every_kind_of_key(void **state) {
    static const char *const types[] = {"P-256", "RSA", "ED25519"};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct identity id = issue(&rig.authority, &(struct wanted){.type = types[i], .san = uri});
        expect_accepted(&(struct client){.identity = &id});
        identity_free(&id);
    }
}

static void gate_accepts_every_suite_and_group(void **state) {
    static const char *const suites[] = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384",
                                         "TLS_CHACHA20_POLY1305_SHA256"};
    static const char *const groups[] = {"X25519", "P-256", "P-384"};
    struct identity id = issue(&rig.authority, &(struct wanted){.san = uri, .purpose = "clientAuth"});
    (void)state;
    for (size_t i = 0; i < 3; i++)
        expect_accepted(&(struct client){.identity = &id, .suites = suites[i], .groups = groups[i]});
    identity_free(&id);
}

static void gate_accepts_after_hello_retry(void **state) {
    static const char *const suites[] = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384"};
    struct identity id = issue(&rig.authority, &(struct wanted){.san = uri});
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        const struct client client = {.identity = &id, .suites = suites[i], .groups = "P-521:X25519"};
        struct outcome o;
        rig_forget(&rig);
        rig_connect(&rig, &client, NULL, NULL, &o);
        assert_int_equal(o.client, 0);
        assert_int_equal(rig.identities, 1);
        assert_int_equal(o.recording.messages[2].bytes[0], 1); /* it was a retry: a second ClientHello */
        outcome_clear(&o);
    }
    identity_free(&id);
}

static void gate_tells_fingerprint_and_earliest_end(void **state) {
    struct identity id = issue(&rig.authority, &(struct wanted){.san = uri, .start = -60, .end = 5000});
    uint8_t fingerprint[HASH_SIZE];
    (void)state;
    expect_accepted(&(struct client){.identity = &id});
    assert_int_equal(X509_digest(id.certificate, EVP_sha256(), fingerprint, NULL), 1);
    assert_memory_equal(rig.identity.fingerprint, fingerprint, sizeof(fingerprint));
    assert_in_range(rig.identity.not_after, (uint64_t)time(NULL) + 4900, (uint64_t)time(NULL) + 5000);
    identity_free(&id);
}

static void gate_refuses_no_certificate(void **state) {
    (void)state;
    expect_refused(&(struct client){.identity = NULL}, SSL_AD_CERTIFICATE_REQUIRED, NULL);
}

static void gate_refuses_another_authority(void **state) {
    struct identity foreign = authority_new("Foreign authority");
    struct identity same_name = authority_new("Test authority");
    const struct identity *authorities[] = {&foreign, &same_name};
    (void)state;
    struct identity id = issue(authorities[0], &(struct wanted){.san = uri});
    expect_refused(&(struct client){.identity = &id}, SSL_AD_UNKNOWN_CA, "certificate is of an unknown authority");
    identity_free(&id);
    id = issue(authorities[1], &(struct wanted){.san = uri});
    expect_refused(&(struct client){.identity = &id}, SSL_AD_UNKNOWN_CA, "certificate is of an unknown authority");
    identity_free(&id);
    identity_free(&foreign);
    identity_free(&same_name);
}

static void gate_refuses_expired_and_not_yet_valid(void **state) {
    (void)state;
    refuse_wanted(&(struct wanted){.san = uri, .start = -7200, .end = -3600}, SSL_AD_CERTIFICATE_EXPIRED,
                  "certificate has expired");
    refuse_wanted(&(struct wanted){.san = uri, .start = 3600, .end = 7200}, SSL_AD_BAD_CERTIFICATE,
                  "certificate is not valid yet");
}

static void gate_refuses_revoked(void **state) {
    struct identity id = issue(&rig.authority, &(struct wanted){.san = uri});
    (void)state;
    expect_accepted(&(struct client){.identity = &id});
    rig_trust(&rig, list_file(&rig.authority, id.certificate, 86400));
    expect_refused(&(struct client){.identity = &id}, SSL_AD_CERTIFICATE_REVOKED, "certificate is revoked");
    identity_free(&id);
}

static void gate_refuses_bad_names(void **state) {
    static const char none[] = "no URI in the certificate's subject alternative name";
    static const char *const sans[] = {NULL,          "DNS:clinic.example", "URI:clinic",
                                       "URI:urn:a b", "URI:urn:%4",         "URI:urn:"};
    (void)state;
    for (size_t i = 0; i < sizeof(sans) / sizeof(sans[0]); i++)
        refuse_wanted(&(struct wanted){.san = sans[i]}, SSL_AD_BAD_CERTIFICATE, none);
    refuse_wanted(&(struct wanted){.san = "URI:urn:a,URI:urn:b"}, SSL_AD_BAD_CERTIFICATE,
                  "more than one URI in the certificate's subject alternative name");
    char longest[SAN_MAX_SIZE + 16] = "URI:urn:";
    memset(longest + 8, 'a', SAN_MAX_SIZE + 1 - 4);
    refuse_wanted(&(struct wanted){.san = longest}, SSL_AD_BAD_CERTIFICATE, none);
}

static void gate_accepts_one_uri_beside_other_names(void **state) {
    struct identity id = issue(&rig.authority, &(struct wanted){.san = "DNS:x.example,URI:urn:vault:service:clinic"});
    (void)state;
    expect_accepted(&(struct client){.identity = &id});
    identity_free(&id);
}

static void gate_refuses_another_purpose(void **state) {
    (void)state;
    refuse_wanted(&(struct wanted){.san = uri, .purpose = "serverAuth"}, SSL_AD_UNSUPPORTED_CERTIFICATE,
                  "certificate is not for client authentication");
}

static void worker_refuses_other_curves_and_old_tls(void **state) {
    struct identity id = issue(&rig.authority, &(struct wanted){.san = uri});
    (void)state;
    expect_refused(&(struct client){.identity = &id, .newest = TLS1_2_VERSION}, SSL_AD_PROTOCOL_VERSION, NULL);
    identity_free(&id);
    id = issue(&rig.authority, &(struct wanted){.type = "P-384", .san = uri});
    expect_refused(&(struct client){.identity = &id}, SSL_AD_CERTIFICATE_REQUIRED, NULL); /* it sends none that fits */
    identity_free(&id);
}

static void gate_refuses_under_an_outdated_list(void **state) {
    static const char reason[] = "the authority's revocation list is out of date";
    struct identity id = issue(&rig.authority, &(struct wanted){.san = uri});
    (void)state;
    expect_accepted(&(struct client){.identity = &id});
    rig_trust(&rig, list_file(&rig.authority, NULL, -60));
    assert_int_equal(rig.losses, 1);
    assert_string_equal(rig.lost.reason, reason);
    expect_refused(&(struct client){.identity = &id}, SSL_AD_INTERNAL_ERROR, reason);
    identity_free(&id);
}

static void gate_loses_revoked_identity_once(void **state) {
    struct identity id = issue(&rig.authority, &(struct wanted){.san = uri});
    struct identity other = issue(&rig.authority, &(struct wanted){.san = uri});
    (void)state;
    expect_accepted(&(struct client){.identity = &id});
    uint64_t worker = rig.identity.worker;
    expect_accepted(&(struct client){.identity = &other});
    for (int i = 0; i < 2; i++)
        rig_trust(&rig, list_file(&rig.authority, id.certificate, 86400));
    assert_int_equal(rig.losses, 1);
    assert_int_equal(rig.lost.worker, worker);
    assert_string_equal(rig.lost.reason, "certificate is revoked");
    identity_free(&id);
    identity_free(&other);
}

static void gate_loses_expired_identity(void **state) {
    struct identity id = issue(&rig.authority, &(struct wanted){.san = uri, .start = -60, .end = 3000});
    (void)state;
    expect_accepted(&(struct client){.identity = &id});
    assert_int_equal(gate_tick(rig.gate, time(NULL) + 2900), VAULT_OK);
    rig_pump(&rig);
    assert_int_equal(rig.losses, 0);
    assert_int_equal(gate_tick(rig.gate, time(NULL) + 3001), VAULT_OK);
    rig_pump(&rig);
    assert_int_equal(rig.losses, 1);
    assert_string_equal(rig.lost.reason, "certificate has expired");
    identity_free(&id);
}

static void gate_keeps_the_old_trust_if_the_new_is_broken(void **state) {
    struct identity id = issue(&rig.authority, &(struct wanted){.san = uri});
    (void)state;
    rig_trust(&rig, list_file(&rig.authority, id.certificate, 86400));
    rig_trust(&rig, text_file("-----BEGIN X509 CRL-----\nhalf"));
    rig_trust(&rig, text_file("nothing here\n"));
    expect_refused(&(struct client){.identity = &id}, SSL_AD_CERTIFICATE_REVOKED, "certificate is revoked");
    identity_free(&id);
}

/* A whole session; whether the certificate in it is this one. */
static bool serves(X509 *certificate, struct outcome *ret) {
    struct identity id = issue(&rig.authority, &(struct wanted){.san = uri});
    rig_connect(&rig, &(struct client){.identity = &id}, NULL, NULL, ret);
    assert_int_equal(ret->client, 0);
    identity_free(&id);
    uint8_t *der = NULL;
    int n = i2d_X509(certificate, &der);
    size_t at = recording_find(&ret->recording, false, CERTIFICATE);
    assert_true(n > 0);
    bool found = memmem(ret->recording.messages[at].bytes, ret->recording.messages[at].n, der, (size_t)n) != NULL;
    OPENSSL_free(der);
    return found;
}

static bool serves_now(X509 *certificate) {
    struct outcome o;
    bool found = serves(certificate, &o);
    outcome_clear(&o);
    return found;
}

static const struct wanted of_server = {.san = "DNS:localhost", .start = -60, .end = 86400L * 90};

static void new_certificate_is_for_workers_born_after_it(void **state) {
    struct identity fresh = issue(&rig.authority, &of_server);
    struct outcome before;
    uint8_t signature[256];
    size_t n = 0;
    (void)state;
    assert_true(serves(rig.server.certificate, &before));
    int worker = rig_worker(&rig);
    rig_certificate(&rig, fresh.certificate, fresh.key);
    assert_true(serves_now(fresh.certificate));
    script_replay(&rig, worker, &before.recording, 0, recording_find(&before.recording, false, PROOF));
    assert_true(script_sign(&rig, worker, signature, &n)); /* it was told the former chain */
    close(worker);
    outcome_clear(&before);
    identity_free(&fresh);
}

static void gate_keeps_its_certificate_if_the_new_pair_is_broken(void **state) {
    struct identity fresh = issue(&rig.authority, &of_server);
    struct identity rsa = issue(&rig.authority, &(struct wanted){.type = "RSA", .san = "DNS:localhost", .end = 86400});
    (void)state;
    rig_certificate(&rig, fresh.certificate, rig.server.key);
    rig_certificate(&rig, rsa.certificate, rsa.key);
    assert_true(serves_now(rig.server.certificate));
    rig_certificate(&rig, fresh.certificate, fresh.key);
    assert_true(serves_now(fresh.certificate));
    identity_free(&rsa);
    identity_free(&fresh);
}

static void gate_forgets_a_worker_that_is_gone(void **state) {
    struct identity id = issue(&rig.authority, &(struct wanted){.san = uri});
    static struct message gone;
    (void)state;
    expect_accepted(&(struct client){.identity = &id});
    message_init(&gone, MSG_worker_gone, 0);
    gone.worker_gone.worker = rig.identity.worker;
    assert_int_equal(channel_send(rig.control, &gone), VAULT_OK);
    rig_trust(&rig, list_file(&rig.authority, id.certificate, 86400));
    assert_int_equal(rig.losses, 0);
    identity_free(&id);
}

/* What the gate logs at a tick. */
static void log_of_tick(char *to, size_t size, time_t now) {
    int kept = dup(STDERR_FILENO);
    int file = memfd_create("log", MFD_CLOEXEC);
    assert_true(kept >= 0 && file >= 0);
    assert_int_equal(dup2(file, STDERR_FILENO), STDERR_FILENO);
    assert_int_equal(gate_tick(rig.gate, now), VAULT_OK);
    assert_int_equal(dup2(kept, STDERR_FILENO), STDERR_FILENO);
    ssize_t n = pread(file, to, size - 1, 0);
    assert_true(n >= 0);
    to[n] = 0;
    close(kept);
    close(file);
}

static void gate_warns_daily_of_its_own_expiry(void **state) {
    char text[1000];
    time_t now = time(NULL);
    (void)state;
    log_of_tick(text, sizeof(text), now);
    assert_string_equal(text, "");
    log_of_tick(text, sizeof(text), now + 86400L * 70 + 43200);
    assert_non_null(strstr(text, "expires in 19 days"));
    log_of_tick(text, sizeof(text), now + 86400L * 70 + 46800);
    assert_string_equal(text, "");
    log_of_tick(text, sizeof(text), now + 86400L * 71 + 43200);
    assert_non_null(strstr(text, "expires in 18 days"));
    log_of_tick(text, sizeof(text), now + 86400L * 91);
    assert_non_null(strstr(text, "has expired"));
}

#ifdef GATE_PROGRAM
static void gate_program_serves_in_its_sandbox(void **state) {
    (void)state;
    rig_start_program(&rig, GATE_PROGRAM);
    struct identity id = issue(&rig.authority, &(struct wanted){.san = uri});
    expect_accepted(&(struct client){.identity = &id});
    rig_trust(&rig, list_file(&rig.authority, id.certificate, 86400));
    assert_int_equal(rig.losses, 1);
    expect_refused(&(struct client){.identity = &id}, SSL_AD_CERTIFICATE_REVOKED, "certificate is revoked");
    identity_free(&id);
    rig_stop(&rig);
}
#endif

#define WITH_GATE(test) cmocka_unit_test_setup_teardown(test, start, stop)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_GATE(gate_accepts_every_kind_of_key),
        WITH_GATE(gate_accepts_every_suite_and_group),
        WITH_GATE(gate_accepts_after_hello_retry),
        WITH_GATE(gate_tells_fingerprint_and_earliest_end),
        WITH_GATE(gate_refuses_no_certificate),
        WITH_GATE(gate_refuses_another_authority),
        WITH_GATE(gate_refuses_expired_and_not_yet_valid),
        WITH_GATE(gate_refuses_revoked),
        WITH_GATE(gate_refuses_bad_names),
        WITH_GATE(gate_accepts_one_uri_beside_other_names),
        WITH_GATE(gate_refuses_another_purpose),
        WITH_GATE(worker_refuses_other_curves_and_old_tls),
        WITH_GATE(gate_refuses_under_an_outdated_list),
        WITH_GATE(gate_loses_revoked_identity_once),
        WITH_GATE(gate_loses_expired_identity),
        WITH_GATE(gate_keeps_the_old_trust_if_the_new_is_broken),
        WITH_GATE(new_certificate_is_for_workers_born_after_it),
        WITH_GATE(gate_keeps_its_certificate_if_the_new_pair_is_broken),
        WITH_GATE(gate_forgets_a_worker_that_is_gone),
        WITH_GATE(gate_warns_daily_of_its_own_expiry),
#ifdef GATE_PROGRAM
        cmocka_unit_test(gate_program_serves_in_its_sandbox),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
