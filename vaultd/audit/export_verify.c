#include "vault/audit_export.h"

#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "checkpoint_internal.h"
#include "export_internal.h"
#include "merkle_internal.h"
#include "vault/buffer.h"
#include "vault/result.h"

enum { NOTE_MAX = 65536, THREADS_MAX = 16 };

/* Record numbers are JSON integers. */
static const uint64_t tree_max = UINT64_C(1) << 53;

/* What a line of proofs.jsonl proves, while its records are taken. */
struct block {
    struct export_block is;
    uint64_t line, first_line; /* its own, and of its first record */
    size_t taken;              /* records of it that came; all: the next one needs another line */
    bool holds;                /* its leaves are what the log holds; else the records' own are kept: */
    uint8_t own[AUDIT_BLOCK][MERKLE_HASH];
    struct merkle_fold before, after; /* of the log's records, without those of the block and with them */
};

struct verification {
    struct audit_report *report;
    const char *vkey, *signer; /* given; of the export's checkpoint: the same, or in `keys` */
    struct checkpoint tree, old;
    struct key_chain keys;
    bool has_old, old_shown; /* a trusted checkpoint was given; the export was seen to extend it */
    uint8_t name_key[NAME_KEY];
    struct record_file records;
    struct line_source proofs;
    struct block block;
    struct chain_table chains[CHAIN_COUNT];
    struct coverage coverage;
    char note[NOTE_MAX], proof_line[AUDIT_PROOF_LINE_MAX];
    struct export_batch batches[2];
};

/* Puts the problem into the report; with a precision no path or name can push the rest out. */
#define problem(v, ...) ((void)format_string((v)->report->problem, sizeof((v)->report->problem), __VA_ARGS__))

static int problem_of_text(struct verification *v, int result, const char *name) {
    switch (result) {
    case VAULT_E_IO: problem(v, "the file %.200s cannot be read", name); return VAULT_E_IO;
    case VAULT_E_DAMAGED:
        problem(v,
                "%.100s is not signed by the given key: it was changed, or is of another log, or the key changed and "
                "the record of that is not in the export",
                name);
        return VAULT_E_DAMAGED;
    case VAULT_E_LIMIT: problem(v, "the records tell of more than 1000 changes of the key"); return VAULT_E_FORMAT;
    case VAULT_E_MEMORY: problem(v, "there is not enough memory to verify"); return VAULT_E_MEMORY;
    default: problem(v, "%.200s is not a checkpoint", name); return VAULT_E_FORMAT;
    }
}

/* What the records say of changes of the key, if that is wanted. */
static int scan_keys(struct verification *v, int folder) {
    if (v->keys.scanned)
        return VAULT_OK;
    int result = keys_scan(&v->keys, folder);
    return result == VAULT_E_IO ? VAULT_OK : result; /* it is told when it is verified */
}

/* The note in hand against one key; an earlier one may be of the log before a restore, too. */
static int verify_note(const struct verification *v, const char *key, bool earlier, struct checkpoint *ret) {
    return earlier ? checkpoint_verify_earlier(v->note, key, ret) : checkpoint_verify(v->note, key, ret);
}

/* The note in hand against keys that followed the given one; with `earlier` also against those that went before. */
static int verify_by_chain(struct verification *v, bool earlier, struct checkpoint *ret) {
    const char *key = v->vkey;
    int result = VAULT_E_DAMAGED;
    for (size_t at = 0; result == VAULT_E_DAMAGED && (key = keys_after(&v->keys, key, &at)) != NULL;) {
        result = verify_note(v, key, earlier, ret);
        if (result == VAULT_OK && !earlier)
            v->signer = key;
    }
    key = v->vkey;
    for (size_t at = v->keys.count;
         earlier && result == VAULT_E_DAMAGED && (key = keys_before(&v->keys, key, &at)) != NULL;)
        result = verify_note(v, key, earlier, ret);
    return result;
}

