#include "tally.h"

#include <stdlib.h>
#include <string.h>

#include "folder.h"
#include "vaultctl/names.h"
#include "vault/buffer.h"
#include "vault/documents.h"
#include "vault/result.h"

enum { DAY = 86400, HOUR = 3600, DATE_TEXT = 10, SATURDAY = 5 };

/* ---- of one record ---- */

char *who_text(const json_t *record) {
    const char *name = audit_text(record, "service.name");
    if (name[0] == '\0')
        return format_text("(the vault)");
    return format_text("%s%s", name,
                       strncmp(name, "unix:", strlen("unix:")) == 0 ? " (the vault's administrator)" : "");
}

enum ending ending_of(const json_t *record) {
    const char *outcome = audit_text(record, "outcome");
    if (strcmp(outcome, "permitted") == 0)
        return audit_is_emergency(record) ? EMERGENCY : PERMITTED;
    return strcmp(outcome, "denied") == 0 ? DENIED : OTHER;
}

static int64_t two_digits(const char *text) {
    bool good = text[0] >= '0' && text[0] <= '9' && text[1] >= '0' && text[1] <= '9';
    return good ? 10 * (text[0] - '0') + text[1] - '0' : 0;
}

/* "YYYY-MM-DDTHH:MM:SS.ffffffZ" */
int64_t seconds_of(const json_t *record) {
    const char *time = audit_text(record, "time");
    char day[DATE_TEXT + 1] = "";
    int64_t seconds = 0;
    if (strlen(time) < strlen("YYYY-MM-DDTHH:MM:SS"))
        return 0;
    copy_bytes(day, sizeof(day), time, DATE_TEXT);
    if (!date_parse(day, &seconds) || seconds < 0)
        return 0;
    return seconds + HOUR * two_digits(time + 11) + 60 * two_digits(time + 14) + two_digits(time + 17);
}

/* "YYYY-MM-DD HH:MM:SS"; what is no time as it is. */
static char *moment_text(const json_t *record) {
    const char *time = audit_text(record, "time");
    return seconds_of(record) == 0 ? format_text("%s", time) : format_text("%.10s %.8s", time, time + DATE_TEXT + 1);
}

/* 1970-01-01 was a Thursday; Monday is 0. */
static bool is_outside_work(int64_t seconds) {
    int64_t day = (seconds / DAY + 3) % 7, hour = seconds % DAY / HOUR;
    return day >= SATURDAY || hour < WORK_FROM || hour >= WORK_UNTIL;
}

/* `research, project P1`: what a purpose is for, without what is said of one occasion. */
static char *purpose_kind(const json_t *record) {
    const char *purpose = audit_text(record, "purpose"), *project = audit_text(record, "asked.project");
    return format_text("%.*s%s%s", (int)strcspn(purpose, ";"), purpose, project[0] != '\0' ? ", project " : "",
                       project);
}

/* ---- rows ---- */

static bool open_rows(struct tally_rows *t) {
    t->index = json_object();
    return t->index != NULL;
}

static struct tally_row *new_row(struct tally_rows *t, const char *name) {
    if ((t->count & (t->count - 1)) == 0) { /* room is made for the next power of two */
        size_t room = t->count == 0 ? 1 : 2 * t->count;
        struct tally_row *longer = realloc(t->rows, room * sizeof(*longer));
        if (longer == NULL)
            return NULL;
        t->rows = longer;
    }
    if (json_object_set_new_nocheck(t->index, name, json_integer((json_int_t)t->count)) != 0)
        return NULL;
    struct tally_row *row = &t->rows[t->count++];
    *row = (struct tally_row){.name = format_text("%s", name)};
    return row;
}

/* The row of that name; NULL: no memory. */
static struct tally_row *row_named(struct tally_rows *t, const char *name) {
    const json_t *at = json_object_get(t->index, name);
    return at == NULL ? new_row(t, name) : &t->rows[json_integer_value(at)];
}

