/* AES keys in the token, and the root key under one of them: AES-256-GCM with a random IV. The key's id and that of the
 * vault are bound to what it wraps. */
#include <sodium.h>
#include <string.h>

#include "token.h"
#include "vault/buffer.h"
#include "vault/result.h"

enum { IV_SIZE = 12, TAG_SIZE = 16, AES_BYTES = 32, FOUND_MAX = 4096, FOUND_STEP = 64 };

_Static_assert(IV_SIZE + SECRET_KEY_SIZE + TAG_SIZE == TOKEN_WRAPPED, "what is wrapped fits");

static CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
static CK_OBJECT_CLASS secret_class = CKO_SECRET_KEY;
static CK_KEY_TYPE aes_type = CKK_AES;

/* ---- what the token can do ---- */

static bool can(struct token *t, CK_MECHANISM_TYPE type, CK_FLAGS flags) {
    CK_MECHANISM_INFO info = {0};
    return token_good(t, t->module->C_GetMechanismInfo(t->slot, type, &info)) && (info.flags & flags) == flags;
}

enum token_refusal key_usable(struct token *t, bool make) {
    bool usable = can(t, CKM_AES_GCM, make ? CKF_ENCRYPT | CKF_DECRYPT : CKF_DECRYPT) &&
                  (!make || can(t, CKM_AES_KEY_GEN, CKF_GENERATE));
    return usable ? TOKEN_GRANTED : TOKEN_NO_MECHANISM;
}

/* ---- keys ---- */

/* Of the token, private, sensitive and not to be extracted: all as they are, not as they were asked for. */
static enum token_refusal check_key(struct token *t, CK_OBJECT_HANDLE key) {
    CK_BBOOL of_token = CK_FALSE, private = CK_FALSE, sensitive = CK_FALSE, extractable = CK_TRUE;
    CK_ATTRIBUTE found[] = {{CKA_TOKEN, &of_token, sizeof(of_token)},
                            {CKA_PRIVATE, &private, sizeof(private)},
                            {CKA_SENSITIVE, &sensitive, sizeof(sensitive)},
                            {CKA_EXTRACTABLE, &extractable, sizeof(extractable)}};
    const CK_ULONG count = sizeof(found) / sizeof(found[0]);
    if (!token_good(t, t->module->C_GetAttributeValue(t->session, key, found, count)))
        return TOKEN_FAILED;
    for (CK_ULONG i = 0; i < count; i++)
        if (found[i].ulValueLen != sizeof(CK_BBOOL))
            return TOKEN_NONSENSE;
    bool kept = of_token != CK_FALSE && private != CK_FALSE && sensitive != CK_FALSE && extractable == CK_FALSE;
    return kept ? TOKEN_GRANTED : TOKEN_KEY_EXPOSED;
}

enum token_refusal key_make(struct token *t, const uint8_t id[TOKEN_KEY_ID], CK_OBJECT_HANDLE *ret) {
    const CK_ATTRIBUTE *label = p11_kit_uri_get_attribute(t->uri, CKA_LABEL);
    uint8_t id_value[TOKEN_KEY_ID];
    CK_ULONG length = AES_BYTES;
    CK_MECHANISM mechanism = {CKM_AES_KEY_GEN, NULL, 0};
    CK_OBJECT_HANDLE key = 0;
    if (label == NULL)
        return TOKEN_NOT_THERE;
    copy_bytes(id_value, sizeof(id_value), id, TOKEN_KEY_ID);
    CK_ATTRIBUTE wanted[] = {{CKA_CLASS, &secret_class, sizeof(secret_class)},
                             {CKA_KEY_TYPE, &aes_type, sizeof(aes_type)},
                             {CKA_VALUE_LEN, &length, sizeof(length)},
                             {CKA_TOKEN, &yes, sizeof(yes)},
                             {CKA_PRIVATE, &yes, sizeof(yes)},
                             {CKA_SENSITIVE, &yes, sizeof(yes)},
                             {CKA_EXTRACTABLE, &no, sizeof(no)},
                             {CKA_ENCRYPT, &yes, sizeof(yes)},
                             {CKA_DECRYPT, &yes, sizeof(yes)},
                             {CKA_WRAP, &no, sizeof(no)},
                             {CKA_UNWRAP, &no, sizeof(no)},
                             {CKA_ID, id_value, sizeof(id_value)},
                             *label};
    if (!token_good(t,
                    t->module->C_GenerateKey(t->session, &mechanism, wanted, sizeof(wanted) / sizeof(wanted[0]), &key)))
        return TOKEN_FAILED;
    enum token_refusal why = check_key(t, key);
    if (why != TOKEN_GRANTED)
        (void)t->module->C_DestroyObject(t->session, key);
    else
        *ret = key;
    return why;
}

