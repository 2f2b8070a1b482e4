/* Lists of files: all, or those of one subject or dataset, as far as this caller may see them for this purpose. */
#include <string.h>

#include "ask.h"
#include "listing.h"
#include "vaultd/monitor/answers.h"
#include "vaultd/monitor/lookup.h"
#include "vaultd/monitor/table.h"
#include "vault/result.h"

enum {
    LIST_PAGE = 100,
    LOOKED_MOST = 2 * LIST_PAGE, /* files of a page that are decided one by one */
    WORTH_MS = 1,                /* of passing over subjects, though somebody else waits */
    PAGE_MS = 100                /* while nobody does */
};

/* ---- where the list walks ---- */

/* The file's id is the end of each cursor. For a purpose, all files are walked patient after patient, so that who
 * refuses it is passed over at once; else in the order of their ids, and so are those of a dataset, and of one subject:
 * such a list goes on where it was though its entries have moved to another hash meanwhile (names.c). */
struct walk {
    enum index_db db;
    bool by_subject;
    uint8_t prefixes[2][HASH_SIZE];
    unsigned count;     /* of the prefixes, under which the entries are */
    size_t prefix_size; /* 0: all entries of the database */
};

enum { OF_SUBJECTS = HASH_SIZE + ID_SIZE };

/* While subjects move to another hash, walking by them would lose some, or show them twice. */
static bool walks_by_subject(const struct monitor *m, const struct purpose *p, const struct cursor *at) {
    bool begins = at->size == 0 && keyring_next_name_key(m->keyring) == NULL;
    return p->purpose != PURPOSE_NONE && (begins || at->size == OF_SUBJECTS);
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
    w.prefix_size = w.db == DB_FILES ? 0 : HASH_SIZE;
    return w;
}

/* Whether it was given out by a walk like this one; only by subjects it says where names had moved to. */
static bool is_cursor_of(const struct walk *w, const struct cursor *at) {
    return at->size == 0 || (at->size == w->prefix_size + ID_SIZE && w->by_subject == (at->moves != 0));
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
    size_t head = w->prefix_size;
    bool first = ret_next->ended || (!other.ended && memcmp(other.key + head, ret_next->key + head, ID_SIZE) < 0);
    if (result == VAULT_OK && first)
        *ret_next = other;
    return result;
}

/* The file that this entry of the walk names. A list of a subject or dataset vouches for its files, and its marks for
 * it. */
static int listed_file(struct monitor *m, const struct walk *w, const struct cursor *at, struct file_value *ret) {
    struct mark_value mark;
    if (at->size != w->prefix_size + ID_SIZE)
        return VAULT_E_DAMAGED;
    int result =
        w->db == DB_FILES ? VAULT_OK : index_get_record(m->index, w->db, at->key, at->size, &layout_mark_value, &mark);
    if (result == VAULT_OK)
        result = index_get_record(m->index, DB_FILES, at->key + w->prefix_size, ID_SIZE, &layout_file_value, ret);
    return result == VAULT_NOT_FOUND ? VAULT_E_DAMAGED : result;
}

/* ---- what may be seen ---- */

/* A list under way. */
struct sight {
    struct request *q;
    const struct purpose *purpose;
    struct inquiry about; /* of the one subject, or of nobody yet */
    struct standing at;   /* the subject that the walk is at */
    bool from_start;      /* the walk met that one's list at its start */
    uint64_t met;         /* files of it since */
    uint64_t begun;       /* loop_now_ms */
    unsigned steps;
    unsigned looked;        /* files that were looked at one by one */
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
    static struct subject_value subject;
    const struct msg_file_list *l = &s->q->message->file_list;
    *ret = l->dataset[0] == '\0' || strcmp(f->dataset, l->dataset) == 0;
    if (!*ret || sees_all(s))
        return VAULT_OK;
    int result = look(s, f->file, NULL, &i);
    *ret = result == VAULT_OK && i.decision.verdict == VERDICT_PERMIT;
    return *ret ? standings_vouch(s->q->monitor, i.subject.subject, &subject) : result;
}

/* Whether no file of the subject can be permitted, by what is in memory. */
static bool is_passed_over(struct sight *s, const uint8_t subject[HASH_SIZE]) {
    static struct decision d;
    struct question *q = &s->about.question;
    if (!standings_at(s->q->monitor, subject, &s->at))
        return false;
    standing_tell(&s->at, q);
    q->subject.in_care = s->at.care != 0; /* whoever may be is not passed over */
    decide_any_file(q, &d);
    return d.verdict != VERDICT_PERMIT;
}

/* The list of a subject who refuses ends at once, as that of one who does not exist, however many files there are to
 * pass over; and so does any list for a purpose where the service's own side stands against all of it. */
static int begin(struct sight *s, struct cursor *at) {
    static struct decision d;
    const struct reason *told[REASONS_MAX];
    const char *subject = s->q->message->file_list.subject;
    if (s->purpose->purpose == PURPOSE_NONE)
        return VAULT_OK;
    int result = look(s, NULL, subject, &s->about);
    if (result != VAULT_OK)
        return result;
    decide_any_file(&s->about.question, &d);
    at->ended = decision_told(&d, told) > 0 || (subject[0] != '\0' && d.verdict != VERDICT_PERMIT);
    return VAULT_OK;
}

