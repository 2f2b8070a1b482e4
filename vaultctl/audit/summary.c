/* What an export's page says in words and tables, above its records. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "page.h"
#include "vaultctl/names.h"

enum {
    ROWS_MOST = 40,     /* of a table here; the table of records has all */
    MANY_PATIENTS = 20, /* fewer are not unusual, */
    MANY_TIMES = 3,     /* nor up to so many times as many as the median has */
    OUTSIDE_READS = 10  /* fewer say nothing about hours */
};

typedef unsigned long long number;

/* ---- tables ---- */

/* Columns: the first is a text, and the others are numbers or texts. */
struct column_of_page {
    const char *name;  /* literal */
    const char *style; /* n: number, t: text, bar */
};

/* Where the screen is narrow each row is a card, in which the cells say what they are. A table that still is too wide
 * scrolls by itself, so it must be reached by the keyboard. */
static void begin_table(struct html *h, const char *caption, const struct column_of_page *columns, size_t n) {
    html_print(h,
               "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"%s\"><table class=\"cards\">"
               "<caption>%s</caption><thead><tr>",
               caption, caption);
    for (size_t i = 0; i < n; i++)
        html_print(h, "<th scope=\"col\" class=\"%s\">%s</th>", columns[i].style, columns[i].name);
    html_print(h, "</tr></thead><tbody>");
}

static void put_count(struct html *h, const struct column_of_page *column, uint64_t count) {
    html_print(h, "<td data-label=\"%s\" class=\"n%s\">%'llu</td>", column->name, count == 0 ? " none" : "",
               (number)count);
}

static void put_word(struct html *h, const struct column_of_page *column, const char *word) {
    html_print(h, "<td data-label=\"%s\" class=\"t\">%s</td>", column->name, word);
}

static void end_table(struct html *h, size_t rows, size_t left_out) {
    html_print(h, "</tbody></table></div>");
    if (left_out > 0)
        html_print(h, "<p class=\"small\">The first %'llu are shown; %'llu more are in the records below.</p>",
                   (number)rows, (number)left_out);
}

static size_t shown_of(size_t rows) {
    return rows < ROWS_MOST ? rows : ROWS_MOST;
}

/* How the records of a row ended, in proportion to the greatest row. The numbers stand beside it. */
static void put_proportion(struct html *h, const struct tally_row *row, uint64_t greatest) {
    enum { WIDTH = 1000, SEEN = 8 };
    uint64_t x = 0;
    html_print(h, "<td class=\"bar\"><svg aria-hidden=\"true\" viewBox=\"0 0 1000 10\" preserveAspectRatio=\"none\">");
    for (size_t e = 0; e < ENDINGS; e++) {
        uint64_t width = row->ended[e] * WIDTH / greatest;
        width = row->ended[e] > 0 && width < SEEN ? SEEN : width;
        if (width > 0)
            html_print(h, "<rect class=\"%s\" x=\"%llu\" y=\"0\" width=\"%llu\" height=\"10\"/>",
                       ending_name((enum ending)e), (number)x, (number)width);
        x += width;
    }
    html_print(h, "</svg></td>");
}

static size_t patients_of(const struct tally_row *row) {
    return json_object_size(row->patients);
}

/* ---- the head ---- */

static void put_scope(struct html *h, const struct audit_folder *f) {
    if (f->subject != NULL)
        html_print(h, "about the patient <strong>%s</strong>", f->subject);
    else if (f->service != NULL)
        html_print(h, "of what the service <strong>%s</strong> did", f->service);
    else
        html_print(h, f->verified->whole ? "of everything that is on record" : "of a part of what is on record");
}

static void put_head(struct html *h, const struct audit_folder *f, const struct tally *t) {
    html_print(h, "<a class=\"skip\" href=\"#records-section\">To the records</a><header><h1>Audit of access to genome "
                  "data</h1><p>An export ");
    put_scope(h, f);
    html_print(h, " in the log <strong>%s</strong>", f->origin);
    if (t->first[0] != '\0')
        html_print(h, ", from %s to %s UTC", t->first, t->last);
    html_print(h, ".</p></header><nav aria-label=\"Sections\"><ul><li><a href=\"#verification\">Verification</a></li>"
                  "<li><a href=\"#time\">Over time</a></li><li><a href=\"#who\">Who</a></li>"
                  "<li><a href=\"#purposes\">Purposes</a></li><li><a href=\"#events\">What</a></li>"
                  "<li><a href=\"#denials\">Denials</a></li><li><a href=\"#emergencies\">Emergencies</a></li>"
                  "<li><a href=\"#unusual\">Unusual readers</a></li><li><a "
                  "href=\"#records-section\">Records</a></li></ul></nav>");
}

