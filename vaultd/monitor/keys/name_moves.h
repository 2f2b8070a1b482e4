/* Moving entries from where one name key has them to where another has them, all of one owner at once. */
#ifndef VAULT_MONITOR_NAME_MOVES_H
#define VAULT_MONITOR_NAME_MOVES_H

#include "vaultd/monitor/monitor.h"

/* The next owner of the stage that the index says is under way, within the transaction: its entries move, and m->meta
 * says so, to be stored. Passes over what has moved; *ret_moved is whether one was met that had not, in which case this
 * is it. Everything of the owner is looked at before anything of it changes. VAULT_NOT_FOUND: the stage has no other
 * owner. VAULT_E_DAMAGED: something of this owner does not open or is missing, and nothing of it was moved. Faults of
 * the index. */
int name_move_next(struct monitor *m, bool *ret_moved);

#endif
