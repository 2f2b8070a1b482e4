/* Lists of files: all, or those of one subject or dataset, as far as this caller may see them for this purpose. */
#include <string.h>

#include "listing.h"
#include "vaultd/monitor/registers/standings.h"
#include "vault/result.h"

enum {
    LIST_PAGE = 100,
    LOOKED_MOST = 2 * LIST_PAGE, /* files of a page that are decided one by one */
    WORTH_MS = 1,                /* of passing over subjects, though somebody else waits */
    PAGE_MS = 100                /* while nobody does */
};

/* ---- where the list walks ---- */

/* The file's id is the end of each key. For a purpose, all files are walked subject after subject, so that who refuses
 * it is passed over at once; else in the order of their ids, and so are those of a dataset, and of one subject: such a
 * list goes on where it was though its entries have moved to another hash meanwhile (names.c). */
struct walk {
    enum index_db db;
    bool by_subject;
    uint8_t prefixes[2][HASH_SIZE];
    unsigned count;     /* of the prefixes, under which the entries are */
    size_t prefix_size; /* 0: all entries of the database */
    size_t head;        /* bytes of a key before the id */
};

/* While subjects move to another hash, walking by them would lose some, or show them twice. */
static bool walks_by_subject(const struct monitor *m, const struct purpose *p, const struct cursor *at) {
    if (at->size != 0)
        return at->size == HASH_SIZE + ID_SIZE; /* as it was begun */
    return p->purpose != PURPOSE_NONE && keyring_next_name_key(m->keyring) == NULL;
}

static struct walk walk_of(struct monitor *m, const struct msg_file_list *l, const struct purpose *p,
                           const struct cursor *at) {
    struct walk w = {.db = DB_FILES, .count = 1};
    if (l->subject[0] != '\0') {
        w.db = DB_SUBJECT_FILES;
        name_hash(m, NAME_SUBJECT, l->subject, NULL, w.prefixes[0]);
    } else if (l->dataset[0] != '\0') {
        w.db = DB_DATASET_FILES;
        w.count = dataset_hashes(m, l->dataset, w.prefixes);
    } else if (walks_by_subject(m, p, at)) {
        w.db = DB_SUBJECT_FILES;
        w.by_subject = true;
    }
    w.head = w.db == DB_FILES ? 0 : HASH_SIZE;
    w.prefix_size = w.by_subject ? 0 : w.head;
    return w;
}

/* The next entry after the file that `at` names, with this prefix. */
static int step_under(struct monitor *m, const struct walk *w, unsigned prefix, const struct cursor *at,
                      struct cursor *ret) {
    struct cursor from = *at;
    if (at->size != 0)
        copy_bytes(from.key, sizeof(from.key), w->prefixes[prefix], w->prefix_size);
    return cursor_step(m, w->db, w->prefixes[prefix], w->prefix_size, &from, ret);
}

/* The first of those that come next under each prefix. */
static int walk_step(struct monitor *m, const struct walk *w, const struct cursor *at, struct cursor *ret_next) {
    struct cursor other;
    int result = step_under(m, w, 0, at, ret_next);
    if (result != VAULT_OK || w->count == 1)
        return result;
    result = step_under(m, w, 1, at, &other);
    bool first = ret_next->ended || (!other.ended && memcmp(other.key + w->head, ret_next->key + w->head, ID_SIZE) < 0);
    if (result == VAULT_OK && first)
        *ret_next = other;
    return result;
}

/* Behind all files of the subject whose entry it is. */
static void pass_subject(struct cursor *at) {
    memset(at->key + HASH_SIZE, 0xff, ID_SIZE);
}

/* The file that this entry of the walk names. A list of a subject or dataset vouches for its files, and its marks for
 * it. */
static int listed_file(struct monitor *m, const struct walk *w, const struct cursor *at, struct file_value *ret) {
    struct mark_value mark;
    if (at->size != w->head + ID_SIZE)
        return VAULT_E_DAMAGED;
    int result =
        w->db == DB_FILES ? VAULT_OK : index_get_record(m->index, w->db, at->key, at->size, &layout_mark_value, &mark);
    if (result == VAULT_OK)
        result = index_get_record(m->index, DB_FILES, at->key + w->head, ID_SIZE, &layout_file_value, ret);
    return result == VAULT_NOT_FOUND ? VAULT_E_DAMAGED : result;
}

/* ---- what may be seen ---- */

/* A list under way. */
struct sight {
    struct request *q;
    const struct purpose *purpose;
    struct inquiry about;       /* what the list as a whole was decided by: one subject's, or of nobody yet */
    struct consent consent;     /* of the subject that the walk is at */
    uint8_t subject[HASH_SIZE]; /* which that is */
    bool met, refused;          /* there is one; it is to be passed over */
    uint64_t begun;             /* loop_now_ms */
    unsigned passed;
    uint8_t shown[ID_SIZE]; /* the last file of the page */
};

