/* Charts of an export's page: bars in plain SVG, stretched to the width that there is; all text is beside them. */
#include <time.h>

#include "page.h"
#include "vault/buffer.h"

enum {
    BARS_MOST = 100,
    BARS_LEAST = 12,
    LABEL = 32,
    BAR_ROOM = 10,
    BAR_WIDTH = 8,
    HEIGHT = 1000,
    SEEN = 12,         /* of HEIGHT: what is there at all is seen */
    MONDAY_HOURS = 72, /* from Monday to the first of 1970, a Thursday */
    HOUR_SECONDS = 3600
};

const char *ending_name(enum ending e) {
    static const char *const names[ENDINGS] = {
        [PERMITTED] = "permitted", [DENIED] = "denied", [EMERGENCY] = "emergency", [OTHER] = "other"};
    return names[e];
}

struct bar {
    char label[LABEL];
    uint64_t ended[ENDINGS];
};

struct chart {
    const char *id, *title, *about; /* literals */
    const char *first_column;
    bool shows[ENDINGS];
    const struct bar *bars;
    size_t count;
};

static uint64_t height_of(const struct chart *c, const struct bar *b) {
    uint64_t sum = 0;
    for (size_t e = 0; e < ENDINGS; e++)
        sum += c->shows[e] ? b->ended[e] : 0;
    return sum;
}

/* The least number of one digit and zeros that is enough for the highest bar. */
static uint64_t top_of(const struct chart *c) {
    static const uint64_t steps[] = {2, 3, 4, 5, 6, 8, 10};
    uint64_t highest = 1, top = 1, ten = 1;
    for (size_t i = 0; i < c->count; i++)
        highest = height_of(c, &c->bars[i]) > highest ? height_of(c, &c->bars[i]) : highest;
    for (size_t i = 0; top < highest; i = (i + 1) % 7) {
        top = ten * steps[i];
        ten *= i == 6 ? 10 : 1;
    }
    return top;
}

static void put_bar(struct html *h, const struct chart *c, size_t at, uint64_t top) {
    const struct bar *b = &c->bars[at];
    uint64_t floor = HEIGHT;
    if (height_of(c, b) == 0)
        return;
    html_print(h, "<g><title>%s:", b->label);
    for (size_t e = 0; e < ENDINGS; e++)
        if (c->shows[e] && b->ended[e] > 0)
            html_print(h, " %'llu %s", (unsigned long long)b->ended[e], ending_name((enum ending)e));
    html_print(h, "</title>");
    for (size_t e = 0; e < ENDINGS; e++) {
        if (!c->shows[e] || b->ended[e] == 0)
            continue;
        uint64_t height = b->ended[e] * HEIGHT / top;
        height = height < SEEN ? SEEN : height;
        height = height > floor ? floor : height;
        floor -= height;
        html_print(h, "<rect class=\"%s\" x=\"%llu\" y=\"%llu\" width=\"%llu\" height=\"%llu\"/>",
                   ending_name((enum ending)e), (unsigned long long)(at * BAR_ROOM + (BAR_ROOM - BAR_WIDTH) / 2),
                   (unsigned long long)floor, (unsigned long long)BAR_WIDTH, (unsigned long long)height);
    }
    html_print(h, "</g>");
}

static void put_picture(struct html *h, const struct chart *c) {
    uint64_t top = top_of(c);
    unsigned long long width = (unsigned long long)c->count * BAR_ROOM;
    html_print(h,
               "<div class=\"plot\"><div class=\"y\" aria-hidden=\"true\"><span>%'llu</span><span>0</span></div>"
               "<svg role=\"img\" aria-labelledby=\"%s-title %s-desc\" viewBox=\"0 0 %llu 1000\" "
               "preserveAspectRatio=\"none\"><title id=\"%s-title\">%s</title><desc id=\"%s-desc\">%s The numbers are "
               "in the table below.</desc><rect class=\"grid\" x=\"0\" y=\"0\" width=\"%llu\" height=\"500\"/>"
               "<rect class=\"grid\" x=\"0\" y=\"500\" width=\"%llu\" height=\"500\"/>",
               (unsigned long long)top, c->id, c->id, width, c->id, c->title, c->id, c->about, width, width);
    for (size_t i = 0; i < c->count; i++)
        put_bar(h, c, i, top);
    html_print(h,
               "</svg></div><div class=\"x\" aria-hidden=\"true\"><span>%s</span><span>%s</span><span>%s</span></div>",
               c->bars[0].label, c->bars[c->count / 2].label, c->bars[c->count - 1].label);
}

static void put_legend(struct html *h, const struct chart *c) {
    html_print(h, "<ul class=\"legend\">");
    for (size_t e = 0; e < ENDINGS; e++)
        if (c->shows[e])
            html_print(h,
                       "<li><svg aria-hidden=\"true\" viewBox=\"0 0 10 10\"><rect class=\"%s\" width=\"10\" "
                       "height=\"10\"/></svg>%s</li>",
                       ending_name((enum ending)e), ending_name((enum ending)e));
    html_print(h, "</ul>");
}

