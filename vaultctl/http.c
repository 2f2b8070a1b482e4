#include "http.h"

#include <curl/curl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "names.h"
#include "vault/buffer.h"

enum {
    BODY_MAX = 64 << 20,
    CONNECT_SECONDS = 15,
    EXPECT_MILLISECONDS = 5000,
    TRANSFER_BUFFER = 256 << 10,
    REFUSAL_MILLISECONDS = 5000
};

volatile sig_atomic_t interrupted;

struct session {
    CURL *curl;
    const struct connection *connection;
    char error[CURL_ERROR_SIZE];
};

/* What the callbacks of one exchange share. */
struct exchange {
    struct session *session;
    const struct http_request *request;
    struct http_answer *answer;
    uint64_t sent;
};

struct session *session_open(const struct connection *connection) {
    struct session *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return NULL;
    s->connection = connection;
    s->curl = curl_easy_init();
    if (s->curl == NULL) {
        free(s);
        return NULL;
    }
    return s;
}

void session_close(struct session *s) {
    if (s == NULL)
        return;
    curl_easy_cleanup(s->curl);
    free(s);
}

void answer_clear(struct http_answer *a) {
    free(a->body);
    json_decref(a->document);
    *a = (struct http_answer){.size = -1};
}

/* Keeps the value of "Name: value\r\n" if the name is this one. */
static void keep_header(const char *line, size_t n, const char *name, char to[HTTP_TEXT]) {
    size_t skip = strlen(name);
    if (n <= skip || strncasecmp(line, name, skip) != 0 || line[skip] != ':')
        return;
    const char *value = line + skip + 1;
    size_t size = n - skip - 1;
    for (; size > 0 && (*value == ' ' || *value == '\t'); value++)
        size--;
    while (size > 0 && strchr(" \t\r\n", value[size - 1]) != NULL)
        size--;
    if (size < HTTP_TEXT)
        (void)format_string(to, HTTP_TEXT, "%.*s", (int)size, value);
}

static size_t take_header(char *line, size_t unit, size_t count, void *context) {
    struct exchange *x = context;
    size_t n = unit * count;
    keep_header(line, n, "Request-Id", x->answer->request_id);
    keep_header(line, n, "Repr-Digest", x->answer->repr_digest);
    keep_header(line, n, "Content-Range", x->answer->content_range);
    return n;
}

static bool gather(struct http_answer *a, const char *bytes, size_t n) {
    if (n > BODY_MAX - a->body_size)
        return false;
    char *longer = realloc(a->body, a->body_size + n + 1);
    if (longer == NULL)
        return false;
    copy_bytes(longer + a->body_size, n, bytes, n);
    a->body = longer;
    a->body_size += n;
    a->body[a->body_size] = '\0';
    return true;
}

static size_t take_body(char *bytes, size_t unit, size_t count, void *context) {
    struct exchange *x = context;
    struct http_answer *a = x->answer;
    size_t n = unit * count;
    long status = 0;
    curl_easy_getinfo(x->session->curl, CURLINFO_RESPONSE_CODE, &status);
    if (x->request->sink == NULL || outcome_of_status(status, false) != OUTCOME_DONE)
        return gather(a, bytes, n) ? n : 0;
    if (!x->request->sink(x->request->context, bytes, n)) {
        a->sink_failed = true;
        return 0;
    }
    return n;
}

static size_t give_body(char *to, size_t unit, size_t count, void *context) {
    struct exchange *x = context;
    ssize_t n = read(x->request->upload, to, unit * count);
    if (n < 0)
        return CURL_READFUNC_ABORT;
    x->sent += (uint64_t)n;
    return (size_t)n;
}

/* libcurl starts over on a new connection if a kept one proves dead before anything was answered. */
static int rewind_body(void *context, curl_off_t offset, int origin) {
    struct exchange *x = context;
    if (lseek(x->request->upload, offset, origin) < 0)
        return CURL_SEEKFUNC_FAIL;
    x->sent = (uint64_t)offset;
    return CURL_SEEKFUNC_OK;
}

static int watch(void *context, curl_off_t to_get, curl_off_t got, curl_off_t to_send, curl_off_t sent) {
    struct exchange *x = context;
    if (x->request->progress != NULL) {
        bool sending = x->request->upload_size >= 0;
        progress_move(x->request->progress, (uint64_t)(sending ? sent : got), (uint64_t)(sending ? to_send : to_get));
    }
    return interrupted != 0;
}

static void set_address(CURL *curl, const struct connection *c, const char *path) {
    char *url;
    if (c->tls) {
        size_t n = strlen(c->url);
        while (n > 0 && c->url[n - 1] == '/')
            n--;
        url = format_text("%.*s%s", (int)n, c->url, path);
        curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https");
        curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_3);
        curl_easy_setopt(curl, CURLOPT_SSLCERT, c->cert);
        curl_easy_setopt(curl, CURLOPT_SSLKEY, c->key);
        if (c->ca != NULL) {
            curl_easy_setopt(curl, CURLOPT_CAINFO, c->ca);
            curl_easy_setopt(curl, CURLOPT_CAPATH, NULL);
        }
    } else {
        url = format_text("http://localhost%s", path);
        curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http");
        curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, c->socket);
    }
    curl_easy_setopt(curl, CURLOPT_URL, url);
    free(url);
}

