/* What the two halves of vault/shares.h have in common. */
#ifndef KEYS_SHARES_INTERNAL_H
#define KEYS_SHARES_INTERNAL_H

#include <stdbool.h>

#include "vault/shares.h"

/* Whether there may be a ceremony of that many shares with that threshold. */
bool shares_in_range(unsigned count, unsigned threshold);

#endif