static void put_figure(struct html *h, const char *name, uint64_t count, const char *style) {
    html_print(h, "<div class=\"%s\"><dt>%s</dt><dd>%'llu</dd></div>", count > 0 ? style : "", name, (number)count);
}

static void put_figures(struct html *h, const struct tally *t) {
    html_print(h, "<dl id=\"figures\">");
    put_figure(h, "Records", t->records, "");
    put_figure(h, "Files read", t->reads, "");
    put_figure(h, "Denied", t->ended[DENIED], "denied");
    put_figure(h, "Emergencies", t->ended[EMERGENCY], "emergency");
    put_figure(h, "Patients", json_object_size(t->patients), "");
    put_figure(h, "Services", t->services.count, "");
    html_print(h, "</dl>");
}

/* ---- the verification ---- */

static void put_key_changes(struct html *h, const struct audit_report *v) {
    if (v->changes > 0)
        html_print(
            h, "<dt>Changes of the key</dt><dd>%'llu, the last at record %llu; since then it is <code>%s</code></dd>",
            (number)v->changes, (number)v->changed_last, v->signer);
}

static void put_verification(struct html *h, const struct audit_folder *f) {
    const struct audit_report *v = f->verified;
    char written[sizeof("YYYY-MM-DD HH:MM:SS")] = "";
    time_t now = time(NULL);
    struct tm tm;
    if (gmtime_r(&now, &tm) != NULL)
        (void)strftime(written, sizeof(written), "%Y-%m-%d %H:%M:%S", &tm);
    html_print(
        h,
        "<p><strong class=\"good\">Verified</strong> on this "
        "machine when the export was written, %s UTC. <strong>This page itself proves nothing:</strong> "
        "whoever passes it on can alter it. What is beside it does: <code>records.jsonl</code>, "
        "<code>proofs.jsonl</code> and <code>checkpoint</code>.</p>"
        "<p>Verify again, in the folder of this page, with the verifier key from somebody you trust and not from the "
        "export's sender:</p><p><code class=\"command\">vaultctl audit verify . --key @FILE-WITH-THE-KEY</code></p><dl>"
        "<dt>What it covers</dt><dd>%s</dd><dt>Records</dt><dd>%'llu",
        written, v->covers, (number)v->records);
    if (v->records > 0)
        html_print(h, " (number %llu to %llu)", (number)v->first, (number)v->last);
    html_print(h,
               "</dd><dt>Records in the log</dt><dd>%'llu when it was signed (the size of its "
               "tree)</dd><dt>Origin</dt><dd>%s</dd>"
               "<dt>Verifier key</dt><dd><code>%s</code>, as the vault told it</dd>",
               (number)v->tree_size, v->origin, f->vkey);
    put_key_changes(h, v);
    html_print(h, "</dl>");
}

/* ---- who, for what, what ---- */

static void put_services(struct html *h, const struct tally_rows *t) {
    static const struct column_of_page columns[] = {
        {"Service", "t"}, {"Records", "n"},     {"Files read", "n"},       {"Patients", "n"},
        {"Denied", "n"},  {"Emergencies", "n"}, {"Outside of hours", "n"}, {"In proportion", "bar"}};
    begin_table(h, "Services by number of records", columns, 8);
    for (size_t i = 0; i < shown_of(t->count); i++) {
        const struct tally_row *row = &t->rows[i];
        const uint64_t counts[] = {row->total,  row->reads, patients_of(row), row->ended[DENIED], row->ended[EMERGENCY],
                                   row->outside};
        html_print(h, "<tr><th scope=\"row\">%s</th>", row->name);
        for (size_t n = 0; n < sizeof(counts) / sizeof(counts[0]); n++)
            put_count(h, &columns[n + 1], counts[n]);
        put_proportion(h, row, t->rows[0].total);
        html_print(h, "</tr>");
    }
    end_table(h, shown_of(t->count), t->count - shown_of(t->count));
    html_print(h, "<p class=\"small\">Files read: permitted reads. Patients: whose files these were. Outside of hours: "
                  "which of these reads were outside of working hours (see <a href=\"#unusual\">unusual readers</a>)."
                  "</p>");
}

