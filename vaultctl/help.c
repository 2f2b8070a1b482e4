#include "command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "names.h"

static void print_options(const struct option *options) {
    for (const struct option *o = options; o != NULL && o->name != NULL; o++) {
        const char letter[] = {'-', o->letter, ',', ' ', '\0'};
        char *left = format_text("%s--%s%s%s", o->letter != 0 ? letter : "    ", o->name, o->value != NULL ? " " : "",
                                 o->value != NULL ? o->value : "");
        printf("  %-24s %s\n", left, o->help);
        free(left);
    }
}

static void print_command(const struct command *command) {
    printf("Usage: vaultctl %s%s%s\n\n", command->name, *command->synopsis != '\0' ? " " : "", command->synopsis);
    printf("%s\n\n", command->help);
    if (command->options != NULL) {
        printf("Options:\n");
        print_options(command->options);
        printf("\n");
    }
    printf("Example:\n%s\n\n", command->example);
    printf("Options of every command:\n");
    print_options(global_options);
}

/* The list of commands, or those of one group. */
static void print_commands(const struct command *const *commands, const char *group) {
    const char *area = "";
    for (const struct command *const *p = commands; *p != NULL; p++) {
        if (group != NULL && (strncmp((*p)->name, group, strlen(group)) != 0 || (*p)->name[strlen(group)] != ' '))
            continue;
        if (strcmp((*p)->area, area) != 0)
            printf("\n%s\n", (*p)->area);
        area = (*p)->area;
        printf("  %-21s %s\n", (*p)->name, (*p)->summary);
    }
}

void help_print(const struct call *c, const struct command *const *commands) {
    if (c->command != NULL) {
        print_command(c->command);
        return;
    }
    printf("Usage: vaultctl [OPTIONS] %s ...\n", c->group != NULL ? c->group : "COMMAND");
    print_commands(commands, c->group);
    printf("\nOptions of every command:\n");
    print_options(global_options);
    printf("\nFILE is a file id (32 hex digits) or SUBJECT/NAME.\n"
           "Exit status: 0 done, 1 failed, 2 wrong usage, 3 denied, 4 not found, 5 sealed or not reachable,\n"
           "6 integrity failure.\n\n"
           "Example:\n  vaultctl get S-0001/tumour.cram --purpose treatment -o tumour.cram\n\n"
           "'vaultctl COMMAND --help' explains a command.\n");
}

/* The exit status says that the usage was wrong, whoever cannot read this. */
void help_hint(const struct call *c) {
    if (c->command != NULL)
        (void)fprintf(stderr, "Usage: vaultctl %s%s%s\n", c->command->name, c->command->synopsis[0] != '\0' ? " " : "",
                      c->command->synopsis);
    (void)fprintf(stderr, "See 'vaultctl%s%s --help'.\n", c->command != NULL || c->group != NULL ? " " : "",
                  c->command != NULL ? c->command->name
                  : c->group != NULL ? c->group
                                     : "");
}