/* The export's own checkpoint (`trusted` false), or one that was noted earlier. */
static int read_checkpoint(struct verification *v, int folder, const char *name, int exported, bool trusted,
                           struct checkpoint *ret) {
    int result = source_text(folder, name, v->note, sizeof(v->note));
    if (result == VAULT_OK)
        result = verify_note(v, v->vkey, trusted, ret);
    if (result == VAULT_E_DAMAGED) {
        int scanned = scan_keys(v, exported);
        result = scanned == VAULT_OK ? verify_by_chain(v, trusted, ret) : scanned;
    }
    if (result == VAULT_OK && ret->size > tree_max)
        result = VAULT_E_FORMAT;
    return result == VAULT_OK ? VAULT_OK : problem_of_text(v, result, name);
}

/* The trusted checkpoint is of the log from before a restore. */
static bool was_restored(const struct verification *v) {
    return strcmp(v->old.origin, v->tree.origin) != 0;
}

static int roots_agree(struct verification *v, const uint8_t root[MERKLE_HASH]) {
    if (memcmp(root, v->old.root, MERKLE_HASH) == 0) {
        v->old_shown = true;
        return VAULT_OK;
    }
    if (was_restored(v))
        problem(v,
                "the log was restored from a backup that is older than the trusted checkpoint, or was rewritten: its "
                "first %llu records are not those of that checkpoint",
                (unsigned long long)v->old.size);
    else
        problem(v, "the log was rewritten: its first %llu records are not those of the trusted checkpoint",
                (unsigned long long)v->old.size);
    return VAULT_E_DAMAGED;
}

/* The trusted checkpoint against the export's, as far as no record is needed. The origins agree: each is the key's
 * name, or that of a log which this one continues. */
static int compare_checkpoints(struct verification *v) {
    if (v->old.size > v->tree.size) {
        problem(v, "the log was cut: the trusted checkpoint has %llu records, the export's only %llu",
                (unsigned long long)v->old.size, (unsigned long long)v->tree.size);
        return VAULT_E_DAMAGED;
    }
    if (v->old.size == v->tree.size)
        return roots_agree(v, v->tree.root);
    if (v->old.size > 0)
        return VAULT_OK;
    uint8_t nothing[MERKLE_HASH];
    const struct merkle_fold empty = {.size = 0};
    merkle_fold_root(&empty, nothing);
    return roots_agree(v, nothing);
}

static int read_checkpoints(struct verification *v, int folder, const char *old_path) {
    struct vkey key;
    if (vkey_parse(v->vkey, KEY_SIGNS, &key) != VAULT_OK) {
        problem(v, "the key given is no verifier key (name+id+key), or was altered");
        return VAULT_E_FORMAT;
    }
    v->signer = v->vkey;
    int result = read_checkpoint(v, folder, "checkpoint", folder, false, &v->tree);
    if (result != VAULT_OK)
        return result;
    v->report->tree_size = v->tree.size;
    COPY_ARRAY(v->report->origin, v->tree.origin);
    v->has_old = old_path != NULL;
    if (!v->has_old)
        return VAULT_OK;
    result = read_checkpoint(v, AT_FDCWD, old_path, folder, true, &v->old);
    return result == VAULT_OK ? compare_checkpoints(v) : result;
}

static const char disorder[] = "is out of order: records stand in ascending order, each once";
static const char displaced[] = "has the proof of another record beside it: a line was removed, added or moved";

/* What is wrong with a line; its number, if it has one. */
static int line_problem(struct verification *v, const struct export_line *l, int result, const char *phrase) {
    uint64_t line = v->report->records + 1;
    v->report->bad_line = line;
    if (l->result == VAULT_OK)
        problem(v, "line %llu (record %llu) %s", (unsigned long long)line, (unsigned long long)l->record.seq, phrase);
    else
        problem(v, "line %llu %s", (unsigned long long)line, phrase);
    return result;
}

