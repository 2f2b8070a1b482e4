#include "config_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "listen.h"
#include "vault/buffer.h"
#include "vault/fields.h"
#include "vault/result.h"

typedef const struct yaml_node node;

enum { ORIGIN_MOST = 180 };

const char *child_name(enum child_kind kind) {
    static const char *const names[CHILD_KINDS] = {"gate", "monitor", "store", "worker", "token", "courier", "backup"};
    return names[kind];
}

int take_text(node *map, const char *key, bool needed, char *to, size_t size, char *problem) {
    node *member = yaml_member(map, key);
    const char *text = NULL;
    if (member == NULL && !needed)
        return VAULT_OK;
    int result = yaml_need(map, key, &member, problem);
    if (result == VAULT_OK)
        result = yaml_get_string(member, size - 1, &text, problem);
    if (result == VAULT_OK)
        copy_string(to, size, text);
    return result;
}

int take_path(node *map, const char *key, bool needed, char *to, size_t size, char *problem) {
    int result = take_text(map, key, needed, to, size, problem);
    if (result == VAULT_OK && to[0] != '/' && yaml_member(map, key) != NULL)
        return yaml_refuse(yaml_member(map, key), problem, "%s: '%s' is not an absolute path", key, to);
    return result;
}

int take_u32(node *map, const char *key, uint32_t least, uint32_t most, uint32_t *to, char *problem) {
    node *member = yaml_member(map, key);
    uint64_t number = 0;
    if (member == NULL)
        return VAULT_OK;
    int result = yaml_get_u64(member, least, most, &number, problem);
    if (result == VAULT_OK)
        *to = (uint32_t)number;
    return result;
}

static int take_mode(node *root, struct config *c, char *problem) {
    char mode[16] = "";
    int result = take_text(root, "mode", true, mode, sizeof(mode), problem);
    if (result != VAULT_OK)
        return result;
    c->dev = strcmp(mode, "dev") == 0;
    if (!c->dev && strcmp(mode, "production") != 0)
        return yaml_refuse(yaml_member(root, "mode"), problem, "mode: '%s' is neither dev nor production", mode);
    return VAULT_OK;
}

/* A name in a checkpoint: no space, no '+', and room for what a restore adds. */
static int take_origin(node *root, struct config *c, char *problem) {
    int result = take_text(root, "origin", true, c->origin, ORIGIN_MOST + 1, problem);
    if (result != VAULT_OK)
        return result;
    if (c->origin[0] == '\0' || strpbrk(c->origin, " +") != NULL || !text_is_clean(c->origin, strlen(c->origin)))
        return yaml_refuse(yaml_member(root, "origin"), problem,
                           "origin: '%s' must be a name without spaces or '+', such as genome.example/vault",
                           c->origin);
    return VAULT_OK;
}

static int take_listen(node *root, struct config *c, char *problem) {
    struct sockaddr_storage address;
    socklen_t size = 0;
    int result = take_text(root, "listen", false, c->listen, sizeof(c->listen), problem);
    if (result != VAULT_OK || c->listen[0] == '\0')
        return result;
    node *at = yaml_member(root, "listen");
    if (address_parse(c->listen, &address, &size) != VAULT_OK)
        return yaml_refuse(at, problem, "listen: '%s' is not ADDRESS:PORT or [ADDRESS]:PORT", c->listen);
    if (c->dev && !address_is_loopback(&address))
        return yaml_refuse(at, problem, "listen: '%s' is no loopback address, and mode is dev", c->listen);
    return VAULT_OK;
}

static int take_twin(node *root, struct config *c, char *problem) {
    char path[CONFIG_PATH_MAX + 1] = "";
    int result = take_path(root, "keyring_twin", true, path, sizeof(path), problem);
    if (result != VAULT_OK)
        return result;
    node *at = yaml_member(root, "keyring_twin");
    char *slash = strrchr(path, '/');
    const char *name = slash + 1;
    if (*name == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strlen(name) >= sizeof(c->twin_name))
        return yaml_refuse(at, problem, "keyring_twin: '%s' does not end in a file name", path);
    copy_string(c->twin_name, sizeof(c->twin_name), name);
    *slash = '\0';
    copy_string(c->twin_directory, sizeof(c->twin_directory), path[0] == '\0' ? "/" : path);
    if (strcmp(c->twin_directory, c->state) == 0)
        return yaml_refuse(at, problem, "keyring_twin: must be outside the state directory, best on another disk");
    return VAULT_OK;
}

