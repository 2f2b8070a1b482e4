#include "notify.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-daemon.h>
#include <systemd/sd-journal.h>

#include "vault/buffer.h"
#include "vault/loop.h"

static bool journal;         /* standard error is the journal's stream */
static uint64_t interval_ms; /* between signs of life; 0: nobody waits */
static uint64_t last_sign_ms;

/* JOURNAL_STREAM is "device:inode", both decimal, of the stream that the journal made for us. */
static bool stderr_is_journal(void) {
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat here;
    char ours[48];
    return stream != NULL && fstat(STDERR_FILENO, &here) == 0 &&
           format_string(ours, sizeof(ours), "%llu:%llu", (unsigned long long)here.st_dev,
                         (unsigned long long)here.st_ino) &&
           strcmp(stream, ours) == 0;
}

void notify_start(void) {
    uint64_t watchdog_us = 0;
    journal = stderr_is_journal();
    if (sd_watchdog_enabled(0, &watchdog_us) > 0)
        interval_ms = watchdog_us / 2000;
}

static void notify(const char *text) {
    if (sd_notify(0, text) < 0)
        log_warning("notify: the service manager could not be told");
}

void notify_ready(void) {
    notify("READY=1");
}

void notify_reloading(void) {
    char text[96];
    (void)format_string(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, loop_now_ms() * 1000);
    notify(text);
}

void notify_stopping(void) {
    notify("STOPPING=1");
}

void notify_status(const char *text) {
    char line[256];
    (void)format_string(line, sizeof(line), "STATUS=%s", text); /* cut where it is too long */
    notify(line);
}

void notify_alive(uint64_t now_ms) {
    if (interval_ms == 0 || now_ms - last_sign_ms < interval_ms)
        return;
    last_sign_ms = now_ms;
    notify("WATCHDOG=1");
}

void event_log(enum log_level level, const char *event, const char *process, const char *text) {
    if (journal &&
        sd_journal_send("MESSAGE=%s: %s: %s", event, process, text, "PRIORITY=%d", (int)level,
                        "SYSLOG_IDENTIFIER=vaultd", "VAULT_EVENT=%s", event, "VAULT_PROCESS=%s", process, NULL) == 0)
        return;
    log_line(level, "%s: process=%s %s", event, process, text);
}
