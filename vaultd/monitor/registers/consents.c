#include <string.h>

#include "vaultd/monitor/access/grants.h"
#include "vaultd/monitor/answers.h"
#include "vaultd/monitor/current.h"
#include "vaultd/monitor/lookup.h"
#include "vaultd/monitor/monitor.h"
#include "vaultd/monitor/table.h"
#include "vault/result.h"

static const char *findings_name(unsigned findings) {
    return findings == FINDINGS_ALL ? "all" : findings == FINDINGS_ACTIONABLE ? "actionable" : "none";
}

static json_t *terms_json(const struct consent_value *c) {
    json_t *terms = json_array();
    struct reader r = reader_of(c->research, c->research_size);
    while (r.left >= 4) {
        char text[DUO_TEXT];
        duo_text(read_u32(&r), text);
        json_array_append_new(terms, json_string(text));
    }
    return terms;
}

/* Those of one kind; NULL: none. */
static json_t *only_json(const struct consent_value *c, char kind) {
    const char *at = NULL;
    size_t n = 0;
    json_t *list = json_array();
    while (list_next(c->only, &at, &n))
        if (at[0] == kind)
            json_array_append_new(list, json_stringn(at + 2, n - 2));
    if (json_array_size(list) > 0)
        return list;
    json_decref(list);
    return NULL;
}

static json_t *permits_json(const struct consent_value *c) {
    return json_pack("{s:b, s:o, s:o*, s:o*, s:o*, s:o*, s:o*, s:o*}", "treatment", c->treatment != 0, "research",
                     terms_json(c), "diseases", c->diseases[0] == '\0' ? NULL : json_list(c->diseases), "countries",
                     only_json(c, 'c'), "organisations", only_json(c, 'o'), "projects", only_json(c, 'p'), "services",
                     only_json(c, 's'), "research_until", c->research_until == 0 ? NULL : json_day(c->research_until));
}

static json_t *consent_json(const struct consent_value *c, uint32_t in_force) {
    const char *state = c->version != in_force ? "superseded" : c->withdrawn != 0 ? "withdrawn" : "in force";
    return json_pack("{s:i, s:o, s:s, s:s, s:s, s:s, s:s?, s:o, s:s, s:b, s:o, s:o}", "version", (int)c->version,
                     "recorded", json_time(c->recorded), "state", state, "subject", c->subject, "signed", c->signed_on,
                     "form", c->form, "evidence", c->evidence[0] == '\0' ? NULL : c->evidence, "permits",
                     permits_json(c), "findings", findings_name(c->findings), "recontact", c->recontact != 0, "expires",
                     json_day(c->expires), "custody_until", json_day(c->custody_until));
}

/* Stores the next version and makes it the one in force. */
static int put_version(struct monitor *m, struct subject_value *s, struct consent_value *c) {
    c->version = s->consent = s->consent + 1;
    c->recorded = monitor_time(m);
    int result = consent_store(m, c);
    return result == VAULT_OK ? subject_store(m, s) : result;
}

/* The new version counts at once: what it no longer permits ends before the answer goes out. */
static int take_effect(struct request *q, struct subject_value *s, struct consent_value *c, const char *event,
                       const char *cause, const char *detail) {
    struct monitor *m = q->monitor;
    unsigned ended = 0;
    struct grant_filter filter = {.subject = c->subject, .cause = cause, .asked_by = q->worker->number};
    int result = grants_decide_again(m, &filter, &ended);
    c->record = m->tree.size;
    if (result == VAULT_OK)
        result = consent_store(m, c);
    if (result == VAULT_OK)
        result = subject_make_current(m, s);
    if (result != VAULT_OK)
        return result;
    json_t *answer =
        json_pack("{s:s, s:i, s:i}", "subject", c->subject, "version", (int)c->version, "ended", (int)ended);
    return administer(q, event, c->subject, 'U', detail, 200, answer);
}

static void bring_to_today(struct monitor *m, struct consent_value *c) {
    char today[11];
    day_text(monitor_time(m), today);
    if (strcmp(today, c->since) > 0)
        copy_string(c->since, sizeof(c->since), today);
}