static int look(struct sight *s, const uint8_t *file, const char *subject, struct inquiry *ret) {
    struct inquiry_wanted wanted = {.asker = &s->q->asker,
                                    .action = ACTION_LIST,
                                    .purpose = s->purpose,
                                    .file = file,
                                    .subject = subject,
                                    .subject_only = file == NULL};
    return inquire(s->q->monitor, &wanted, ret);
}

static bool sees_all(const struct sight *s) {
    return is_administrator(&s->q->asker) && s->purpose->purpose == PURPOSE_NONE;
}

/* Whether the file belongs into this list, for this caller. */
static int is_wanted(struct sight *s, const struct file_value *f, bool *ret) {
    static struct inquiry i;
    const struct msg_file_list *l = &s->q->message->file_list;
    *ret = l->dataset[0] == '\0' || strcmp(f->dataset, l->dataset) == 0;
    if (!*ret || sees_all(s))
        return VAULT_OK;
    int result = look(s, f->file, NULL, &i);
    *ret = result == VAULT_OK && i.decision.verdict == VERDICT_PERMIT;
    return result;
}

/* Whether the subject's side stands against all of its files. What depends on a file's dataset or tags is left to each
 * file, and in an emergency all is: which files glass may be broken for depends on those, too. */
static bool is_closed(const struct sight *s, const struct decision *d) {
    bool closed = false;
    for (size_t n = 0; s->purpose->emergency[0] == '\0' && n < d->reason_count; n++) {
        const struct reason *r = &d->reasons[n];
        closed |= r->against && r->concern == CONCERN_PATIENT && strcmp(r->rule, "approval-other-dataset") != 0 &&
                  strcmp(r->rule, "no-permit") != 0;
    }
    return closed;
}

/* Whether the service's own side stands against any file of anybody. */
static bool is_hopeless(const struct decision *d) {
    bool hopeless = false;
    for (size_t n = 0; n < d->reason_count; n++)
        hopeless |= d->reasons[n].against && d->reasons[n].concern == CONCERN_SELF;
    return hopeless;
}

/* By what is in memory of the subject whose entry this is; once for all of its files. */
static bool is_passed_over(struct sight *s, const struct walk *w, const struct cursor *at) {
    struct question *q = &s->about.question;
    if (!w->by_subject || at->size != HASH_SIZE + ID_SIZE)
        return false;
    if (s->met && memcmp(s->subject, at->key, HASH_SIZE) == 0)
        return s->refused;
    s->met = true;
    copy_bytes(s->subject, sizeof(s->subject), at->key, HASH_SIZE);
    s->refused = false;
    if (standings_ask(s->q->monitor, s->subject, q, &s->consent)) {
        decide(q, &s->about.decision);
        s->refused = is_closed(s, &s->about.decision);
    }
    return s->refused;
}

/* The list of a subject who refuses ends at once, as that of one who does not exist, however many files there are to
 * pass over; and so does any list for which nothing can be permitted. */
static int begin(struct sight *s, const struct walk *w, struct cursor *at) {
    const char *subject = s->q->message->file_list.subject;
    bool one = w->db == DB_SUBJECT_FILES && !w->by_subject;
    if (s->purpose->purpose == PURPOSE_NONE || (!one && !w->by_subject))
        return VAULT_OK;
    int result = look(s, NULL, subject, &s->about);
    at->ended = result == VAULT_OK && (is_hopeless(&s->about.decision) || (one && is_closed(s, &s->about.decision)));
    return result;
}

/* ---- the page ---- */

static bool has_time(struct sight *s) {
    enum { UNLOOKED = 32 };
    if (++s->passed % UNLOOKED != 0)
        return true;
    uint64_t took = loop_now_ms() - s->begun;
    return took < WORTH_MS || (took < PAGE_MS && !loop_is_awaited(s->q->monitor->loop));
}

/* Adds the files of one page. Looks at no more than a bounded number of entries, counted in *ret_looked. */
static int list_page(struct sight *s, const struct walk *w, json_t *files, struct cursor *at, unsigned *ret_looked) {
    static struct file_value f;
    struct cursor next;
    size_t bytes = 0;
    *ret_looked = 0;
    while (*ret_looked < LOOKED_MOST && json_array_size(files) < LIST_PAGE && !at->ended && has_time(s)) {
        bool wanted = false;
        int result = walk_step(s->q->monitor, w, at, &next);
        bool passed = result == VAULT_OK && !next.ended && is_passed_over(s, w, &next);
        if (result == VAULT_OK && !next.ended && !passed)
            result = listed_file(s->q->monitor, w, &next, &f);
        if (result == VAULT_OK && !next.ended && !passed)
            result = is_wanted(s, &f, &wanted);
        if (result != VAULT_OK)
            return result;
        if (wanted && !json_append_fitting(files, &bytes, json_file(&f)))
            break;
        if (wanted)
            COPY_ARRAY(s->shown, f.file);
        if (passed)
            pass_subject(&next);
        *ret_looked += next.ended || passed ? 0 : 1;
        *at = next;
    }
    return VAULT_OK;
}

