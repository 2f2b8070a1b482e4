/* What there is to say about the records of an export at one look: counts by who, what, why and when. */
#ifndef VAULTCTL_AUDIT_TALLY_H
#define VAULTCTL_AUDIT_TALLY_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

/* How a record ended, for counts: an emergency is permitted, and counted as emergency only. */
enum ending { PERMITTED, DENIED, EMERGENCY, OTHER, ENDINGS };

struct tally_row {
    char *name; /* owned */
    uint64_t total, ended[ENDINGS];
    uint64_t reads, outside; /* files that were permitted to be read, and outside of working hours */
    json_t *patients;        /* of whom, as members; NULL: none */
};

/* Rows by name, in the order in which they came, or after tally_end the greatest total first. */
struct tally_rows {
    struct tally_row *rows; /* owned */
    size_t count;
    json_t *index; /* name: place in rows */
};

struct tally_hour {
    int64_t hour; /* hours since 1970 */
    uint64_t ended[ENDINGS];
};

enum { HOURS_OF_DAY = 24, EMERGENCIES_MOST = 200, WORK_FROM = 6, WORK_UNTIL = 18 };

struct tally {
    uint64_t records, reads, ended[ENDINGS];
    char first[32], last[32]; /* times of the first and the last record */
    struct tally_rows services, events, purposes, refusals;
    json_t *patients;                        /* all, as members */
    json_t *emergencies;                     /* the first EMERGENCIES_MOST: {seq, time, service, subject, event, why} */
    json_t *reviews;                         /* number of a record: what an auditor noted of it */
    struct tally_hour *hours;                /* those with records, ascending; owned */
    size_t hour_count;                       /* of them */
    uint64_t by_hour[HOURS_OF_DAY][ENDINGS]; /* of the day, UTC */
};

/* Nothing counted yet. VAULT_E_MEMORY: clear it all the same. */
int tally_begin(struct tally *t);
/* Counts a record. VAULT_E_MEMORY. */
int tally_add(struct tally *t, const json_t *record);
/* After the last: sorts the rows. */
void tally_end(struct tally *t);
void tally_clear(struct tally *t);

/* Who did it, for people: "clinic", "unix:0 (the vault's administrator)", "(the vault)"; owned by the caller. */
char *who_text(const json_t *record);
enum ending ending_of(const json_t *record);
/* Seconds since 1970; 0 where the record has no time. */
int64_t seconds_of(const json_t *record);

#endif
