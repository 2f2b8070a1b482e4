/* Tables at the edge of each limit, and random ones: of any two terms the table says what a walk from one to the other
 * says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "diseases_rig.h"
#include "vault/buffer.h"
#include "vault/result.h"

static void pad_to(struct text *t, size_t n) {
    fflush(t->f);
    while (t->n < n) {
        fputc('#', t->f);
        for (size_t line = n - t->n < 100 ? n - t->n : 100; line > 2; line--)
            fputc('.', t->f);
        fputc('\n', t->f);
        fflush(t->f);
    }
}

static void assert_text_refused(struct text *t, int expected, const char *why) {
    text_end(t);
    assert_refused_n(t->at, t->n, expected, why);
    text_free(t);
}

/* Along the longest way. Numbers go up, down, or neither along it. */
static void write_chain(struct text *t, unsigned steps, unsigned factor) {
    unsigned n = steps + 1;
    for (unsigned i = 0; i < steps; i++)
        fprintf(t->f, "M:%u\tM:%u\n", i * factor % n, (i + 1) * factor % n);
}

static void longest_way_has_at_most_64_steps(void **state) {
    (void)state;
    struct text t;
    const unsigned factors[] = {1, 64, 2, 32}; /* of 65: ascending, descending, two mixtures */
    for (size_t i = 0; i < 4; i++) {
        write_chain(text_begin(&t), DISEASES_DEPTH, factors[i]);
        struct diseases *d = table_of_text(&t);
        char top[16];
        format_string(top, sizeof(top), "M:%u", DISEASES_DEPTH * factors[i] % (DISEASES_DEPTH + 1));
        assert_true(is(d, "M:0", top));
        assert_int_equal(diseases_count(d), DISEASES_DEPTH + 1);
        diseases_free(&d);
    }
}

static void longer_way_is_refused(void **state) {
    (void)state;
    struct text t;
    write_chain(text_begin(&t), DISEASES_DEPTH + 1, 1);
    assert_text_refused(&t, VAULT_E_LIMIT, "line 1: 'M:0' is more than 64 steps from the top");
    write_chain(text_begin(&t), DISEASES_DEPTH + 1, DISEASES_DEPTH + 1);
    assert_text_refused(&t, VAULT_E_LIMIT, "line 1: 'M:0' is more than 64 steps from the top");
    /* a short way to the top does not help */
    write_chain(text_begin(&t), DISEASES_DEPTH + 1, 1);
    fprintf(t.f, "M:0\tM:%u\n", DISEASES_DEPTH + 1);
    assert_text_refused(&t, VAULT_E_LIMIT, "line 1: 'M:0' is more than 64 steps from the top");
}

static void short_ways_do_not_hide_a_long_one(void **state) {
    (void)state;
    struct text t;
    /* whichever comes first in the order of terms */
    for (unsigned extra = 0; extra < 2; extra++) {
        write_chain(text_begin(&t), DISEASES_DEPTH + extra, 1);
        for (unsigned i = 0; i < DISEASES_DEPTH + extra; i++)
            fprintf(t.f, "M:%u\tA:1\nM:%u\tZ:1\n", i, i);
        if (extra > 0) {
            assert_text_refused(&t, VAULT_E_LIMIT, "line 1: 'M:0' is more than 64 steps from the top");
        } else {
            struct diseases *d = table_of_text(&t);
            diseases_free(&d);
        }
    }
}

static void very_long_way_is_refused(void **state) {
    (void)state;
    struct text t;
    write_chain(text_begin(&t), 100000, 1);
    text_end(&t);
    struct diseases *d = NULL;
    assert_int_equal(read_exactly(&d, t.at, t.n), VAULT_E_LIMIT);
    text_free(&t);
}

static void write_star(struct text *t, unsigned diseases) {
    for (unsigned i = 1; i < diseases; i++)
        fprintf(t->f, "M:%u\tM:0\n", i);
}

static void table_has_at_most_131072_diseases(void **state) {
    (void)state;
    struct text t;
    write_star(text_begin(&t), DISEASES_MAX);
    struct diseases *d = table_of_text(&t);
    assert_int_equal(diseases_count(d), DISEASES_MAX);
    assert_true(is(d, "M:131071", "M:0"));
    assert_false(is(d, "M:131071", "M:1"));
    diseases_free(&d);
    fputs("#\n", text_begin(&t)->f);
    write_star(&t, DISEASES_MAX + 1);
    fputs("M:7\tM:8\n", t.f);
    assert_text_refused(&t, VAULT_E_LIMIT, "line 131073: there are more than 131072 diseases");
    /* the second column of a line is the one too many */
    write_star(text_begin(&t), DISEASES_MAX);
    fputs("M:9\tA:1\nM:9\tA:2\n", t.f);
    assert_text_refused(&t, VAULT_E_LIMIT, "line 131072: there are more than 131072 diseases");
}

