/* A PKCS#11 module around SoftHSM's, with the fault that the file TOKEN_FAULT names; it lists what was called in the
 * file TOKEN_CALLS, for tests that count, and puts what it decrypts into the file TOKEN_SPILL. Loaded by vaultd-token
 * only. */
#include <dlfcn.h>
#include <fcntl.h>
#include <p11-kit/pkcs11.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SOFTHSM "/usr/lib/softhsm/libsofthsm2.so"

static CK_FUNCTION_LIST *real;
static CK_FUNCTION_LIST ours;

static int is(const char *fault) {
    char wanted[64] = "";
    const char *path = getenv("TOKEN_FAULT");
    int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    if (read(fd, wanted, sizeof(wanted) - 1) < 0)
        abort();
    close(fd);
    return strcmp(wanted, fault) == 0;
}

static void note(const char *call) {
    const char *path = getenv("TOKEN_CALLS");
    int fd = path == NULL ? -1 : open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (fd < 0)
        return;
    if (write(fd, call, strlen(call)) != (ssize_t)strlen(call))
        abort();
    close(fd);
}

/* What the token decrypts, for a test that looks where else it is. */
static void spill(const CK_BYTE *bytes, CK_ULONG n) {
    const char *path = getenv("TOKEN_SPILL");
    int fd = path == NULL ? -1 : open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    if (fd < 0)
        return;
    if (write(fd, bytes, n) != (ssize_t)n)
        abort();
    close(fd);
}

static void hang_at(const char *fault) {
    if (!is(fault))
        return;
    note(fault);
    note("\n");
    for (;;)
        pause();
}

static CK_RV initialize(void *arguments) {
    note("initialize\n");
    hang_at("hang-initialize");
    return real->C_Initialize(arguments);
}

static CK_RV log_in(CK_SESSION_HANDLE session, CK_USER_TYPE type, CK_UTF8CHAR *pin, CK_ULONG n) {
    note("login\n");
    hang_at("hang-login");
    if (is("crash"))
        raise(SIGSEGV);
    if (is("locked"))
        return CKR_PIN_LOCKED;
    return real->C_Login(session, type, pin, n);
}

static CK_RV get_token_info(CK_SLOT_ID slot, CK_TOKEN_INFO *info) {
    CK_RV result = real->C_GetTokenInfo(slot, info);
    if (is("locked-flag"))
        info->flags |= CKF_USER_PIN_LOCKED;
    return result;
}

static CK_RV get_mechanism_info(CK_SLOT_ID slot, CK_MECHANISM_TYPE type, CK_MECHANISM_INFO *info) {
    return is("no-mechanism") && type == CKM_AES_GCM ? CKR_MECHANISM_INVALID
                                                     : real->C_GetMechanismInfo(slot, type, info);
}

/* The key can leave the token. */
static CK_RV get_attribute_value(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *list,
                                 CK_ULONG count) {
    CK_RV result = real->C_GetAttributeValue(session, object, list, count);
    for (CK_ULONG i = 0; i < count; i++) {
        if (is("extractable") && list[i].type == CKA_EXTRACTABLE)
            *(CK_BBOOL *)list[i].pValue = CK_TRUE;
        if (is("not-sensitive") && list[i].type == CKA_SENSITIVE)
            *(CK_BBOOL *)list[i].pValue = CK_FALSE;
    }
    return result;
}

static CK_RV generate_key(CK_SESSION_HANDLE session, CK_MECHANISM *how, CK_ATTRIBUTE *list, CK_ULONG count,
                          CK_OBJECT_HANDLE *key) {
    CK_RV result = real->C_GenerateKey(session, how, list, count, key);
    hang_at("hang-generate");
    return result;
}

/* What is encrypted does not come back. */
static CK_RV encrypt(CK_SESSION_HANDLE session, CK_BYTE *from, CK_ULONG n, CK_BYTE *to, CK_ULONG *room) {
    CK_RV result = real->C_Encrypt(session, from, n, to, room);
    hang_at("hang-encrypt");
    if (is("nonsense"))
        to[0] ^= 1;
    if (is("short") && *room > 0)
        *room -= 1;
    return result;
}

static CK_RV decrypt(CK_SESSION_HANDLE session, CK_BYTE *from, CK_ULONG n, CK_BYTE *to, CK_ULONG *room) {
    CK_RV result = real->C_Decrypt(session, from, n, to, room);
    if (is("other-root"))
        to[0] ^= 1;
    if (result == CKR_OK)
        spill(to, *room);
    return result;
}

static CK_RV destroy_object(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object) {
    note("destroy\n");
    return is("no-destroy") ? CKR_DEVICE_ERROR : real->C_DestroyObject(session, object);
}

static CK_RV finalize(void *reserved) {
    if (is("slow-finalize"))
        sleep(2);
    CK_RV result = real->C_Finalize(reserved);
    hang_at("hang-finalize");
    return result;
}

__attribute__((visibility("default"))) CK_RV C_GetFunctionList(CK_FUNCTION_LIST **list);
CK_RV C_GetFunctionList(CK_FUNCTION_LIST **list) {
    CK_C_GetFunctionList get = NULL;
    void *library = dlopen(SOFTHSM, RTLD_NOW | RTLD_LOCAL);
    if (library != NULL)
        *(void **)&get = dlsym(library, "C_GetFunctionList");
    if (get == NULL || get(&real) != CKR_OK)
        return CKR_GENERAL_ERROR;
    ours = *real;
    ours.C_Initialize = initialize;
    ours.C_Finalize = finalize;
    ours.C_GetTokenInfo = get_token_info;
    ours.C_GetMechanismInfo = get_mechanism_info;
    ours.C_Login = log_in;
    ours.C_GetAttributeValue = get_attribute_value;
    ours.C_GenerateKey = generate_key;
    ours.C_Encrypt = encrypt;
    ours.C_Decrypt = decrypt;
    ours.C_DestroyObject = destroy_object;
    *list = &ours;
    return CKR_OK;
}