/* Paper from before the last that the patient said takes away at the most: else a form that turns up late would undo a
 * withdrawal. Fills the new version's `since`. */
static int check_date(struct monitor *m, const struct subject_value *s, const struct consent *document, char since[11],
                      char *problem, size_t size) {
    static struct consent_value value;
    struct consent before;
    const char *field = NULL;
    copy_string(since, 11, document->signed_on);
    int result = s->consent == 0 ? VAULT_NOT_FOUND : find_consent(m, s->subject, s->consent, &value);
    if (result == VAULT_E_DAMAGED) { /* what it said is lost: only what is signed now brings anything back */
        value = (struct consent_value){0};
        bring_to_today(m, &value);
        result = VAULT_OK;
    }
    if (result != VAULT_OK)
        return result == VAULT_NOT_FOUND ? VAULT_OK : result;
    CONSENT_COPY(&before, &value);
    bool older = strcmp(document->signed_on, value.since) < 0;
    if (older)
        copy_string(since, 11, value.since);
    if (!older || !consent_widens(&before, document, &field))
        return VAULT_OK;
    return format_string(problem, size, "It was signed on %s, before what is in force (%s), and permits more: %s.",
                         document->signed_on, value.since, field)
               ? VAULT_DENIED
               : VAULT_E_STATE;
}

/* It would make all paper of until then old. Somewhere it is tomorrow already. */
static bool is_of_the_future(struct monitor *m, const char *day) {
    const uint64_t one_day = 86400000000;
    char tomorrow[11];
    day_text(monitor_time(m) + one_day, tomorrow);
    return strcmp(day, tomorrow) > 0;
}

/* Whether the document may be the next version; if not, that is answered. */
static int admit(struct request *q, const struct subject_value *s, const struct consent *document, char since[11],
                 bool *ret_admitted) {
    char problem[200];
    *ret_admitted = false;
    if (s->shredded != 0)
        return refuse(q, "consent.set", s->subject, 409, "shredded", "The subject was shredded.");
    if (is_of_the_future(q->monitor, document->signed_on)) {
        (void)format_string(problem, sizeof(problem), "It was signed on %s, which is yet to come.",
                            document->signed_on);
        return refuse(q, "consent.set", s->subject, 400, "consent-future", problem);
    }
    int result = check_date(q->monitor, s, document, since, problem, sizeof(problem));
    if (result == VAULT_DENIED)
        return refuse(q, "consent.set", s->subject, 409, "consent-older", problem);
    *ret_admitted = result == VAULT_OK;
    return result;
}

static int put_document(struct request *q, struct subject_value *s, const struct consent *document,
                        const char since[11]) {
    static struct consent_value value;
    char detail[200];
    value = (struct consent_value){0};
    CONSENT_COPY(&value, document);
    copy_string(value.since, sizeof(value.since), since);
    int result = put_version(q->monitor, s, &value);
    if (!format_string(detail, sizeof(detail), "version %u, signed %s, form %s", value.version, value.signed_on,
                       value.form))
        detail[0] = '\0';
    return result == VAULT_OK ? take_effect(q, s, &value, "consent.set", "the consent was changed", detail) : result;
}

int answer_consent_set(struct request *q) {
    static struct subject_value s;
    struct consent document;
    char text[200];
    char since[11];
    const char *field = "consent";
    bool admitted = false;
    const struct msg_consent_set *c = &q->message->consent_set;
    struct reader r = reader_of(c->consent, c->consent_size);
    if (layout_decode(&layout_consent, &r, &document) != VAULT_OK || consent_check(&document, &field) != VAULT_OK) {
        (void)format_string(text, sizeof(text), "The consent's field '%s' is malformed.", field);
        return refuse(q, "consent.set", NULL, 400, "malformed", text);
    }
    int result = find_subject(q->monitor, document.subject, &s);
    if (result == VAULT_NOT_FOUND)
        return refuse(q, "consent.set", NULL, 404, "no-such-subject", "There is no such subject.");
    if (result == VAULT_OK)
        result = admit(q, &s, &document, since, &admitted);
    return admitted ? put_document(q, &s, &document, since) : result;
}

