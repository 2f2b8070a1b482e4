/* What the worker makes of the bytes of a connection. Inputs come on stdin, each as u32 length (big-endian) and bytes;
 * for each one line of JSON goes to stdout:
 *   {"requests": [{"method", "target", "headers": [[name, value]...], "close", "body" (hexadecimal), "whole"}...],
 *    "end": "wait" | "closed" | "refused", "status": of a refusal, else 0}
 * "wait": more bytes are needed; "closed": a request asked for the end of the connection. It is the worker's own code
 * that finds and parses heads and reads bodies; only the client is missing: a socket that has no more to say.
 * With an argument it has a planted fault (planted.h), which the comparison must find. */
#include <arpa/inet.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "planted.h"
#include "vault/buffer.h"
#include "vault/result.h"
#include "vaultd/worker/body.h"
#include "vaultd/worker/connection.h"
#include "vaultd/worker/http_parse.h"

static struct worker w;
static int client;
static int monitor;

static void must(bool good) {
    if (!good)
        abort();
}

static void prepare(void) {
    int ends[2];
    must(secret_start() == VAULT_OK);
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
    must(stream_open_plain(ends[0], 1000, &w.stream) == VAULT_OK);
    client = ends[1];
    must(shutdown(client, SHUT_WR) == 0);
    must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
    w.monitor = ends[0];
    monitor = ends[1]; /* stays open and silent */
    w.supervisor = w.store = -1;
    w.idle_ms = w.head_ms = 1000;
    w.deadline = UINT64_MAX;
}

/* Takes away what the worker answered: a 100 Continue. */
static void drain(void) {
    char bytes[4096];
    while (read(client, bytes, sizeof(bytes)) > 0)
        ;
}

static json_t *text(struct view v) {
    json_t *string = json_stringn(v.at, v.n);
    must(string != NULL);
    return string;
}

static json_t *fields_of(const struct http_head *head) {
    json_t *fields = json_array();
    for (size_t i = 0; i < head->field_count; i++)
        must(json_array_append_new(fields,
                                   json_pack("[o,o]", text(head->fields[i].name), text(head->fields[i].value))) == 0);
    return fields;
}

/* Path and query lie beside each other in the head. */
static struct view target_of(const struct http_head *head) {
    const char *end = head->query.at + head->query.n;
    return (struct view){head->path.at, (size_t)(end - head->path.at)};
}

static int read_body(struct body *b, char hex[2 * INPUT_SIZE + 1]) {
    size_t used = 0;
    int result = VAULT_OK;
    hex[0] = '\0';
    while (!body_finished(b)) {
        uint8_t bytes[1024];
        size_t n = 0;
        result = body_read(&w, b, bytes, sizeof(bytes), &n);
        if (result != VAULT_OK)
            break;
        for (size_t i = 0; i < n; i++, used += 2)
            snprintf(hex + used, 3, "%02x", bytes[i]);
    }
    return result;
}

/* Finds and parses the next head in `bytes`, as session.c does. */
static int next_head(uint8_t bytes[HTTP_HEAD_MAX], struct http_head *head, struct http_refusal *refusal) {
    struct http_scan scan = {0};
    size_t n;
    size_t end = 0;
    const uint8_t *waiting = connection_waiting(&w, &n);
    int result = http_head_find(&scan, waiting, n, &end, refusal);
    if (result != VAULT_OK)
        return result;
    copy_bytes(bytes, HTTP_HEAD_MAX, waiting, end);
    connection_take(&w, end);
    end = planted_in_head(bytes, end);
    return http_head_parse(bytes, end, head, refusal);
}

/* One request. Gives why the connection does not go on, or NULL. */
static const char *judge_request(json_t *requests, unsigned *ret_status) {
    static uint8_t bytes[HTTP_HEAD_MAX];
    static char hex[2 * INPUT_SIZE + 1];
    struct http_head head;
    struct http_refusal refusal;
    struct body body;
    int result = next_head(bytes, &head, &refusal);
    if (result == VAULT_AGAIN)
        return "wait";
    if (result != VAULT_OK) {
        *ret_status = refusal.status;
        return "refused";
    }
    body_start(&body, &head);
    result = read_body(&body, hex);
    must(json_array_append_new(requests, json_pack("{s:o,s:o,s:o,s:b,s:s,s:b}", "method", text(head.method), "target",
                                                   text(target_of(&head)), "headers", fields_of(&head), "close",
                                                   head.close, "body", hex, "whole", result == VAULT_OK)) == 0);
    if (result == VAULT_E_CLOSED)
        return "wait";
    *ret_status = result == VAULT_OK ? 0 : result == VAULT_E_LIMIT ? 413 : 400;
    return result != VAULT_OK ? "refused" : head.close ? "closed" : NULL;
}

static void judge(size_t n) {
    json_t *requests = json_array();
    const char *end = NULL;
    unsigned status = 0;
    w.input_start = 0;
    w.input_end = planted_in_input(w.input, n);
    while (end == NULL)
        end = judge_request(requests, &status);
    json_t *verdict = json_pack("{s:o,s:s,s:i}", "requests", requests, "end", end, "status", (int)status);
    must(verdict != NULL && json_dumpf(verdict, stdout, JSON_COMPACT) == 0 && putchar('\n') == '\n');
    json_decref(verdict);
    drain();
}

int main(int argc, char **argv) {
    uint32_t length;
    if (argc > 2 || (argc == 2 && !planted_choose(argv[1])))
        return 2;
    prepare();
    while (fread(&length, sizeof(length), 1, stdin) == 1) {
        size_t n = ntohl(length);
        must(n <= INPUT_SIZE / 2 && fread(w.input, 1, n, stdin) == n);
        judge(n);
    }
    stream_close(&w.stream);
    return ferror(stdin) || fflush(stdout) != 0;
}
