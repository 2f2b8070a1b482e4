#include "vaultd/gate/san.h"

#include <openssl/x509v3.h>
#include <string.h>

#include "vault/buffer.h"
#include "vault/result.h"

static bool is_letter(uint8_t c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(uint8_t c) {
    return c >= '0' && c <= '9';
}

static bool is_hex(uint8_t c) {
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool is_one_of(uint8_t c, const char *set) {
    return c != 0 && strchr(set, c) != NULL;
}

/* Bytes of the scheme and its colon; 0 if there is none. */
static size_t scheme_size(const uint8_t *uri, size_t n) {
    if (n == 0 || !is_letter(uri[0]))
        return 0;
    for (size_t i = 1; i < n; i++) {
        if (uri[i] == ':')
            return i + 1;
        if (!is_letter(uri[i]) && !is_digit(uri[i]) && !is_one_of(uri[i], "+-."))
            return 0;
    }
    return 0;
}

static bool uri_is_well_formed(const uint8_t *uri, size_t n) {
    size_t i = scheme_size(uri, n);
    if (i == 0 || i == n)
        return false;
    while (i < n) {
        if (uri[i] == '%' && n - i > 2 && is_hex(uri[i + 1]) && is_hex(uri[i + 2]))
            i += 3;
        else if (is_letter(uri[i]) || is_digit(uri[i]) || is_one_of(uri[i], "-._~:/?#[]@!$&'()*+,;="))
            i++;
        else
            return false;
    }
    return true;
}

/* The only URI in the list, NULL if there is none or more than one. */
static const ASN1_STRING *only_uri(const GENERAL_NAMES *names, int *ret_count) {
    const ASN1_STRING *found = NULL;
    int count = 0;
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        int type = 0;
        const void *value = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, i), &type);
        if (type == GEN_URI) {
            found = value;
            count++;
        }
    }
    *ret_count = count;
    return count == 1 ? found : NULL;
}

int san_uri(X509 *certificate, char ret_san[SAN_MAX_SIZE + 1], struct refusal *ret_refusal) {
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    int count = 0;
    const ASN1_STRING *uri = only_uri(names, &count);
    const uint8_t *bytes = uri == NULL ? NULL : ASN1_STRING_get0_data(uri);
    size_t n = uri == NULL ? 0 : (size_t)ASN1_STRING_length(uri);
    bool good = bytes != NULL && n <= SAN_MAX_SIZE && uri_is_well_formed(bytes, n);
    if (good) {
        copy_bytes(ret_san, SAN_MAX_SIZE, bytes, n);
        ret_san[n] = 0;
    }
    GENERAL_NAMES_free(names);
    if (good)
        return VAULT_OK;
    *ret_refusal = (struct refusal){ALERT_BAD_CERTIFICATE,
                                    count > 1 ? "more than one URI in the certificate's subject alternative name"
                                              : "no URI in the certificate's subject alternative name"};
    return VAULT_DENIED;
}