/* What a withdrawal takes from: the consent in force, or, where none was ever given, one that permits nothing, so that
 * paper from before does not widen it. */
static int find_to_withdraw(struct monitor *m, const struct subject_value *s, struct consent_value *ret) {
    if (s->consent != 0)
        return find_consent(m, s->subject, s->consent, ret);
    *ret = (struct consent_value){.form = "none"};
    copy_string(ret->subject, sizeof(ret->subject), s->subject);
    day_text(monitor_time(m), ret->signed_on);
    return VAULT_OK;
}

int answer_consent_withdraw(struct request *q) {
    static struct consent_value value;
    static struct subject_value s;
    const struct msg_consent_withdraw *w = &q->message->consent_withdraw;
    int result = find_subject(q->monitor, w->subject, &s);
    if (result == VAULT_NOT_FOUND)
        return refuse(q, "consent.withdraw", NULL, 404, "no-such-subject", "There is no such subject.");
    if (result == VAULT_OK && s.consent == 0 && w->purpose != PURPOSE_NONE) /* what else they want is not known */
        return refuse(q, "consent.withdraw", w->subject, 404, "no-consent",
                      "No consent was given: withdraw everything, or have the opt-out from research set.");
    if (result == VAULT_OK && s.shredded != 0 && s.consent == 0)
        return refuse(q, "consent.withdraw", w->subject, 409, "shredded", "The subject was shredded.");
    if (result == VAULT_OK)
        result = find_to_withdraw(q->monitor, &s, &value);
    if (result != VAULT_OK)
        return result;
    if (w->purpose > PURPOSE_RESEARCH)
        return refuse(q, "consent.withdraw", w->subject, 400, "malformed", "There is no such purpose.");
    if (w->purpose != PURPOSE_RESEARCH) {
        value.treatment = 0;
        value.withdrawn |= WITHDRAWN_TREATMENT;
    }
    if (w->purpose != PURPOSE_TREATMENT) {
        value.research_size = 0;
        value.diseases[0] = value.only[0] = '\0';
        value.research_until = 0;
        value.withdrawn |= WITHDRAWN_RESEARCH;
    }
    bring_to_today(q->monitor, &value);
    result = put_version(q->monitor, &s, &value);
    const char *what = w->purpose == PURPOSE_NONE ? "everything" : purpose_name(w->purpose);
    return result == VAULT_OK ? take_effect(q, &s, &value, "consent.withdraw", "the consent was withdrawn", what)
                              : result;
}

/* The newest versions first, as many as one answer holds. */
static int history(struct monitor *m, const struct subject_value *s, bool all, json_t *consents) {
    static struct consent_value value;
    size_t bytes = 0;
    for (uint32_t v = s->consent; v > 0 && (all || v == s->consent); v--) {
        int result = find_consent(m, s->subject, v, &value);
        if (result != VAULT_OK)
            return result;
        if (!json_append_fitting(consents, &bytes, consent_json(&value, s->consent)))
            break;
    }
    return VAULT_OK;
}

int answer_consent_show(struct request *q) {
    static struct subject_value s;
    const struct msg_consent_show *c = &q->message->consent_show;
    int result = find_subject(q->monitor, c->subject, &s);
    if (result == VAULT_NOT_FOUND)
        return refuse(q, "consent.show", NULL, 404, "no-such-subject", "There is no such subject.");
    if (result != VAULT_OK)
        return result;
    json_t *consents = json_array();
    result = history(q->monitor, &s, c->history != 0, consents);
    if (result != VAULT_OK) {
        json_decref(consents);
        return result;
    }
    json_t *answer =
        json_pack("{s:s, s:o, s:o}", "subject", s.subject, "current",
                  s.consent == 0 ? json_null() : json_integer((json_int_t)s.consent), "consents", consents);
    return administer(q, "consent.show", s.subject, 'R', NULL, 200, answer);
}
