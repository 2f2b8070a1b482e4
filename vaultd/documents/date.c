/* Dates and times of the proleptic Gregorian calendar, UTC. */
#include "documents_internal.h"

static bool is_leap(int64_t year) {
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int64_t days_in_month(int64_t year, int64_t month) {
    static const int8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[month - 1] + (month == 2 && is_leap(year));
}

/* Leap days in the years before this one. */
static int64_t leap_days_before(int64_t year) {
    return (year - 1) / 4 - (year - 1) / 100 + (year - 1) / 400;
}

static int64_t days_before_year(int64_t year) {
    return (year - 1970) * 365 + leap_days_before(year) - leap_days_before(1970);
}

/* Exactly `n` decimal digits, -1 if there are not. */
static int64_t digits(const char *text, size_t n) {
    int64_t value = 0;
    for (size_t i = 0; i < n; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -1;
        value = value * 10 + (text[i] - '0');
    }
    return value;
}

bool date_parse(const char *text, int64_t *ret_seconds) {
    int64_t year = digits(text, 4);
    if (year < 1900 || text[4] != '-')
        return false;
    int64_t month = digits(text + 5, 2);
    if (month < 1 || month > 12 || text[7] != '-')
        return false;
    int64_t day = digits(text + 8, 2);
    if (day < 1 || day > days_in_month(year, month) || text[10] != '\0')
        return false;
    int64_t days = days_before_year(year) + day - 1;
    for (int64_t m = 1; m < month; m++)
        days += days_in_month(year, m);
    *ret_seconds = days * 86400;
    return true;
}

struct date {
    int64_t year, month, day; /* from 1 */
};

/* Of so many days from 1970-01-01 on. */
static struct date date_of(int64_t days) {
    struct date d = {.year = 1970 + days / 366, .month = 1};
    while (days_before_year(d.year + 1) <= days)
        d.year++;
    days -= days_before_year(d.year);
    while (days >= days_in_month(d.year, d.month))
        days -= days_in_month(d.year, d.month++);
    d.day = days + 1;
    return d;
}

void time_text(uint64_t microseconds, char to[28]) {
    const uint64_t last = 253402300799999999u; /* 9999-12-31T23:59:59.999999Z */
    if (microseconds > last)
        microseconds = last;
    int64_t seconds = (int64_t)(microseconds / 1000000), of_day = seconds % 86400;
    struct date d = date_of(seconds / 86400);
    format_string(to, 28, "%04u-%02u-%02uT%02u:%02u:%02u.%06uZ", (unsigned)d.year, (unsigned)d.month, (unsigned)d.day,
                  (unsigned)(of_day / 3600), (unsigned)(of_day / 60 % 60), (unsigned)(of_day % 60),
                  (unsigned)(microseconds % 1000000));
}

bool second_is_good(uint64_t seconds) {
    const uint64_t year_10000 = 253402300800;
    return seconds < year_10000;
}

bool day_is_good(uint64_t seconds) {
    return second_is_good(seconds) && seconds % 86400 == 0;
}

uint32_t period_begin(unsigned period, uint64_t seconds) {
    const uint64_t last = 253402300799; /* as of time_text */
    int64_t days = (int64_t)((seconds < last ? seconds : last) / 86400);
    struct date d = date_of(days);
    switch (period) {
    case PERIOD_DAY: return (uint32_t)days;
    case PERIOD_MONTH: return (uint32_t)(days - d.day + 1);
    case PERIOD_YEAR: return (uint32_t)days_before_year(d.year);
    default: return 0;
    }
}

void day_text(uint64_t microseconds, char to[11]) {
    char text[28];
    time_text(microseconds, text);
    text[10] = '\0';
    copy_string(to, 11, text);
}
