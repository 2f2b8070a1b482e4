/* Answers, and the JSON that they are made of. */
#ifndef VAULT_MONITOR_ANSWERS_H
#define VAULT_MONITOR_ANSWERS_H

#include "vaultd/monitor/log/log.h"

/* Queues a JSON answer; takes the reference. seq: its record's number, or NO_SEQ. */
void answer_json(struct monitor *m, struct worker *w, const struct message *request, unsigned status, uint64_t seq,
                 const uint8_t *request_id, json_t *json);
/* Queues a problem document with one reason (rule may be NULL). */
void answer_problem(struct monitor *m, struct worker *w, const struct message *request, unsigned status, uint64_t seq,
                    const uint8_t *request_id, const char *rule, const char *text);
/* 403 for a decision: the reasons, or, where a patient's choice or a file's existence is involved, one text for all. */
void answer_denied(struct monitor *m, struct worker *w, const struct message *request, uint64_t seq,
                   const uint8_t *request_id, const struct decision *d);
/* A problem answer, made but not queued. NULL without memory. */
struct message *problem_message(uint64_t id, unsigned status, uint64_t seq, const uint8_t *request_id, const char *rule,
                                const char *text);
/* Queues `done`. */
void answer_done(struct monitor *m, struct worker *w, const struct message *request);
json_t *json_time(uint64_t microseconds);
/* "2026-11-23" from seconds since 1970; null for 0, which is no bound. */
json_t *json_day(uint64_t seconds);
/* A list out of comma-separated text. */
json_t *json_list(const char *comma_separated);
json_t *json_hex(const uint8_t *bytes, size_t n);
json_t *json_base64(const uint8_t *bytes, size_t n); /* base64url without padding; NULL without memory */
json_t *json_mask(uint32_t mask, const char *(*name)(unsigned), unsigned count);
json_t *json_file(const struct file_value *f);
/* Appends the item (its reference is taken) if the list still fits into an answer; *bytes is the list's size so far. */
bool json_append_fitting(json_t *list, size_t *bytes, json_t *item);
/* The reasons that a denied service is told. */
json_t *json_told(const struct decision *d);

/* Records an administrative event ("done") and queues the JSON answer; takes the reference. Faults of the index. */
int administer(struct request *q, const char *event, const char *subject, char action, const char *detail,
               unsigned status, json_t *json);
/* Records a refusal and queues its problem. Faults of the index. */
int refuse(struct request *q, const char *event, const char *subject, unsigned status, const char *rule,
           const char *text);

#endif
