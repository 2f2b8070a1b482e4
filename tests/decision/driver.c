/* Asks the decision function what tests/decision/world.py wants to know. Standard input, integers little-endian, STR a
 * u16 length and bytes:
 *   u32 size, the table of diseases as text (size 0: none)
 *   nine lists, each u32 count and its entries, which later ones and the questions name by their place:
 *     purposes    u8 kind, STR project, STR approval, STR disease, u32 uses, u8 emergency
 *     services    u8 known, STR name, STR organisation, STR country, u8 not for profit, u32 roles, u32 purposes
 *     consents    u8 treatment, u8 findings, u8 recontact, u64 expires, u64 custody until, STR only,
 *                 u64 research until, u32 count, u32 each term, STR diseases
 *     subjects    u8 known, u8 opted out, u8 in care, u32 consent (NOTHING: none)
 *     files       u8 known, STR dataset, STR tags
 *     projects    u8 known, u8 open, u8 member
 *     approvals   u8 known, u8 revoked, u8 for project, u8 for dataset, u8 for purpose, u8 non-commercial,
 *                 u64 valid from, u64 valid until
 *     policies    u32 size, the binary form of docs/format-documents.md
 *     uses        u64 bytes, files, subjects, of each period from day to ever, of the project and then of the service
 *   to the end, questions: u64 time, u64 day of the register of opt-outs, u32 action, u32 purpose, service, subject,
 *     file, project, approval, policy (NOTHING: none), use, u32 1 if the table of diseases is there
 * For each question a line: the verdict (D, P, ?, or B: denied by budgets alone), '|', the reasons, '|', the
 * obligations, '|', what a service is told. Members are divided by spaces. A reason is its rule, ':', '-' if it stands
 * against and '+' if not, and 's' or 'p' for the service or the patient that it concerns. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vault/decision.h"
#include "vault/result.h"
#include "vault/diseases.h"

enum { NOTHING = UINT32_MAX, LINE_SIZE = 16384 };

struct list {
    void *entries;
    size_t count;
};

static struct {
    uint8_t *input;
    struct list purposes, services, consents, subjects, files, projects, approvals, policies, uses;
    struct diseases *diseases;
} world;

static void must(bool good, const char *what) {
    if (good)
        return;
    fprintf(stderr, "decision_driver: %s\n", what);
    exit(1);
}

static uint8_t *read_all(size_t *ret_size) {
    size_t room = 1 << 20;
    uint8_t *bytes = malloc(room);
    ssize_t n;
    *ret_size = 0;
    must(bytes != NULL, "no memory");
    while ((n = read(STDIN_FILENO, bytes + *ret_size, room - *ret_size)) > 0) {
        *ret_size += (size_t)n;
        if (*ret_size < room)
            continue;
        bytes = realloc(bytes, room *= 2);
        must(bytes != NULL, "no memory");
    }
    must(n == 0, "cannot read");
    return bytes;
}

static void read_string(struct reader *r, char *to, size_t size) {
    size_t n = read_u16(r);
    must(n < size, "a string is too long");
    read_bytes(r, to, n);
    to[n] = '\0';
}

/* Makes room for the entries of a list. Parts of a question are kept in a question of their own. */
static void *list_begin(struct list *list, struct reader *r, size_t entry) {
    list->count = read_u32(r);
    must(!r->bad && list->count <= r->left, "a list is longer than the input");
    list->entries = calloc(list->count + 1, entry);
    must(list->entries != NULL, "no memory");
    return list->entries;
}

static size_t place(const struct list *list, uint32_t number) {
    must(number < list->count, "a number is not in its list");
    return number;
}

static void read_diseases(struct reader *r) {
    uint32_t size = read_u32(r);
    const uint8_t *text = read_view(r, size);
    must(!r->bad, "the diseases are cut off");
    char problem[DISEASES_PROBLEM];
    if (size > 0)
        must(diseases_read(&world.diseases, (const char *)text, size, problem) == VAULT_OK, "a fault in the diseases");
}

static void read_purposes(struct reader *r) {
    struct purpose *p = list_begin(&world.purposes, r, sizeof(*p));
    for (size_t i = 0; i < world.purposes.count; i++, p++) {
        p->purpose = read_u8(r);
        read_string(r, p->project, sizeof(p->project));
        read_string(r, p->approval, sizeof(p->approval));
        read_string(r, p->disease, sizeof(p->disease));
        p->uses = read_u32(r);
        copy_string(p->emergency, sizeof(p->emergency), read_u8(r) != 0 ? "stated" : "");
    }
}

struct service {
    bool known, not_for_profit;
    char name[NAME_MAX_SIZE + 1], organisation[NAME_MAX_SIZE + 1], country[3];
    uint32_t roles, purposes;
};

