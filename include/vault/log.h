/* Diagnostics for operators: one line with structured fields to standard error, or to the journal's socket format
 * when standard error is the journal (the supervisor decides; children inherit it). Never a secret, a subject, a file
 * name, a dataset or an address of a client: those belong in the audit. */
#ifndef VAULT_LOG_H
#define VAULT_LOG_H

enum log_level {
    LOG_LEVEL_ERROR = 3,
    LOG_LEVEL_WARNING = 4,
    LOG_LEVEL_NOTICE = 5,
    LOG_LEVEL_INFO = 6,
    LOG_LEVEL_DEBUG = 7
};

/* Names the process in every line ("monitor"). `name` must be static. */
void log_start(const char *name);
/* One line: `<level>process: text`. The text is `what: key=value ...`; control characters become '?'. */
void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_notice(...) log_line(LOG_LEVEL_NOTICE, __VA_ARGS__)
#define log_info(...) log_line(LOG_LEVEL_INFO, __VA_ARGS__)

#endif