static void put_numbers(struct html *h, const struct chart *c) {
    html_print(h,
               "<details><summary>The numbers</summary><div class=\"scroll\" tabindex=\"0\" role=\"region\" "
               "aria-label=\"%s\"><table><caption>%s</caption><thead><tr>"
               "<th scope=\"col\">%s</th>",
               c->title, c->title, c->first_column);
    for (size_t e = 0; e < ENDINGS; e++)
        if (c->shows[e])
            html_print(h, "<th scope=\"col\" class=\"n\">%s</th>", ending_name((enum ending)e));
    html_print(h, "</tr></thead><tbody>");
    for (size_t i = 0; i < c->count; i++) {
        if (height_of(c, &c->bars[i]) == 0)
            continue;
        html_print(h, "<tr><th scope=\"row\">%s</th>", c->bars[i].label);
        for (size_t e = 0; e < ENDINGS; e++)
            if (c->shows[e])
                html_print(h, "<td class=\"n\">%'llu</td>", (unsigned long long)c->bars[i].ended[e]);
        html_print(h, "</tr>");
    }
    html_print(h, "</tbody></table></div></details>");
}

static void put_chart(struct html *h, const struct chart *c) {
    html_print(h, "<figure><figcaption>%s</figcaption>", c->title);
    put_picture(h, c);
    put_legend(h, c);
    put_numbers(h, c);
    html_print(h, "</figure>");
}

/* ---- over time ---- */

struct scale {
    int64_t hours, first; /* width of a bar, and the number of the first */
    size_t count;
    const char *words;
};

/* The finest scale that has few enough bars. */
static struct scale scale_of(const struct tally *t) {
    static const struct scale scales[] = {{.hours = 1, .words = "Starts (UTC), an hour each"},
                                          {.hours = 6, .words = "Starts (UTC), six hours each"},
                                          {.hours = 24, .words = "Day (UTC)"},
                                          {.hours = 168, .words = "Week from (UTC)"},
                                          {.hours = 672, .words = "Four weeks from (UTC)"},
                                          {.hours = 8736, .words = "From (UTC)"}};
    int64_t from = t->hours[0].hour + MONDAY_HOURS, to = t->hours[t->hour_count - 1].hour + MONDAY_HOURS;
    struct scale s = scales[0];
    for (size_t i = 1; to / s.hours - from / s.hours >= BARS_MOST && i < sizeof(scales) / sizeof(scales[0]); i++)
        s = scales[i];
    while (to / s.hours - from / s.hours >= BARS_MOST)
        s.hours *= 2;
    s.first = from / s.hours;
    s.count = (size_t)(to / s.hours - from / s.hours) + 1;
    return s;
}

static void label_bar(struct bar *b, int64_t hour, bool of_day) {
    time_t seconds = (time_t)(hour * HOUR_SECONDS);
    struct tm tm;
    if (gmtime_r(&seconds, &tm) == NULL || strftime(b->label, LABEL, of_day ? "%Y-%m-%d" : "%Y-%m-%d %H:%M", &tm) == 0)
        b->label[0] = '\0';
}

/* A short time is shown with empty hours around it. The bars' number is returned. */
static size_t fill_bars(const struct tally *t, const struct scale *s, struct bar bars[BARS_MOST]) {
    size_t count = s->count < BARS_LEAST ? BARS_LEAST : s->count;
    int64_t first = s->first - (int64_t)((count - s->count) / 2);
    for (size_t i = 0; i < count; i++)
        label_bar(&bars[i], (first + (int64_t)i) * s->hours - MONDAY_HOURS, s->hours >= HOURS_OF_DAY);
    for (size_t i = 0; i < t->hour_count; i++) {
        struct bar *b = &bars[(t->hours[i].hour + MONDAY_HOURS) / s->hours - first];
        for (size_t e = 0; e < ENDINGS; e++)
            b->ended[e] += t->hours[i].ended[e];
    }
    return count;
}

static void put_hours(struct html *h, const struct tally *t) {
    struct bar bars[HOURS_OF_DAY] = {{.label = ""}};
    for (size_t i = 0; i < HOURS_OF_DAY; i++) {
        (void)format_string(bars[i].label, LABEL, "%02zu:00", i);
        COPY_ARRAY(bars[i].ended, t->by_hour[i]);
    }
    struct chart c = {.id = "chart-hours",
                      .title = "By hour of the day (UTC)",
                      .about = "All records, by the hour of the day in which they were made.",
                      .first_column = "Hour from",
                      .shows = {true, true, true, true},
                      .bars = bars,
                      .count = HOURS_OF_DAY};
    put_chart(h, &c);
}

void page_charts(struct html *h, const struct tally *t) {
    struct bar bars[BARS_MOST] = {{.label = ""}};
    if (t->hour_count == 0)
        return;
    struct scale s = scale_of(t);
    struct chart c = {.id = "chart-all",
                      .title = "All records over time",
                      .about = "How many records there are of each time, by how they ended.",
                      .first_column = s.words,
                      .shows = {true, true, true, true},
                      .bars = bars,
                      .count = fill_bars(t, &s, bars)};
    html_print(h, "<div class=\"charts\">");
    put_chart(h, &c);
    c.id = "chart-denied";
    c.title = "Denials and emergencies over time";
    c.about =
        "How many requests were denied, and how many permitted because glass was broken, on a scale of their own.";
    c.shows[PERMITTED] = c.shows[OTHER] = false;
    put_chart(h, &c);
    put_hours(h, t);
    html_print(h, "</div>");
}