static void read_services(struct reader *r) {
    struct service *s = list_begin(&world.services, r, sizeof(*s));
    for (size_t i = 0; i < world.services.count; i++, s++) {
        s->known = read_u8(r) != 0;
        read_string(r, s->name, sizeof(s->name));
        read_string(r, s->organisation, sizeof(s->organisation));
        read_string(r, s->country, sizeof(s->country));
        s->not_for_profit = read_u8(r) != 0;
        s->roles = read_u32(r);
        s->purposes = read_u32(r);
    }
}

static void read_terms(struct reader *r, struct consent *c) {
    uint32_t terms = read_u32(r);
    must(terms <= CONSENT_TERMS, "a consent has too many terms");
    c->research_size = terms * 4;
    read_bytes(r, c->research, c->research_size);
}

static void read_consents(struct reader *r) {
    struct consent *c = list_begin(&world.consents, r, sizeof(*c));
    for (size_t i = 0; i < world.consents.count; i++, c++) {
        c->treatment = read_u8(r);
        c->findings = read_u8(r);
        c->recontact = read_u8(r);
        c->expires = read_u64(r);
        c->custody_until = read_u64(r);
        read_string(r, c->only, sizeof(c->only));
        c->research_until = read_u64(r);
        read_terms(r, c);
        read_string(r, c->diseases, sizeof(c->diseases));
    }
}

static void read_subjects(struct reader *r) {
    struct question *q = list_begin(&world.subjects, r, sizeof(*q));
    for (size_t i = 0; i < world.subjects.count; i++, q++) {
        q->subject.known = read_u8(r) != 0;
        q->subject.opted_out = read_u8(r) != 0;
        q->subject.in_care = read_u8(r) != 0;
        uint32_t consent = read_u32(r);
        if (consent != NOTHING)
            q->subject.consent = (const struct consent *)world.consents.entries + place(&world.consents, consent);
    }
}

struct file {
    bool known;
    char dataset[NAME_MAX_SIZE + 1], tags[1024];
};

static void read_files(struct reader *r) {
    struct file *f = list_begin(&world.files, r, sizeof(*f));
    for (size_t i = 0; i < world.files.count; i++, f++) {
        f->known = read_u8(r) != 0;
        read_string(r, f->dataset, sizeof(f->dataset));
        read_string(r, f->tags, sizeof(f->tags));
    }
}

static void read_projects(struct reader *r) {
    struct question *q = list_begin(&world.projects, r, sizeof(*q));
    for (size_t i = 0; i < world.projects.count; i++, q++) {
        q->project.known = read_u8(r) != 0;
        q->project.open = read_u8(r) != 0;
        q->project.member = read_u8(r) != 0;
    }
}

static void read_approvals(struct reader *r) {
    struct question *q = list_begin(&world.approvals, r, sizeof(*q));
    for (size_t i = 0; i < world.approvals.count; i++, q++) {
        q->approval.known = read_u8(r) != 0;
        q->approval.revoked = read_u8(r) != 0;
        q->approval.for_project = read_u8(r) != 0;
        q->approval.for_dataset = read_u8(r) != 0;
        q->approval.for_purpose = read_u8(r) != 0;
        q->approval.non_commercial = read_u8(r) != 0;
        q->approval.valid_from = read_u64(r);
        q->approval.valid_until = read_u64(r);
    }
}

static void read_policies(struct reader *r) {
    struct policy *p = list_begin(&world.policies, r, sizeof(*p));
    for (size_t i = 0; i < world.policies.count; i++, p++) {
        uint32_t size = read_u32(r);
        const uint8_t *bytes = read_view(r, size);
        must(bytes != NULL && policy_decode(p, bytes, size) == VAULT_OK, "a policy is not accepted");
    }
}

static void read_use(struct reader *r, struct use *u) {
    u->bytes = read_u64(r);
    u->files = read_u64(r);
    u->subjects = read_u64(r);
}

static void read_uses(struct reader *r) {
    struct question *q = list_begin(&world.uses, r, sizeof(*q));
    for (size_t i = 0; i < world.uses.count; i++, q++)
        for (size_t per = 0; per < PER_COUNT; per++)
            for (size_t period = 0; period < PERIOD_COUNT; period++)
                read_use(r, &q->use[per][period]);
}

static const struct question *part(const struct list *list, struct reader *r) {
    return (const struct question *)list->entries + place(list, read_u32(r));
}

