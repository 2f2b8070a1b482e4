#include <curl/curl.h>
#include <string.h>

#include "courier.h"
#include "vault/buffer.h"
#include "vault/result.h"

int post_start(void) {
    return curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? VAULT_OK : VAULT_E_MEMORY;
}

/* A longer answer is none of a witness: the transfer ends. */
static size_t take(char *bytes, size_t one, size_t n, void *context) {
    struct msg_courier_brought *b = context;
    (void)one;
    if (n > sizeof(b->body) - b->body_size)
        return 0;
    copy_bytes(b->body + b->body_size, sizeof(b->body) - b->body_size, bytes, n);
    b->body_size += (uint32_t)n;
    return n;
}

static CURLcode set_up(CURL *c, const struct destination *to, const char *url, const struct msg_courier_carry *what,
                       struct msg_courier_brought *ret) {
    struct curl_blob authorities = {.data = to->authorities, .len = to->authorities_size, .flags = CURL_BLOB_NOCOPY};
    const struct {
        CURLoption option;
        long value;
    } numbers[] = {
        {CURLOPT_NOSIGNAL, 1},
        {CURLOPT_FOLLOWLOCATION, 0},
        {CURLOPT_FORBID_REUSE, 1},
        {CURLOPT_TIMEOUT, (long)to->seconds},
        {CURLOPT_SSL_VERIFYPEER, 1},
        {CURLOPT_SSL_VERIFYHOST, 2},
        {CURLOPT_TCP_KEEPALIVE, 0},
        {CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2},
        {CURLOPT_POSTFIELDSIZE, (long)what->body_size},
    };
    CURLcode code = curl_easy_setopt(c, CURLOPT_URL, url);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]) && code == CURLE_OK; i++)
        code = curl_easy_setopt(c, numbers[i].option, numbers[i].value);
    if (code == CURLE_OK)
        code = curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, to->authorities == NULL ? "http" : "http,https");
    if (code == CURLE_OK)
        code = curl_easy_setopt(c, CURLOPT_PROXY, "");
    if (code == CURLE_OK && to->authorities != NULL)
        code = curl_easy_setopt(c, CURLOPT_CAINFO_BLOB, &authorities);
    if (code == CURLE_OK)
        code = curl_easy_setopt(c, CURLOPT_POSTFIELDS, what->body);
    if (code == CURLE_OK)
        code = curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take);
    return code == CURLE_OK ? curl_easy_setopt(c, CURLOPT_WRITEDATA, ret) : code;
}

void post(const struct destination *to, const struct msg_courier_carry *what, struct msg_courier_brought *ret) {
    char url[sizeof(to->url) + 32];
    long status = 0;
    CURL *c = curl_easy_init();
    CURLcode code = c == NULL ? CURLE_OUT_OF_MEMORY : CURLE_OK;
    if (!format_string(url, sizeof(url), "%s/add-checkpoint", to->url))
        code = CURLE_URL_MALFORMAT;
    if (code == CURLE_OK)
        code = set_up(c, to, url, what, ret);
    if (code == CURLE_OK)
        code = curl_easy_perform(c);
    if (code == CURLE_OK)
        code = curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(c);
    if (code == CURLE_OK && status > 0)
        ret->status = (uint32_t)status;
    else
        copy_string(ret->problem, sizeof(ret->problem),
                    code == CURLE_WRITE_ERROR ? "its answer is longer than a witness's"
                                              : curl_easy_strerror(code == CURLE_OK ? CURLE_WEIRD_SERVER_REPLY : code));
}
