/* Verification of an export, without a vault. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vaultctl/commands.h"
#include "vaultctl/files.h"
#include "vaultctl/output.h"
#include "vaultctl/names.h"
#include "vaultctl/request.h"
#include "vault/audit_export.h"
#include "vault/audit_proof.h"
#include "vault/documents.h"
#include "vault/result.h"
#include "vault/witness.h"

enum { KEY_FILE_MAX = 4096 };

/* The verifier key: the option, or the content of the file after '@'. *ret is owned by the caller. */
static int take_key(struct call *c, char **ret) {
    const char *option = option_text(c, "key");
    char *vkey = NULL;
    size_t size = 0;
    if (*option == '@') {
        int result = file_read(option + 1, KEY_FILE_MAX, &vkey, &size);
        if (result != VAULT_OK)
            return fail(c, OUTCOME_FAILED, "--key: cannot read '%s': %s", option + 1,
                        result == VAULT_E_IO ? strerror(errno) : "too large for a verifier key");
        vkey[strcspn(vkey, "\r\n")] = '\0';
    } else {
        vkey = format_text("%s", option);
    }
    if (!verifier_key_is_good(vkey)) {
        free(vkey);
        return fail(c, OUTCOME_USAGE, "--key is no verifier key: NAME+8 hex digits+base64 of an Ed25519 key");
    }
    *ret = vkey;
    return OUTCOME_DONE;
}

static bool is_regular_file(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

static int check_paths(struct call *c) {
    const char *paths[] = {c->words[0], option_text(c, "checkpoint")};
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        if (paths[i] != NULL && access(paths[i], R_OK) != 0)
            return fail(c, OUTCOME_FAILED, "%scannot read '%s': %s", i == 1 ? "--checkpoint: " : "", paths[i],
                        strerror(errno));
    }
    return OUTCOME_DONE;
}

static json_t *report_document(const struct audit_report *r, int result) {
    json_t *document =
        json_pack("{s:b, s:I, s:I, s:b, s:s}", "verified", result == VAULT_OK, "records", (json_int_t)r->records,
                  "tree_size", (json_int_t)r->tree_size, "whole", (int)r->whole, "origin", r->origin);
    json_object_set_new(document, "asked", r->asked[0] == '\0' ? json_null() : json_string(r->asked));
    json_object_set_new(document, "complete", r->asked[0] == '\0' ? json_null() : json_boolean(r->complete));
    json_object_set_new(document, "key_changes", json_integer((json_int_t)r->changes));
    if (r->changes > 0) {
        json_object_set_new(document, "key_changed", json_integer((json_int_t)r->changed_last));
        json_object_set_new(document, "vkey", json_string(r->signer));
    }
    if (r->records > 0) {
        json_object_set_new(document, "first", json_integer((json_int_t)r->first));
        json_object_set_new(document, "last", json_integer((json_int_t)r->last));
    }
    if (result != VAULT_OK) {
        json_object_set_new(document, "problem", json_string(r->problem));
        json_object_set_new(document, "line", r->bad_line > 0 ? json_integer((json_int_t)r->bad_line) : json_null());
    }
    return document;
}

static void print_keys(const struct audit_report *r) {
    if (r->changes == 0)
        return;
    printf("the key changed at record %llu", (unsigned long long)r->changed_first);
    if (r->changes > 1)
        printf(", and %llu times more, the last at record %llu", (unsigned long long)(r->changes - 1),
               (unsigned long long)r->changed_last);
    print_line(stdout, "\nthe key now ", r->signer);
}

static void print_report(const struct audit_report *r) {
    puts("verified");
    print_line(stdout, "origin     ", r->origin);
    printf("records    %llu", (unsigned long long)r->records);
    if (r->records > 0)
        printf(" (%llu to %llu)", (unsigned long long)r->first, (unsigned long long)r->last);
    printf("\ntree size  %llu\n", (unsigned long long)r->tree_size);
    puts(r->whole ? "whole      yes: every record of the log is in this export"
                  : "whole      no: each record here is in the log; the log holds others");
    if (r->asked[0] != '\0') {
        print_line(stdout, "asked for  ", r->asked);
        puts(r->complete ? "complete   yes: all of it is here"
                         : "complete   all between its first and last record is here; that none is missing before or "
                           "behind is not shown");
    } else {
        puts("asked for  not said: asked.jsonl is not in the export");
    }
    print_keys(r);
}