static void take_service(struct reader *r, struct question *q) {
    const struct service *s = (const struct service *)world.services.entries + place(&world.services, read_u32(r));
    q->service.known = s->known;
    q->service.name = s->name;
    q->service.organisation = s->organisation;
    q->service.country = s->country[0] != '\0' ? s->country : NULL; /* both "" and NULL are not known */
    q->service.not_for_profit = s->not_for_profit;
    q->service.roles = s->roles;
    q->service.purposes = s->purposes;
}

static void take_file(struct reader *r, struct question *q) {
    const struct file *f = (const struct file *)world.files.entries + place(&world.files, read_u32(r));
    q->file.known = f->known;
    q->file.dataset = f->dataset;
    q->file.tags = f->tags;
}

static struct question read_question(struct reader *r) {
    struct question q = {.time = read_u64(r)};
    q.opt_outs_of = read_u64(r);
    q.action = (enum action)read_u32(r);
    q.purpose = (const struct purpose *)world.purposes.entries + place(&world.purposes, read_u32(r));
    take_service(r, &q);
    q.subject = part(&world.subjects, r)->subject;
    take_file(r, &q);
    q.project = part(&world.projects, r)->project;
    q.approval = part(&world.approvals, r)->approval;
    uint32_t policy = read_u32(r);
    if (policy != NOTHING)
        q.policy = (const struct policy *)world.policies.entries + place(&world.policies, policy);
    COPY_ARRAY(q.use, part(&world.uses, r)->use);
    q.diseases = read_u32(r) != 0 ? world.diseases : NULL;
    return q;
}

static void add(struct writer *w, const char *text) {
    write_bytes(w, text, strlen(text));
}

static void add_reason(struct writer *w, const struct reason *r) {
    add(w, r->rule);
    add(w, r->against ? ":-" : ":+");
    add(w, r->concern == CONCERN_SELF ? "s " : "p ");
}

static const char *verdict_of(const struct decision *d) {
    must(!d->over_budget || d->verdict == VERDICT_DENY, "over budget, but not denied");
    if (d->over_budget)
        return "B|";
    return d->verdict == VERDICT_PERMIT ? "P|" : d->verdict == VERDICT_DENY ? "D|" : "?|";
}

static void print(const struct decision *d) {
    static uint8_t line[LINE_SIZE];
    const struct reason *told[REASONS_MAX];
    struct writer w = writer_of(line, sizeof(line));
    size_t count = decision_told(d, told);
    add(&w, verdict_of(d));
    for (size_t i = 0; i < d->reason_count; i++)
        add_reason(&w, &d->reasons[i]);
    add(&w, "|");
    for (size_t i = 0; i < d->obligation_count; i++) {
        add(&w, d->obligations[i]);
        add(&w, " ");
    }
    add(&w, "|");
    for (size_t i = 0; i < count; i++)
        add_reason(&w, told[i]);
    add(&w, "\n");
    must(!w.bad && fwrite(line, 1, w.used, stdout) == w.used, "cannot write");
}

/* What is permitted of this file is not out of the question for any. */
static void check_any_file(const struct question *q, const struct decision *d) {
    struct decision any;
    bool shows = q->action == ACTION_READ || q->action == ACTION_LIST || q->action == ACTION_METADATA;
    if (!shows || d->verdict != VERDICT_PERMIT)
        return;
    decide_any_file(q, &any);
    must(any.verdict == VERDICT_PERMIT, "a permitted file is one that no file of the subject could be");
}

/* What a budget tells people is its own text. */
static void check_texts(const struct question *q, const struct decision *d) {
    for (size_t i = 0; q->policy != NULL && i < q->policy->budget_count; i++)
        for (size_t k = 0; k < d->reason_count; k++)
            if (strcmp(d->reasons[k].rule, q->policy->budgets[i].id) == 0)
                must(strcmp(d->reasons[k].text, q->policy->budgets[i].text) == 0, "a budget has another's text");
}

static void answer(struct reader *r) {
    struct decision d;
    while (r->left > 0) {
        struct question q = read_question(r);
        must(!r->bad, "a question is cut off");
        decide(&q, &d);
        check_any_file(&q, &d);
        check_texts(&q, &d);
        print(&d);
    }
}

int main(int argc, char **argv) {
    size_t size;
    (void)argv;
    must(argc == 1, "usage: decision_driver");
    world.input = read_all(&size);
    struct reader r = reader_of(world.input, size);
    read_diseases(&r);
    read_purposes(&r);
    read_services(&r);
    read_consents(&r);
    read_subjects(&r);
    read_files(&r);
    read_projects(&r);
    read_approvals(&r);
    read_policies(&r);
    read_uses(&r);
    must(!r.bad, "the lists are cut off");
    answer(&r);
    must(fflush(stdout) == 0, "cannot write");
    return 0; /* what the lists hold goes with the process */
}