/* Objects that match; the search is over when it returns, so that they may be destroyed. */
static enum token_refusal find(struct token *t, CK_ATTRIBUTE *match, CK_ULONG count, CK_OBJECT_HANDLE *ret, size_t room,
                               size_t *ret_found) {
    size_t found = 0;
    CK_ULONG more = 1;
    bool good = token_good(t, t->module->C_FindObjectsInit(t->session, match, count));
    if (!good)
        return TOKEN_FAILED;
    while (good && more > 0 && found < room) {
        CK_ULONG step = room - found < FOUND_STEP ? room - found : FOUND_STEP;
        good = token_good(t, t->module->C_FindObjects(t->session, ret + found, step, &more));
        if (good && more > step)
            return TOKEN_NONSENSE;
        found += good ? more : 0;
    }
    (void)t->module->C_FindObjectsFinal(t->session);
    *ret_found = found;
    return good ? TOKEN_GRANTED : TOKEN_FAILED;
}

enum token_refusal key_find(struct token *t, const uint8_t id[TOKEN_KEY_ID], CK_OBJECT_HANDLE *ret) {
    uint8_t id_value[TOKEN_KEY_ID];
    CK_OBJECT_HANDLE keys[2] = {0, 0};
    size_t found = 0;
    copy_bytes(id_value, sizeof(id_value), id, TOKEN_KEY_ID);
    CK_ATTRIBUTE match[] = {{CKA_CLASS, &secret_class, sizeof(secret_class)},
                            {CKA_TOKEN, &yes, sizeof(yes)},
                            {CKA_ID, id_value, sizeof(id_value)}};
    enum token_refusal why = find(t, match, sizeof(match) / sizeof(match[0]), keys, 2, &found);
    if (why != TOKEN_GRANTED)
        return why;
    if (found != 1)
        return found == 0 ? TOKEN_NO_KEY : TOKEN_NONSENSE;
    why = check_key(t, keys[0]);
    if (why == TOKEN_GRANTED)
        *ret = keys[0];
    return why;
}

enum token_refusal key_destroy(struct token *t, CK_OBJECT_HANDLE key) {
    return token_good(t, t->module->C_DestroyObject(t->session, key)) ? TOKEN_GRANTED : TOKEN_FAILED;
}

/* ---- the root key under a key ---- */

struct gcm {
    uint8_t iv[IV_SIZE];
    uint8_t bound[sizeof("vault-token-1") - 1 + TOKEN_KEY_ID]; /* the id begins with that of the vault */
    CK_GCM_PARAMS parameters;
    CK_MECHANISM mechanism;
};

static void gcm_prepare(struct gcm *g, const uint8_t iv[IV_SIZE], const uint8_t id[TOKEN_KEY_ID]) {
    struct writer w = writer_of(g->bound, sizeof(g->bound));
    write_bytes(&w, "vault-token-1", sizeof("vault-token-1") - 1);
    write_bytes(&w, id, TOKEN_KEY_ID);
    copy_bytes(g->iv, sizeof(g->iv), iv, IV_SIZE);
    g->parameters = (CK_GCM_PARAMS){.iv_ptr = g->iv,
                                    .iv_len = IV_SIZE,
                                    .iv_bits = 8 * IV_SIZE,
                                    .aad_ptr = g->bound,
                                    .aad_len = sizeof(g->bound),
                                    .tag_bits = 8 * TAG_SIZE};
    g->mechanism = (CK_MECHANISM){CKM_AES_GCM, &g->parameters, sizeof(g->parameters)};
}

