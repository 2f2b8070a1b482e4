#include "vaultd/worker/tls_provider.h"

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/provider.h>
#include <stdlib.h>
#include <string.h>

#include "vault/buffer.h"
#include "vault/result.h"

enum { POINT_MAX = 65, BITS = 256, SECURITY_BITS = 128 };

static const char group_name[] = "prime256v1";
static const char algorithm_properties[] = "provider=gate";

static provider_signer *signer_in_use;
static void *signer_context;

void provider_set_signer(provider_signer *signer, void *context) {
    signer_in_use = signer;
    signer_context = context;
}

/* The public point is all there is. */
struct remote_key {
    size_t size;
    uint8_t point[POINT_MAX];
};

static void *key_new(void *provider) {
    (void)provider;
    return calloc(1, sizeof(struct remote_key));
}

static void key_free(void *key) {
    free(key);
}

/* "Has" the private half, too: it can sign. */
static int key_has(const void *key, int selection) {
    (void)selection;
    return key != NULL && ((const struct remote_key *)key)->size > 0;
}

static int key_match(const void *a, const void *b, int selection) {
    const struct remote_key *one = a;
    const struct remote_key *other = b;
    (void)selection;
    return one->size > 0 && one->size == other->size && memcmp(one->point, other->point, one->size) == 0;
}

static int key_import(void *key, int selection, const OSSL_PARAM params[]) {
    struct remote_key *k = key;
    const void *bytes = NULL;
    size_t n = 0;
    const OSSL_PARAM *point = OSSL_PARAM_locate_const(params, OSSL_PKEY_PARAM_PUB_KEY);
    (void)selection;
    if (point == NULL || OSSL_PARAM_get_octet_string_ptr(point, &bytes, &n) != 1 || n == 0 || n > POINT_MAX)
        return 0;
    copy_bytes(k->point, sizeof(k->point), bytes, n);
    k->size = n;
    return 1;
}

static const OSSL_PARAM *key_import_types(int selection) {
    static const OSSL_PARAM types[] = {OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
                                       OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0), OSSL_PARAM_END};
    (void)selection;
    return types;
}

static int set_int(OSSL_PARAM params[], const char *name, int value) {
    OSSL_PARAM *p = OSSL_PARAM_locate(params, name);
    return p == NULL || OSSL_PARAM_set_int(p, value) == 1;
}

static int key_get_params(void *key, OSSL_PARAM params[]) {
    OSSL_PARAM *group = OSSL_PARAM_locate(params, OSSL_PKEY_PARAM_GROUP_NAME);
    (void)key;
    return set_int(params, OSSL_PKEY_PARAM_BITS, BITS) &&
           set_int(params, OSSL_PKEY_PARAM_SECURITY_BITS, SECURITY_BITS) &&
           set_int(params, OSSL_PKEY_PARAM_MAX_SIZE, PROVIDER_SIGNATURE_MAX) &&
           (group == NULL || OSSL_PARAM_set_utf8_string(group, group_name) == 1);
}

static const OSSL_PARAM *key_gettable_params(void *provider) {
    static const OSSL_PARAM known[] = {OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, NULL),
                                       OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, NULL),
                                       OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, NULL),
                                       OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0), OSSL_PARAM_END};
    (void)provider;
    return known;
}

static const char *key_operation_name(int operation) {
    return operation == OSSL_OP_SIGNATURE ? "ECDSA" : NULL;
}

/* A signature's context holds nothing, but OpenSSL wants one to pass about. */
static void *signature_new(void *provider, const char *properties) {
    (void)provider;
    (void)properties;
    return calloc(1, 1);
}

static void signature_free(void *context) {
    free(context);
}

static int signature_init(void *context, const char *hash, void *key, const OSSL_PARAM params[]) {
    (void)context;
    (void)params;
    return key != NULL && hash != NULL && (strcmp(hash, "SHA2-256") == 0 || strcmp(hash, "SHA256") == 0);
}

/* What OpenSSL wants signed is not even passed on: the gate works it out from the handshake messages. */
static int signature_sign(void *context, unsigned char *to, size_t *ret_n, size_t size, const unsigned char *content,
                          size_t n) {
    uint8_t signature[PROVIDER_SIGNATURE_MAX];
    size_t made = 0;
    (void)context;
    (void)content;
    (void)n;
    if (to == NULL) {
        *ret_n = PROVIDER_SIGNATURE_MAX;
        return 1;
    }
    if (signer_in_use == NULL || !signer_in_use(signer_context, signature, &made) || made > size)
        return 0;
    copy_bytes(to, size, signature, made);
    *ret_n = made;
    return 1;
}

