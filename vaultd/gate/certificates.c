#include "vaultd/gate/certificates.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>

int refuse_passphrase(char *to, int size, int writing, void *unused) {
    (void)to;
    (void)size;
    (void)writing;
    (void)unused;
    return -1;
}

/* The end of the text shows as "no start line". */
bool pem_ended_well(void) {
    unsigned long error = ERR_peek_last_error();
    ERR_clear_error();
    return ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
}

int certificates_read(const void *pem, size_t size, STACK_OF(X509) * *ret) {
    if (size == 0 || size > INT_MAX)
        return VAULT_E_FORMAT;
    BIO *bio = BIO_new_mem_buf(pem, (int)size);
    STACK_OF(X509) *list = sk_X509_new_null();
    int result = bio == NULL || list == NULL ? VAULT_E_MEMORY : VAULT_OK;
    while (result == VAULT_OK) {
        X509 *certificate = PEM_read_bio_X509(bio, NULL, refuse_passphrase, NULL);
        if (certificate == NULL)
            break;
        if (sk_X509_push(list, certificate) <= 0) {
            X509_free(certificate);
            result = VAULT_E_MEMORY;
        }
    }
    if (result == VAULT_OK && (!pem_ended_well() || sk_X509_num(list) == 0))
        result = VAULT_E_FORMAT;
    BIO_free(bio);
    if (result == VAULT_OK)
        *ret = list;
    else
        sk_X509_pop_free(list, X509_free);
    return result;
}

int certificate_not_after(const X509 *certificate, uint64_t *ret) {
    int days = 0;
    int seconds = 0;
    ASN1_TIME *epoch = ASN1_TIME_new();
    bool known = epoch != NULL && ASN1_TIME_set_string(epoch, "19700101000000Z") == 1 &&
                 ASN1_TIME_diff(&days, &seconds, epoch, X509_get0_notAfter(certificate)) == 1 && days >= 0 &&
                 seconds >= 0;
    ASN1_TIME_free(epoch);
    if (!known)
        return VAULT_E_FORMAT;
    *ret = (uint64_t)days * 86400 + (uint64_t)seconds;
    return VAULT_OK;
}

bool key_is_p256(const EVP_PKEY *key) {
    char group[32] = "";
    return EVP_PKEY_is_a(key, "EC") == 1 && EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) == 1 &&
           (strcmp(group, "prime256v1") == 0 || strcmp(group, "P-256") == 0);
}
