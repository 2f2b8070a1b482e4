#include "tests/unit/gate_pki.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void must(int good, const char *what) {
    if (good)
        return;
    fprintf(stderr, "test PKI: %s failed\n", what);
    exit(EXIT_FAILURE);
}

static EVP_PKEY *new_key(const char *type) {
    EVP_PKEY *key = NULL;
    if (type == NULL || strncmp(type, "P-", 2) == 0)
        key = EVP_EC_gen(type == NULL ? "P-256" : type);
    else if (strcmp(type, "RSA") == 0)
        key = EVP_RSA_gen(2048);
    else
        key = EVP_PKEY_Q_keygen(NULL, NULL, type);
    must(key != NULL, "key");
    return key;
}

static void add_extension(X509 *to, X509 *issuer, int type, const char *value) {
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, to, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, type, value);
    must(extension != NULL && X509_add_ext(to, extension, -1) == 1, "extension");
    X509_EXTENSION_free(extension);
}

static const EVP_MD *hash_for(const EVP_PKEY *key) {
    return EVP_PKEY_is_a(key, "ED25519") == 1 ? NULL : EVP_sha256();
}

static X509 *new_certificate(const char *name, EVP_PKEY *key, X509_NAME *issuer, long start, long end) {
    static long serial = 1000;
    X509 *c = X509_new();
    must(c != NULL && X509_set_version(c, X509_VERSION_3) == 1, "certificate");
    ASN1_INTEGER_set(X509_get_serialNumber(c), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(c), start);
    X509_gmtime_adj(X509_getm_notAfter(c), end);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(c), "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(c, issuer == NULL ? X509_get_subject_name(c) : issuer);
    must(X509_set_pubkey(c, key) == 1, "public key");
    return c;
}

struct identity authority_new(const char *name) {
    struct identity i = {.key = new_key(NULL)};
    i.certificate = new_certificate(name, i.key, NULL, -7200, 864000);
    add_extension(i.certificate, i.certificate, NID_basic_constraints, "critical,CA:TRUE");
    add_extension(i.certificate, i.certificate, NID_key_usage, "critical,keyCertSign,cRLSign");
    add_extension(i.certificate, i.certificate, NID_subject_key_identifier, "hash");
    must(X509_sign(i.certificate, i.key, EVP_sha256()) > 0, "signature");
    return i;
}

struct identity issue(const struct identity *authority, const struct wanted *wanted) {
    struct identity i = {.key = wanted->key};
    long start = wanted->start == 0 && wanted->end == 0 ? -3600 : wanted->start;
    long end = wanted->start == 0 && wanted->end == 0 ? 86400 : wanted->end;
    if (i.key == NULL)
        i.key = new_key(wanted->type);
    else
        EVP_PKEY_up_ref(i.key);
    i.certificate = new_certificate("leaf", i.key, X509_get_subject_name(authority->certificate), start, end);
    add_extension(i.certificate, authority->certificate, NID_authority_key_identifier, "keyid");
    if (wanted->san != NULL)
        add_extension(i.certificate, authority->certificate, NID_subject_alt_name, wanted->san);
    if (wanted->purpose != NULL)
        add_extension(i.certificate, authority->certificate, NID_ext_key_usage, wanted->purpose);
    must(X509_sign(i.certificate, authority->key, hash_for(authority->key)) > 0, "signature");
    return i;
}

void identity_free(struct identity *i) {
    X509_free(i->certificate);
    EVP_PKEY_free(i->key);
    *i = (struct identity){.certificate = NULL};
}

static int file_of(BIO *bio) {
    char *bytes = NULL;
    long n = BIO_get_mem_data(bio, &bytes);
    int fd = memfd_create("pem", MFD_CLOEXEC);
    must(fd >= 0 && n > 0 && write(fd, bytes, (size_t)n) == n, "file");
    BIO_free(bio);
    return fd;
}

int certificate_file(X509 *certificate) {
    BIO *bio = BIO_new(BIO_s_mem());
    must(PEM_write_bio_X509(bio, certificate) == 1, "PEM");
    return file_of(bio);
}

int key_file(EVP_PKEY *key) {
    BIO *bio = BIO_new(BIO_s_mem());
    must(PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1, "PEM");
    return file_of(bio);
}

static void add_revoked(X509_CRL *list, const X509 *certificate, const ASN1_TIME *when) {
    X509_REVOKED *entry = X509_REVOKED_new();
    must(entry != NULL &&
             X509_REVOKED_set_serialNumber(entry, (ASN1_INTEGER *)X509_get0_serialNumber(certificate)) == 1,
         "revoked entry");
    X509_REVOKED_set_revocationDate(entry, (ASN1_TIME *)when);
    must(X509_CRL_add0_revoked(list, entry) == 1, "revoked entry");
}

int list_file(const struct identity *authority, X509 *revoked, long next) {
    X509_CRL *list = X509_CRL_new();
    ASN1_TIME *last = X509_gmtime_adj(NULL, -3600);
    ASN1_TIME *due = X509_gmtime_adj(NULL, next);
    BIO *bio = BIO_new(BIO_s_mem());
    must(list != NULL && X509_CRL_set_version(list, X509_CRL_VERSION_2) == 1, "list");
    X509_CRL_set_issuer_name(list, X509_get_subject_name(authority->certificate));
    X509_CRL_set1_lastUpdate(list, last);
    X509_CRL_set1_nextUpdate(list, due);
    if (revoked != NULL)
        add_revoked(list, revoked, last);
    must(X509_CRL_sign(list, authority->key, EVP_sha256()) > 0 && PEM_write_bio_X509_CRL(bio, list) == 1, "list");
    X509_CRL_free(list);
    ASN1_TIME_free(last);
    ASN1_TIME_free(due);
    return file_of(bio);
}

int text_file(const char *text) {
    BIO *bio = BIO_new(BIO_s_mem());
    must(BIO_puts(bio, text) > 0, "text");
    return file_of(bio);
}
