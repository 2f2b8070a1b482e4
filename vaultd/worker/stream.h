/* The byte stream to this worker's one client: TLS 1.3 over TCP, or plain over the Unix socket. Every call
 * blocks, with deadlines. OpenSSL's TLS is used behind this header only (tls.c, tls_provider.c). */
#ifndef VAULT_WORKER_STREAM_H
#define VAULT_WORKER_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct stream;

/* Serves TLS on `socket` (owned from now on): sends every handshake message to the gate, has it sign, asks it for its
 * verdicts. Returns after the gate said that the identity is proven (and told the monitor). VAULT_DENIED: the gate, or
 * TLS, refused; the alert has been sent (none for the last verdict: TLS has none then). VAULT_E_TIMEOUT,
 * VAULT_E_CLOSED, VAULT_E_PROTOCOL (gate), VAULT_E_CRYPTO. */
int stream_open_tls(int socket, int gate, uint32_t handshake_ms, uint32_t idle_ms, struct stream **ret);
/* The Unix socket: identity is the supervisor's word. VAULT_E_MEMORY, VAULT_E_IO. */
int stream_open_plain(int socket, uint32_t idle_ms, struct stream **ret);
/* Prepares what must be done before the sandbox: OpenSSL contexts, algorithms. Reads tls_certificate from the gate's
 * channel. VAULT_E_CRYPTO, VAULT_E_PROTOCOL. */
int stream_prepare(int gate);

/* From here on `heard` is called whenever a read or a write that waits for the client finds that `channel` (not owned)
 * can be read, or has ended. It may end the process, and must not use the stream otherwise. */
void stream_listen(struct stream *s, int channel, void (*heard)(void *context), void *context);

/* Reads 1 to n bytes; *ret_n 0 at the client's orderly end. VAULT_E_TIMEOUT: nothing came for the idle time, or at
 * `until_ms` of loop_now_ms (0: never) TLS had nothing whole yet, whatever came meanwhile; the stream can still be
 * written. VAULT_E_CLOSED (reset, or TLS cut without close_notify), VAULT_E_IO. */
int stream_read(struct stream *s, void *to, size_t n, uint64_t until_ms, size_t *ret_n);
/* Bytes that stream_read would give without touching the socket are there. */
bool stream_pending(const struct stream *s);
/* Writes all n bytes, or fails: VAULT_E_TIMEOUT, VAULT_E_CLOSED, VAULT_E_IO. */
int stream_write(struct stream *s, const void *from, size_t n);
/* True if the client's kernel has acknowledged everything that was written: nothing of it can leave this host any more.
 * Always true for the Unix socket, where no content goes, and for a socket that is gone. */
bool stream_drained(const struct stream *s);
/* The socket, to poll on between requests. */
int stream_fd(const struct stream *s);
/* Orderly end: close_notify, shutdown, close. Accepts NULL and a pointer to NULL. */
void stream_close(struct stream **s);
/* Ends with a reset, so that nothing still queued goes out: SO_LINGER {1,0} and close. */
void stream_abort(struct stream **s);

#endif
