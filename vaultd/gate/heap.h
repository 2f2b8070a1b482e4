/* OpenSSL 3.0 frees what it decodes a private key from without wiping it: a key that was replaced would stay. */
#ifndef VAULT_GATE_HEAP_H
#define VAULT_GATE_HEAP_H

/* From here on whatever OpenSSL frees is wiped. To be called before anything else of OpenSSL. VAULT_E_STATE: too late.
 */
int heap_wipe_freed(void);

#endif
