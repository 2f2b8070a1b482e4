/* Files of the gate's that change on disk while the vault serves: trust, and the server's certificate with its key. */
#include <unistd.h>

#include "paths.h"
#include "supervisor.h"
#include "vault/log.h"
#include "vault/result.h"

static struct file_pair trust_of_now(const struct config *c) {
    return pair_look(c->clients, c->revocations);
}

static struct file_pair certificate_of_now(const struct config *c) {
    return pair_look(c->certificate, c->key);
}

void core_note_files(struct supervisor *s) {
    s->trust = trust_of_now(s->config);
    s->certificate = certificate_of_now(s->config);
}

/* Gives two files to the gate. */
static bool renew(struct supervisor *s, enum message_type type, const char *first, const char *second, bool secret) {
    char problem[PROBLEM_SIZE] = "";
    int fds[2] = {-1, -1};
    bool told = false;
    int result = open_file(first, FILE_OPEN, &fds[0], problem);
    if (result == VAULT_OK)
        result = open_file(second, secret ? FILE_SECRET : FILE_OPEN, &fds[1], problem);
    message_init(&s->message, type, 0);
    if (result == VAULT_OK)
        told = core_tell_with(s, CHILD_GATE, fds, 2);
    else
        log_error("%s: not renewed: %s", message_name(type), problem);
    for (int i = 0; i < 2; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    return told;
}

static void renew_trust(struct supervisor *s) {
    s->trust = trust_of_now(s->config); /* before they are opened: a change in between shows */
    if (renew(s, MSG_trust, s->config->clients, s->config->revocations, false))
        log_notice("trust: the client CA and the revocation list were given to the gate anew");
}

/* Processes that wait for a client were told the former chain. */
static void renew_certificate(struct supervisor *s) {
    s->certificate = certificate_of_now(s->config);
    if (!renew(s, MSG_certificate, s->config->certificate, s->config->key, true))
        return;
    log_notice("certificate: the server's certificate and key were given to the gate anew");
    workers_end_waiting(s);
}

void core_renew(struct supervisor *s) {
    renew_trust(s);
    if (s->phase == PHASE_SERVING) /* the gate may have died of it */
        renew_certificate(s);
}

void core_renew_changed(struct supervisor *s) {
    const struct file_pair trust = trust_of_now(s->config);
    const struct file_pair certificate = certificate_of_now(s->config);
    if (!pair_same(&trust, &s->trust))
        renew_trust(s);
    if (s->phase == PHASE_SERVING && !pair_same(&certificate, &s->certificate))
        renew_certificate(s);
}
