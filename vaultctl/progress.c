#include "progress.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "vault/buffer.h"

void size_text(uint64_t bytes, char to[24]) {
    static const char *const units[] = {"kB", "MB", "GB", "TB", "PB", "EB"};
    if (bytes < 1000) {
        (void)format_string(to, 24, "%u B", (unsigned)bytes);
        return;
    }
    double value = (double)bytes / 1000;
    size_t unit = 0;
    for (; value >= 999.95 && unit + 1 < sizeof(units) / sizeof(units[0]); unit++)
        value /= 1000;
    (void)format_string(to, 24, "%.1f %s", value, units[unit]);
}

struct progress progress_of(const char *label, const char *unit) {
    struct progress p = {.label = label, .unit = unit, .shown = isatty(STDERR_FILENO) == 1};
    (void)clock_gettime(CLOCK_MONOTONIC, &p.began);
    return p;
}

static double seconds_between(const struct timespec *from, const struct timespec *to) {
    return (double)(to->tv_sec - from->tv_sec) + (double)(to->tv_nsec - from->tv_nsec) / 1e9;
}

/* What is drawn is for the eye only: whether the terminal took it changes nothing. */
static void draw_bytes(const struct progress *p, uint64_t done, uint64_t total, double seconds) {
    char now[24];
    char all[24];
    char rate[24];
    size_text(done, now);
    size_text(total, all);
    size_text((uint64_t)((double)done / (seconds > 0 ? seconds : 1)), rate);
    if (total > 0)
        (void)fprintf(stderr, "\r%s %3.0f %%  %s of %s  %s/s\033[K", p->label, 100.0 * (double)done / (double)total,
                      now, all, rate);
    else
        (void)fprintf(stderr, "\r%s %s  %s/s\033[K", p->label, now, rate);
}

void progress_move(struct progress *p, uint64_t done, uint64_t total) {
    struct timespec now;
    if (!p->shown || clock_gettime(CLOCK_MONOTONIC, &now) != 0)
        return;
    if (p->drawn.tv_sec != 0 && seconds_between(&p->drawn, &now) < 0.1)
        return;
    p->drawn = now;
    if (strcmp(p->unit, "B") == 0)
        draw_bytes(p, done, total, seconds_between(&p->began, &now));
    else
        (void)fprintf(stderr, "\r%s %llu of %llu %s\033[K", p->label, (unsigned long long)done,
                      (unsigned long long)total, p->unit);
    (void)fflush(stderr);
}

void progress_end(struct progress *p) {
    if (p->shown && p->drawn.tv_sec != 0)
        (void)fprintf(stderr, "\r\033[K");
    p->drawn = (struct timespec){0};
}
