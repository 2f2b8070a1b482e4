#include "vault/audit_export.h"

#include <fcntl.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "checkpoint_internal.h"
#include "export_internal.h"
#include "merkle_internal.h"
#include "vault/buffer.h"
#include "vault/result.h"

enum { NOTE_MAX = 65536, BATCH = 512, THREADS_MAX = 16 };

/* Record numbers are JSON integers. */
static const uint64_t tree_max = UINT64_C(1) << 53;

struct verification {
    struct audit_report *report;
    const char *vkey, *signer; /* given; of the export's checkpoint: the same, or in `keys` */
    struct checkpoint tree, old;
    struct key_chain keys;
    bool has_old, old_shown; /* a trusted checkpoint was given; the export was seen to extend it */
    uint8_t name_key[NAME_KEY];
    size_t threads;
    struct line_source records, proofs;
    struct merkle_fold fold; /* of the records from 0, as long as none is missing */
    struct chain_table chains[CHAIN_COUNT];
    struct coverage coverage;
    char note[NOTE_MAX];
    struct export_pair batch[BATCH];
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
    int result = source_open(&v->records, folder, "records.jsonl");
    if (result == VAULT_OK)
        result = keys_scan(&v->keys, &v->records);
    source_close(&v->records);
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
    merkle_fold_root(&v->fold, nothing);
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

static int pair_fault(struct export_pair *p, int result, const char *phrase) {
    p->fault = phrase;
    return result;
}

static int record_fault(struct export_pair *p, int result) {
    switch (result) {
    case VAULT_E_LIMIT: return pair_fault(p, VAULT_E_FORMAT, "is longer than any record");
    case VAULT_E_FORMAT: return pair_fault(p, VAULT_E_FORMAT, "has no end: records.jsonl was cut short");
    default: return pair_fault(p, result, "cannot be read from records.jsonl");
    }
}

static int proof_fault(struct export_pair *p, int result) {
    switch (result) {
    case VAULT_NOT_FOUND: return pair_fault(p, VAULT_E_FORMAT, "has no proof: proofs.jsonl ends before it");
    case VAULT_E_LIMIT:
        return pair_fault(p, VAULT_E_FORMAT, "has a proof in proofs.jsonl that is longer than any proof");
    case VAULT_E_FORMAT: return pair_fault(p, VAULT_E_FORMAT, "has a proof without an end: proofs.jsonl was cut short");
    default: return pair_fault(p, result, "has a proof that cannot be read from proofs.jsonl");
    }
}

/* Reads a line and its proof. VAULT_NOT_FOUND where both files end; faults stay in the pair, to be told in order. */
static int read_pair(struct verification *v, struct export_pair *p) {
    p->parsed = false;
    p->fault = NULL;
    p->result = source_line(&v->records, p->line, sizeof(p->line), &p->line_size);
    if (p->result != VAULT_OK && p->result != VAULT_NOT_FOUND) {
        p->result = record_fault(p, p->result);
        return VAULT_OK;
    }
    int result = source_line(&v->proofs, p->proof_line, sizeof(p->proof_line), &p->proof_size);
    if (p->result == VAULT_NOT_FOUND && result == VAULT_NOT_FOUND)
        return VAULT_NOT_FOUND;
    if (p->result == VAULT_NOT_FOUND)
        p->result = pair_fault(p, VAULT_E_DAMAGED, "is missing: proofs.jsonl goes on where records.jsonl ends");
    else if (result != VAULT_OK)
        p->result = proof_fault(p, result);
    return VAULT_OK;
}

/* One thread's share of a batch. */
struct share {
    struct verification *v;
    size_t first, end;
    pthread_t thread;
    bool started; /* the thread has it */
};

static void *check_share(void *context) {
    const struct share *s = context;
    for (size_t i = s->first; i < s->end; i++)
        export_pair_check(&s->v->batch[i], &s->v->tree, s->v->name_key);
    return NULL;
}

/* Checks n pairs, each on its own, on all processors: parsing JSON is most of the work. Where a thread cannot be
 * had, its share is done here. */
static void check_batch(struct verification *v, size_t n) {
    struct share shares[THREADS_MAX];
    size_t count = n < BATCH ? 1 : v->threads;
    for (size_t i = 0; i < count; i++) {
        shares[i] = (struct share){.v = v, .first = n * i / count, .end = n * (i + 1) / count};
        shares[i].started = i > 0 && pthread_create(&shares[i].thread, NULL, check_share, &shares[i]) == 0;
    }
    for (size_t i = 0; i < count; i++)
        if (!shares[i].started)
            check_share(&shares[i]);
    for (size_t i = 0; i < count; i++)
        if (shares[i].started)
            pthread_join(shares[i].thread, NULL);
}

/* What the trusted checkpoint's first records are: seen in the proof of the record after them, or by folding them. */
static int check_old(struct verification *v, const struct export_pair *p) {
    uint8_t root[MERKLE_HASH];
    if (!v->has_old || v->old_shown)
        return VAULT_OK;
    if (p->record.seq == v->old.size)
        merkle_root_before(p->record.seq, v->tree.size, (const uint8_t(*)[MERKLE_HASH])p->proof.hashes, p->proof.count,
                           root);
    else if (v->fold.size == v->old.size)
        merkle_fold_root(&v->fold, root);
    else
        return VAULT_OK;
    return roots_agree(v, root);
}

static int line_problem(struct verification *v, const struct export_pair *p, uint64_t line, int result,
                        const char *phrase) {
    v->report->bad_line = line;
    if (p->parsed)
        problem(v, "line %llu (record %llu) %s", (unsigned long long)line, (unsigned long long)p->record.seq, phrase);
    else
        problem(v, "line %llu %s", (unsigned long long)line, phrase);
    return result;
}

/* A change that both keys signed: who was given the key before follows it. */
static int take_change(struct verification *v, const struct export_pair *p, uint64_t line) {
    struct audit_report *r = v->report;
    const struct key_change *c = &p->record.change;
    if (!keys_meet(&v->keys, c))
        return line_problem(v, p, line, VAULT_E_DAMAGED, "changed while it was verified");
    if (strcmp(c->from, r->signer) != 0)
        return VAULT_OK;
    if (r->changes++ == 0)
        r->changed_first = p->record.seq;
    r->changed_last = p->record.seq;
    COPY_ARRAY(r->signer, c->to);
    return VAULT_OK;
}

/* Whether a good record fits those before it. */
static int take_pair(struct verification *v, const struct export_pair *p, uint64_t line) {
    const struct export_record *r = &p->record;
    if (v->coverage.count > 0 && r->seq <= v->coverage.last)
        return line_problem(v, p, line, VAULT_E_DAMAGED,
                            "is out of order: records stand in ascending order, each once");
    int result =
        coverage_add(&v->coverage, line, r, &v->report->bad_line, v->report->problem, sizeof(v->report->problem));
    if (result != VAULT_OK)
        return result;
    bool gapless = v->coverage.gapless, from_start = gapless && v->coverage.first == 0;
    for (unsigned i = 0; i < CHAIN_COUNT; i++) {
        const char *phrase;
        result = chains_add(&v->chains[i], i, &r->chains[i], r->leaf, gapless, from_start, &phrase);
        if (result != VAULT_OK)
            return line_problem(v, p, line, result, phrase);
    }
    if (from_start)
        merkle_fold_add(&v->fold, r->leaf);
    result = check_old(v, p);
    return result == VAULT_OK && r->changes_key ? take_change(v, p, line) : result;
}

static int take_batch(struct verification *v, size_t n) {
    for (size_t i = 0; i < n; i++) {
        const struct export_pair *p = &v->batch[i];
        uint64_t line = v->report->records + 1;
        int result = p->result == VAULT_OK ? take_pair(v, p, line) : line_problem(v, p, line, p->result, p->fault);
        if (result != VAULT_OK)
            return result;
        v->report->records = line;
    }
    return VAULT_OK;
}

static int verify_records(struct verification *v) {
    for (bool more = true; more;) {
        size_t n = 0;
        while (more && n < BATCH) {
            more = read_pair(v, &v->batch[n]) == VAULT_OK;
            n += more;
            more = more && v->batch[n - 1].result == VAULT_OK; /* after a fault of the files nothing is read */
        }
        check_batch(v, n);
        int result = take_batch(v, n);
        if (result != VAULT_OK)
            return result;
    }
    return VAULT_OK;
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

/* What can only be said at the end. */
static int conclude(struct verification *v) {
    struct audit_report *r = v->report;
    if (r->records == 0 && v->tree.size > 0) {
        problem(v, "the export holds no records, though the log has %llu: it shows nothing",
                (unsigned long long)v->tree.size);
        return VAULT_E_DAMAGED;
    }
    if (v->fold.size == v->tree.size) {
        uint8_t root[MERKLE_HASH];
        merkle_fold_root(&v->fold, root);
        if (memcmp(root, v->tree.root, MERKLE_HASH) != 0) {
            problem(v, "the records together do not give the checkpoint's root");
            return VAULT_E_DAMAGED;
        }
        r->whole = true;
    }
    if (v->has_old && !v->old_shown) {
        problem(v,
                "it cannot be shown that the log extends the trusted checkpoint: that needs record %llu in the export, "
                "or records 0 to %llu",
                (unsigned long long)v->old.size, (unsigned long long)v->old.size - 1);
        return VAULT_E_DAMAGED;
    }
    int result = conclude_keys(v);
    if (result != VAULT_OK)
        return result;
    r->first = v->coverage.first;
    r->last = v->coverage.last;
    coverage_text(&v->coverage, v->tree.size, r->covers, sizeof(r->covers));
    return VAULT_OK;
}

static int open_sources(struct verification *v, int folder) {
    if (source_open(&v->records, folder, "records.jsonl") != VAULT_OK) {
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
        result = conclude(v);
    source_close(&v->records);
    source_close(&v->proofs);
    keys_free(&v->keys);
    for (unsigned i = 0; i < CHAIN_COUNT; i++)
        chains_free(&v->chains[i]);
    return result;
}

static size_t processors(void) {
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n > THREADS_MAX ? THREADS_MAX : (size_t)n;
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
    v->threads = processors();
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