static int no_proof(struct verification *v, const struct export_line *l, int result) {
    switch (result) {
    case VAULT_NOT_FOUND: return line_problem(v, l, VAULT_E_FORMAT, "has no proof: proofs.jsonl ends before it");
    case VAULT_E_LIMIT:
        return line_problem(v, l, VAULT_E_FORMAT, "has a proof in proofs.jsonl that is longer than any proof");
    case VAULT_E_FORMAT:
        return line_problem(v, l, VAULT_E_FORMAT, "has a proof without an end: proofs.jsonl was cut short");
    default: return line_problem(v, l, result, "has a proof that cannot be read from proofs.jsonl");
    }
}

static int next_proof(struct verification *v, size_t *ret_n) {
    return source_line(&v->proofs, v->proof_line, sizeof(v->proof_line), ret_n);
}

/* The line of proofs.jsonl for the record that is next. */
static int read_block(struct verification *v, const struct export_line *l) {
    struct block *b = &v->block;
    const char *phrase;
    size_t n = 0;
    int result = next_proof(v, &n);
    if (result != VAULT_OK)
        return no_proof(v, l, result);
    result = export_block_parse(v->proof_line, n, &b->is, &phrase);
    if (result != VAULT_OK)
        return line_problem(v, l, result, phrase);
    b->line++;
    b->first_line = v->report->records + 1;
    b->taken = 0;
    b->before = b->after;
    return VAULT_OK;
}

/* Several records are proven by what is before them: the one behind which they come must be here, and proven. */
static int is_joined(struct verification *v, const struct export_line *l) {
    const struct coverage *c = &v->coverage;
    if (c->count > 0 && l->record.seq == c->last + 1)
        return VAULT_OK;
    if (c->count == 0)
        return line_problem(v, l, VAULT_E_DAMAGED, "is proven only behind the record before it, which is not here");
    if (l->record.seq <= c->last)
        return line_problem(v, l, VAULT_E_DAMAGED, disorder);
    v->report->bad_line = v->report->records + 1;
    missing_text(c->last + 1, l->record.seq - 1, "", v->report->bad_line, v->report->problem,
                 sizeof(v->report->problem));
    return VAULT_E_DAMAGED;
}

static bool holds(const struct verification *v, const uint8_t (*leaves)[MERKLE_HASH], struct merkle_fold *ret_after) {
    return export_block_holds(&v->block.is, leaves, &v->block.before, &v->tree, ret_after);
}

/* One record: its own leaf and the proof beside it. */
static int check_single(struct verification *v, const struct export_line *l) {
    struct block *b = &v->block;
    const struct export_proof *p = &b->is.proof;
    COPY_ARRAY(b->is.leaves[0], l->record.leaf);
    merkle_fold_before(p->seq, v->tree.size, (const uint8_t(*)[MERKLE_HASH])p->hashes, p->count, &b->before);
    b->holds = holds(v, (const uint8_t(*)[MERKLE_HASH])b->is.leaves, &b->after);
    return b->holds ? VAULT_OK
                    : line_problem(v, l, VAULT_E_DAMAGED,
                                   "is not what the log holds: its proof does not lead to the checkpoint's root");
}

static int begin_block(struct verification *v, const struct export_line *l) {
    struct block *b = &v->block;
    int result = read_block(v, l);
    if (result != VAULT_OK)
        return result;
    if (l->record.seq != export_block_first(&b->is))
        return line_problem(v, l, VAULT_E_DAMAGED, displaced);
    if (b->is.proof.seq >= v->tree.size)
        return line_problem(v, l, VAULT_E_DAMAGED, "has a number that the checkpoint's log does not reach");
    if (b->is.leaf_count == 1)
        return check_single(v, l);
    result = is_joined(v, l);
    b->holds = result == VAULT_OK && holds(v, (const uint8_t(*)[MERKLE_HASH])b->is.leaves, &b->after);
    return result;
}