static void print_witnesses(json_t *witnesses) {
    char text[28];
    size_t i;
    json_t *witness;
    json_array_foreach(witnesses, i, witness) {
        time_text((uint64_t)json_integer_value(json_object_get(witness, "time")) * 1000000, text);
        printf("cosigned   %.19sZ by ", text);
        print_line(stdout, "", json_string_value(json_object_get(witness, "name")));
    }
}

static int tell(struct call *c, const struct audit_report *report, json_t *witnesses, int result) {
    json_t *document = report_document(report, result);
    if (document == NULL)
        return fail(c, OUTCOME_INTEGRITY, "the export does not verify, and its report is not UTF-8");
    if (json_array_size(witnesses) > 0)
        json_object_set(document, "witnesses", witnesses);
    bool printed = print_json(c, document);
    json_decref(document);
    if (result == VAULT_OK) {
        if (!printed) {
            print_report(report);
            print_witnesses(witnesses);
        }
        return OUTCOME_DONE;
    }
    const char *problem = report->problem[0] != '\0' ? report->problem : vault_result_name(result);
    return fail(c, OUTCOME_INTEGRITY, "'%s' does not verify: %s", c->words[0], problem);
}

static json_t *proof_document(const struct audit_proof *p, int result) {
    json_t *document = json_pack("{s:b, s:I, s:I, s:s}", "verified", result == VAULT_OK, "seq", (json_int_t)p->seq,
                                 "tree_size", (json_int_t)p->tree.size, "origin", p->tree.origin);
    if (result != VAULT_OK)
        json_object_set_new(document, "problem", json_string(p->problem));
    return document;
}

static int tell_proof(struct call *c, const struct audit_proof *p, int result) {
    json_t *document = proof_document(p, result);
    bool printed = print_json(c, document);
    json_decref(document);
    if (result != VAULT_OK)
        return fail(c, OUTCOME_INTEGRITY, "'%s' does not verify: %s", c->words[0], p->problem);
    if (!printed) {
        puts("verified");
        print_line(stdout, "origin     ", p->tree.origin);
        printf("record     %llu\ntree size  %llu\n", (unsigned long long)p->seq, (unsigned long long)p->tree.size);
        puts(option_given(c, "record") ? "the proof is of the record that was given"
                                       : "such a record is in the log; what it holds is not in its proof");
    }
    return OUTCOME_DONE;
}

/* The line of a record, with or without its newline. */
static int read_record(struct call *c, char **ret, size_t *ret_size) {
    int outcome = read_at_most(c, option_text(c, "record"), 1, OUTCOME_FAILED, ret, ret_size);
    if (outcome == OUTCOME_DONE && *ret_size > 0 && (*ret)[*ret_size - 1] == '\n')
        --*ret_size;
    return outcome;
}

/* A file: the proof of one record. */
static int verify_proof(struct call *c, const char *vkey) {
    struct audit_proof p;
    char *text = NULL, *record = NULL;
    size_t size = 0, record_size = 0;
    int outcome = read_at_most(c, c->words[0], 1, OUTCOME_FAILED, &text, &size);
    if (outcome == OUTCOME_DONE && option_given(c, "record"))
        outcome = read_record(c, &record, &record_size);
    if (outcome == OUTCOME_DONE)
        outcome = tell_proof(c, &p, audit_proof_verify(text, size, vkey, record, record_size, &p));
    free(record);
    free(text);
    return outcome;
}

/* ---- witnesses ---- */

/* The checkpoint that witnesses are to have cosigned: the trusted one, if one is given, else the export's. Owned by the
 * caller. */
static int read_cosigned(struct call *c, char **ret) {
    size_t size = 0;
    char *own = format_text("%s/checkpoint", c->words[0]);
    const char *trusted = option_text(c, "checkpoint");
    int outcome = read_at_most(c, trusted != NULL ? trusted : own, 1, OUTCOME_FAILED, ret, &size);
    free(own);
    return outcome;
}

