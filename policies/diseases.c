#include "diseases_internal.h"

#include <stdlib.h>
#include <string.h>

void *diseases_room(size_t count, size_t size) {
    return calloc(count > 0 ? count : 1, size);
}

int diseases_compare(const char *a, size_t a_size, const char *b, size_t b_size) {
    int order = memcmp(a, b, a_size < b_size ? a_size : b_size);
    return order != 0 ? order : (a_size > b_size) - (a_size < b_size);
}

const char *diseases_name(const struct diseases *d, uint32_t disease, size_t *ret_size) {
    *ret_size = d->names_at[disease + 1] - d->names_at[disease];
    return d->names + d->names_at[disease];
}

/* Its number; d->count if it is not in the table. */
static uint32_t find_term(const struct diseases *d, const char *term, size_t n) {
    uint32_t low = 0, high = d->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        size_t size;
        const char *name = diseases_name(d, middle, &size);
        int order = diseases_compare(term, n, name, size);
        if (order == 0)
            return middle;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return d->count;
}

static bool is_above(const struct diseases *d, uint32_t disease, uint32_t kind) {
    uint32_t low = d->kinds_at[disease], high = d->kinds_at[disease + 1];
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (d->kinds[middle] == kind)
            return true;
        if (d->kinds[middle] > kind)
            high = middle;
        else
            low = middle + 1;
    }
    return false;
}

bool disease_is(const struct diseases *d, const char *disease, const char *kind, size_t n) {
    size_t size = strlen(disease);
    if (size == n && memcmp(disease, kind, n) == 0)
        return true;
    if (d == NULL)
        return false;
    uint32_t from = find_term(d, disease, size), to = find_term(d, kind, n);
    return from != d->count && to != d->count && is_above(d, from, to);
}

bool disease_is_among(const struct diseases *d, const char *disease, const char *list) {
    const char *at = NULL;
    size_t n = 0;
    while (list_next(list, &at, &n))
        if (disease_is(d, disease, at, n))
            return true;
    return false;
}

void diseases_free(struct diseases **d) {
    if (d == NULL || *d == NULL)
        return;
    free((*d)->names_at);
    free((*d)->names);
    free((*d)->kinds_at);
    free((*d)->kinds);
    free(*d);
    *d = NULL;
}

size_t diseases_count(const struct diseases *d) {
    return d == NULL ? 0 : d->count;
}

static size_t at_least_one(size_t n) {
    return n > 0 ? n : 1;
}

size_t diseases_bytes(const struct diseases *d) {
    if (d == NULL)
        return 0;
    size_t places = 2 * ((size_t)d->count + 1) * sizeof(uint32_t);
    return sizeof(*d) + places + at_least_one(d->names_at[d->count]) +
           at_least_one(d->kinds_at[d->count]) * sizeof(*d->kinds);
}
