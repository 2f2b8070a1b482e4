/* The page of an export, for people: one file that holds all it shows, and asks nobody for anything. */
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "page.h"
#include "vaultctl/names.h"
#include "vault/result.h"

enum { SHA256_BASE64 = 44 + 1 };

struct writing {
    const struct audit_folder *folder;
    struct output file;
    struct html page;
    struct tally tally;
    json_t *places, *words; /* every text of the table once: where it is, and all in order. The first is empty */
    uint64_t rows;
};

/* ---- the head ---- */

static bool hash_of(const unsigned char *bytes, size_t n, char to[SHA256_BASE64]) {
    unsigned char hash[SHA256_BYTES];
    bool good = EVP_Digest(bytes, n, hash, NULL, EVP_sha256(), NULL) == 1;
    return good && EVP_EncodeBlock((unsigned char *)to, hash, sizeof(hash)) == SHA256_BASE64 - 1;
}

/* The policy is there before anything that it is about: only the page's own script and style are taken, by their
 * hashes, and nothing is fetched. So even markup that slipped through could not run. */
static bool put_head(struct html *h, const struct audit_folder *f) {
    char script[SHA256_BASE64], style[SHA256_BASE64];
    if (!hash_of(page_script, page_script_size, script) || !hash_of(page_style, page_style_size, style))
        return false;
    html_print(
        h,
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta http-equiv=\"Content-Security-Policy\" "
        "content=\"default-src 'none'; script-src 'sha256-%s'; style-src 'sha256-%s'; base-uri 'none'; form-action "
        "'none'\">"
        "<meta name=\"referrer\" content=\"no-referrer\"><meta name=\"viewport\" content=\"width=device-width, "
        "initial-scale=1\">"
        "<meta name=\"color-scheme\" content=\"light dark\"><title>Audit of %s</title><style>",
        script, style, f->origin);
    html_own(h, page_style, page_style_size);
    html_print(h, "</style></head>\n<body>");
    return true;
}

/* ---- the records, as the script takes them ---- */

/* The place of a text among the words. No memory: the page has failed. */
static json_int_t place_of(struct writing *w, const char *text) {
    const json_t *known = json_object_get(w->places, text);
    if (known != NULL)
        return json_integer_value(known);
    json_int_t place = (json_int_t)json_array_size(w->words);
    char *seen = visible_text(text);
    bool good = seen != NULL && json_array_append_new(w->words, json_string(seen)) == 0 &&
                json_object_set_new(w->places, text, json_integer(place)) == 0;
    free(seen);
    w->page.failed = w->page.failed || !good;
    return place;
}

static json_int_t place_of_who(struct writing *w, const json_t *record) {
    char *who = who_text(record);
    json_int_t place = place_of(w, who);
    free(who);
    return place;
}

/* "The patient's own treatment, with written consent. [treatment]", for each reason. */
static json_int_t place_of_reasons(struct writing *w, const json_t *record) {
    char *text = format_text("%s", "");
    size_t i;
    const json_t *reason;
    json_array_foreach(json_object_get(record, "reasons"), i, reason) {
        char *longer =
            format_text("%s%s%s [%s]", text, i > 0 ? " " : "", audit_text(reason, "text"), audit_text(reason, "rule"));
        free(text);
        text = longer;
    }
    json_int_t place = place_of(w, text);
    free(text);
    return place;
}

static json_int_t number_of(const json_t *record, const char *name) {
    return json_integer_value(json_object_get(record, name));
}

/* The columns of a record; vaultctl/audit/page/audit.js knows their order. */
static json_t *row_of(struct writing *w, const json_t *record) {
    static const char *const texts[] = {"event", "outcome", "subject", "purpose", "file", "detail"};
    json_t *row = json_pack("[I, I, I, i, I, I]", number_of(record, "seq"), (json_int_t)seconds_of(record),
                            number_of(record, "bytes"), ending_of(record) == EMERGENCY, place_of_who(w, record),
                            place_of_reasons(w, record));
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        json_array_append_new(row, json_integer(place_of(w, audit_text(record, texts[i]))));
    return row;
}

static int put_row(void *context, const json_t *record) {
    struct writing *w = context;
    json_t *row = row_of(w, record);
    html_print(&w->page, w->rows++ == 0 ? "\n" : ",\n");
    html_json(&w->page, row);
    json_decref(row);
    return w->page.failed ? VAULT_E_IO : VAULT_OK;
}

static int put_records(struct writing *w, char **ret_path) {
    html_print(
        &w->page,
        "<section id=\"records-section\" tabindex=\"-1\"><h2>Records</h2><noscript><p>The table of records needs "
        "scripts. All "
        "records are in <code>records.jsonl</code>.</p></noscript><div id=\"table\"></div></section></main>"
        "<footer><p>Written by vaultctl. Times are UTC. This page asks nobody for anything, and can be kept as a file."
        "</p></footer>\n<script type=\"application/json\" id=\"rows\">[");
    int result = audit_folder_each(w->folder, put_row, w, ret_path);
    html_print(&w->page, "]</script>\n<script type=\"application/json\" id=\"words\">");
    html_json(&w->page, w->words);
    html_print(&w->page, "</script>\n<script>");
    html_own(&w->page, page_script, page_script_size);
    html_print(&w->page, "</script></body></html>\n");
    return result;
}

/* ---- all of it ---- */

static int count_record(void *context, const json_t *record) {
    struct writing *w = context;
    return tally_add(&w->tally, record);
}

static int keep_page(struct writing *w, int result, char **ret_path) {
    if (!html_end(&w->page))
        result = w->file.error == 0 ? VAULT_E_MEMORY : VAULT_E_IO;
    if (result == VAULT_OK)
        result = output_keep(&w->file);
    if (result == VAULT_E_IO && *ret_path == NULL)
        *ret_path = audit_failed_path(&w->file);
    return result;
}

static int write_page(struct writing *w, char **ret_path) {
    int result = audit_folder_each(w->folder, count_record, w, ret_path);
    if (result != VAULT_OK)
        return result;
    tally_end(&w->tally);
    if (!put_head(&w->page, w->folder))
        return VAULT_E_CRYPTO;
    page_summary(&w->page, w->folder, &w->tally);
    return keep_page(w, put_records(w, ret_path), ret_path);
}

static int begin_writing(struct writing *w) {
    w->places = json_object();
    w->words = json_array();
    html_begin(&w->page, &w->file);
    int result = tally_begin(&w->tally);
    if (w->places == NULL || w->words == NULL)
        return VAULT_E_MEMORY;
    (void)place_of(w, "");
    return w->page.failed ? VAULT_E_MEMORY : result;
}

int audit_html_write(const struct audit_folder *f, char **ret_path) {
    struct writing *w = calloc(1, sizeof(*w));
    *ret_path = NULL;
    if (w == NULL)
        return VAULT_E_MEMORY;
    w->folder = f;
    int result = begin_writing(w);
    if (result == VAULT_OK) {
        result = audit_folder_create(f, "audit.html", &w->file, ret_path);
        if (result == VAULT_OK)
            result = write_page(w, ret_path);
        output_close(&w->file);
    }
    tally_clear(&w->tally);
    json_decref(w->places);
    json_decref(w->words);
    free(w);
    return result;
}