/* Whether this witness has cosigned the note; its name and the time go into the list. */
static int check_witness(struct call *c, const char *note, const char *vkey, json_t *list) {
    struct witness_key key;
    char line[COSIGNATURE_LINE_MAX];
    uint64_t time = 0;
    const char *lines = strstr(note, "\n\n");
    if (witness_key_parse(vkey, &key) != VAULT_OK)
        return fail(c, OUTCOME_USAGE, "--witness '%s' is no verifier key of a witness", vkey);
    int result = lines == NULL ? VAULT_E_FORMAT : cosignature_take(lines + 2, note, &key, line, &time);
    if (result != VAULT_OK)
        return fail(c, OUTCOME_INTEGRITY, "the witness %s has %s the checkpoint", key.name,
                    result == VAULT_NOT_FOUND ? "not cosigned" : "no good cosignature under");
    json_array_append_new(list, json_pack("{s:s, s:I}", "name", key.name, "time", (json_int_t)time));
    return OUTCOME_DONE;
}

/* Each that is asked for by --witness. The list of them is owned by the caller. */
static int check_witnesses(struct call *c, json_t **ret) {
    char *note = NULL;
    json_t *keys = option_list(c, "witness"), *key, *list = json_array();
    size_t i;
    int outcome = json_array_size(keys) == 0 ? (int)OUTCOME_DONE : read_cosigned(c, &note);
    json_array_foreach(keys, i, key) {
        if (outcome == OUTCOME_DONE)
            outcome = check_witness(c, note, json_string_value(key), list);
    }
    free(note);
    json_decref(keys);
    *ret = list;
    return outcome;
}

static int verify_folder(struct call *c, const char *vkey) {
    struct audit_report report = {.records = 0};
    json_t *witnesses = NULL;
    int outcome = check_witnesses(c, &witnesses);
    int result = outcome == OUTCOME_DONE ? audit_verify(c->words[0], vkey, option_text(c, "checkpoint"), &report) : 0;
    if (outcome == OUTCOME_DONE)
        outcome =
            result == VAULT_E_MEMORY ? fail(c, OUTCOME_FAILED, "out of memory") : tell(c, &report, witnesses, result);
    json_decref(witnesses);
    return outcome;
}

static int run_verify(struct call *c) {
    char *vkey = NULL;
    bool file = is_regular_file(c->words[0]);
    if (option_given(c, file ? "checkpoint" : "record") || (file && option_given(c, "witness")))
        return fail(c, OUTCOME_USAGE,
                    "--checkpoint and --witness go with the folder of an export, --record with the proof of a record");
    int outcome = take_key(c, &vkey);
    if (outcome == OUTCOME_DONE)
        outcome = check_paths(c);
    if (outcome == OUTCOME_DONE)
        outcome = file ? verify_proof(c, vkey) : verify_folder(c, vkey);
    free(vkey);
    return outcome;
}

static const struct option options[] = {
    {"checkpoint", 0, "FILE", "a checkpoint kept outside the vault: the export must not fall behind it", 0},
    {"witness", 0, "WKEY",
     "a witness's verifier key: it must have cosigned that checkpoint, or without one the export's; repeatable",
     OPTION_REPEAT},
    {"record", 0, "FILE", "the record that a proof is to be of: its line, as in an export", 0},
    {"key", 0, "VKEY", "the verifier key of the vault's audit, or @FILE holding it", OPTION_REQUIRED},
    {NULL, 0, NULL, NULL, 0},
};

const struct command command_audit_verify = {
    .name = "audit verify",
    .area = "Audit",
    .synopsis = "PATH [--checkpoint FILE] [--witness WKEY...] | PATH [--record FILE], --key VKEY",
    .summary = "check an export, or the proof of a record, without a vault",
    .help =
        "Checks the export in folder PATH, or the proof of a record in the file PATH, against the verifier key, which "
        "must come from somewhere else than the\n"
        "export: nothing in it is trusted instead. Needs no vault. Exit status 6 if it does not verify.\n"
        "A key that was changed since is followed to the one in force by the records of the changes, if they are in\n"
        "the export. With --witness the checkpoint must be cosigned: it vouches that the log was shown to others, "
        "too.\n"
        "--key means the verifier key here, not a TLS key.",
    .example = "  vaultctl audit verify export-2026-11 --key @vault.vkey --checkpoint checkpoint-2026-10",
    .options = options,
    .words = 1,
    .run = run_verify,
};
