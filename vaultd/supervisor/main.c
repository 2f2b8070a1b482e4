/* vaultd: starts and watches the vault's processes. docs/configuration.md. */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "children.h"
#include "paths.h"
#include "supervisor.h"
#include "vault/log.h"
#include "vault/result.h"
#include "vault/secret.h"

/* It never has a key; what it could be sent in a message, and the packet of a channel. */
enum { EXIT_WRONG_USAGE = 2, SMALL_SECRETS = 2, LARGE_SECRETS = 1 };

static const char usage[] = "Usage: vaultd --config FILE [--check]\n"
                            "  --config FILE  the configuration (YAML)\n"
                            "  --check        check the configuration and the files it names, and end\n"
                            "  --version      print the version\n"
                            "Example: vaultd --config /etc/vaultd/vaultd.yaml --check\n";

struct arguments {
    const char *config;
    bool check, help, version;
};

static int parse_arguments(int argc, char **argv, struct arguments *ret) {
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"check", no_argument, NULL, 'k'},
                                            {"help", no_argument, NULL, 'h'},
                                            {"version", no_argument, NULL, 'v'},
                                            {NULL, 0, NULL, 0}};
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'c': ret->config = optarg; break;
        case 'k': ret->check = true; break;
        case 'h': ret->help = true; break;
        case 'v': ret->version = true; break;
        default: return VAULT_E_FORMAT;
        }
    }
    bool complete = ret->help || ret->version || ret->config != NULL;
    return complete && optind == argc ? VAULT_OK : VAULT_E_FORMAT;
}

/* A vault without its root key or PIN starts sealed, so this is no reason to refuse. */
static void check_credential(const char *key, const struct credential *c) {
    char problem[PROBLEM_SIZE] = "";
    int fd = -1;
    if (open_credential(c, &fd, problem) != VAULT_OK)
        log_warning("configuration: %s: %s; the vault would start sealed", key, problem);
    else
        close(fd);
}

/* The exit status of an answer on standard output, of which `written` is what printf said. */
static int answered(int written) {
    if (written >= 0 && fflush(stdout) == 0)
        return 0;
    log_error("standard output cannot be written: error=%s", strerror(errno));
    return 1;
}

static int check_and_run(const struct arguments *arguments) {
    static struct config config;
    char problem[CONFIG_PROBLEM_SIZE] = "";
    if (config_load(arguments->config, geteuid() == 0, &config, problem) != VAULT_OK) {
        log_error("configuration: %s", problem);
        return EXIT_BAD_CONFIGURATION;
    }
    if (paths_check(&config) != VAULT_OK)
        return EXIT_BAD_CONFIGURATION;
    if (children_may_lock(problem) != VAULT_OK) {
        log_error("limits: %s", problem);
        return EXIT_BAD_CONFIGURATION;
    }
    if (arguments->check) {
        check_credential("root_key", &config.root_key);
        if (config.token.set)
            check_credential("token.pin", &config.token.pin);
        return answered(printf("%s: good\n", arguments->config));
    }
    if (geteuid() != 0)
        log_notice("start: not root: every process runs as this user, and only the sandbox keeps them apart");
    else if (!config.users[CHILD_GATE].set)
        log_notice("start: no users configured: every process runs as root in this throw-away vault");
    if (secret_reserve(SMALL_SECRETS, LARGE_SECRETS) != VAULT_OK) {
        log_error("start: no memory for secrets");
        return 1;
    }
    log_notice("start: secrets are in %s memory", secret_memory_name());
    return supervisor_run(&config);
}

int main(int argc, char **argv) {
    struct arguments arguments = {0};
    log_start("supervisor");
    if (parse_arguments(argc, argv, &arguments) != VAULT_OK) {
        (void)fputs(usage, stderr); /* the exit status says it too */
        return EXIT_WRONG_USAGE;
    }
    if (arguments.help || arguments.version)
        return answered(fputs(arguments.help ? usage : "vaultd " VAULT_VERSION "\n", stdout));
    if (secret_start() != VAULT_OK || secret_no_dumps() != VAULT_OK) {
        log_error("start: a library does not start, or core dumps cannot be switched off");
        return 1;
    }
    return check_and_run(&arguments);
}