static int take_tls(node *root, struct config *c, char *problem) {
    static const char *const known[] = {"certificate", "key", "clients", "revocations", NULL};
    node *tls = NULL;
    int result = yaml_need(root, "tls", &tls, problem);
    if (result == VAULT_OK)
        result = yaml_need_map(tls, known, problem);
    if (result == VAULT_OK)
        result = take_path(tls, "certificate", true, c->certificate, sizeof(c->certificate), problem);
    if (result == VAULT_OK)
        result = take_path(tls, "key", true, c->key, sizeof(c->key), problem);
    if (result == VAULT_OK)
        result = take_path(tls, "clients", true, c->clients, sizeof(c->clients), problem);
    if (result == VAULT_OK)
        result = take_path(tls, "revocations", true, c->revocations, sizeof(c->revocations), problem);
    return result;
}

int take_credential(node *map, const char *key, struct credential *to, char *problem) {
    static const char *const known[] = {"credential", "file", NULL};
    node *from = NULL;
    int result = yaml_need(map, key, &from, problem);
    if (result == VAULT_OK)
        result = yaml_need_map(from, known, problem);
    if (result == VAULT_OK)
        result = take_path(from, "file", false, to->file, sizeof(to->file), problem);
    if (result == VAULT_OK)
        result = take_text(from, "credential", false, to->name, sizeof(to->name), problem);
    if (result != VAULT_OK)
        return result;
    if ((to->file[0] == '\0') == (to->name[0] == '\0'))
        return yaml_refuse(from, problem, "%s: give either credential or file", key);
    if (strchr(to->name, '/') != NULL || to->name[0] == '.')
        return yaml_refuse(yaml_member(from, "credential"), problem, "credential: '%s' is not the name of a credential",
                           to->name);
    return VAULT_OK;
}

/* A user's name, or a number, which needs no entry in the user database and is the group's number too. */
static int identity_of(node *member, const char *text, struct identity *to, char *problem) {
    char *end = NULL;
    errno = 0;
    unsigned long number = strtoul(text, &end, 10);
    if (text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 && number < UINT32_MAX) {
        *to = (struct identity){.set = true, .uid = (uid_t)number, .gid = (gid_t)number};
    } else {
        const struct passwd *user = getpwnam(text);
        if (user == NULL)
            return yaml_refuse(member, problem, "%s: there is no user '%s'", yaml_name_of(member), text);
        *to = (struct identity){.set = true, .uid = user->pw_uid, .gid = user->pw_gid};
    }
    if (to->uid == 0 || to->gid == 0)
        return yaml_refuse(member, problem, "%s: must not run as root", yaml_name_of(member));
    return VAULT_OK;
}

static int take_user(node *users, enum child_kind kind, struct config *c, char *problem) {
    char text[65] = "";
    int result = take_text(users, child_name(kind), true, text, sizeof(text), problem);
    if (result != VAULT_OK)
        return result;
    node *member = yaml_member(users, child_name(kind));
    result = identity_of(member, text, &c->users[kind], problem);
    for (unsigned other = 0; result == VAULT_OK && other < kind; other++)
        if (c->users[other].uid == c->users[kind].uid)
            return yaml_refuse(member, problem, "%s: the same user as %s; each process needs its own", child_name(kind),
                               child_name((enum child_kind)other));
    return result;
}

static int take_users(node *root, bool as_root, struct config *c, char *problem) {
    static const char *const known[] = {"gate", "monitor", "store", "worker", "token", "courier", NULL};
    node *users = yaml_member(root, "users");
    if (users == NULL && (c->dev || !as_root))
        return VAULT_OK;
    int result = yaml_need(root, "users", &users, problem);
    if (result == VAULT_OK)
        result = yaml_need_map(users, known, problem);
    for (unsigned kind = 0; as_root && result == VAULT_OK && kind < CHILD_BACKUP; kind++) {
        bool used = kind == CHILD_TOKEN ? c->token.set : kind != CHILD_COURIER || c->witnesses.count > 0;
        if (used || yaml_member(users, child_name((enum child_kind)kind)) != NULL)
            result = take_user(users, (enum child_kind)kind, c, problem);
    }
    c->users[CHILD_BACKUP] = c->users[CHILD_MONITOR]; /* it reads the index's files, and what it writes is read again */
    return result;
}

