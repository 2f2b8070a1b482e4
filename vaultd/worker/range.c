#include "range.h"

#include <string.h>

#include "vault/result.h"

int range_parse(struct view value, struct range *ret) {
    struct range r = {.kind = RANGE_SPAN, .to = INT64_MAX};
    const char *equals = memchr(value.at, '=', value.n);
    if (equals == NULL)
        return VAULT_E_FORMAT;
    struct view unit = {value.at, (size_t)(equals - value.at)};
    struct view spec = {equals + 1, value.n - unit.n - 1};
    if (!view_is_nocase(unit, "bytes") || memchr(spec.at, ',', spec.n) != NULL)
        return VAULT_DENIED;
    const char *dash = memchr(spec.at, '-', spec.n);
    if (dash == NULL)
        return VAULT_E_FORMAT;
    struct view from = {spec.at, (size_t)(dash - spec.at)};
    struct view to = {dash + 1, spec.n - from.n - 1};
    if (from.n == 0)
        r.kind = RANGE_LAST;
    else if (to.n == 0)
        r.kind = RANGE_FROM;
    if (from.n > 0 && !view_number(from, &r.from))
        return VAULT_E_FORMAT;
    if ((to.n > 0 || from.n == 0) && !view_number(to, &r.to))
        return VAULT_E_FORMAT;
    if (r.kind == RANGE_SPAN && r.to < r.from)
        return VAULT_E_FORMAT;
    *ret = r;
    return VAULT_OK;
}

int range_resolve(const struct range *r, uint64_t size, uint64_t *ret_first, uint64_t *ret_last) {
    bool last_bytes = r->kind == RANGE_LAST;
    uint64_t first = !last_bytes ? r->from : r->to < size ? size - r->to : 0;
    if (size == 0 || first >= size)
        return VAULT_NOT_FOUND;
    *ret_first = first;
    *ret_last = !last_bytes && r->to < size ? r->to : size - 1;
    return VAULT_OK;
}