/* The words for an export are those of a patient's report, and this page may be of others. */
static void put_deed(struct html *h, const char *event) {
    const char *deed = audit_deed(event);
    if (strcmp(deed, event) != 0 && strcmp(event, "audit.export") != 0)
        html_print(h, "<small>%s</small>", deed);
}

/* Names, and how what has the name ended. Decisions never end as OTHER. */
static void put_endings(struct html *h, const char *caption, const struct tally_rows *t, bool decisions) {
    const struct column_of_page columns[] = {{decisions ? "Purpose" : "Event", "t"},
                                             {decisions ? "Decisions" : "Records", "n"},
                                             {"Permitted", "n"},
                                             {"Denied", "n"},
                                             {"Emergency", "n"},
                                             {"Other", "n"}};
    size_t endings = decisions ? OTHER : ENDINGS;
    begin_table(h, caption, columns, 2 + endings);
    for (size_t i = 0; i < shown_of(t->count); i++) {
        const struct tally_row *row = &t->rows[i];
        html_print(h, "<tr><th scope=\"row\">%s", row->name);
        put_deed(h, decisions ? "" : row->name);
        html_print(h, "</th>");
        put_count(h, &columns[1], row->total);
        for (size_t e = 0; e < endings; e++)
            put_count(h, &columns[2 + e], row->ended[e]);
        html_print(h, "</tr>");
    }
    end_table(h, shown_of(t->count), t->count - shown_of(t->count));
}

static void put_refusals(struct html *h, const struct tally *t) {
    static const struct column_of_page columns[] = {{"Reason and rule", "t"}, {"Denials", "n"}};
    html_print(h, "<p>Denied requests: %'llu.", (number)t->ended[DENIED]);
    if (t->ended[DENIED] == 0) {
        html_print(h, "</p>");
        return;
    }
    html_print(h, " One can have several reasons.</p>");
    begin_table(h, "Reasons of denials", columns, 2);
    for (size_t i = 0; i < shown_of(t->refusals.count); i++) {
        html_print(h, "<tr><th scope=\"row\">%s</th>", t->refusals.rows[i].name);
        put_count(h, &columns[1], t->refusals.rows[i].total);
        html_print(h, "</tr>");
    }
    end_table(h, shown_of(t->refusals.count), t->refusals.count - shown_of(t->refusals.count));
    html_print(h, "<button type=\"button\" class=\"show\" data-outcome=\"denied\" hidden>Show the denials in the table "
                  "of records</button>");
}

/* ---- emergencies ---- */

static void put_emergency(struct html *h, const struct tally *t, const json_t *one,
                          const struct column_of_page *columns) {
    static const char *const members[] = {"time", "service", "subject", "event", "why"};
    char *seq = format_text("%lld", (long long)json_integer_value(json_object_get(one, "seq")));
    const char *review = json_string_value(json_object_get(t->reviews, seq));
    html_print(h, "<tr><th scope=\"row\" class=\"n\">%s</th>", seq);
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
        put_word(h, &columns[i + 1], audit_text(one, members[i]));
    if (review != NULL)
        put_word(h, &columns[6], review);
    else
        html_print(h, "<td data-label=\"Review\" class=\"t\"><em class=\"open\">not in these records</em></td>");
    html_print(h, "</tr>");
    free(seq);
}

static void put_emergencies(struct html *h, const struct tally *t) {
    static const struct column_of_page columns[] = {{"No.", "n"},     {"Time (UTC)", "t"}, {"Service", "t"},
                                                    {"Patient", "t"}, {"Event", "t"},      {"Stated reason", "t"},
                                                    {"Review", "t"}};
    size_t i;
    const json_t *one;
    html_print(h,
               "<p>Emergencies: %'llu. Access was permitted because an emergency was stated; an auditor has to look at "
               "each.</p>",
               (number)t->ended[EMERGENCY]);
    if (t->ended[EMERGENCY] == 0)
        return;
    begin_table(h, "Emergencies and their reviews", columns, 7);
    json_array_foreach(t->emergencies, i, one) {
        put_emergency(h, t, one, columns);
    }
    end_table(h, i, t->ended[EMERGENCY] - i);
    html_print(h,
               "<button type=\"button\" class=\"show\" data-outcome=\"emergency\" hidden>Show the emergencies in the "
               "table of records</button>");
}