static struct tally_row *count_row(struct tally_rows *t, const char *name, enum ending ending) {
    struct tally_row *row = row_named(t, name);
    if (row != NULL) {
        row->total++;
        row->ended[ending]++;
    }
    return row;
}

/* Of the same total, as they came. */
static int greater_first(const void *a, const void *b) {
    const struct tally_row *x = a, *y = b;
    if (x->total != y->total)
        return x->total < y->total ? 1 : -1;
    return strcmp(x->name, y->name);
}

static void clear_rows(struct tally_rows *t) {
    for (size_t i = 0; i < t->count; i++) {
        free(t->rows[i].name);
        json_decref(t->rows[i].patients);
    }
    free(t->rows);
    json_decref(t->index);
    *t = (struct tally_rows){.count = 0};
}

/* ---- what is counted ---- */

static int count_reader(struct tally *t, struct tally_row *service, const json_t *record) {
    enum ending ending = ending_of(record);
    const char *patient = audit_text(record, "subject");
    if (strcmp(audit_text(record, "event"), "read") != 0 || (ending != PERMITTED && ending != EMERGENCY))
        return VAULT_OK;
    t->reads++;
    service->reads++;
    service->outside += is_outside_work(seconds_of(record));
    if (service->patients == NULL)
        service->patients = json_object();
    return json_object_set_new_nocheck(service->patients, patient, json_true()) == 0 ? VAULT_OK : VAULT_E_MEMORY;
}

static int count_service(struct tally *t, const json_t *record) {
    char *who = who_text(record);
    struct tally_row *row = count_row(&t->services, who, ending_of(record));
    free(who);
    return row == NULL ? VAULT_E_MEMORY : count_reader(t, row, record);
}

/* Of decisions only: what closes a read names its purpose once more. */
static int count_purpose(struct tally *t, const json_t *record) {
    enum ending ending = ending_of(record);
    if (ending == OTHER || audit_text(record, "purpose")[0] == '\0')
        return VAULT_OK;
    char *purpose = purpose_kind(record);
    int result = count_row(&t->purposes, purpose, ending) == NULL ? VAULT_E_MEMORY : VAULT_OK;
    free(purpose);
    return result;
}

static int count_refusal(struct tally *t, const json_t *record) {
    size_t i;
    const json_t *reason, *reasons = json_object_get(record, "reasons");
    if (ending_of(record) != DENIED)
        return VAULT_OK;
    if (json_array_size(reasons) == 0)
        return count_row(&t->refusals, "(no reason is recorded)", DENIED) == NULL ? VAULT_E_MEMORY : VAULT_OK;
    json_array_foreach(reasons, i, reason) {
        char *text = format_text("%s [%s]", audit_text(reason, "text"), audit_text(reason, "rule"));
        bool counted = count_row(&t->refusals, text, DENIED) != NULL;
        free(text);
        if (!counted)
            return VAULT_E_MEMORY;
    }
    return VAULT_OK;
}

/* The log's times never go back; what does is counted with the hour before. */
static int count_hour(struct tally *t, int64_t seconds, enum ending ending) {
    int64_t hour = seconds / HOUR;
    t->by_hour[hour % HOURS_OF_DAY][ending]++;
    if (t->hour_count == 0 || t->hours[t->hour_count - 1].hour < hour) {
        struct tally_hour *longer = realloc(t->hours, (t->hour_count + 1) * sizeof(*longer));
        if (longer == NULL)
            return VAULT_E_MEMORY;
        t->hours = longer;
        t->hours[t->hour_count++] = (struct tally_hour){.hour = hour};
    }
    t->hours[t->hour_count - 1].ended[ending]++;
    return VAULT_OK;
}