static int take_limits(node *root, struct limits *l, char *problem) {
    static const char *const known[] = {"workers",
                                        "waiting",
                                        "unix_slots",
                                        "per_address",
                                        "per_service",
                                        "handshake_seconds",
                                        "head_seconds",
                                        "idle_seconds",
                                        "total_seconds",
                                        "drain_seconds",
                                        "denials",
                                        "failed_authentications",
                                        NULL};
    const struct {
        uint32_t *to, least, most;
    } ranges[] = {
        {&l->workers, 1, 4096},       {&l->waiting, 0, 64},        {&l->unix_slots, 0, 4095},
        {&l->per_address, 1, 4096},   {&l->per_service, 1, 4096},  {&l->handshake_seconds, 1, 600},
        {&l->head_seconds, 1, 600},   {&l->idle_seconds, 1, 3600}, {&l->total_seconds, 0, 604800},
        {&l->drain_seconds, 0, 3600}, {&l->denials, 0, 1000000},   {&l->failed_authentications, 0, 1000000},
    };
    node *limits = yaml_member(root, "limits");
    if (limits == NULL)
        return VAULT_OK;
    int result = yaml_need_map(limits, known, problem);
    for (size_t i = 0; result == VAULT_OK && known[i] != NULL; i++)
        result = take_u32(limits, known[i], ranges[i].least, ranges[i].most, ranges[i].to, problem);
    if (result == VAULT_OK && l->unix_slots >= l->workers)
        return yaml_refuse(limits, problem, "limits: unix_slots (%u) leaves none of workers (%u) for TLS clients",
                           l->unix_slots, l->workers);
    return result;
}

static int take_key_age(node *root, struct key_age *k, char *problem) {
    enum { DAYS_MOST = 36500 };
    static const char *const known[] = {"warn_days", "maximum_days", NULL};
    node *age = yaml_member(root, "key_age");
    if (age == NULL)
        return VAULT_OK;
    int result = yaml_need_map(age, known, problem);
    if (result == VAULT_OK)
        result = take_u32(age, "warn_days", 0, DAYS_MOST, &k->warn_days, problem);
    if (result == VAULT_OK)
        result = take_u32(age, "maximum_days", 0, DAYS_MOST, &k->maximum_days, problem);
    if (result == VAULT_OK && k->maximum_days != 0 && k->warn_days > k->maximum_days)
        return yaml_refuse(age, problem, "key_age: warn_days (%u) is later than maximum_days (%u)", k->warn_days,
                           k->maximum_days);
    return result;
}

/* Whole pages, as LMDB maps them and file systems give them. */
static int take_size(node *root, const char *key, uint64_t least, uint64_t most, uint64_t *to, char *problem) {
    node *member = yaml_member(root, key);
    if (member == NULL)
        return VAULT_OK;
    int result = yaml_get_u64(member, least, most, to, problem);
    if (result == VAULT_OK && *to % 4096 != 0)
        return yaml_refuse(member, problem, "%s: must be a multiple of 4096", key);
    return result;
}

/* The folder that this program is in. */
static int default_programs(struct config *c) {
    ssize_t n = readlink("/proc/self/exe", c->programs, sizeof(c->programs) - 1);
    if (n <= 0)
        return VAULT_E_IO;
    c->programs[n] = '\0';
    char *slash = strrchr(c->programs, '/');
    if (slash == NULL)
        return VAULT_E_IO;
    *slash = '\0';
    return VAULT_OK;
}

/* Where a copy lay beside what it is a copy of, one fault would take both. */
static int take_backups(node *root, struct config *c, char *problem) {
    int result = take_path(root, "backups", false, c->backups, sizeof(c->backups), problem);
    size_t n = strlen(c->state);
    while (n > 1 && c->state[n - 1] == '/')
        n--;
    if (result == VAULT_OK && strncmp(c->backups, c->state, n) == 0 && (c->backups[n] == '\0' || c->backups[n] == '/'))
        return yaml_refuse(yaml_member(root, "backups"), problem,
                           "backups: must be outside the state directory, best on another disk");
    return result;
}

static int take_places(node *root, struct config *c, char *problem) {
    int result = take_path(root, "socket", false, c->socket, sizeof(c->socket), problem);
    if (result == VAULT_OK)
        result = take_path(root, "state", true, c->state, sizeof(c->state), problem);
    if (result == VAULT_OK)
        result = take_path(root, "objects", true, c->objects, sizeof(c->objects), problem);
    if (result == VAULT_OK)
        result = take_twin(root, c, problem);
    if (result == VAULT_OK)
        result = take_backups(root, c, problem);
    if (result == VAULT_OK)
        result = take_path(root, "diseases", false, c->diseases, sizeof(c->diseases), problem);
    if (result == VAULT_OK)
        result = take_path(root, "programs", false, c->programs, sizeof(c->programs), problem);
    return result;
}

