/* Content-Digest and Repr-Digest (RFC 9530): SHA-256 out of an RFC 9651 dictionary of byte sequences. */
#ifndef VAULT_WORKER_DIGEST_H
#define VAULT_WORKER_DIGEST_H

#include "http_parse.h"
#include "vault/protocol/common.h"

/* room for `sha-256=:` ‖ base64 ‖ `:` */
enum { DIGEST_TEXT_MAX = 64 };

/* VAULT_OK: ret_digest is the sha-256 member. VAULT_NOT_FOUND: well-formed, without one. VAULT_E_FORMAT: malformed, a
 * member twice, a parameter, or a sha-256 of another length. */
int digest_parse(struct view value, uint8_t ret_digest[HASH_SIZE]);
void digest_text(const uint8_t digest[HASH_SIZE], char to[DIGEST_TEXT_MAX]);

#endif