enum token_refusal key_wrap_root(struct token *t, CK_OBJECT_HANDLE key, const uint8_t id[TOKEN_KEY_ID],
                                 const struct secret *root, uint8_t ret[TOKEN_WRAPPED]) {
    uint8_t iv[IV_SIZE];
    uint8_t sealed[SECRET_KEY_SIZE + TAG_SIZE];
    CK_ULONG n = sizeof(sealed);
    struct gcm g;
    randombytes_buf(iv, sizeof(iv));
    gcm_prepare(&g, iv, id);
    if (!token_good(t, t->module->C_EncryptInit(t->session, &g.mechanism, key)) ||
        !token_good(
            t, t->module->C_Encrypt(t->session, (CK_BYTE *)(uintptr_t)secret_view(root), SECRET_KEY_SIZE, sealed, &n)))
        return TOKEN_FAILED;
    if (n != sizeof(sealed))
        return TOKEN_NONSENSE;
    copy_bytes(ret, TOKEN_WRAPPED, iv, IV_SIZE);
    copy_bytes(ret + IV_SIZE, TOKEN_WRAPPED - IV_SIZE, sealed, sizeof(sealed));
    return TOKEN_GRANTED;
}

enum token_refusal key_unwrap_root(struct token *t, CK_OBJECT_HANDLE key, const uint8_t id[TOKEN_KEY_ID],
                                   const uint8_t wrapped[TOKEN_WRAPPED], struct secret **ret) {
    CLEANUP_SECRET struct secret *opened = NULL;
    uint8_t sealed[SECRET_KEY_SIZE + TAG_SIZE];
    CK_ULONG n = SECRET_KEY_SIZE + TAG_SIZE; /* a module may want room for the tag, too */
    struct gcm g;
    copy_bytes(sealed, sizeof(sealed), wrapped + IV_SIZE, sizeof(sealed));
    gcm_prepare(&g, wrapped, id);
    if (secret_new(&opened, SECRET_KEY_SIZE + TAG_SIZE) != VAULT_OK)
        return TOKEN_FAILED;
    if (!token_good(t, t->module->C_DecryptInit(t->session, &g.mechanism, key)))
        return TOKEN_FAILED;
    if (!token_good(t, t->module->C_Decrypt(t->session, sealed, sizeof(sealed), secret_edit(opened), &n)))
        return TOKEN_NOT_OPENED;
    if (n != SECRET_KEY_SIZE)
        return TOKEN_NONSENSE;
    return secret_take(ret, secret_edit(opened), SECRET_KEY_SIZE) == VAULT_OK ? TOKEN_GRANTED : TOKEN_FAILED;
}

/* ---- keys that nothing needs any more ---- */

/* Whether this key is the vault's, and not the one to keep. */
static enum token_refusal is_left_over(struct token *t, CK_OBJECT_HANDLE key, const uint8_t vault[ID_SIZE],
                                       const uint8_t keep[TOKEN_KEY_ID], bool *ret) {
    uint8_t id[TOKEN_KEY_ID];
    CK_ATTRIBUTE found = {CKA_ID, id, sizeof(id)};
    CK_RV result = t->module->C_GetAttributeValue(t->session, key, &found, 1);
    *ret = false;
    if (result == CKR_BUFFER_TOO_SMALL)
        return TOKEN_GRANTED; /* a longer id is none of ours */
    if (!token_good(t, result))
        return TOKEN_FAILED;
    *ret = found.ulValueLen == sizeof(id) && memcmp(id, vault, ID_SIZE) == 0 && memcmp(id, keep, TOKEN_KEY_ID) != 0;
    return TOKEN_GRANTED;
}

enum token_refusal keys_sweep(struct token *t, const uint8_t vault[ID_SIZE], const uint8_t keep[TOKEN_KEY_ID],
                              uint32_t *ret_destroyed) {
    static CK_OBJECT_HANDLE keys[FOUND_MAX];
    CK_ATTRIBUTE match[] = {{CKA_CLASS, &secret_class, sizeof(secret_class)},
                            {CKA_KEY_TYPE, &aes_type, sizeof(aes_type)},
                            {CKA_TOKEN, &yes, sizeof(yes)}};
    size_t found = 0;
    uint32_t destroyed = 0;
    enum token_refusal why = find(t, match, sizeof(match) / sizeof(match[0]), keys, FOUND_MAX, &found);
    for (size_t i = 0; i < found && why == TOKEN_GRANTED; i++) {
        bool left_over = false;
        why = is_left_over(t, keys[i], vault, keep, &left_over);
        if (why == TOKEN_GRANTED && left_over)
            why = key_destroy(t, keys[i]);
        destroyed += why == TOKEN_GRANTED && left_over ? 1 : 0;
    }
    *ret_destroyed = destroyed;
    return why;
}
