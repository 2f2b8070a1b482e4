#include "vault/result.h"

#include <errno.h>

const char *vault_result_name(int result) {
    switch (result) {
    case VAULT_OK: return "done";
    case VAULT_E_IO: return "input or output failed";
    case VAULT_E_FULL: return "no space";
    case VAULT_E_MEMORY: return "no memory, or memory could not be locked";
    case VAULT_E_FORMAT: return "malformed or of an unknown version";
    case VAULT_E_DAMAGED: return "damaged";
    case VAULT_E_LIMIT: return "over a limit";
    case VAULT_E_STATE: return "out of order";
    case VAULT_E_CRYPTO: return "cryptographic library failed";
    case VAULT_E_PROTOCOL: return "protocol broken by the peer";
    case VAULT_E_CLOSED: return "peer is gone";
    case VAULT_E_TIMEOUT: return "deadline passed";
    case VAULT_NOT_FOUND: return "not found";
    case VAULT_EXISTS: return "exists already";
    case VAULT_DENIED: return "denied";
    case VAULT_SEALED: return "sealed";
    case VAULT_AGAIN: return "nothing yet";
    default: return "unknown result";
    }
}

int vault_result_from_errno(int error) {
    switch (error) {
    case ENOSPC:
    case EDQUOT: return VAULT_E_FULL;
    case ENOMEM: return VAULT_E_MEMORY;
    default: return VAULT_E_IO;
    }
}