/* A list that was walked from its start to its end holds as many files as the subject has. */
static int list_is_whole(struct request *q, const struct walk *w, const struct cursor *at, unsigned looked) {
    static struct subject_value s;
    const struct msg_file_list *l = &q->message->file_list;
    if (w->db != DB_SUBJECT_FILES || w->by_subject || l->cursor[0] != '\0' || !at->ended)
        return VAULT_OK;
    int result = find_subject(q->monitor, l->subject, &s);
    if (result == VAULT_OK && s.files != looked)
        result = VAULT_E_DAMAGED;
    return result == VAULT_NOT_FOUND ? VAULT_OK : result;
}

/* A list that passes over what a patient said is of that patient, and says why: by what its last file was decided,
 * where there is one. Takes the answer. */
static int answer_emergency_list(struct sight *s, json_t *answer) {
    static struct inquiry shown;
    const struct inquiry *i = &s->about;
    struct request *q = s->q;
    char text[512];
    uint64_t seq = NO_SEQ;
    int result = VAULT_OK;
    if (!id_is_zero(s->shown)) {
        result = look(s, s->shown, NULL, &shown);
        i = &shown;
    }
    bool permitted = i->decision.verdict == VERDICT_PERMIT;
    struct event e = {.name = "list",
                      .outcome = permitted ? "done" : "denied",
                      .asker = &q->asker,
                      .subject = i->subject_known ? i->subject.subject : NULL,
                      .request = q->id,
                      .action = 'R',
                      .purpose = purpose_text(s->purpose, text, sizeof(text)) ? text : NULL,
                      .question = &i->question,
                      .decision = &i->decision,
                      .consent = i->has_consent ? i->consent.version : 0,
                      .state = REQUEST_ENDED};
    if (result == VAULT_OK)
        result = journal(q->monitor, &e, &seq);
    if (result == VAULT_OK)
        answer_json(q->monitor, q->worker, q->message, 200, seq, q->id, answer);
    else
        json_decref(answer);
    return result;
}

/* What of it is refused before anything is looked at: a rule and why, or NULL. */
static const char *problem_of(const struct request *q, const struct purpose *p, const char **ret_rule) {
    const struct msg_file_list *l = &q->message->file_list;
    *ret_rule = "malformed";
    if (purpose_check(p) != VAULT_OK)
        return "The purpose is malformed.";
    if (p->emergency[0] != '\0' && l->subject[0] == '\0')
        return "In an emergency the files of one patient are listed.";
    *ret_rule = "purpose-missing";
    return !is_administrator(&q->asker) && p->purpose == PURPOSE_NONE ? "No purpose was given." : NULL;
}

static int answer_page(struct sight *s, const struct walk *w, struct cursor *at) {
    struct request *q = s->q;
    unsigned looked = 0;
    int result = begin(s, w, at);
    bool closed = at->ended;
    json_t *files = json_array();
    if (result == VAULT_OK)
        result = list_page(s, w, files, at, &looked);
    if (result == VAULT_OK && !closed)
        result = list_is_whole(q, w, at, looked);
    if (result != VAULT_OK) {
        json_decref(files);
        return result;
    }
    json_t *answer = json_pack("{s:o, s:o}", "files", files, "next", cursor_json(q->monitor, at));
    return s->purpose->emergency[0] == '\0' ? administer(q, "list", NULL, 'R', NULL, 200, answer)
                                            : answer_emergency_list(s, answer);
}

int answer_file_list(struct request *q) {
    static struct sight s;
    const struct msg_file_list *l = &q->message->file_list;
    struct purpose p;
    struct cursor at;
    const char *rule = NULL;
    PURPOSE_OF(l, &p);
    const char *problem = problem_of(q, &p, &rule);
    if (problem != NULL)
        return refuse(q, "list", NULL, 400, rule, problem);
    bool read = cursor_parse(q->monitor, l->cursor, &at);
    struct walk w = walk_of(q->monitor, l, &p, &at);
    if (!read || (at.size != 0 && at.size != w.head + ID_SIZE))
        return refuse(q, "list", NULL, 400, "malformed", "The cursor is malformed.");
    uint64_t moves = w.by_subject ? names_moves(q->monitor, DB_SUBJECTS) : 0;
    if (at.size != 0 && at.moves != moves)
        return refuse(q, "list", NULL, 409, "list-moved", list_moved);
    at.moves = moves;
    s = (struct sight){.q = q, .purpose = &p, .begun = loop_now_ms()};
    return answer_page(&s, &w, &at);
}
