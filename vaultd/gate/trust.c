#include "vaultd/gate/trust.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include "vault/buffer.h"
#include "vault/log.h"
#include "vault/result.h"
#include "vaultd/gate/certificates.h"
#include "vaultd/gate/san.h"

enum { CHAIN_DEPTH = 6, SECURITY_LEVEL = 2 };

struct trust {
    X509_STORE *store;
};

static int add_authorities(X509_STORE *store, const void *pem, size_t size) {
    STACK_OF(X509) *list = NULL;
    int result = certificates_read(pem, size, &list);
    if (result != VAULT_OK)
        return result;
    for (int i = 0; i < sk_X509_num(list) && result == VAULT_OK; i++)
        if (X509_STORE_add_cert(store, sk_X509_value(list, i)) != 1)
            result = VAULT_E_MEMORY;
    sk_X509_pop_free(list, X509_free);
    return result;
}

static void warn_if_outdated(const X509_CRL *list) {
    const ASN1_TIME *next = X509_CRL_get0_nextUpdate(list);
    if (next != NULL && X509_cmp_current_time(next) < 0)
        log_warning("revocation list: out of date, the clients of its authority are refused");
}

static int read_lists(const struct text *pem, STACK_OF(X509_CRL) * *ret) {
    if (pem->n == 0 || pem->n > INT_MAX)
        return VAULT_E_FORMAT;
    BIO *bio = BIO_new_mem_buf(pem->bytes, (int)pem->n);
    STACK_OF(X509_CRL) *lists = sk_X509_CRL_new_null();
    int result = bio == NULL || lists == NULL ? VAULT_E_MEMORY : VAULT_OK;
    X509_CRL *list;
    while (result == VAULT_OK && (list = PEM_read_bio_X509_CRL(bio, NULL, refuse_passphrase, NULL)) != NULL)
        if (sk_X509_CRL_push(lists, list) <= 0) {
            X509_CRL_free(list);
            result = VAULT_E_MEMORY;
        }
    if (result == VAULT_OK && (!pem_ended_well() || sk_X509_CRL_num(lists) == 0))
        result = VAULT_E_FORMAT;
    BIO_free(bio);
    if (result == VAULT_OK)
        *ret = lists;
    else
        sk_X509_CRL_pop_free(lists, X509_CRL_free);
    return result;
}

static bool has_list_of(STACK_OF(X509_CRL) * lists, const X509_CRL *of) {
    for (int i = 0; lists != NULL && i < sk_X509_CRL_num(lists); i++)
        if (X509_NAME_cmp(X509_CRL_get_issuer(sk_X509_CRL_value(lists, i)), X509_CRL_get_issuer(of)) == 0)
            return true;
    return false;
}

/* All but those of authorities that `newer` (may be NULL) has a list of. */
static int add_lists(X509_STORE *store, STACK_OF(X509_CRL) * lists, STACK_OF(X509_CRL) * newer) {
    for (int i = 0; i < sk_X509_CRL_num(lists); i++) {
        X509_CRL *list = sk_X509_CRL_value(lists, i);
        if (has_list_of(newer, list))
            continue;
        warn_if_outdated(list);
        if (X509_STORE_add_crl(store, list) != 1)
            return VAULT_E_MEMORY;
    }
    return VAULT_OK;
}

static int take_lists(X509_STORE *store, const struct text *lists, const struct text *before) {
    STACK_OF(X509_CRL) *now = NULL;
    STACK_OF(X509_CRL) *older = NULL;
    int result = read_lists(lists, &now);
    if (result == VAULT_OK)
        result = add_lists(store, now, NULL);
    if (result == VAULT_OK && before != NULL && before->n > 0)
        result = read_lists(before, &older);
    if (result == VAULT_OK && older != NULL)
        result = add_lists(store, older, now);
    sk_X509_CRL_pop_free(now, X509_CRL_free);
    sk_X509_CRL_pop_free(older, X509_CRL_free);
    return result;
}

/* Every certificate of the chain is looked up in its issuer's list, and a missing or outdated list refuses. */
static int set_rules(X509_STORE *store) {
    X509_VERIFY_PARAM *rules = X509_STORE_get0_param(store);
    X509_VERIFY_PARAM_set_depth(rules, CHAIN_DEPTH);
    X509_VERIFY_PARAM_set_auth_level(rules, SECURITY_LEVEL);
    bool set = X509_VERIFY_PARAM_set_flags(rules, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL) == 1 &&
               X509_VERIFY_PARAM_set_purpose(rules, X509_PURPOSE_SSL_CLIENT) == 1;
    return set ? VAULT_OK : VAULT_E_MEMORY;
}

void text_free(struct text *t) {
    free(t->bytes);
    *t = (struct text){.bytes = NULL};
}

