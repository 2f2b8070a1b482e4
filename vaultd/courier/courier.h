/* One request to a witness: what the parts of vaultd-courier share. */
#ifndef VAULT_COURIER_COURIER_H
#define VAULT_COURIER_COURIER_H

#include "vault/message.h"

/* Where it goes. */
struct destination {
    char url[sizeof(((struct msg_courier_setup *)0)->url)];
    uint32_t seconds;  /* for all of it */
    char *authorities; /* PEM; NULL: none, and TLS is not spoken; owned */
    size_t authorities_size;
};

/* What libcurl needs is loaded. VAULT_E_MEMORY. */
int post_start(void);
/* Posts the bytes to URL/add-checkpoint and takes the answer: its status and as much of its body as there may be; or
 * status 0 and a problem. No redirection is followed, and nothing of the environment is heeded. */
void post(const struct destination *to, const struct msg_courier_carry *what, struct msg_courier_brought *ret);

#endif