/* ---- unusual readers ---- */

static int ascending(const void *a, const void *b) {
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return x < y ? -1 : x > y;
}

/* Of how many patients the median of all readers has read; of an even number the lower one. */
static size_t median_of_patients(const struct tally_rows *t) {
    size_t *counts = calloc(t->count + 1, sizeof(*counts)), readers = 0, median = 0;
    if (counts == NULL)
        return SIZE_MAX / MANY_TIMES; /* nobody is above that */
    for (size_t i = 0; i < t->count; i++)
        if (t->rows[i].reads > 0)
            counts[readers++] = patients_of(&t->rows[i]);
    if (readers > 0) {
        qsort(counts, readers, sizeof(*counts), ascending);
        median = counts[(readers - 1) / 2];
    }
    free(counts);
    return median;
}

static size_t put_unusual_row(struct html *h, const struct tally_row *row, size_t median) {
    size_t patients = patients_of(row);
    bool many = patients >= MANY_PATIENTS && patients > MANY_TIMES * median;
    bool outside = row->reads >= OUTSIDE_READS && 2 * row->outside > row->reads;
    if (!many && !outside)
        return 0;
    html_print(h, "<tr><th scope=\"row\">%s</th><td class=\"t\">", row->name);
    if (many)
        html_print(h, "Read files of %'llu patients; the median is %'llu. ", (number)patients, (number)median);
    if (outside)
        html_print(h, "%'llu of %'llu reads were outside of working hours.", (number)row->outside, (number)row->reads);
    html_print(h, "</td></tr>");
    return 1;
}

static void put_unusual(struct html *h, const struct tally_rows *t) {
    static const struct column_of_page columns[] = {{"Service", "t"}, {"What is unusual", "t"}};
    size_t median = median_of_patients(t), found = 0;
    html_print(
        h,
        "<p>The rule: a service is listed if it was permitted to read files of at least %llu different patients, "
        "and of more than %llu times as many as the median of all services that read; or if it read at least %llu "
        "files, more than half of them outside of working hours, which are taken to be Monday to Friday, "
        "0%llu:00 to %llu:00 UTC. There can be good reasons for either: the list says where to look, not what was "
        "wrong.</p>",
        (number)MANY_PATIENTS, (number)MANY_TIMES, (number)OUTSIDE_READS, (number)WORK_FROM, (number)WORK_UNTIL);
    begin_table(h, "Unusual readers", columns, 2);
    for (size_t i = 0; i < t->count; i++)
        found += put_unusual_row(h, &t->rows[i], median);
    if (found == 0)
        html_print(h, "<tr><td class=\"t none\" colspan=\"2\">No service, by this rule.</td></tr>");
    end_table(h, 0, 0);
}

static void begin_section(struct html *h, const char *id, const char *title) {
    html_print(h, "<section id=\"%s\"><h2>%s</h2>", id, title);
}

static void end_section(struct html *h) {
    html_print(h, "</section>");
}

static void put_time(struct html *h, const struct tally *t) {
    page_charts(h, t);
    html_print(h,
               "<p class=\"small\">Permitted: a decision that said yes. Denied: one that said no. Emergency: permitted "
               "because glass was broken. Other: what needs no decision, or ends what was permitted.</p>");
}

void page_summary(struct html *h, const struct audit_folder *f, const struct tally *t) {
    put_head(h, f, t);
    html_print(h, "<main>");
    put_figures(h, t);
    begin_section(h, "verification", "Verification");
    put_verification(h, f);
    end_section(h);
    begin_section(h, "time", "Over time");
    put_time(h, t);
    end_section(h);
    begin_section(h, "who", "Who");
    put_services(h, &t->services);
    end_section(h);
    begin_section(h, "purposes", "For what purpose");
    put_endings(h, "Decisions by the purpose that was stated", &t->purposes, true);
    end_section(h);
    begin_section(h, "events", "What");
    put_endings(h, "Records by what happened", &t->events, false);
    end_section(h);
    begin_section(h, "denials", "Denials");
    put_refusals(h, t);
    end_section(h);
    begin_section(h, "emergencies", "Emergencies (broken glass)");
    put_emergencies(h, t);
    end_section(h);
    begin_section(h, "unusual", "Unusual readers");
    put_unusual(h, &t->services);
    end_section(h);
}
