/* Shares of the root key on the command line. They cross to the vault and back only in Crypt4GH containers: to the
 * vault's exchange key, and to the custodians' keys, or to one that this program makes for the moment. */
#ifndef VAULTCTL_SHARE_H
#define VAULTCTL_SHARE_H

#include "request.h"
#include "vault/crypt4gh.h"

/* --shares, --threshold, --to, -o; the same and --token; and --share. */
extern const struct option ceremony_options[], init_options[], share_options[];
/* Shows a seal document, whose reference it takes, if the outcome is OUTCOME_DONE; which it returns. */
int seal_show(struct call *c, int outcome, json_t *document);

/* A ceremony that is asked for. Owns its body until the request took it, the key, and the folder until there are shares
 * in it. */
struct ceremony_request {
    json_t *body;       /* {"shares", "threshold", "recipients"} */
    const char *folder; /* of -o; made by us */
    size_t count;       /* of shares */
    struct secret *key; /* private key for this ceremony where the shares are to be in the clear; NULL with --to */
};

/* What the options say, and the folder, which must be new. OUTCOME_USAGE or OUTCOME_FAILED after a complaint. */
int ceremony_ask(struct call *c, struct ceremony_request *ret);
/* Writes the shares of an answer to the folder -o, and takes them out of the answer. OUTCOME_FAILED after a complaint,
 * and then no file is left. */
int ceremony_keep(struct call *c, const struct ceremony_request *by, json_t *answer);
void ceremony_clear(struct ceremony_request *by);
/* OUTCOME_USAGE after a complaint if there is an option of a ceremony where none is asked for. */
int ceremony_not_meant(struct call *c, const char *why);

#define SHARE_UNSEAL "/v1/unseal"
#define SHARE_CONFIRM "/v1/keys/seal/confirm"
#define SHARE_DRILL "/v1/keys/seal/drill"
/* Sends each --share to one of these until there are enough; *ret is the answer to the last one sent. */
int shares_give(struct call *c, const char *path, json_t **ret);

/* ---- share_files.c ---- */

/* A small file as a secret; '-' is standard input. OUTCOME_FAILED after a complaint. */
int secret_file_read(struct call *c, const char *path, struct secret **ret);
/* A new file, readable by its owner only; NULL path: standard output. OUTCOME_FAILED after a complaint. */
int new_file_write(struct call *c, const char *path, const void *bytes, size_t n);
/* base64url without padding. The text is the caller's. */
char *base64_text(const uint8_t *bytes, size_t n);
bool base64_bytes(const char *text, uint8_t *ret, size_t size, size_t *ret_n);
/* The passphrase in the file of --passphrase without its newline; *ret is NULL without the option. */
int passphrase_read(struct call *c, struct secret **ret);

#endif
