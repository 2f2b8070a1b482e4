#include "lines.h"

#include <errno.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "csv.h"
#include "vault/audit_export.h"
#include "vault/buffer.h"
#include "vault/json_out.h"
#include "vault/merkle.h"
#include "vault/result.h"

enum { LINE_ROOM = RECORD_LINE_MAX + 1, PENDING_ROOM = 1 << 18 };

bool lines_begin(struct lines *l) {
    l->line = malloc(LINE_ROOM);
    l->last = malloc(LINE_ROOM);
    l->pending = malloc(PENDING_ROOM);
    return l->line != NULL && l->last != NULL && l->pending != NULL;
}

void lines_end(struct lines *l) {
    free(l->line);
    free(l->last);
    free(l->pending);
}

bool lines_flush(struct lines *l) {
    bool written = output_write(&l->out, l->pending, l->pending_size);
    l->pending_size = 0;
    return written;
}

/* Writes a line, sooner or later. */
static int put_line(struct lines *l, const char *line, size_t n) {
    if (n + 1 > PENDING_ROOM - l->pending_size && !lines_flush(l))
        return VAULT_E_IO;
    copy_bytes(l->pending + l->pending_size, PENDING_ROOM - l->pending_size, line, n);
    l->pending_size += n;
    l->pending[l->pending_size++] = '\n';
    return VAULT_OK;
}

int use_in_table(struct lines *l) {
    l->records++;
    return csv_add(&l->out, l->line, l->line_size);
}

int use_in_tiles(struct lines *l) {
    l->records++;
    return tiles_add(l->tiles, l->line, l->line_size);
}

int use_as_record(struct lines *l) {
    uint8_t leaf[MERKLE_HASH];
    l->records++;
    merkle_leaf(l->line, l->line_size, leaf);
    if (fwrite(leaf, sizeof(leaf), 1, l->leaves) != 1)
        return VAULT_E_IO;
    return put_line(l, l->line, l->line_size);
}

static void write_hashes(struct json_out *o, const json_t *hashes) {
    out_list(o, "proof");
    for (size_t i = 0; i < json_array_size(hashes); i++) {
        const json_t *hash = json_array_get(hashes, i);
        out_text(o, NULL, json_string_value(hash), json_string_length(hash));
    }
    out_list_end(o);
}

static int put_proof(struct lines *l, const json_t *proof, const uint8_t (*leaves)[MERKLE_HASH], size_t n) {
    static char text[(AUDIT_BLOCK * MERKLE_HASH + 2) / 3 * 4 + 1], line[AUDIT_PROOF_LINE_MAX + 1];
    struct json_out o;
    size_t size = 0;
    json_out_begin(&o, line, sizeof(line));
    out_object(&o, NULL);
    if (n > 1)
        out_text(&o, "leaves", text, (size_t)EVP_EncodeBlock((unsigned char *)text, leaves[0], (int)(n * MERKLE_HASH)));
    write_hashes(&o, json_object_get(proof, "proof"));
    out_number(&o, "seq", (uint64_t)json_integer_value(json_object_get(proof, "seq")));
    out_object_end(&o);
    int result = json_out_end(&o, &size);
    return result == VAULT_OK ? put_line(l, line, size) : VAULT_E_FORMAT;
}

static bool is_proof(const json_t *proof) {
    const json_t *hashes = json_object_get(proof, "proof");
    bool good = json_is_array(hashes) && json_is_integer(json_object_get(proof, "seq"));
    for (size_t i = 0; i < json_array_size(hashes); i++)
        good = good && json_is_string(json_array_get(hashes, i));
    return good;
}

/* A line of proofs.jsonl: the leaves of the records that are proven by it take the place of their number. */
int use_as_proof(struct lines *l) {
    static uint8_t leaves[AUDIT_BLOCK][MERKLE_HASH];
    json_t *proof = json_loadb(l->line, l->line_size, 0, NULL);
    json_int_t records = json_integer_value(json_object_get(proof, "records"));
    size_t n = records < 1 || records > AUDIT_BLOCK ? 0 : (size_t)records;
    int result = VAULT_E_FORMAT;
    if (n > 0 && is_proof(proof) && fread(leaves, MERKLE_HASH, n, l->leaves) == n)
        result = put_proof(l, proof, (const uint8_t(*)[MERKLE_HASH])leaves, n);
    l->records += n;
    json_decref(proof);
    return result;
}

static bool take_line(struct lines *l) {
    int result = l->use(l);
    char *taken = l->line;
    if (result == VAULT_E_IO && l->out.error == 0)
        l->out.error = errno;
    l->malformed = result == VAULT_E_FORMAT;
    l->line = l->last;
    l->last = taken;
    l->last_size = l->line_size;
    l->line_size = 0;
    l->count += result == VAULT_OK;
    return result == VAULT_OK;
}

/* Bytes of the line under way. */
static bool keep(struct lines *l, const char *bytes, size_t n) {
    l->malformed = n > RECORD_LINE_MAX - l->line_size;
    if (!l->malformed && n > 0) {
        copy_bytes(l->line + l->line_size, RECORD_LINE_MAX - l->line_size, bytes, n);
        l->line_size += n;
    }
    return !l->malformed;
}

bool lines_take(void *context, const void *bytes, size_t n) {
    struct lines *l = context;
    const char *at = bytes, *end = at + n;
    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *stop = newline == NULL ? end : newline;
        if (!keep(l, at, (size_t)(stop - at)) || (newline != NULL && !take_line(l)))
            return false;
        at = newline == NULL ? end : newline + 1;
    }
    return true;
}

uint64_t lines_next(const struct lines *l) {
    json_t *last = json_loadb(l->last, l->last_size, 0, NULL);
    json_int_t seq = json_integer_value(json_object_get(last, "seq"));
    json_decref(last);
    return (uint64_t)seq + 1;
}
