#include "paths.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vault/buffer.h"
#include "vault/log.h"
#include "vault/result.h"

/* The end of a long path tells more than its start. */
static const char *tail(const char *path) {
    size_t n = strlen(path);
    return n > 100 ? path + n - 100 : path;
}

static int refuse(int fd, int result, const char *path, const char *why, char *problem) {
    format_string(problem, PROBLEM_SIZE, "%s: %s", tail(path), why);
    if (fd >= 0)
        close(fd);
    return result;
}

int open_file(const char *path, enum file_care care, int *ret, char problem[PROBLEM_SIZE]) {
    struct stat found;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &found) != 0)
        return refuse(fd, VAULT_E_IO, path, strerror(errno), problem);
    if (!S_ISREG(found.st_mode))
        return refuse(fd, VAULT_DENIED, path, "is no regular file", problem);
    if (care == FILE_SECRET && (found.st_mode & 077) != 0)
        return refuse(fd, VAULT_DENIED, path, "is open to group or others; set its mode to 0600", problem);
    if (care == FILE_GUARDED && (found.st_mode & 022) != 0)
        return refuse(fd, VAULT_DENIED, path, "may be written by group or others", problem);
    *ret = fd;
    return VAULT_OK;
}

int open_directory(const char *path, const struct identity *owner, int *ret, char problem[PROBLEM_SIZE]) {
    struct stat found;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &found) != 0)
        return refuse(fd, VAULT_E_IO, path, strerror(errno), problem);
    if (owner->set && geteuid() == 0 && found.st_uid != owner->uid)
        return refuse(fd, VAULT_DENIED, path, "does not belong to the user of the process that uses it", problem);
    if ((found.st_mode & 022) != 0)
        return refuse(fd, VAULT_DENIED, path, "may be written by group or others", problem);
    *ret = fd;
    return VAULT_OK;
}

int open_credential(const struct credential *c, int *ret, char problem[PROBLEM_SIZE]) {
    char path[2 * CONFIG_PATH_MAX];
    if (c->file[0] != '\0')
        return open_file(c->file, FILE_SECRET, ret, problem);
    const char *directory = getenv("CREDENTIALS_DIRECTORY");
    if (directory == NULL || directory[0] != '/')
        return refuse(-1, VAULT_E_IO, c->name, "the service manager passed no credentials", problem);
    if (!format_string(path, sizeof(path), "%s/%s", directory, c->name))
        return refuse(-1, VAULT_E_IO, c->name, "path too long", problem);
    return open_file(path, FILE_SECRET, ret, problem);
}

static bool report(int result, const char *key, int fd, const char *problem) {
    if (result != VAULT_OK)
        log_error("configuration: %s: %s", key, problem);
    else
        close(fd);
    return result == VAULT_OK;
}

int paths_check(const struct config *c) {
    const struct {
        const char *key, *path;
        enum file_care care;
    } files[] = {{"tls.certificate", c->certificate, FILE_OPEN},
                 {"tls.key", c->key, FILE_SECRET},
                 {"tls.clients", c->clients, FILE_OPEN},
                 {"tls.revocations", c->revocations, FILE_OPEN},
                 {"token.module", c->token.module, FILE_OPEN},
                 {"diseases", c->diseases, FILE_GUARDED},
                 {"witnesses.authorities", c->witnesses.authorities, FILE_OPEN}};
    const struct {
        const char *key, *path;
        enum child_kind user;
    } directories[] = {{"state", c->state, CHILD_MONITOR},
                       {"keyring_twin", c->twin_directory, CHILD_MONITOR},
                       {"objects", c->objects, CHILD_STORE},
                       {"backups", c->backups, CHILD_BACKUP}};
    char problem[PROBLEM_SIZE] = "";
    int fd = -1;
    bool good = true;
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        if (files[i].path[0] == '\0')
            continue; /* not configured */
        int result = open_file(files[i].path, files[i].care, &fd, problem);
        good &= report(result, files[i].key, fd, problem);
    }
    for (size_t i = 0; i < sizeof(directories) / sizeof(directories[0]); i++) {
        if (directories[i].path[0] == '\0')
            continue;
        int result = open_directory(directories[i].path, &c->users[directories[i].user], &fd, problem);
        good &= report(result, directories[i].key, fd, problem);
    }
    return good ? VAULT_OK : VAULT_E_IO;
}