static int take_all(node *root, bool as_root, struct config *c, char *problem) {
    static const char *const known[] = {
        "mode",         "origin",   "listen",    "socket",   "state",           "objects",
        "keyring_twin", "tls",      "root_key",  "token",    "administrator",   "approve_seconds",
        "users",        "programs", "limits",    "map_size", "reserve_size",    "key_age",
        "backups",      "diseases", "witnesses", "alarms",   "audit_keep_days", NULL};
    int result = yaml_need_map(root, known, problem);
    if (result == VAULT_OK)
        result = take_mode(root, c, problem);
    if (result == VAULT_OK)
        result = take_origin(root, c, problem);
    if (result == VAULT_OK)
        result = take_listen(root, c, problem);
    if (result == VAULT_OK)
        result = take_places(root, c, problem);
    if (result == VAULT_OK)
        result = take_tls(root, c, problem);
    if (result == VAULT_OK)
        result = take_credential(root, "root_key", &c->root_key, problem);
    if (result == VAULT_OK)
        result = take_token(root, &c->token, problem);
    if (result == VAULT_OK)
        result = take_witnesses(root, &c->witnesses, problem);
    if (result == VAULT_OK)
        result = take_u32(root, "administrator", 0, UINT32_MAX - 1, &c->administrator, problem);
    if (result == VAULT_OK)
        result = take_u32(root, "approve_seconds", 1, 31 * 86400, &c->approve_seconds, problem);
    if (result == VAULT_OK)
        result = take_u32(root, "audit_keep_days", 1, 36500, &c->audit_keep_days, problem);
    if (result == VAULT_OK)
        result = take_users(root, as_root, c, problem);
    if (result == VAULT_OK)
        result = take_limits(root, &c->limits, problem);
    if (result == VAULT_OK)
        result = take_key_age(root, &c->key_age, problem);
    if (result == VAULT_OK)
        result = take_alarms(root, &c->alarms, problem);
    if (result == VAULT_OK)
        result = take_size(root, "map_size", 16ULL << 20, 16ULL << 40, &c->map_size, problem);
    if (result == VAULT_OK)
        result = take_size(root, "reserve_size", 1ULL << 20, 1ULL << 40, &c->reserve_size, problem);
    return result;
}

int config_parse(const char *text, size_t n, bool as_root, struct config *ret, char problem[CONFIG_PROBLEM_SIZE]) {
    struct config c = {.socket = "/run/vaultd/vaultd.sock",
                       .limits = {.workers = 256,
                                  .waiting = 4,
                                  .unix_slots = 8,
                                  .per_address = 64,
                                  .per_service = 64,
                                  .denials = 600,
                                  .handshake_seconds = 10,
                                  .head_seconds = 15,
                                  .idle_seconds = 60,
                                  .total_seconds = 0,
                                  .drain_seconds = 10},
                       .key_age = {.warn_days = 365},
                       .approve_seconds = 3 * 86400,
                       .map_size = 64ULL << 30,
                       .reserve_size = 64ULL << 20};
    struct yaml_tree *tree = NULL;
    if (default_programs(&c) != VAULT_OK) {
        format_string(problem, CONFIG_PROBLEM_SIZE, "cannot tell which folder this program is in");
        return VAULT_E_IO;
    }
    int result = yaml_tree_parse(text, n, &tree, problem);
    if (result == VAULT_OK)
        result = take_all(yaml_tree_root(tree), as_root, &c, problem);
    yaml_tree_free(&tree);
    if (result == VAULT_OK)
        *ret = c;
    return result;
}

static int read_whole(const char *path, char *to, size_t size, size_t *ret_used) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return VAULT_E_IO;
    size_t used = 0;
    ssize_t n = 1;
    while (n > 0 && used < size) {
        n = read(fd, to + used, size - used);
        if (n > 0)
            used += (size_t)n;
    }
    int error = errno;
    close(fd);
    errno = error;
    if (n < 0)
        return VAULT_E_IO;
    *ret_used = used;
    return used == size ? VAULT_E_LIMIT : VAULT_OK;
}

int config_load(const char *path, bool as_root, struct config *ret, char problem[CONFIG_PROBLEM_SIZE]) {
    char inner[CONFIG_PROBLEM_SIZE] = "";
    char *text = malloc(YAML_TEXT_LIMIT + 1);
    size_t n = 0;
    if (text == NULL)
        return VAULT_E_MEMORY;
    int result = read_whole(path, text, YAML_TEXT_LIMIT + 1, &n);
    if (result == VAULT_E_IO)
        format_string(inner, sizeof(inner), "%s", strerror(errno));
    else if (result == VAULT_E_LIMIT)
        format_string(inner, sizeof(inner), "longer than %d bytes", (int)YAML_TEXT_LIMIT);
    else
        result = config_parse(text, n, as_root, ret, inner);
    free(text);
    if (result != VAULT_OK)
        format_string(problem, CONFIG_PROBLEM_SIZE, "%s: %s", path, inner);
    return result;
}
