/* A gate with the test as its supervisor and monitor. Workers are real (worker_stream in a child, its messages passing
 * through the test) or scripted by the test; clients are plain OpenSSL in a child. Faults abort: these are tests. */
#ifndef VAULT_TESTS_GATE_RIG_H
#define VAULT_TESTS_GATE_RIG_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <sys/types.h>

#include "tests/unit/gate_pki.h"
#include "vault/message.h"
#include "vaultd/gate/gate.h"
#include "vaultd/worker/stream.h"

struct rig {
    struct identity authority, server;
    struct gate *gate; /* NULL: the gate is the program of process `program` */
    pid_t program;
    int control, monitor; /* our ends */
    uint64_t last_worker;
    /* what the gate said, since rig_forget */
    unsigned kills, identities, losses, seen, used;
    struct msg_worker_kill kill;
    struct msg_identity identity;
    struct msg_identity_lost lost;
    struct msg_anchors_seen anchors; /* the last, also from before */
    uint64_t used_id;
};

/* A gate whose server certificate ends in `server_end` seconds (0: a day) and whose CRL is due in `list_due`. */
void rig_start(struct rig *r, long server_end, long list_due);
/* The same around the program at `path`, in its sandbox. */
void rig_start_program(struct rig *r, const char *path);
void rig_stop(struct rig *r);
void rig_forget(struct rig *r);
/* Lets the gate work until it has nothing to do, and takes what it said. */
void rig_pump(struct rig *r);
/* New trust: the rig's authority and this list, which is closed. */
void rig_trust(struct rig *r, int list);

/* The same with other authorities: both are closed. */
void rig_trust_of(struct rig *r, int authorities, int list);
/* Has the gate use these authorities: anchors_use with this id. */
void rig_use(struct rig *r, uint64_t id, const struct msg_anchors_seen *anchors);

/* Another server certificate, and a key, which need not be its own. */
void rig_certificate(struct rig *r, X509 *certificate, EVP_PKEY *key);

struct client {
    const struct identity *identity; /* NULL: no certificate */
    const char *groups, *suites;     /* NULL: the default */
    int newest;                      /* TLS version; 0: the default */
    /* What its process does once connected, and instead of connecting: exit status. NULL: sends one byte, expects one.
     */
    int (*talk)(SSL *ssl);
    int (*raw)(int socket);
    /* What its worker's process does with the open stream: a result. NULL: reads one byte, answers with one. */
    int (*serve)(struct stream *s);
    uint32_t handshake_ms, idle_ms; /* 0: 5000 */
};

enum { RECORDED_MAX = 32 };

/* The handshake messages of one session, in order. */
struct recording {
    size_t count;
    struct {
        bool from_client;
        size_t n;
        uint8_t *bytes;
    } messages[RECORDED_MAX];
};

void recording_free(struct recording *r);
/* Position of the first message of this type and side; aborts if there is none. */
size_t recording_find(const struct recording *r, bool from_client, uint8_t type);

/* Sees, and may change, each handshake message on its way from the worker to the gate. */
typedef void tamper(void *context, struct msg_tls_message *m);

struct outcome {
    int worker;       /* result of stream_open_tls, or of what came after */
    int client;       /* 0: served; an alert's number; CLIENT_CUT */
    uint8_t alert;    /* of the last verdict */
    char reason[201]; /* of the last verdict */
    struct recording recording;
    int channel; /* the worker's to the gate, for the test to go on with */
};

void outcome_clear(struct outcome *o);

enum { CLIENT_CUT = 255 };

/* One connection from beginning to end. `tampering` may be NULL. */
void rig_connect(struct rig *r, const struct client *client, tamper *tampering, void *context, struct outcome *ret);

/* A scripted worker: its channel. The server's chain has been taken from it. */
int rig_worker(struct rig *r);
void script_message(struct rig *r, int worker, bool from_client, const void *bytes, size_t n);
void script_replay(struct rig *r, int worker, const struct recording *from, size_t first, size_t end);
/* The gate's signature as a CertificateVerify message; false if there is none. */
bool script_sign(struct rig *r, int worker, uint8_t ret_message[256], size_t *ret_n);
/* False if the gate does not answer. */
bool script_verdict(struct rig *r, int worker, bool proven, struct msg_tls_verdict *ret);
void script_send(struct rig *r, int worker, enum message_type type);

#endif
