/* The module and its token: from the path of a file to a session that is logged in, and back. */
#include "token.h"
#include "vault/buffer.h"
#include "vault/result.h"

enum { SLOTS_MAX = 256 };

bool token_good(struct token *t, CK_RV result) {
    t->said = result;
    return result == CKR_OK;
}

/* Unmanaged: no wrapper of the library's between us and the module, and nothing of its configuration is read. */
static enum token_refusal load(struct token *t, const char *path) {
    t->module = p11_kit_module_load(path, P11_KIT_MODULE_UNMANAGED | P11_KIT_MODULE_CRITICAL);
    if (t->module == NULL)
        return TOKEN_NO_MODULE;
    t->initialised = token_good(t, t->module->C_Initialize(NULL)); /* NULL: it is called from one thread only */
    return t->initialised ? TOKEN_GRANTED : TOKEN_NO_MODULE;
}

static bool is_wanted(struct token *t, CK_SLOT_ID slot) {
    CK_TOKEN_INFO info;
    return t->module->C_GetTokenInfo(slot, &info) == CKR_OK && p11_kit_uri_match_token_info(t->uri, &info) == 1;
}

/* A token that cannot be looked at is not the one; the others must not suffer from it. */
static enum token_refusal find_slot(struct token *t) {
    CK_SLOT_ID slots[SLOTS_MAX];
    CK_ULONG count = SLOTS_MAX;
    unsigned found = 0;
    if (!token_good(t, t->module->C_GetSlotList(CK_TRUE, slots, &count)))
        return TOKEN_FAILED;
    if (count > SLOTS_MAX)
        return TOKEN_NONSENSE;
    for (CK_ULONG i = 0; i < count; i++) {
        if (!is_wanted(t, slots[i]))
            continue;
        t->slot = slots[i];
        found++;
    }
    return found == 1 ? TOKEN_GRANTED : found == 0 ? TOKEN_NOT_THERE : TOKEN_AMBIGUOUS;
}

/* A token that is locked already is told apart from one that the PIN is wrong for, and not tried. */
static enum token_refusal log_in(struct token *t, const struct secret *pin) {
    CK_TOKEN_INFO info;
    if (!token_good(t, t->module->C_GetTokenInfo(t->slot, &info)))
        return TOKEN_FAILED;
    if ((info.flags & CKF_USER_PIN_LOCKED) != 0)
        return TOKEN_PIN_LOCKED;
    CK_RV result = t->module->C_Login(t->session, CKU_USER, (CK_UTF8CHAR *)(uintptr_t)secret_view(pin),
                                      (CK_ULONG)secret_size(pin));
    t->logged_in = token_good(t, result);
    switch (result) {
    case CKR_OK: return TOKEN_GRANTED;
    case CKR_PIN_INCORRECT:
    case CKR_PIN_INVALID:
    case CKR_PIN_LEN_RANGE: return TOKEN_PIN_WRONG;
    case CKR_PIN_LOCKED: return TOKEN_PIN_LOCKED;
    default: return TOKEN_FAILED;
    }
}

static enum token_refusal open_session(struct token *t) {
    const CK_FLAGS flags = CKF_SERIAL_SESSION | CKF_RW_SESSION;
    bool good = token_good(t, t->module->C_OpenSession(t->slot, flags, NULL, NULL, &t->session));
    if (!good)
        t->session = 0;
    return good ? TOKEN_GRANTED : TOKEN_FAILED;
}

enum token_refusal token_open(struct token *t, const char *module, const char *uri, const struct secret *pin) {
    t->uri = p11_kit_uri_new();
    if (t->uri == NULL || p11_kit_uri_parse(uri, P11_KIT_URI_FOR_OBJECT_ON_TOKEN, t->uri) != P11_KIT_URI_OK ||
        p11_kit_uri_any_unrecognized(t->uri))
        return TOKEN_NOT_THERE;
    enum token_refusal why = load(t, module);
    if (why == TOKEN_GRANTED)
        why = find_slot(t);
    if (why == TOKEN_GRANTED)
        why = open_session(t);
    return why == TOKEN_GRANTED ? log_in(t, pin) : why;
}

/* What the module says to this changes nothing any more. */
void token_close(struct token *t) {
    if (t->logged_in)
        (void)t->module->C_Logout(t->session);
    if (t->session != 0)
        (void)t->module->C_CloseSession(t->session);
    if (t->initialised)
        (void)t->module->C_Finalize(NULL);
    if (t->module != NULL)
        p11_kit_module_release(t->module);
    p11_kit_uri_free(t->uri);
    *t = (struct token){.said = t->said};
}