/* Whether the record is the one at its place in the block. */
static int take_leaf(struct verification *v, const struct export_line *l) {
    struct block *b = &v->block;
    if (l->record.seq != export_block_first(&b->is) + b->taken)
        return line_problem(v, l, VAULT_E_DAMAGED, displaced);
    COPY_ARRAY(b->own[b->taken], l->record.leaf);
    if (b->holds && memcmp(l->record.leaf, b->is.leaves[b->taken], MERKLE_HASH) != 0)
        return line_problem(v, l, VAULT_E_DAMAGED,
                            "is not what the log holds: proofs.jsonl proves another record in its place");
    b->taken++;
    return VAULT_OK;
}

/* Which of its records or leaves are wrong cannot be told, unless the records are what the log holds. */
static int end_block(struct verification *v) {
    struct block *b = &v->block;
    if (b->holds)
        return VAULT_OK;
    bool own = holds(v, (const uint8_t(*)[MERKLE_HASH])b->own, &b->after);
    v->report->bad_line = b->first_line;
    problem(v, "lines %llu to %llu (records %llu to %llu) %s: line %llu of proofs.jsonl %s",
            (unsigned long long)b->first_line, (unsigned long long)(b->first_line + b->taken - 1),
            (unsigned long long)export_block_first(&b->is), (unsigned long long)b->is.proof.seq,
            own ? "are what the log holds, but have wrong leaves beside them"
                : "are not shown to be what the log holds",
            (unsigned long long)b->line, own ? "was changed" : "does not lead to the checkpoint's root");
    return VAULT_E_DAMAGED;
}

/* Root of the log's first `size` records, of which the last is in the block, or just before it. */
static void root_at(const struct block *b, uint64_t size, uint8_t ret[MERKLE_HASH]) {
    struct merkle_fold fold = b->before;
    for (size_t i = 0; fold.size < size; i++)
        merkle_fold_add(&fold, b->is.leaves[i], NULL);
    merkle_fold_root(&fold, ret);
}

/* What the trusted checkpoint's first records are: the record that it ends with is here, or the one behind it. */
static int check_old(struct verification *v, const struct export_record *r) {
    uint8_t root[MERKLE_HASH];
    if (!v->has_old || v->old_shown || (r->seq != v->old.size && r->seq + 1 != v->old.size))
        return VAULT_OK;
    root_at(&v->block, v->old.size, root);
    return roots_agree(v, root);
}

/* A change that both keys signed: who was given the key before follows it. */
static int follow_change(struct verification *v, const struct export_line *l, const struct key_change *c) {
    struct audit_report *r = v->report;
    if (!keys_meet(&v->keys, c))
        return line_problem(v, l, VAULT_E_DAMAGED, "changed while it was verified");
    if (strcmp(c->from, r->signer) != 0)
        return VAULT_OK;
    if (r->changes++ == 0)
        r->changed_first = l->record.seq;
    r->changed_last = l->record.seq;
    COPY_ARRAY(r->signer, c->to);
    return VAULT_OK;
}

/* Both keys signed the change, and for the log that is before it here: whoever has the new key alone can neither say
 * that it followed, nor put other records before it. */
static int take_change(struct verification *v, const struct export_line *l) {
    struct key_change change;
    uint8_t root[MERKLE_HASH];
    const char *phrase;
    int result = export_change_parse(l->text, l->size, &change, &phrase);
    if (result != VAULT_OK)
        return line_problem(v, l, result, phrase);
    if (key_change_verify(&change) != VAULT_OK)
        return line_problem(v, l, VAULT_E_DAMAGED, "says that the audit key changed, and is not signed by both keys");
    root_at(&v->block, l->record.seq, root);
    if (memcmp(root, change.root, MERKLE_HASH) != 0)
        return line_problem(v, l, VAULT_E_DAMAGED,
                            "says that the audit key changed, after other records than are before it");
    return follow_change(v, l, &change);
}