int trust_new(const struct text *authorities, const struct text *lists, const struct text *before, struct trust **ret) {
    struct trust *t = calloc(1, sizeof(*t));
    if (t == NULL)
        return VAULT_E_MEMORY;
    t->store = X509_STORE_new();
    int result = t->store == NULL ? VAULT_E_MEMORY : set_rules(t->store);
    if (result == VAULT_OK)
        result = add_authorities(t->store, authorities->bytes, authorities->n);
    if (result == VAULT_OK)
        result = take_lists(t->store, lists, before);
    ERR_clear_error();
    if (result == VAULT_OK)
        *ret = t;
    else
        trust_free(&t);
    return result;
}

void trust_free(struct trust **t) {
    if (t == NULL || *t == NULL)
        return;
    X509_STORE_free((*t)->store);
    free(*t);
    *t = NULL;
}

static struct refusal refusal_of(int error) {
    switch (error) {
    case X509_V_ERR_CERT_REVOKED: return (struct refusal){ALERT_CERTIFICATE_REVOKED, "certificate is revoked"};
    case X509_V_ERR_CERT_HAS_EXPIRED: return (struct refusal){ALERT_CERTIFICATE_EXPIRED, "certificate has expired"};
    case X509_V_ERR_CERT_NOT_YET_VALID: return (struct refusal){ALERT_BAD_CERTIFICATE, "certificate is not valid yet"};
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        return (struct refusal){ALERT_UNKNOWN_CA, "certificate is of an unknown authority"};
    case X509_V_ERR_CRL_HAS_EXPIRED:
        return (struct refusal){ALERT_INTERNAL_ERROR, "the authority's revocation list is out of date"};
    case X509_V_ERR_UNABLE_TO_GET_CRL:
        return (struct refusal){ALERT_INTERNAL_ERROR, "the authority's revocation list is missing"};
    case X509_V_ERR_CRL_NOT_YET_VALID:
    case X509_V_ERR_CRL_SIGNATURE_FAILURE:
    case X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER:
        return (struct refusal){ALERT_INTERNAL_ERROR, "the authority's revocation list is not valid"};
    case X509_V_ERR_INVALID_PURPOSE:
        return (struct refusal){ALERT_UNSUPPORTED_CERTIFICATE, "certificate is not for client authentication"};
    default: return (struct refusal){ALERT_BAD_CERTIFICATE, "certificate does not verify"};
    }
}

static int earliest_end(STACK_OF(X509) * verified, uint64_t *ret) {
    uint64_t earliest = UINT64_MAX;
    for (int i = 0; i < sk_X509_num(verified); i++) {
        uint64_t end = 0;
        if (certificate_not_after(sk_X509_value(verified, i), &end) != VAULT_OK)
            return VAULT_E_FORMAT;
        earliest = end < earliest ? end : earliest;
    }
    *ret = earliest;
    return VAULT_OK;
}

static int verify(const struct trust *t, STACK_OF(X509) * chain, time_t now, uint64_t *ret_end,
                  struct refusal *ret_refusal) {
    X509_STORE_CTX *check = X509_STORE_CTX_new();
    if (check == NULL || X509_STORE_CTX_init(check, t->store, sk_X509_value(chain, 0), chain) != 1) {
        X509_STORE_CTX_free(check);
        return VAULT_E_MEMORY;
    }
    X509_STORE_CTX_set_time(check, 0, now);
    int error = X509_verify_cert(check) == 1 ? X509_V_OK : X509_STORE_CTX_get_error(check);
    if (error == X509_V_OK && earliest_end(X509_STORE_CTX_get0_chain(check), ret_end) != VAULT_OK)
        error = X509_V_ERR_ERROR_IN_CERT_NOT_AFTER_FIELD;
    if (error != X509_V_OK) {
        *ret_refusal = refusal_of(error);
        /* a list that fails us needs an operator; a client that fails is the client's affair */
        log_line(ret_refusal->alert == ALERT_INTERNAL_ERROR ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO,
                 "client refused: %s (%s)", ret_refusal->reason, X509_verify_cert_error_string(error));
    }
    X509_STORE_CTX_free(check);
    ERR_clear_error();
    return error == X509_V_OK ? VAULT_OK : VAULT_DENIED;
}

int trust_check(const struct trust *t, STACK_OF(X509) * chain, time_t now, struct client_name *ret_name,
                struct refusal *ret_refusal) {
    struct client_name name = {.not_after = 0};
    int result = verify(t, chain, now, &name.not_after, ret_refusal);
    if (result == VAULT_OK)
        result = san_uri(sk_X509_value(chain, 0), name.san, ret_refusal);
    if (result == VAULT_OK)
        *ret_name = name;
    return result;
}