/* ---- the page ---- */

static bool has_time(struct sight *s) {
    enum { UNLOOKED = 32 };
    if (++s->steps % UNLOOKED != 0)
        return true;
    uint64_t took = loop_now_ms() - s->begun;
    return took < WORTH_MS || (took < PAGE_MS && !loop_is_awaited(s->q->monitor->loop));
}

static bool has_room(const struct sight *s, const json_t *files, const struct cursor *at) {
    return s->looked < LOOKED_MOST && json_array_size(files) < LIST_PAGE && !at->ended;
}

/* Adds the file of this entry, if it belongs there. *ret_full: the page holds no more. */
static int take_file(struct sight *s, const struct walk *w, const struct cursor *entry, json_t *files, size_t *bytes,
                     bool *ret_full) {
    static struct file_value f;
    bool wanted = false;
    int result = listed_file(s->q->monitor, w, entry, &f);
    if (result == VAULT_OK)
        result = is_wanted(s, &f, &wanted);
    *ret_full = result == VAULT_OK && wanted && !json_append_fitting(files, bytes, json_file(&f));
    if (*ret_full && json_array_size(files) == 0)
        return VAULT_E_MEMORY; /* one file fits always; a page without any would be asked for again and again */
    if (result != VAULT_OK || *ret_full)
        return result;
    s->looked++;
    s->met++;
    if (wanted)
        COPY_ARRAY(s->shown, f.file);
    return VAULT_OK;
}

/* A list that was walked from its start to its end, on one page, holds as many files as the subject has. */
static int is_whole(struct sight *s, const struct walk *w) {
    static struct subject_value subject;
    int result = !s->from_start ? VAULT_NOT_FOUND
                                : index_get_record(s->q->monitor->index, DB_SUBJECTS, w->prefixes[0], HASH_SIZE,
                                                   &layout_subject_value, &subject);
    if (result == VAULT_OK && subject.files != s->met)
        return VAULT_E_DAMAGED;
    return result == VAULT_NOT_FOUND ? VAULT_OK : result;
}

/* The page's files of the walk's entries, as far as they go. */
static int list_entries(struct sight *s, const struct walk *w, json_t *files, size_t *bytes, struct cursor *at) {
    struct cursor next;
    bool full = false;
    while (!full && has_room(s, files, at)) {
        int result = walk_step(s->q->monitor, w, at, &next);
        if (result == VAULT_OK && !next.ended)
            result = take_file(s, w, &next, files, bytes, &full);
        if (result != VAULT_OK)
            return result;
        if (!full)
            *at = next;
    }
    return at->ended && w->db == DB_SUBJECT_FILES ? is_whole(s, w) : VAULT_OK;
}

/* The next subject after the one that `at` names, at the start of its files. */
static int next_subject(struct monitor *m, struct cursor *at) {
    struct cursor of = *at;
    of.size = at->size == 0 ? 0 : HASH_SIZE;
    int result = cursor_step(m, DB_SUBJECTS, NULL, 0, &of, at);
    if (result != VAULT_OK || at->ended)
        return result;
    if (at->size != HASH_SIZE)
        return VAULT_E_DAMAGED; /* none of ours: going on behind it would pass over others */
    memset(at->key + HASH_SIZE, 0, ID_SIZE);
    at->size = OF_SUBJECTS;
    return VAULT_OK;
}

/* Those of one subject after another. */
static int list_by_subject(struct sight *s, struct walk *w, json_t *files, size_t *bytes, struct cursor *at) {
    int result = VAULT_OK;
    bool within = at->size != 0; /* of a subject whom the page before has begun with */
    while (result == VAULT_OK && has_room(s, files, at) && has_time(s)) {
        s->met = 0;
        s->from_start = !within;
        if (!within)
            result = next_subject(s->q->monitor, at);
        within = false;
        if (result != VAULT_OK || at->ended || is_passed_over(s, at->key))
            continue;
        copy_bytes(w->prefixes[0], HASH_SIZE, at->key, HASH_SIZE);
        result = list_entries(s, w, files, bytes, at);
        if (!at->ended)
            break; /* the page is full within this subject */
        at->ended = false;
    }
    return result;
}

static int list_page(struct sight *s, struct walk *w, json_t *files, struct cursor *at) {
    size_t bytes = 0;
    s->from_start = at->size == 0;
    return w->by_subject ? list_by_subject(s, w, files, &bytes, at) : list_entries(s, w, files, &bytes, at);
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
                      .consent = i->subject.version,
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

static int answer_page(struct sight *s, struct walk *w, struct cursor *at) {
    struct request *q = s->q;
    json_t *files = json_array();
    int result = begin(s, at);
    if (result == VAULT_OK && !at->ended)
        result = list_page(s, w, files, at);
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
    if (!read || !is_cursor_of(&w, &at))
        return refuse(q, "list", NULL, 400, "malformed", "The cursor is malformed, or of another list.");
    uint64_t moves = w.by_subject ? names_moves(q->monitor, DB_SUBJECTS) : 0;
    if (at.size != 0 && at.moves != moves)
        return refuse(q, "list", NULL, 409, "list-moved", list_moved);
    at.moves = moves;
    s = (struct sight){.q = q, .purpose = &p, .begun = loop_now_ms()};
    return answer_page(&s, &w, &at);
}
