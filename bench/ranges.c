/* Asks for ranges of one file on one kept-alive TLS 1.3 connection, one after the other, and says how long each took.
 *
 *   ranges URL CA CERT KEY CIPHER FILE-SIZE RANGE-SIZE ALIGNMENT REQUESTS [HEADER...]
 *
 * Offsets are the same in every run. Prints one JSON object. */
#include <curl/curl.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { WARM_UP = 200, OPTIONS = 9 };

struct load {
    CURL *curl;
    uint64_t file_size;
    uint64_t range_size;
    uint64_t alignment;
    uint64_t random;
    uint64_t received; /* by the request that runs */
};

static void fail(const char *what) {
    fprintf(stderr, "ranges: %s\n", what);
    exit(1);
}

static uint64_t number_of(const char *text) {
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value == 0)
        fail("not a positive number");
    return value;
}

static double now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* xorshift64: the offsets need to be spread, nothing more. */
static uint64_t next_random(struct load *l) {
    l->random ^= l->random << 13;
    l->random ^= l->random >> 7;
    l->random ^= l->random << 17;
    return l->random;
}

static size_t count_bytes(char *bytes, size_t size, size_t n, void *context) {
    struct load *l = context;
    (void)bytes;
    l->received += size * n;
    return size * n;
}

/* Gives the microseconds that it took. */
static double request(struct load *l) {
    char range[64];
    long status = 0;
    uint64_t places = (l->file_size - l->range_size) / l->alignment + 1;
    uint64_t from = next_random(l) % places * l->alignment;
    snprintf(range, sizeof(range), "%llu-%llu", (unsigned long long)from,
             (unsigned long long)(from + l->range_size - 1));
    l->received = 0;
    curl_easy_setopt(l->curl, CURLOPT_RANGE, range);
    double started = now_us();
    CURLcode code = curl_easy_perform(l->curl);
    double took = now_us() - started;
    curl_easy_getinfo(l->curl, CURLINFO_RESPONSE_CODE, &status);
    if (code != CURLE_OK)
        fail(curl_easy_strerror(code));
    if (status != 206 || l->received != l->range_size)
        fail("not the range that was asked for");
    return took;
}

static void prepare(struct load *l, char **options, char **headers) {
    struct curl_slist *list = NULL; /* lives as long as the handle, which is as long as the program */
    l->curl = curl_easy_init();
    if (l->curl == NULL)
        fail("no curl");
    for (; *headers != NULL; headers++)
        list = curl_slist_append(list, *headers);
    curl_easy_setopt(l->curl, CURLOPT_URL, options[0]);
    curl_easy_setopt(l->curl, CURLOPT_CAINFO, options[1]);
    curl_easy_setopt(l->curl, CURLOPT_SSLCERT, options[2]);
    curl_easy_setopt(l->curl, CURLOPT_SSLKEY, options[3]);
    curl_easy_setopt(l->curl, CURLOPT_TLS13_CIPHERS, options[4]);
    curl_easy_setopt(l->curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_3);
    curl_easy_setopt(l->curl, CURLOPT_HTTPHEADER, list);
    curl_easy_setopt(l->curl, CURLOPT_BUFFERSIZE, 131072L);
    curl_easy_setopt(l->curl, CURLOPT_WRITEFUNCTION, count_bytes);
    curl_easy_setopt(l->curl, CURLOPT_WRITEDATA, l);
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure(struct load *l, size_t requests) {
    double *took = calloc(requests, sizeof(*took));
    long connections = 0;
    if (took == NULL)
        fail("out of memory");
    for (int i = 0; i < WARM_UP; i++)
        request(l);
    double started = now_us();
    for (size_t i = 0; i < requests; i++) {
        took[i] = request(l);
        curl_easy_getinfo(l->curl, CURLINFO_NUM_CONNECTS, &connections);
        if (connections != 0)
            fail("the server did not keep the connection");
    }
    double all = now_us() - started;
    qsort(took, requests, sizeof(*took), compare);
    printf("{\"requests_per_s\": %.0f, \"p50_us\": %.0f, \"p99_us\": %.0f}\n", (double)requests / all * 1e6,
           took[requests / 2], took[requests * 99 / 100]);
    free(took);
}

int main(int count, char **argument) {
    if (count < 1 + OPTIONS)
        fail("usage: ranges URL CA CERT KEY CIPHER FILE-SIZE RANGE-SIZE ALIGNMENT REQUESTS [HEADER...]");
    struct load l = {.file_size = number_of(argument[6]),
                     .range_size = number_of(argument[7]),
                     .alignment = number_of(argument[8]),
                     .random = 0x9e3779b97f4a7c15};
    if (l.range_size > l.file_size)
        fail("the range is longer than the file");
    prepare(&l, argument + 1, argument + 1 + OPTIONS);
    measure(&l, number_of(argument[9]));
    curl_easy_cleanup(l.curl);
    return 0;
}
