/* vaultctl: the vault on the command line. docs/vaultctl.md. */
#include <curl/curl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "http.h"
#include "output.h"
#include "request.h"
#include "vault/secret.h"

static volatile sig_atomic_t signal_taken;

static void take_signal(int number) {
    signal_taken = number;
    interrupted = 1;
}

/* An interruption must end in clean-up first: unfinished files are removed by the code that made them. */
static bool watch_signals(void) {
    struct sigaction action = {.sa_handler = take_signal};
    sigemptyset(&action.sa_mask);
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        struct sigaction before;
        /* What the caller had ignored (nohup) stays so. */
        if (sigaction(numbers[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
            sigaction(numbers[i], &action, NULL);
    }
    return signal(SIGPIPE, SIG_IGN) != SIG_ERR;
}

static void die_by_signal(void) {
    if (signal_taken == 0)
        return;
    if (signal(signal_taken, SIG_DFL) != SIG_ERR)
        (void)raise(signal_taken); /* does not return, unless the caller has it blocked */
}

static int print_version(struct call *c) {
    json_t *document = json_pack("{s:s}", "version", VAULT_VERSION);
    if (!print_json(c, document))
        puts("vaultctl " VAULT_VERSION);
    json_decref(document);
    return OUTCOME_DONE;
}

static int run(struct call *c, int argc, char **argv) {
    int outcome = arguments_parse(c, all_commands, argc, (const char *const *)argv);
    if (outcome != OUTCOME_DONE) {
        (void)fail(c, OUTCOME_USAGE, "%s", c->error);
        help_hint(c);
        return outcome;
    }
    if (c->help) {
        help_print(c, all_commands);
        return OUTCOME_DONE;
    }
    if (c->version)
        return print_version(c);
    outcome = check_options(c);
    return outcome == OUTCOME_DONE ? c->command->run(c) : outcome;
}

int main(int argc, char **argv) {
    static struct call call;
    if (!watch_signals() || secret_start() != 0 || secret_no_dumps() != 0 ||
        curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        (void)fputs("vaultctl: a library does not start\n", stderr); /* the exit status tells of it too */
        return OUTCOME_FAILED;
    }
    int outcome = run(&call, argc, argv);
    session_close(call.session);
    curl_global_cleanup();
    if ((fflush(stdout) != 0 || ferror(stdout)) && outcome == OUTCOME_DONE) {
        perror("vaultctl: standard output");
        outcome = OUTCOME_FAILED;
    }
    die_by_signal();
    return outcome;
}
