/* The reserve: a file in the state directory whose blocks are given back to the file system when that runs low, so that
 * what must go on can still be recorded. docs/decisions/0008-reserve.md.
 *
 * What is free, in slices (an eighth of the reserve): below two the vault is short of space, and refuses what only
 * makes the state grow. Below one a slice is given back. With the reserve used up and next to nothing free, whatever
 * needs a record is refused. From three on the reserve takes slices again; with all of it back the vault is no longer
 * short. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "space.h"
#include "vaultd/monitor/monitor.h"
#include "vault/log.h"
#include "vault/result.h"

enum { SLICES = 8, GIVE_BELOW = 1, SHORT_BELOW = 2, TAKE_FROM = 3, LOOK_MS = 500 };
/* A transaction takes some tens of pages; with less than this the attempt is not worth opening the index anew. */
enum { FLOOR = 64 << 10 };

static const char reserve_name[] = "reserve";
static const char *const state_names[] = {"enough", "short", "none"};

static uint64_t slice_of(const struct space *s) {
    return s->size / SLICES;
}

/* A file system that cannot be asked is not called full: the next write tells. */
static uint64_t free_in(int directory) {
    struct statvfs s;
    return fstatvfs(directory, &s) == 0 ? (uint64_t)s.f_bavail * s.f_frsize : UINT64_MAX;
}

static uint64_t free_bytes(const struct monitor *m) {
    return free_in(m->place.directory);
}

uint64_t space_of_index(const struct monitor *m) {
    struct stat st;
    bool there = fstatat(m->place.directory, "index/data.mdb", &st, AT_SYMLINK_NOFOLLOW) == 0;
    return there ? (uint64_t)st.st_blocks * 512 : 0;
}

bool space_for_ring(const struct monitor *m) {
    return free_in(m->place.directory) >= FLOOR && free_in(m->place.twin_directory) >= FLOOR;
}

/* Cuts the reserve to what is to be held. Synced, since some file systems keep freed blocks until then. */
static void cut(struct space *s, uint64_t held) {
    if (ftruncate(s->file, (off_t)held) != 0 || fsync(s->file) != 0)
        log_error("space: the reserve cannot be cut error=%s", strerrorname_np(errno));
    s->held = held;
}

static void give_slice(struct space *s) {
    cut(s, s->held > slice_of(s) ? s->held - slice_of(s) : 0);
}

static int open_reserve(struct monitor *m) {
    struct space *s = &m->space;
    s->file = openat(m->place.directory, reserve_name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    return s->file >= 0 ? VAULT_OK : vault_result_from_errno(errno);
}

/* False if there is no room after all, by a quota for instance. */
static bool take_slice(struct monitor *m) {
    struct space *s = &m->space;
    uint64_t left = s->size - s->held;
    uint64_t more = left < slice_of(s) ? left : slice_of(s);
    if (s->file < 0 && open_reserve(m) != VAULT_OK)
        return false;
    if (posix_fallocate(s->file, (off_t)s->held, (off_t)more) != 0) {
        cut(s, s->held); /* it may have got some of it */
        return false;
    }
    s->held += more;
    return true;
}

static enum space_state judge(const struct space *s, uint64_t free) {
    if (s->held == 0 && free < FLOOR + (s->state == SPACE_NONE ? s->found_used : 0))
        return SPACE_NONE;
    uint64_t enough = (s->state == SPACE_ENOUGH ? SHORT_BELOW : TAKE_FROM) * slice_of(s);
    return s->held < s->size || free < enough ? SPACE_SHORT : SPACE_ENOUGH;
}

#define SAY(log, text) log("space: " text " free=%llu reserve=%llu of=%llu", left, held, of)

static void say(const struct space *s, enum space_state before, uint64_t free) {
    unsigned long long of = s->size, held = s->held, left = free;
    if (s->state == SPACE_ENOUGH)
        SAY(log_notice, "enough again");
    else if (s->state == SPACE_NONE)
        SAY(log_error, "used up: what needs a record is refused");
    else if (before == SPACE_NONE)
        SAY(log_warning, "short again: records can be made");
    else
        SAY(log_warning, "short: nothing new is taken");
}

static void become(struct monitor *m, enum space_state state, uint64_t free) {
    struct space *s = &m->space;
    enum space_state before = s->state;
    if (state == before)
        return;
    s->state = state;
    if (state == SPACE_NONE)
        s->found_used = free;
    if (before == SPACE_NONE) { /* what could not be recorded is made up for */
        m->clean_wanted = m->unsettled = true;
        m->open_again = m->open_again != 0 ? loop_now_ms() : 0;
    }
    say(s, before, free);
}

void space_look(struct monitor *m) {
    struct space *s = &m->space;
    if (s->size == 0)
        return;
    uint64_t slice = slice_of(s);
    uint64_t free = free_bytes(m);
    while (s->held < s->size && free >= TAKE_FROM * slice && take_slice(m))
        free = free_bytes(m);
    while (s->held > 0 && free < GIVE_BELOW * slice) {
        give_slice(s);
        free = free_bytes(m);
    }
    become(m, judge(s, free), free);
    s->looked_at = loop_now_ms();
}

void space_failed(struct monitor *m) {
    struct space *s = &m->space;
    if (s->size == 0)
        return;
    enum space_state state = s->held > 0 ? SPACE_SHORT : SPACE_NONE;
    if (s->held > 0)
        give_slice(s);
    become(m, state, free_bytes(m));
}

int space_tick(struct monitor *m) {
    struct space *s = &m->space;
    if (s->size == 0 || s->state == SPACE_ENOUGH)
        return -1; /* each batch looks */
    uint64_t since = loop_now_ms() - s->looked_at;
    if (since < LOOK_MS)
        return (int)(LOOK_MS - since);
    enum space_state before = s->state;
    space_look(m);
    return s->state == before ? LOOK_MS : 0; /* what had to wait goes on in this turn */
}

/* A reserve that is brought back from a backup has holes: it holds nothing. */
static int count_held(struct space *s) {
    struct stat status;
    if (fstat(s->file, &status) != 0)
        return vault_result_from_errno(errno);
    uint64_t length = (uint64_t)status.st_size;
    bool whole = (uint64_t)status.st_blocks * 512 >= length;
    if (!whole || length > s->size)
        cut(s, whole ? s->size : 0);
    else
        s->held = length;
    return VAULT_OK;
}

int space_start(struct monitor *m) {
    struct space *s = &m->space;
    *s = (struct space){.size = m->setup.reserve_size, .file = -1};
    if (s->size == 0)
        return VAULT_OK;
    int result = open_reserve(m);
    if (result == VAULT_OK)
        result = count_held(s);
    if (result != VAULT_OK && result != VAULT_E_FULL) { /* full: it is made when there is room */
        log_error("space: the reserve cannot be opened result=\"%s\"", vault_result_name(result));
        return result;
    }
    space_look(m);
    return VAULT_OK;
}

void space_close(struct monitor *m) {
    if (m->space.size != 0 && m->space.file >= 0)
        close(m->space.file);
    m->space.file = -1;
}

const char *space_name(const struct monitor *m) {
    return state_names[m->space.state];
}
