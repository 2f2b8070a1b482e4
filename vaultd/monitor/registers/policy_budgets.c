/* What another policy makes of the budgets, in words: no decision of the past tells of one that was never spent. */
#include <string.h>

#include "policy_replay.h"

static const struct policy_budget *named(const struct policy *p, const char *id) {
    for (size_t i = 0; p != NULL && i < p->budget_count; i++)
        if (strcmp(p->budgets[i].id, id) == 0)
            return &p->budgets[i];
    return NULL;
}

/* "; budgets: " or ", ", and the text; the last one that does not fit is "and others". */
struct saying {
    struct writer w;
    size_t room;
    unsigned count;
    bool full;
};

static void say(struct saying *s, const char *text) {
    static const char rest[] = " and others";
    const char *before = s->count++ == 0 ? "; budgets: " : ", ";
    if (s->full)
        return;
    s->full = s->w.used + strlen(before) + strlen(text) + sizeof(rest) > s->room;
    const char *said = s->full ? rest : text;
    if (!s->full)
        write_bytes(&s->w, before, strlen(before));
    write_bytes(&s->w, said, strlen(said));
}

static const char *bound_text(uint64_t most, char to[32]) {
    if (most == 0)
        return "any";
    (void)format_string(to, 32, "%llu", (unsigned long long)most);
    return to;
}

static void say_bound(struct saying *s, const char *id, const char *what, uint64_t then, uint64_t now) {
    char text[160], before[32], after[32];
    if (then != now &&
        format_string(text, sizeof(text), "%s %s %s to %s", id, what, bound_text(then, before), bound_text(now, after)))
        say(s, text);
}

static void say_other(struct saying *s, const char *id, const char *what) {
    char text[160];
    if (format_string(text, sizeof(text), "%s %s", id, what))
        say(s, text);
}

static void say_changed(struct saying *s, const struct policy_budget *then, const struct policy_budget *now) {
    if (then->purpose != now->purpose || then->per != now->per || then->period != now->period)
        say_other(s, now->id, "counts something else");
    if (strcmp(then->names, now->names) != 0)
        say_other(s, now->id, "has other names");
    say_bound(s, now->id, "bytes", then->bytes, now->bytes);
    say_bound(s, now->id, "files", then->files, now->files);
    say_bound(s, now->id, "subjects", then->subjects, now->subjects);
}

bool budget_changes(const struct policy *then, const struct policy *now, char *to, size_t size) {
    struct saying s = {.w = writer_of(to, size - 1), .room = size - 1};
    for (size_t i = 0; then != NULL && i < then->budget_count; i++)
        if (named(now, then->budgets[i].id) == NULL)
            say_other(&s, then->budgets[i].id, "goes");
    for (size_t i = 0; i < now->budget_count; i++) {
        const struct policy_budget *before = named(then, now->budgets[i].id);
        if (before == NULL)
            say_other(&s, now->budgets[i].id, "comes");
        else
            say_changed(&s, before, &now->budgets[i]);
    }
    to[s.w.used] = '\0';
    return !s.w.bad;
}
