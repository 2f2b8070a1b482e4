#include "alarms.h"

#include <stdlib.h>
#include <string.h>

#include "vaultd/monitor/answers.h"
#include "vault/log.h"
#include "vault/result.h"

enum {
    SERVICES = 128,   /* that are watched at a time: those that were seen last */
    PLACES = 1 << 16, /* for patients of one service in an hour; two that share one count as one */
    LAST = 20,
    HOUR = 3600,
    DAY = 24 * HOUR,
    FRIDAY = 4 /* Monday is 0 */
};

enum kind { DENIALS, PATIENTS, HOURS, EMERGENCY };
static const char *const kinds[ALARM_KINDS] = {"denials", "subjects", "hours", "break-glass"};

struct watched {
    char service[NAME_MAX_SIZE + 1];
    uint64_t seen;     /* number of its last decision; 0: an empty place */
    uint64_t denials;  /* in a row */
    uint64_t hour;     /* since 1970, of what follows */
    uint32_t patients; /* different ones that it read in it */
    uint64_t told_day; /* since 1970: of the last alarm for its hours */
    uint8_t *places;   /* a bit for each; owned; NULL: none yet */
};

struct told {
    uint64_t time;
    enum kind kind;
    char service[NAME_MAX_SIZE + 1], text[120];
};

struct alarms {
    struct watched services[SERVICES];
    uint64_t decisions[2]; /* denied, permitted */
    uint64_t raised[ALARM_KINDS];
    struct told last[LAST];
    uint64_t told; /* how many there were; the newest is before place told % LAST */
};

static void raise_alarm(struct monitor *m, enum kind kind, const char *service, uint64_t time, const char *text) {
    struct alarms *a = m->alarms;
    struct told *t = &a->last[a->told++ % LAST];
    a->raised[kind]++;
    *t = (struct told){.time = time, .kind = kind};
    copy_string(t->service, sizeof(t->service), service);
    copy_string(t->text, sizeof(t->text), text);
    log_warning("alarm: kind=%s service=%s %s", kinds[kind], service, text);
}

/* Its row; where there is none, that of the service that was seen longest ago is given to it. */
static struct watched *row_of(struct alarms *a, const char *service) {
    struct watched *oldest = &a->services[0];
    for (size_t i = 0; i < SERVICES; i++) {
        struct watched *row = &a->services[i];
        if (row->seen != 0 && strcmp(row->service, service) == 0)
            return row;
        if (row->seen < oldest->seen)
            oldest = row;
    }
    free(oldest->places);
    *oldest = (struct watched){.seen = 0};
    copy_string(oldest->service, sizeof(oldest->service), service);
    return oldest;
}

static void see_denial(struct monitor *m, struct watched *row, uint64_t time) {
    char text[120];
    uint32_t limit = m->setup.alarm_denials;
    if (++row->denials != limit || limit == 0)
        return;
    (void)format_string(text, sizeof(text), "was denied %u times in a row", limit);
    raise_alarm(m, DENIALS, row->service, time, text);
}

/* Whether the patient is new in this hour. Without memory none is. */
static bool is_new(struct monitor *m, struct watched *row, const char *subject) {
    uint8_t hash[HASH_SIZE];
    if (row->places == NULL)
        row->places = calloc(1, PLACES / 8);
    if (row->places == NULL)
        return false;
    name_hash(m, NAME_SUBJECT, subject, NULL, hash);
    unsigned place = (unsigned)get_be32(hash) % PLACES;
    uint8_t bit = (uint8_t)(1u << place % 8);
    bool new = (row->places[place / 8] & bit) == 0;
    row->places[place / 8] |= bit;
    return new;
}

static void see_patient(struct monitor *m, struct watched *row, const char *subject, uint64_t time) {
    char text[120];
    uint32_t limit = m->setup.alarm_subjects;
    uint64_t hour = time / 1000000 / HOUR;
    if (limit == 0 || subject == NULL)
        return;
    if (row->hour != hour) {
        row->hour = hour;
        row->patients = 0;
        if (row->places != NULL)
            memset(row->places, 0, PLACES / 8);
    }
    if (!is_new(m, row, subject) || ++row->patients != limit + 1)
        return;
    (void)format_string(text, sizeof(text), "has read files of more than %u patients in an hour", limit);
    raise_alarm(m, PATIENTS, row->service, time, text);
}