/* Whether a record fits those before it. */
static int take_record(struct verification *v, const struct export_line *l) {
    const struct export_record *r = &l->record;
    uint64_t line = v->report->records + 1;
    if (v->coverage.count > 0 && r->seq <= v->coverage.last)
        return line_problem(v, l, VAULT_E_DAMAGED, disorder);
    int result =
        coverage_add(&v->coverage, line, r, &v->report->bad_line, v->report->problem, sizeof(v->report->problem));
    if (result != VAULT_OK)
        return result;
    bool gapless = v->coverage.gapless, from_start = gapless && v->coverage.first == 0;
    for (unsigned i = 0; i < CHAIN_COUNT; i++) {
        const char *phrase;
        result = chains_add(&v->chains[i], i, &r->chains[i], r->leaf, gapless, from_start, &phrase);
        if (result != VAULT_OK)
            return line_problem(v, l, result, phrase);
    }
    return check_old(v, r);
}

static bool block_is_over(const struct block *b) {
    return b->taken == b->is.leaf_count;
}

static int take_line(struct verification *v, const struct export_line *l) {
    struct block *b = &v->block;
    if (l->result != VAULT_OK)
        return line_problem(v, l, l->result, l->fault);
    int result = block_is_over(b) ? begin_block(v, l) : VAULT_OK;
    if (result == VAULT_OK)
        result = take_leaf(v, l);
    if (result == VAULT_OK && b->holds && l->record.changes_key)
        result = take_change(v, l);
    if (result == VAULT_OK && b->holds) /* else the block is at fault, not what does not fit to it */
        result = take_record(v, l);
    return result == VAULT_OK && block_is_over(b) ? end_block(v) : result;
}

static int take_batch(struct verification *v, const struct export_batch *b) {
    for (size_t i = 0; i < b->count; i++) {
        int result = take_line(v, &b->lines[i]);
        if (result != VAULT_OK)
            return result;
        v->report->records++;
    }
    return VAULT_OK;
}

/* No proof is left where the records end. */
static int end_records(struct verification *v) {
    size_t n = 0;
    if (block_is_over(&v->block) && next_proof(v, &n) == VAULT_NOT_FOUND)
        return VAULT_OK;
    v->report->bad_line = v->report->records + 1;
    problem(v, "line %llu is missing: proofs.jsonl goes on where records.jsonl ends",
            (unsigned long long)v->report->bad_line);
    return VAULT_E_DAMAGED;
}

static size_t processors(void) {
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n > THREADS_MAX ? THREADS_MAX : (size_t)n;
}

/* While one batch is taken, the next is parsed. */
static int verify_batches(struct verification *v, struct team *t) {
    size_t now = 0;
    int result = VAULT_OK;
    batch_read(&v->batches[now], &v->records);
    team_give(t, &v->batches[now]);
    while (result == VAULT_OK && v->batches[now].count > 0) {
        batch_read(&v->batches[!now], &v->records);
        team_finish(t);
        team_give(t, &v->batches[!now]);
        result = take_batch(v, &v->batches[now]);
        now = !now;
    }
    team_finish(t);
    return result == VAULT_OK ? end_records(v) : result;
}

static int verify_records(struct verification *v) {
    struct team *t = NULL;
    int result = team_start(processors() - 1, v->name_key, &t);
    if (result == VAULT_OK)
        result = verify_batches(v, t);
    team_end(t);
    return result;
}

/* The log's last key signed it: one that was changed signs nothing that comes after. */
static int conclude_keys(struct verification *v) {
    if (!keys_all_met(&v->keys)) {
        problem(v, "the records changed while they were verified");
        return VAULT_E_DAMAGED;
    }
    if (strcmp(v->signer, v->report->signer) == 0)
        return VAULT_OK;
    problem(v, "the checkpoint is signed by a key that was no longer in force: it changed at record %llu",
            (unsigned long long)v->report->changed_last);
    return VAULT_E_DAMAGED;
}