static int note_time(struct tally *t, const json_t *record, enum ending ending) {
    int64_t seconds = seconds_of(record);
    if (seconds == 0)
        return VAULT_OK;
    char *time = moment_text(record);
    (void)format_string(t->last, sizeof(t->last), "%s", time);
    free(time);
    if (t->first[0] == '\0')
        COPY_ARRAY(t->first, t->last);
    return count_hour(t, seconds, ending);
}

static int note_emergency(struct tally *t, const json_t *record) {
    static const char glass[] = ";break-glass=";
    if (ending_of(record) != EMERGENCY || json_array_size(t->emergencies) == EMERGENCIES_MOST)
        return VAULT_OK;
    const char *why = strstr(audit_text(record, "purpose"), glass);
    char *who = who_text(record), *time = moment_text(record);
    json_t *one = json_pack("{s:I, s:s, s:s, s:s, s:s, s:s}", "seq", json_integer_value(json_object_get(record, "seq")),
                            "time", time, "service", who, "subject", audit_text(record, "subject"), "event",
                            audit_text(record, "event"), "why", why == NULL ? "" : why + strlen(glass));
    free(who);
    free(time);
    return json_array_append_new(t->emergencies, one) == 0 ? VAULT_OK : VAULT_E_MEMORY;
}

/* "record N: what the auditor noted" */
static int note_review(struct tally *t, const json_t *record) {
    static const char before[] = "record ";
    const char *detail = audit_text(record, "detail");
    size_t digits = strlen(detail) < sizeof(before) ? 0 : strspn(detail + strlen(before), "0123456789");
    if (strcmp(audit_text(record, "event"), "review.close") != 0 ||
        strcmp(audit_text(record, "outcome"), "done") != 0 || strncmp(detail, before, strlen(before)) != 0 ||
        digits == 0)
        return VAULT_OK;
    char *number = format_text("%.*s", (int)digits, detail + strlen(before));
    const char *note = detail + strlen(before) + digits;
    note += strncmp(note, ": ", 2) == 0 ? 2 : 0;
    int result = json_object_set_new(t->reviews, number, json_string(note)) == 0 ? VAULT_OK : VAULT_E_MEMORY;
    free(number);
    return result;
}

/* ---- all of them ---- */

int tally_begin(struct tally *t) {
    *t = (struct tally){.patients = json_object(), .emergencies = json_array(), .reviews = json_object()};
    bool good = t->patients != NULL && t->emergencies != NULL && t->reviews != NULL && open_rows(&t->services) &&
                open_rows(&t->events) && open_rows(&t->purposes) && open_rows(&t->refusals);
    return good ? VAULT_OK : VAULT_E_MEMORY;
}

int tally_add(struct tally *t, const json_t *record) {
    enum ending ending = ending_of(record);
    const char *patient = audit_text(record, "subject");
    t->records++;
    t->ended[ending]++;
    if (patient[0] != '\0' && json_object_set_new_nocheck(t->patients, patient, json_true()) != 0)
        return VAULT_E_MEMORY;
    if (count_row(&t->events, audit_text(record, "event"), ending) == NULL)
        return VAULT_E_MEMORY;
    int (*const counts[])(struct tally *, const json_t *) = {count_service, count_purpose, count_refusal,
                                                             note_emergency, note_review};
    int result = note_time(t, record, ending);
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]) && result == VAULT_OK; i++)
        result = counts[i](t, record);
    return result;
}

void tally_end(struct tally *t) {
    struct tally_rows *const all[] = {&t->services, &t->events, &t->purposes, &t->refusals};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        if (all[i]->count > 0)
            qsort(all[i]->rows, all[i]->count, sizeof(struct tally_row), greater_first);
}

void tally_clear(struct tally *t) {
    clear_rows(&t->services);
    clear_rows(&t->events);
    clear_rows(&t->purposes);
    clear_rows(&t->refusals);
    json_decref(t->patients);
    json_decref(t->emergencies);
    json_decref(t->reviews);
    free(t->hours);
    *t = (struct tally){.records = 0};
}