/* 2^24 - 1 pairs: 4095 above A:1, and 4095 below it that are a kind of all these and of it. */
static void write_pairs(struct text *t) {
    for (unsigned i = 0; i < 4095; i++)
        fprintf(t->f, "A:1\tB:%u\nC:%u\tA:1\n", i, i);
}

static void table_has_at_most_2_to_the_24_pairs(void **state) {
    (void)state;
    struct text t;
    write_pairs(text_begin(&t));
    fputs("X:1\tX:2\n", t.f);
    struct diseases *d = table_of_text(&t);
    assert_true(diseases_bytes(d) > (size_t)DISEASES_PAIRS * 4);
    assert_true(is(d, "C:4094", "B:0"));
    assert_true(is(d, "X:1", "X:2"));
    assert_false(is(d, "X:1", "B:0"));
    diseases_free(&d);
    write_pairs(text_begin(&t));
    fputs("X:1\tX:2\nX:3\tX:4\n", t.f);
    assert_text_refused(&t, VAULT_E_LIMIT,
                        "line 8192: there are more than 16777216 pairs of a disease and one that it is a kind of");
}

static void text_has_at_most_16_mib(void **state) {
    (void)state;
    struct text t;
    fputs("M:1\tM:2\n", text_begin(&t)->f);
    pad_to(&t, DISEASES_TEXT_MAX - 8);
    fputs("M:2\tM:3\n", t.f);
    fflush(t.f);
    assert_int_equal(t.n, DISEASES_TEXT_MAX);
    fputc('\n', t.f);
    text_end(&t);
    struct diseases *d = table_of(t.at, DISEASES_TEXT_MAX);
    assert_true(is(d, "M:1", "M:3"));
    diseases_free(&d);
    char why[DISEASES_PROBLEM];
    size_t lines = 1;
    for (size_t i = 0; i < DISEASES_TEXT_MAX; i++)
        lines += t.at[i] == '\n';
    format_string(why, sizeof(why), "line %zu: there are more than 16777216 bytes", lines);
    assert_refused_n(t.at, DISEASES_TEXT_MAX + 1, VAULT_E_LIMIT, why);
    text_free(&t);
}

/* Random tables. */

enum { NODES_MAX = 1300 };

struct world {
    unsigned count;
    uint32_t (*edges)[2];
    size_t edge_count;
    uint64_t chance; /* state of the random numbers */
    bool reached[NODES_MAX];
};

static unsigned below(struct world *w, unsigned n) {
    w->chance ^= w->chance << 13;
    w->chance ^= w->chance >> 7;
    w->chance ^= w->chance << 17;
    return (unsigned)(w->chance % n);
}

static bool has_edge(const struct world *w, uint32_t child, uint32_t parent) {
    for (size_t i = 0; i < w->edge_count; i++)
        if (w->edges[i][0] == child && w->edges[i][1] == parent)
            return true;
    return false;
}

/* Edges lead from a higher layer to a lower one, so there is no cycle; the layer of a node is its number modulo. */
static void make_world(struct world *w, unsigned count, unsigned layers, size_t tries) {
    w->count = count;
    w->edge_count = 0;
    w->edges = malloc(tries * sizeof(*w->edges));
    assert_non_null(w->edges);
    for (size_t i = 0; i < tries; i++) {
        uint32_t a = below(w, count), b = below(w, count);
        if (a % layers > b % layers && !has_edge(w, a, b)) {
            w->edges[w->edge_count][0] = a;
            w->edges[w->edge_count++][1] = b;
        }
    }
}

static void shuffle(struct world *w) {
    for (size_t i = w->edge_count; i > 1; i--) {
        size_t k = below(w, (unsigned)i);
        for (size_t side = 0; side < 2; side++) {
            uint32_t kept = w->edges[i - 1][side];
            w->edges[i - 1][side] = w->edges[k][side];
            w->edges[k][side] = kept;
        }
    }
}

