#include "route.h"

#include <string.h>

#include "vault/result.h"

/* Matches a path against a pattern, noting the arguments. */
static bool matches(const char *pattern, struct view path, struct exchange *x) {
    struct view pattern_rest = {pattern, strlen(pattern)};
    struct view expected;
    struct view segment;
    x->argument_count = 0;
    while (http_path_next(&pattern_rest, &expected)) {
        if (!http_path_next(&path, &segment))
            return false;
        if (expected.at[0] == '{') {
            if (x->argument_count == ROUTE_ARGUMENTS)
                return false;
            x->arguments[x->argument_count++] = (struct argument){{expected.at + 1, expected.n - 2}, segment};
        } else if (segment.n != expected.n || memcmp(segment.at, expected.at, segment.n) != 0) {
            return false;
        }
    }
    return path.n == 0;
}

static void add_allow(char *allow, size_t size, const char *method) {
    size_t used = strlen(allow);
    format_string(allow + used, size - used, "%s%s%s", used > 0 ? ", " : "", method,
                  strcmp(method, "GET") == 0 ? ", HEAD" : "");
}

int route_find(struct exchange *x, char *allow, size_t allow_size) {
    bool known = false;
    allow[0] = '\0';
    x->head_only = view_is(x->head.method, "HEAD");
    for (const struct route *r = routes; r < routes + route_count; r++) {
        if (!matches(r->pattern, x->head.path, x))
            continue;
        if (view_is(x->head.method, r->method) || (x->head_only && strcmp(r->method, "GET") == 0)) {
            x->route = r;
            return VAULT_OK;
        }
        known = true;
        add_allow(allow, allow_size, r->method);
    }
    return known ? VAULT_DENIED : VAULT_NOT_FOUND;
}
