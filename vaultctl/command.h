/* A command describes itself: what it is called, what it takes, how it is explained, what it does. One file holds one
 * command or one group of them; commands.c lists them all. */
#ifndef VAULTCTL_COMMAND_H
#define VAULTCTL_COMMAND_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "connection.h"
#include "outcome.h"

enum { OPTION_REQUIRED = 1, OPTION_REPEAT = 2 };
enum { CALL_WORDS = 4, CALL_VALUES = 128 };

struct option {
    const char *name;  /* without the dashes */
    char letter;       /* 0: none */
    const char *value; /* what the value is called in help; NULL: the option is a flag */
    const char *help;
    unsigned flags;
};

struct call;

struct command {
    const char *name;             /* "status", "subject add", "key jobs pause" */
    const char *area;             /* heading in the list of commands */
    const char *synopsis;         /* begins with the names of its words; options follow */
    const char *summary;          /* one line */
    const char *help;             /* a paragraph */
    const char *example;          /* one or more lines */
    const struct option *options; /* ends with an option without a name; NULL: none */
    size_t words;                 /* exactly this many, all required */
    const char *instead;          /* an option with which they are not; NULL: none */
    /* The exit status; everything that went wrong has been reported. */
    int (*run)(struct call *c);
};

struct option_value {
    const struct option *option;
    const char *value; /* NULL for a flag */
};

/* One run of the program: the command line understood, and the connection it uses. */
struct call {
    const struct command *command; /* NULL: none was named */
    const char *group;             /* first word of a two-word command */
    const char *words[CALL_WORDS];
    size_t word_count;
    struct option_value values[CALL_VALUES];
    size_t value_count;
    bool help, version, json;
    struct connection_options connection; /* as given on the command line */
    char error[400];                      /* what is wrong with the command line */
    struct session *session;              /* opened by the first request */
    bool answered;                        /* a document is on standard output: there may be one only */
};

/* All commands, in the order of the help; ends with NULL. */
extern const struct command *const all_commands[];
/* Options that every command takes. */
extern const struct option global_options[];

/* Understands the command line. OUTCOME_DONE, or OUTCOME_USAGE with c->error filled. With --help or --version, what
 * else is missing does not matter. Nothing is copied: the strings of argv must live as long as the call. */
int arguments_parse(struct call *c, const struct command *const *commands, int argc, const char *const *argv);

/* The value of an option; NULL if it was not given. For one that repeats: the first. */
const char *option_text(const struct call *c, const char *name);
bool option_given(const struct call *c, const char *name);
/* All values of an option that repeats, those with commas split, as a JSON array; owned by the caller. */
json_t *option_list(const struct call *c, const char *name);

/* Help on standard output, or on standard error where it answers a mistake. */
void help_print(const struct call *c, const struct command *const *commands);
/* "which command? ..." for a bare program or group name, to standard error. */
void help_hint(const struct call *c);

#endif
