#include "vault/json_out.h"

#include <stdlib.h>
#include <string.h>
#include <yajl/yajl_gen.h>

#include "vault/fields.h"
#include "vault/result.h"

/* JSON numbers are exact up to here (RFC 8785, RFC 7493). */
static const uint64_t integer_max = (UINT64_C(1) << 53) - 1;

void json_out_fail(struct json_out *o, int result) {
    if (o->result == VAULT_OK)
        o->result = result;
}

static void print(void *context, const char *text, size_t n) {
    struct json_out *o = context;
    write_bytes(&o->to, text, n);
}

/* yajl wants memory for its generator, and for the head of a buffer that it does not use here. It does not ask whether
 * it got any. */
static void *get_memory(void *context, size_t n) {
    struct json_out *o = context;
    size_t whole = (n + 15) & ~(size_t)15;
    if (n > sizeof(o->memory) || whole > sizeof(o->memory) - o->memory_used)
        abort();
    o->memory_used += whole;
    return o->memory + o->memory_used - whole;
}

static void *change_memory(void *context, void *before, size_t n) {
    (void)context;
    (void)before;
    (void)n;
    abort();
}

static void give_memory(void *context, void *at) {
    (void)context;
    (void)at;
}

void json_out_begin(struct json_out *o, char *to, size_t size) {
    const yajl_alloc_funcs memory = {get_memory, change_memory, give_memory, o};
    o->to = writer_of(to, size);
    o->result = VAULT_OK;
    o->memory_used = 0;
    o->generator = yajl_gen_alloc(&memory);
    if (yajl_gen_config(o->generator, yajl_gen_print_callback, print, o) == 0)
        abort(); /* it knows no such option */
}

int json_out_end(struct json_out *o, size_t *ret_length) {
    if (o->result == VAULT_OK && yajl_gen_null(o->generator) != yajl_gen_generation_complete)
        o->result = VAULT_E_STATE; /* what may follow a whole document is nothing */
    write_u8(&o->to, '\0');
    if (o->to.bad)
        json_out_fail(o, VAULT_E_LIMIT);
    if (o->result == VAULT_OK)
        *ret_length = o->to.used - 1;
    return o->result;
}

/* What yajl says of a token: it refuses only what does not make one document. */
static void take(struct json_out *o, yajl_gen_status status) {
    if (status != yajl_gen_status_ok)
        json_out_fail(o, VAULT_E_STATE);
}

static void put_text(struct json_out *o, const char *text, size_t n) {
    take(o, yajl_gen_string(o->generator, (const unsigned char *)text, n));
}

/* False after a fault. */
static bool put_name(struct json_out *o, const char *name) {
    if (o->result == VAULT_OK && name != NULL)
        put_text(o, name, strlen(name));
    return o->result == VAULT_OK;
}

void out_object(struct json_out *o, const char *name) {
    if (put_name(o, name))
        take(o, yajl_gen_map_open(o->generator));
}

void out_object_end(struct json_out *o) {
    if (o->result == VAULT_OK)
        take(o, yajl_gen_map_close(o->generator));
}

void out_list(struct json_out *o, const char *name) {
    if (put_name(o, name))
        take(o, yajl_gen_array_open(o->generator));
}

void out_list_end(struct json_out *o) {
    if (o->result == VAULT_OK)
        take(o, yajl_gen_array_close(o->generator));
}

void out_number(struct json_out *o, const char *name, uint64_t number) {
    if (number > integer_max)
        json_out_fail(o, VAULT_E_LIMIT);
    if (put_name(o, name))
        take(o, yajl_gen_integer(o->generator, (long long)number));
}

void out_unless_zero(struct json_out *o, const char *name, uint64_t number) {
    if (number != 0)
        out_number(o, name, number);
}

void out_text(struct json_out *o, const char *name, const char *text, size_t n) {
    if (!text_is_clean(text, n))
        json_out_fail(o, VAULT_E_FORMAT);
    if (put_name(o, name))
        put_text(o, text, n);
}

void out_string(struct json_out *o, const char *name, const char *text) {
    if (text != NULL && text[0] != '\0')
        out_text(o, name, text, strlen(text));
}
