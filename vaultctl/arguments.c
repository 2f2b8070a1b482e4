#include "command.h"

#include <string.h>

#include "vault/buffer.h"

const struct option global_options[] = {
    {"socket", 0, "PATH", "Unix socket of the vault ($VAULT_SOCKET, else /run/vaultd/vaultd.sock)", 0},
    {"url", 0, "URL", "https address of the vault ($VAULT_URL)", 0},
    {"cert", 0, "FILE", "client certificate, PEM ($VAULT_CERT)", 0},
    {"key", 0, "FILE", "its private key, PEM ($VAULT_KEY)", 0},
    {"ca", 0, "FILE", "authorities that may vouch for the vault, PEM ($VAULT_CA)", 0},
    {"json", 0, NULL, "one JSON document on standard output, nothing else", 0},
    {"help", 'h', NULL, "explain, with an example", 0},
    {"version", 0, NULL, "print the version", 0},
    {NULL, 0, NULL, NULL, 0},
};

/* A cursor over the command line. */
struct scan {
    struct call *c;
    int argc;
    const char *const *argv;
    int at;
    bool words_only; /* after "--" */
    int word_at[3];  /* where the command's name is in argv */
    const struct option *last_repeat;
};

#define REFUSE(c, ...) (format_string((c)->error, sizeof((c)->error), __VA_ARGS__), (int)OUTCOME_USAGE)

/* The option that an argument names, in one table. *ret_value: what follows '=' or the letter; NULL if nothing. */
static const struct option *find_option(const struct option *table, const char *argument, const char **ret_value) {
    *ret_value = NULL;
    for (const struct option *o = table; o != NULL && o->name != NULL; o++) {
        size_t n = strlen(o->name);
        if (argument[1] == '-' && strncmp(argument + 2, o->name, n) == 0 &&
            (argument[2 + n] == '\0' || argument[2 + n] == '=')) {
            *ret_value = argument[2 + n] == '=' ? argument + 3 + n : NULL;
            return o;
        }
        if (argument[1] != '-' && o->letter != 0 && argument[1] == o->letter) {
            *ret_value = argument[2] != '\0' ? argument + 2 : NULL;
            return o;
        }
    }
    return NULL;
}

static bool is_option(const struct scan *s, const char *argument) {
    return !s->words_only && argument[0] == '-' && argument[1] != '\0';
}

static bool is_global(const struct option *o) {
    for (const struct option *g = global_options; g->name != NULL; g++) {
        if (g == o)
            return true;
    }
    return false;
}

/* "--name" without its value, for messages. */
static int option_label(const char *argument) {
    return (int)strcspn(argument, "=");
}

static bool begins_group(const char *name, const char *word) {
    size_t n = strlen(word);
    return strncmp(name, word, n) == 0 && name[n] == ' ';
}

/* Takes the next word of the command's name. OUTCOME_USAGE if no command begins so. */
static int take_name(struct call *c, const struct command *const *commands, const char *word) {
    for (const struct command *const *p = commands; *p != NULL; p++) {
        const char *name = (*p)->name;
        if (c->group == NULL && strcmp(name, word) == 0)
            c->command = *p;
        if (c->group != NULL && begins_group(name, c->group) && strcmp(name + strlen(c->group) + 1, word) == 0)
            c->command = *p;
    }
    if (c->command != NULL)
        return OUTCOME_DONE;
    if (c->group != NULL)
        return REFUSE(c, "unknown command '%s %s'", c->group, word);
    for (const struct command *const *p = commands; *p != NULL; p++) {
        if (begins_group((*p)->name, word))
            c->group = word;
    }
    return c->group != NULL ? (int)OUTCOME_DONE : REFUSE(c, "unknown command '%s'", word);
}

/* A command's name may go on: `key escrow` is one, `key escrow list` another. */
static void take_longer_name(struct scan *s, const struct command *const *commands) {
    const struct command *shorter = s->c->command;
    const char *word = s->at < s->argc ? s->argv[s->at] : "";
    for (const struct command *const *p = commands; *p != NULL && shorter != NULL; p++) {
        const char *name = (*p)->name;
        if (begins_group(name, shorter->name) && strcmp(name + strlen(shorter->name) + 1, word) == 0) {
            s->c->command = *p;
            s->word_at[2] = s->at;
        }
    }
}

/* First pass: only global options stand before or within the command's name. */
static int find_command(struct scan *s, const struct command *const *commands) {
    struct call *c = s->c;
    const char *value;
    size_t found = 0;
    for (s->at = 1; s->at < s->argc && c->command == NULL; s->at++) {
        const char *argument = s->argv[s->at];
        if (strcmp(argument, "--") == 0)
            break;
        if (is_option(s, argument)) {
            const struct option *o = find_option(global_options, argument, &value);
            if (o == NULL)
                return REFUSE(c, "unknown option '%.*s' (options of a command follow its name)", option_label(argument),
                              argument);
            if (o->value != NULL && value == NULL)
                s->at++;
            continue;
        }
        if (take_name(c, commands, argument) != OUTCOME_DONE)
            return OUTCOME_USAGE;
        s->word_at[found++] = s->at;
    }
    take_longer_name(s, commands);
    return OUTCOME_DONE;
}

static void store_global(struct call *c, const struct option *o, const char *value) {
    const struct {
        const char *name;
        const char **text;
        bool *flag;
    } places[] = {
        {"socket", &c->connection.socket, NULL},
        {"url", &c->connection.url, NULL},
        {"cert", &c->connection.cert, NULL},
        {"key", &c->connection.key, NULL},
        {"ca", &c->connection.ca, NULL},
        {"json", NULL, &c->json},
        {"help", NULL, &c->help},
        {"version", NULL, &c->version},
    };
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        if (strcmp(places[i].name, o->name) != 0)
            continue;
        if (places[i].text != NULL)
            *places[i].text = value;
        else
            *places[i].flag = true;
    }
}

