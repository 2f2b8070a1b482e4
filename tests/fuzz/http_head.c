/* A head is read alike whole and in pieces, and what is accepted has one reading. */
#include <stdlib.h>
#include <string.h>

#include "taken.h"
#include "vault/result.h"
#include "vaultd/worker/http_parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is taken out of a target by decoding is no longer than it was, clean, and terminated where it should be. */
static void check_decoded(struct view v) {
    char text[HTTP_LINE_MAX + 1];
    if (http_decode(v, text, sizeof(text)) == VAULT_OK && strlen(text) > v.n)
        abort();
    if (view_string(v, text, sizeof(text)) == VAULT_OK && (strlen(text) != v.n || memcmp(text, v.at, v.n) != 0))
        abort();
}

static void check_query(struct view rest) {
    struct view name;
    struct view value;
    size_t left = rest.n + 1;
    while (http_query_next(&rest, &name, &value)) {
        if (rest.n >= left || name.n + value.n > left)
            abort();
        left = rest.n;
        check_decoded(name);
        check_decoded(value);
    }
}

static void check_accepted(const uint8_t *data, size_t n, const struct http_head *head) {
    struct view rest = head->path;
    struct view segment;
    struct view value;
    fuzz_taken++;
    if (head->chunked && head->has_length)
        abort();
    if (head->path.n == 0 || head->path.at[0] != '/' || head->field_count > HTTP_FIELDS_MAX)
        abort();
    if (http_field_find(head, "host", &value) != VAULT_OK)
        abort();
    while (http_path_next(&rest, &segment)) {
        if ((const uint8_t *)segment.at + segment.n > data + n)
            abort();
        check_decoded(segment);
    }
    check_query(head->query);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct http_scan whole = {0};
    struct http_scan pieces = {0};
    struct http_refusal refusal;
    size_t end = 0;
    size_t piece_end = 0;
    int result = http_head_find(&whole, data, size, &end, &refusal);
    int piece_result = VAULT_AGAIN;
    for (size_t n = 1; n <= size && piece_result == VAULT_AGAIN; n++)
        piece_result = http_head_find(&pieces, data, n, &piece_end, &refusal);
    if (result != piece_result || end != piece_end)
        abort();
    struct http_head head;
    if (result == VAULT_OK && http_head_parse(data, end, &head, &refusal) == VAULT_OK)
        check_accepted(data, end, &head);
    return 0;
}