/* A proxy must never come between a reader and the vault, whatever the environment says. */
static void set_common(struct session *s, struct exchange *x) {
    CURL *curl = s->curl;
    curl_easy_reset(curl);
    set_address(curl, s->connection, x->request->path);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "vaultctl/" VAULT_VERSION);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS);
    curl_easy_setopt(curl, CURLOPT_EXPECT_100_TIMEOUT_MS, (long)EXPECT_MILLISECONDS);
    curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, (long)TRANSFER_BUFFER);
    curl_easy_setopt(curl, CURLOPT_UPLOAD_BUFFERSIZE, (long)TRANSFER_BUFFER);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, s->error);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, x);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, x);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, watch);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, x);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
}

static void set_body(CURL *curl, struct exchange *x) {
    const struct http_request *r = x->request;
    if (r->body == NULL && r->upload_size >= 0) {
        curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(curl, CURLOPT_READFUNCTION, give_body);
        curl_easy_setopt(curl, CURLOPT_READDATA, x);
        curl_easy_setopt(curl, CURLOPT_SEEKFUNCTION, rewind_body);
        curl_easy_setopt(curl, CURLOPT_SEEKDATA, x);
        curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)r->upload_size);
    } else if (r->body != NULL || strcmp(r->method, "POST") == 0) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body_size);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, r->body != NULL ? r->body : "");
    }
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, r->method);
}

/* NULL if there is no memory. */
static struct curl_slist *make_headers(const struct http_request *r) {
    char *type = r->type != NULL ? format_text("Content-Type: %s", r->type) : format_text("Content-Type:");
    struct curl_slist *list = curl_slist_append(NULL, type);
    free(type);
    for (size_t i = 0; list != NULL && i < HTTP_HEADERS && r->headers[i] != NULL; i++) {
        struct curl_slist *longer = curl_slist_append(list, r->headers[i]);
        if (longer == NULL)
            curl_slist_free_all(list);
        list = longer;
    }
    return list;
}

/* libcurl keeps only the first complaint of an exchange; here all of them pass by. */
static int look_for_alert(CURL *curl, curl_infotype type, char *text, size_t n, void *context) {
    int *alert = context;
    char line[CURL_ERROR_SIZE];
    (void)curl;
    if (type == CURLINFO_TEXT && *alert == 0) {
        (void)format_string(line, sizeof(line), "%.*s", (int)(n < sizeof(line) ? n : sizeof(line) - 1), text);
        *alert = tls_alert_of(line);
    }
    return 0;
}

/* A TLS 1.3 client learns that its certificate is refused only after its own side of the handshake is done. If it has
 * sent its request by then, the server's reset can hide the alert. So connect once more, send nothing, and listen.
 * The alert, or 0 if none came. */
