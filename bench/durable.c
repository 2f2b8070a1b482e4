/* Decisions that are recorded durably before they are answered, in a second: a monitor core with a real index and a
 * real key ring, and as many clients as wanted, each of which asks again as soon as it is answered. Gate, store,
 * workers and TLS are left out; all of it runs in this one thread.
 *
 *   durable CLIENTS COUNT: prints decisions a second, and the median, 99th percentile and worst of their waits in us */
#include "tests/unit/monitor_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "vault/result.h"

enum { CLIENTS_MOST = 256, SUBJECTS = 500 };

struct client {
    struct peer peer;
    uint64_t asked; /* nanoseconds */
    bool waits;
};

static struct client clients[CLIENTS_MOST];

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void ask_once(struct client *c, unsigned n) {
    struct message *q = request(&c->peer, MSG_inquire);
    q->inquire.purpose = PURPOSE_TREATMENT;
    (void)format_string(q->inquire.subject, sizeof(q->inquire.subject), "N-%u", n * 7919 % SUBJECTS);
    c->asked = now();
    c->waits = true;
    send_now(&c->peer);
}

/* Takes what was answered, and asks again while there is more to ask. */
static void serve(unsigned count, unsigned total, unsigned *sent, unsigned *done, uint64_t *waits) {
    for (unsigned i = 0; i < count; i++) {
        struct client *c = &clients[i];
        const struct message *answer = c->waits ? received(&c->peer) : NULL;
        if (answer == NULL)
            continue;
        if (status_of(answer) != 200)
            abort();
        c->waits = false;
        waits[(*done)++] = now() - c->asked;
        if (*sent < total)
            ask_once(c, (*sent)++);
    }
}

static int by_size(const void *a, const void *b) {
    const uint64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static void fill(unsigned count) {
    char name[32];
    m.setup.service_limit = 0;
    for (unsigned n = 0; n < SUBJECTS; n++) {
        (void)format_string(name, sizeof(name), "N-%u", n);
        make_subject(name);
        set_consent(name, true, n % 2 == 0);
    }
    for (unsigned i = 0; i < count; i++)
        clients[i].peer = peer_tls(SAN_OF("clinic"));
}

static void run(unsigned count, unsigned total) {
    uint64_t *waits = calloc(total, sizeof(*waits));
    unsigned sent = 0, done = 0;
    if (waits == NULL)
        abort();
    uint64_t begun = now();
    for (unsigned i = 0; i < count; i++)
        ask_once(&clients[i], sent++);
    while (done < total) {
        turn();
        serve(count, total, &sent, &done, waits);
    }
    double seconds = (double)(now() - begun) / 1e9;
    qsort(waits, total, sizeof(*waits), by_size);
    printf("%.0f %.0f %.0f %.0f\n", total / seconds, (double)waits[total / 2] / 1e3,
           (double)waits[total * 99ul / 100] / 1e3, (double)waits[total - 1] / 1e3);
    free(waits);
}

int main(int argc, char **argv) {
    void *state = NULL;
    unsigned long count = argc == 3 ? strtoul(argv[1], NULL, 10) : 0,
                  total = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
    if (count == 0 || count > CLIENTS_MOST || total < count || secret_start() != VAULT_OK || vault_set_up(&state) != 0)
        return 2;
    fill((unsigned)count);
    run((unsigned)count, (unsigned)total);
    return rig_tear_down(&state);
}