/* 1970-01-01 was a Thursday. Hours that end before they begin are those of a night. */
static bool is_usual(const struct msg_monitor_setup *s, uint64_t seconds) {
    unsigned hour = (unsigned)(seconds % DAY / HOUR), day = (unsigned)((seconds / DAY + 3) % 7);
    bool within = s->alarm_from <= s->alarm_until ? hour >= s->alarm_from && hour < s->alarm_until
                                                  : hour >= s->alarm_from || hour < s->alarm_until;
    return within && (s->alarm_weekdays == 0 || day <= FRIDAY);
}

static void see_hour(struct monitor *m, struct watched *row, uint64_t time) {
    uint64_t seconds = time / 1000000, day = seconds / DAY;
    if (m->setup.alarm_hours == 0 || row->told_day == day || is_usual(&m->setup, seconds))
        return;
    row->told_day = day;
    raise_alarm(m, HOURS, row->service, time, "has read out of hours");
}

static void see_permit(struct monitor *m, struct watched *row, const struct event *e, uint64_t time, bool emergency) {
    row->denials = 0;
    if (e->question->action != ACTION_READ)
        return;
    see_patient(m, row, e->subject, time);
    see_hour(m, row, time);
    if (emergency)
        raise_alarm(m, EMERGENCY, row->service, time, "has broken glass: 'review list' has it");
}

void alarms_see(struct monitor *m, const struct event *e, uint64_t time, bool emergency) {
    if (e->decision == NULL || e->question == NULL || e->tells || e->asker == NULL || e->asker->name[0] == '\0')
        return;
    if (m->alarms == NULL)
        m->alarms = calloc(1, sizeof(*m->alarms));
    if (m->alarms == NULL)
        return;
    struct alarms *a = m->alarms;
    bool permitted = e->decision->verdict == VERDICT_PERMIT;
    struct watched *row = row_of(a, e->asker->name);
    a->decisions[permitted]++;
    row->seen = a->decisions[0] + a->decisions[1];
    if (permitted)
        see_permit(m, row, e, time, emergency);
    else
        see_denial(m, row, time);
}

void alarms_forget(struct monitor *m) {
    for (size_t i = 0; m->alarms != NULL && i < SERVICES; i++) {
        struct watched *row = &m->alarms->services[i];
        if (row->places != NULL)
            wipe(row->places, PLACES / 8);
        free(row->places);
        *row = (struct watched){.seen = 0};
    }
}

void alarms_free(struct monitor *m) {
    alarms_forget(m);
    free(m->alarms);
    m->alarms = NULL;
}

const char *alarm_kind(const struct monitor *m, unsigned kind, uint64_t *ret_count) {
    *ret_count = m->alarms == NULL ? 0 : m->alarms->raised[kind];
    return kinds[kind];
}

void decisions_counted(const struct monitor *m, uint64_t *ret_permitted, uint64_t *ret_denied) {
    *ret_permitted = m->alarms == NULL ? 0 : m->alarms->decisions[1];
    *ret_denied = m->alarms == NULL ? 0 : m->alarms->decisions[0];
}

static json_t *told_json(const struct alarms *a) {
    json_t *list = json_array();
    for (uint64_t n = a == NULL || a->told < LAST ? 0 : a->told - LAST; a != NULL && n < a->told; n++) {
        const struct told *t = &a->last[n % LAST];
        json_array_append_new(list, json_pack("{s:o, s:s, s:s, s:s}", "time", json_time(t->time), "kind",
                                              kinds[t->kind], "service", t->service, "text", t->text));
    }
    return list;
}

json_t *alarms_json(const struct monitor *m) {
    json_t *json = json_object();
    for (unsigned kind = 0; kind < ALARM_KINDS; kind++) {
        uint64_t count = 0;
        const char *name = alarm_kind(m, kind, &count);
        json_object_set_new(json, name, json_integer((json_int_t)count));
    }
    json_object_set_new(json, "last", told_json(m->alarms));
    return json;
}