static int ask_refusal(struct exchange *x) {
    CURL *curl = x->session->curl;
    curl_socket_t fd = CURL_SOCKET_BAD;
    char byte;
    size_t n;
    int alert = 0;
    set_common(x->session, x);
    curl_easy_setopt(curl, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(curl, CURLOPT_FRESH_CONNECT, 1L);
    curl_easy_setopt(curl, CURLOPT_VERBOSE, 1L);
    curl_easy_setopt(curl, CURLOPT_DEBUGFUNCTION, look_for_alert);
    curl_easy_setopt(curl, CURLOPT_DEBUGDATA, &alert);
    if (curl_easy_perform(curl) == CURLE_OK && curl_easy_getinfo(curl, CURLINFO_ACTIVESOCKET, &fd) == CURLE_OK &&
        fd != CURL_SOCKET_BAD) {
        struct pollfd waiting = {.fd = fd, .events = POLLIN};
        /* Session tickets may come first: they are read and give no bytes. */
        while (poll(&waiting, 1, REFUSAL_MILLISECONDS) > 0 && curl_easy_recv(curl, &byte, 1, &n) == CURLE_AGAIN)
            continue;
    }
    /* The handle outlives `alert`. */
    curl_easy_reset(curl);
    return alert;
}

static const char *place(const struct connection *c) {
    return c->tls ? c->url : c->socket;
}

static enum outcome explain_alert(struct exchange *x, int alert) {
    struct http_answer *a = x->answer;
    (void)format_string(a->error, sizeof(a->error), "TLS refused by %s: %s (alert %d)", place(x->session->connection),
                        tls_alert_text(alert), alert);
    return OUTCOME_NO_SERVICE;
}

/* The connection was made, perhaps with TLS, and ended without an answer. */
static enum outcome explain_end(struct exchange *x, CURLcode code) {
    const struct connection *c = x->session->connection;
    char text[CURL_ERROR_SIZE];
    copy_string(text, sizeof(text), x->session->error[0] != '\0' ? x->session->error : curl_easy_strerror(code));
    int alert = c->tls && x->sent == 0 ? ask_refusal(x) : 0;
    if (alert != 0)
        return explain_alert(x, alert);
    (void)format_string(x->answer->error, sizeof(x->answer->error),
                        "the connection to %s ended before an answer came; what was asked may have been done: %s",
                        place(c), text);
    return c->tls && x->sent == 0 ? OUTCOME_NO_SERVICE : OUTCOME_FAILED;
}

/* There was no answer at all. */
static enum outcome explain_silence(struct exchange *x, CURLcode code) {
    const struct connection *c = x->session->connection;
    struct http_answer *a = x->answer;
    const char *text = x->session->error[0] != '\0' ? x->session->error : curl_easy_strerror(code);
    int alert = c->tls ? tls_alert_of(text) : 0;
    long os_error = 0;
    curl_easy_getinfo(x->session->curl, CURLINFO_OS_ERRNO, &os_error);
    if (alert != 0)
        return explain_alert(x, alert);
    switch (code) {
    case CURLE_COULDNT_CONNECT:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_OPERATION_TIMEDOUT:
        (void)format_string(a->error, sizeof(a->error), "the vault cannot be reached at %s: %s", place(c),
                            code == CURLE_COULDNT_CONNECT && os_error != 0 ? strerror((int)os_error) : text);
        return OUTCOME_NO_SERVICE;
    case CURLE_PEER_FAILED_VERIFICATION:
        (void)format_string(a->error, sizeof(a->error), "%s is not trusted (--ca or VAULT_CA names who may vouch): %s",
                            place(c), text);
        return OUTCOME_NO_SERVICE;
    case CURLE_SSL_CERTPROBLEM:
        (void)format_string(a->error, sizeof(a->error),
                            "the client certificate and its key (--cert, --key) cannot be used; do they belong "
                            "together? %s",
                            text);
        return OUTCOME_NO_SERVICE;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CACERT_BADFILE:
        (void)format_string(a->error, sizeof(a->error), "no TLS 1.3 connection to %s: %s", place(c), text);
        return OUTCOME_NO_SERVICE;
    case CURLE_URL_MALFORMAT:
        (void)format_string(a->error, sizeof(a->error), "%s is no address: %s", place(c), text);
        return OUTCOME_USAGE;
    default: return explain_end(x, code);
    }
}

/* An answer came, and it is not a whole 2xx. */
static enum outcome explain_answer(struct exchange *x, CURLcode code) {
    struct http_answer *a = x->answer;
    const char *type = json_string_value(json_object_get(a->document, "type"));
    enum outcome outcome =
        outcome_of_status(a->status, type != NULL && strcmp(type, "urn:vault:problem:integrity") == 0);
    if (outcome == OUTCOME_DONE) {
        a->cut = !a->sink_failed;
        (void)format_string(a->error, sizeof(a->error), "the answer broke off: %s",
                            x->session->error[0] != '\0' ? x->session->error : curl_easy_strerror(code));
        return OUTCOME_FAILED;
    }
    if (a->document == NULL)
        (void)format_string(a->error, sizeof(a->error), "the vault answered with HTTP status %ld", a->status);
    return outcome;
}

static enum outcome conclude(struct exchange *x, CURLcode code) {
    struct http_answer *a = x->answer;
    curl_off_t size = -1;
    curl_easy_getinfo(x->session->curl, CURLINFO_RESPONSE_CODE, &a->status);
    curl_easy_getinfo(x->session->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &size);
    a->size = (int64_t)size;
    if (a->body != NULL) {
        a->document = json_loadb(a->body, a->body_size, JSON_REJECT_DUPLICATES, NULL);
        if (!json_is_object(a->document)) {
            json_decref(a->document);
            a->document = NULL;
        }
    }
    if (interrupted) {
        (void)format_string(a->error, sizeof(a->error), "interrupted");
        return OUTCOME_FAILED;
    }
    if (a->status < 200)
        return explain_silence(x, code);
    if (code == CURLE_OK && outcome_of_status(a->status, false) == OUTCOME_DONE)
        return OUTCOME_DONE;
    return explain_answer(x, code);
}

enum outcome http_exchange(struct session *s, const struct http_request *request, struct http_answer *ret) {
    struct exchange x = {.session = s, .request = request, .answer = ret};
    *ret = (struct http_answer){.size = -1};
    struct curl_slist *headers = make_headers(request);
    if (headers == NULL) {
        (void)format_string(ret->error, sizeof(ret->error), "out of memory");
        return OUTCOME_FAILED;
    }
    set_common(s, &x);
    set_body(s->curl, &x);
    curl_easy_setopt(s->curl, CURLOPT_HTTPHEADER, headers);
    s->error[0] = '\0';
    CURLcode code = curl_easy_perform(s->curl);
    enum outcome outcome = conclude(&x, code);
    curl_slist_free_all(headers);
    return outcome;
}
