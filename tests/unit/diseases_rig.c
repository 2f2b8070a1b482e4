#include "diseases_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "vault/buffer.h"
#include "vault/result.h"

/* What the module holds: each block and its size. */
enum { HELD_MAX = 64 };
static struct {
    void *block;
    size_t size;
} held[HELD_MAX];
int refuse_after = NEVER;

void *__real_calloc(size_t count, size_t size);
void __real_free(void *block);
void *__wrap_calloc(size_t count, size_t size);
void __wrap_free(void *block);

static void exchange_held(const void *from, void *to, size_t size) {
    for (size_t i = 0; i < HELD_MAX; i++)
        if (held[i].block == from) {
            held[i].block = to;
            held[i].size = size;
            return;
        }
}

void *__wrap_calloc(size_t count, size_t size) {
    if (refuse_after != NEVER && refuse_after-- == 0)
        return NULL;
    void *block = __real_calloc(count, size);
    if (block != NULL)
        exchange_held(NULL, block, count * size);
    return block;
}

void __wrap_free(void *block) {
    if (block != NULL)
        exchange_held(block, NULL, 0);
    __real_free(block);
}

size_t bytes_held(void) {
    size_t sum = 0;
    for (size_t i = 0; i < HELD_MAX; i++)
        sum += held[i].size;
    return sum;
}

char problem[DISEASES_PROBLEM];

int read_exactly(struct diseases **ret, const char *text, size_t n) {
    char *copy = malloc(n > 0 ? n : 1);
    assert_non_null(copy);
    copy_bytes(copy, n, text, n);
    memset(problem, 'x', sizeof(problem));
    int result = diseases_read(ret, copy, n, problem);
    free(copy);
    return result;
}

struct diseases *table_of(const char *text, size_t n) {
    struct diseases *d = NULL;
    int result = read_exactly(&d, text, n);
    if (result != VAULT_OK)
        print_error("%.*s\n", DISEASES_PROBLEM, problem);
    assert_int_equal(result, VAULT_OK);
    assert_non_null(d);
    assert_int_equal(diseases_bytes(d), bytes_held());
    return d;
}

struct diseases *table(const char *text) {
    return table_of(text, strlen(text));
}

void assert_refused_n(const char *text, size_t n, int expected, const char *why) {
    struct diseases *mark = (struct diseases *)&problem, *d = mark;
    assert_int_equal(read_exactly(&d, text, n), expected);
    assert_non_null(memchr(problem, '\0', sizeof(problem)));
    assert_string_equal(problem, why);
    assert_ptr_equal(d, mark);
    assert_int_equal(bytes_held(), 0);
}

bool is(const struct diseases *d, const char *disease, const char *kind) {
    size_t n = strlen(kind);
    char *bare = malloc(n > 0 ? n : 1);
    assert_non_null(bare);
    copy_bytes(bare, n, kind, n);
    bool answer = disease_is(d, disease, bare, n);
    free(bare);
    return answer;
}

struct text *text_begin(struct text *t) {
    t->f = open_memstream(&t->at, &t->n);
    assert_non_null(t->f);
    return t;
}

void text_end(struct text *t) {
    assert_int_equal(fclose(t->f), 0);
}

void text_free(struct text *t) {
    free(t->at);
}

struct diseases *table_of_text(struct text *t) {
    text_end(t);
    struct diseases *d = table_of(t->at, t->n);
    text_free(t);
    return d;
}