static int store_value(struct scan *s, const struct option *o, const char *value) {
    struct call *c = s->c;
    if (o->value != NULL && *value == '\0')
        return REFUSE(c, "option --%s is empty", o->name);
    if (is_global(o)) {
        store_global(c, o, value);
        return OUTCOME_DONE;
    }
    if ((o->flags & OPTION_REPEAT) == 0 && option_given(c, o->name))
        return REFUSE(c, "option --%s is given twice", o->name);
    if (c->value_count == CALL_VALUES)
        return REFUSE(c, "too many options, at --%s", o->name);
    c->values[c->value_count++] = (struct option_value){.option = o, .value = value};
    return OUTCOME_DONE;
}

static int take_option(struct scan *s) {
    struct call *c = s->c;
    const char *argument = s->argv[s->at];
    const char *value;
    const struct option *o = c->command != NULL ? find_option(c->command->options, argument, &value) : NULL;
    if (o == NULL)
        o = find_option(global_options, argument, &value);
    if (o == NULL)
        return REFUSE(c, "unknown option '%.*s'", option_label(argument), argument);
    if (o->value == NULL && value != NULL)
        return REFUSE(c, "option --%s takes no value", o->name);
    if (o->value != NULL && value == NULL) {
        if (s->at + 1 >= s->argc || strncmp(s->argv[s->at + 1], "--", 2) == 0)
            return REFUSE(c, "option --%s needs a value: %s", o->name, o->value);
        value = s->argv[++s->at];
    }
    s->last_repeat = (o->flags & OPTION_REPEAT) != 0 ? o : NULL;
    return store_value(s, o, value);
}

/* A word is the command's next word; when it has all of them, one more value of the option just given, if that
 * repeats (`--role reader auditor`). */
static int take_word(struct scan *s) {
    struct call *c = s->c;
    const char *word = s->argv[s->at];
    if (c->command == NULL)
        return REFUSE(c, "the command must come before '--'");
    if (c->word_count < c->command->words) {
        if (*word == '\0')
            return REFUSE(c, "an argument is empty");
        c->words[c->word_count++] = word;
        return OUTCOME_DONE;
    }
    if (s->last_repeat != NULL)
        return store_value(s, s->last_repeat, word);
    return REFUSE(c, "'%s' is one argument too many", word);
}

static int take_all(struct scan *s) {
    for (s->at = 1; s->at < s->argc; s->at++) {
        int result = OUTCOME_DONE;
        if (s->at == s->word_at[0] || s->at == s->word_at[1] || s->at == s->word_at[2])
            continue;
        if (!s->words_only && strcmp(s->argv[s->at], "--") == 0)
            s->words_only = true;
        else
            result = is_option(s, s->argv[s->at]) ? take_option(s) : take_word(s);
        if (result != OUTCOME_DONE)
            return result;
    }
    return OUTCOME_DONE;
}

static int check_complete(struct call *c) {
    if (c->command == NULL)
        return c->group != NULL ? REFUSE(c, "'%s' needs a command after it", c->group) : REFUSE(c, "no command given");
    bool instead = c->command->instead != NULL && option_given(c, c->command->instead);
    if (instead && c->word_count > 0)
        return REFUSE(c, "'%s' does not go with --%s", c->words[0], c->command->instead);
    if (!instead && c->word_count < c->command->words) {
        const char *name = c->command->synopsis;
        for (size_t i = 0; i < c->word_count; i++)
            name += strcspn(name, " ") + 1;
        return REFUSE(c, "%.*s is missing", (int)strcspn(name, " "), name);
    }
    for (const struct option *o = c->command->options; o != NULL && o->name != NULL; o++) {
        if ((o->flags & OPTION_REQUIRED) != 0 && !option_given(c, o->name))
            return REFUSE(c, "option --%s %s is missing", o->name, o->value);
    }
    return OUTCOME_DONE;
}

int arguments_parse(struct call *c, const struct command *const *commands, int argc, const char *const *argv) {
    struct scan s = {.c = c, .argc = argc, .argv = argv};
    *c = (struct call){.command = NULL};
    /* Known even if the rest is wrong: it decides the form of the complaint. */
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        c->json = c->json || strcmp(argv[i], "--json") == 0;
    int result = find_command(&s, commands);
    if (result == OUTCOME_DONE)
        result = take_all(&s);
    if (result == OUTCOME_DONE && !c->help && !c->version)
        result = check_complete(c);
    return result;
}

bool option_given(const struct call *c, const char *name) {
    for (size_t i = 0; i < c->value_count; i++) {
        if (strcmp(c->values[i].option->name, name) == 0)
            return true;
    }
    return false;
}

const char *option_text(const struct call *c, const char *name) {
    for (size_t i = 0; i < c->value_count; i++) {
        if (strcmp(c->values[i].option->name, name) == 0)
            return c->values[i].value;
    }
    return NULL;
}

json_t *option_list(const struct call *c, const char *name) {
    json_t *list = json_array();
    for (size_t i = 0; i < c->value_count; i++) {
        if (strcmp(c->values[i].option->name, name) != 0)
            continue;
        for (const char *text = c->values[i].value; *text != '\0'; text += *text == ',') {
            size_t n = strcspn(text, ",");
            if (n > 0)
                json_array_append_new(list, json_stringn(text, n));
            text += n;
        }
    }
    return list;
}
