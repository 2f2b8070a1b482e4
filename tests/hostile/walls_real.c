#include "tests/hostile/walls.h"
#include "vault/result.h"

int walls_up(const char *off) {
    (void)off;
    return VAULT_OK;
}