#define FUNCTION(id, function)                                                                                         \
    { (id), (void (*)(void))(function) }

static const OSSL_DISPATCH key_functions[] = {FUNCTION(OSSL_FUNC_KEYMGMT_NEW, key_new),
                                              FUNCTION(OSSL_FUNC_KEYMGMT_FREE, key_free),
                                              FUNCTION(OSSL_FUNC_KEYMGMT_HAS, key_has),
                                              FUNCTION(OSSL_FUNC_KEYMGMT_MATCH, key_match),
                                              FUNCTION(OSSL_FUNC_KEYMGMT_IMPORT, key_import),
                                              FUNCTION(OSSL_FUNC_KEYMGMT_IMPORT_TYPES, key_import_types),
                                              FUNCTION(OSSL_FUNC_KEYMGMT_GET_PARAMS, key_get_params),
                                              FUNCTION(OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, key_gettable_params),
                                              FUNCTION(OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, key_operation_name),
                                              {0, NULL}};

static const OSSL_DISPATCH signature_functions[] = {FUNCTION(OSSL_FUNC_SIGNATURE_NEWCTX, signature_new),
                                                    FUNCTION(OSSL_FUNC_SIGNATURE_FREECTX, signature_free),
                                                    FUNCTION(OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, signature_init),
                                                    FUNCTION(OSSL_FUNC_SIGNATURE_DIGEST_SIGN, signature_sign),
                                                    {0, NULL}};

static const OSSL_ALGORITHM key_algorithms[] = {
    {"EC:id-ecPublicKey:1.2.840.10045.2.1", algorithm_properties, key_functions, "a key at the gate"},
    {NULL, NULL, NULL, NULL}};

static const OSSL_ALGORITHM signature_algorithms[] = {
    {"ECDSA", algorithm_properties, signature_functions, "a signature by the gate"}, {NULL, NULL, NULL, NULL}};

static const OSSL_ALGORITHM *query(void *provider, int operation, int *ret_no_cache) {
    (void)provider;
    *ret_no_cache = 0;
    switch (operation) {
    case OSSL_OP_KEYMGMT: return key_algorithms;
    case OSSL_OP_SIGNATURE: return signature_algorithms;
    default: return NULL;
    }
}

static int provider_init(const OSSL_CORE_HANDLE *core, const OSSL_DISPATCH *in, const OSSL_DISPATCH **ret_out,
                         void **ret_context) {
    static const OSSL_DISPATCH functions[] = {FUNCTION(OSSL_FUNC_PROVIDER_QUERY_OPERATION, query), {0, NULL}};
    (void)core;
    (void)in;
    *ret_out = functions;
    *ret_context = (void *)functions; /* anything but NULL */
    return 1;
}

/* Lives as long as the process. */
static OSSL_LIB_CTX *library_context(void) {
    static OSSL_LIB_CTX *context;
    if (context != NULL)
        return context;
    OSSL_LIB_CTX *fresh = OSSL_LIB_CTX_new();
    if (fresh != NULL && OSSL_PROVIDER_add_builtin(fresh, "gate", provider_init) == 1 &&
        OSSL_PROVIDER_load(fresh, "gate") != NULL)
        context = fresh;
    else
        OSSL_LIB_CTX_free(fresh);
    return context;
}

int provider_key(X509 *certificate, EVP_PKEY **ret) {
    OSSL_LIB_CTX *library = library_context();
    EVP_PKEY *public = X509_get0_pubkey(certificate);
    OSSL_PARAM *params = NULL;
    EVP_PKEY *key = NULL;
    if (library == NULL || public == NULL || EVP_PKEY_todata(public, EVP_PKEY_PUBLIC_KEY, &params) != 1)
        return VAULT_E_CRYPTO;
    EVP_PKEY_CTX *maker = EVP_PKEY_CTX_new_from_name(library, "EC", NULL);
    bool made = maker != NULL && EVP_PKEY_fromdata_init(maker) == 1 &&
                EVP_PKEY_fromdata(maker, &key, EVP_PKEY_PUBLIC_KEY, params) == 1;
    EVP_PKEY_CTX_free(maker);
    OSSL_PARAM_free(params);
    if (!made)
        return VAULT_E_CRYPTO;
    *ret = key;
    return VAULT_OK;
}