/* Whether all is there that the export's own record says was asked for. */
static int conclude_asked(struct verification *v, int folder) {
    struct audit_report *r = v->report;
    struct export_asked a;
    const char *phrase = "";
    int result = asked_read(folder, &v->tree, &a, &phrase);
    if (result == VAULT_NOT_FOUND)
        return VAULT_OK;
    if (result != VAULT_OK) {
        problem(v, "asked.jsonl %s", phrase);
        return result;
    }
    bool shown = false;
    result = asked_compare(&a, &v->coverage, v->tree.size, r->asked, sizeof(r->asked), &shown);
    r->complete = result == VAULT_OK && shown;
    if (result != VAULT_OK)
        problem(v, "the export was cut, or is of something else: it was asked for %s", r->asked);
    return result;
}

/* What can only be said at the end. */
static int conclude(struct verification *v, int folder) {
    struct audit_report *r = v->report;
    if (r->records == 0 && v->tree.size > 0) {
        problem(v, "the export holds no records, though the log has %llu: it shows nothing",
                (unsigned long long)v->tree.size);
        return VAULT_E_DAMAGED;
    }
    r->whole = r->records == v->tree.size; /* none of them is there twice */
    if (r->whole) {
        uint8_t root[MERKLE_HASH];
        merkle_fold_root(&v->block.after, root);
        if (memcmp(root, v->tree.root, MERKLE_HASH) != 0) {
            problem(v, "the records together do not give the checkpoint's root");
            return VAULT_E_DAMAGED;
        }
    }
    if (v->has_old && !v->old_shown) {
        problem(v,
                "it cannot be shown that the log extends the trusted checkpoint: that needs record %llu or %llu in the "
                "export",
                (unsigned long long)v->old.size - 1, (unsigned long long)v->old.size);
        return VAULT_E_DAMAGED;
    }
    int result = conclude_keys(v);
    if (result == VAULT_OK)
        result = conclude_asked(v, folder);
    if (result != VAULT_OK)
        return result;
    r->first = v->coverage.first;
    r->last = v->coverage.last;
    coverage_text(&v->coverage, v->tree.size, r->covers, sizeof(r->covers));
    return VAULT_OK;
}

static int open_sources(struct verification *v, int folder) {
    if (records_open(&v->records, folder) != VAULT_OK) {
        problem(v, "the file records.jsonl cannot be read");
        return VAULT_E_IO;
    }
    if (source_open(&v->proofs, folder, "proofs.jsonl") != VAULT_OK) {
        problem(v, "the file proofs.jsonl cannot be read");
        return VAULT_E_IO;
    }
    return VAULT_OK;
}

static int verify_folder(struct verification *v, int folder, const char *old_path) {
    int result = read_checkpoints(v, folder, old_path);
    if (result == VAULT_OK)
        result = open_sources(v, folder);
    if (result == VAULT_OK)
        result = verify_records(v);
    if (result == VAULT_OK)
        result = conclude(v, folder);
    records_close(&v->records);
    source_close(&v->proofs);
    keys_free(&v->keys);
    for (unsigned i = 0; i < CHAIN_COUNT; i++)
        chains_free(&v->chains[i]);
    return result;
}

int audit_verify(const char *path, const char *vkey, const char *checkpoint_path, struct audit_report *ret) {
    *ret = (struct audit_report){.records = 0};
    struct verification *v = calloc(1, sizeof(*v));
    if (v == NULL) {
        copy_string(ret->problem, sizeof(ret->problem), "there is not enough memory to verify");
        return VAULT_E_MEMORY;
    }
    v->report = ret;
    v->vkey = vkey;
    (void)format_string(ret->signer, sizeof(ret->signer), "%s", vkey);
    v->records.fd = v->proofs.fd = -1;
    randombytes_buf(v->name_key, sizeof(v->name_key));
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int result;
    if (folder < 0) {
        problem(v, "the folder %.200s cannot be opened", path);
        result = VAULT_E_IO;
    } else {
        result = verify_folder(v, folder, checkpoint_path);
        close(folder);
    }
    free(v);
    return result;
}