/* In another order than the numbers, and with different lengths. */
static const char *name_of(uint32_t node, char to[24]) {
    static const char *const letters[] = {"M", "MONDO", "DOID"};
    format_string(to, 24, "%s:%u", letters[node % 3], node * 7919 % 10007);
    return to;
}

static struct diseases *table_of_world(const struct world *w) {
    struct text t;
    char child[24], parent[24];
    text_begin(&t);
    for (size_t i = 0; i < w->edge_count; i++)
        fprintf(t.f, "%s\t%s\n", name_of(w->edges[i][0], child), name_of(w->edges[i][1], parent));
    return table_of_text(&t);
}

/* All that can be reached from a node, by going over all edges until nothing is new. */
static void walk_from(struct world *w, uint32_t from) {
    memset(w->reached, 0, sizeof(w->reached));
    w->reached[from] = true;
    for (bool more = true; more;) {
        more = false;
        for (size_t i = 0; i < w->edge_count; i++)
            if (w->reached[w->edges[i][0]] && !w->reached[w->edges[i][1]])
                more = w->reached[w->edges[i][1]] = true;
    }
}

static void assert_same_as_walks(struct world *w, const struct diseases *d) {
    char disease[24], kind[24];
    for (uint32_t a = 0; a < w->count; a++) {
        walk_from(w, a);
        name_of(a, disease);
        for (uint32_t b = 0; b < w->count; b++) {
            name_of(b, kind);
            if (disease_is(d, disease, kind, strlen(kind)) != w->reached[b])
                fail_msg("%s and %s", disease, kind);
        }
    }
}

static void answers_are_those_of_a_walk(void **state) {
    (void)state;
    static struct world w = {.chance = 20261127};
    for (unsigned i = 0; i < 400; i++) {
        make_world(&w, 2 + below(&w, 40), 2 + below(&w, 20), below(&w, 200) + 1);
        struct diseases *d = table_of_world(&w);
        assert_same_as_walks(&w, d);
        diseases_free(&d);
        free(w.edges);
    }
}

static void answers_are_those_of_a_walk_in_a_large_table(void **state) {
    (void)state;
    static struct world w = {.chance = 7};
    make_world(&w, NODES_MAX, 60, 5000);
    struct diseases *d = table_of_world(&w);
    assert_same_as_walks(&w, d);
    diseases_free(&d);
    free(w.edges);
}

static void order_of_lines_makes_no_difference(void **state) {
    (void)state;
    static struct world w = {.chance = 99};
    make_world(&w, 60, 30, 300);
    size_t bytes = 0, count = 0;
    for (unsigned i = 0; i < 50; i++) {
        struct diseases *d = table_of_world(&w);
        assert_true(i == 0 || (diseases_bytes(d) == bytes && diseases_count(d) == count));
        bytes = diseases_bytes(d);
        count = diseases_count(d);
        assert_same_as_walks(&w, d);
        diseases_free(&d);
        shuffle(&w);
    }
    free(w.edges);
}

/* 30,000 diseases that are a kind of 257 each, and 18 that are a kind of all of these; what is above each would be
 * read half a million times, one by one. */
static void many_ways_to_the_same_cost_little(void **state) {
    (void)state;
    struct text t;
    text_begin(&t);
    for (unsigned i = 0; i < 256; i++)
        fprintf(t.f, "A:1\tB:%u\n", i);
    for (unsigned i = 0; i < 30000; i++) {
        fprintf(t.f, "C:%u\tA:1\n", i);
        for (unsigned k = 0; k < 18; k++)
            fprintf(t.f, "D:%u\tC:%u\n", k, i);
    }
    struct diseases *d = table_of_text(&t);
    assert_true(is(d, "D:17", "B:255"));
    assert_false(is(d, "C:1", "C:2"));
    diseases_free(&d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(longest_way_has_at_most_64_steps),
        cmocka_unit_test(longer_way_is_refused),
        cmocka_unit_test(short_ways_do_not_hide_a_long_one),
        cmocka_unit_test(very_long_way_is_refused),
        cmocka_unit_test(table_has_at_most_131072_diseases),
        cmocka_unit_test(table_has_at_most_2_to_the_24_pairs),
        cmocka_unit_test(text_has_at_most_16_mib),
        cmocka_unit_test(answers_are_those_of_a_walk),
        cmocka_unit_test(answers_are_those_of_a_walk_in_a_large_table),
        cmocka_unit_test(order_of_lines_makes_no_difference),
        cmocka_unit_test(many_ways_to_the_same_cost_little),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
