#include "vault/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

static const char *process = "vault";

void log_start(const char *name) {
    process = name;
}

/* One write(2) per line, so that lines of several processes do not mix; the `<n>` prefix is what journald and
 * `systemd-cat` read as the level. */
void log_line(enum log_level level, const char *format, ...) {
    char line[1024];
    int head = snprintf(line, sizeof(line), "<%d>vaultd-%s: ", (int)level, process);
    if (head < 0 || (size_t)head >= sizeof(line) - 1)
        return;
    va_list arguments;
    va_start(arguments, format);
    int body = vsnprintf(line + head, sizeof(line) - (size_t)head - 1, format, arguments);
    va_end(arguments);
    if (body < 0)
        return;
    size_t n = (size_t)head + (size_t)body;
    if (n > sizeof(line) - 2)
        n = sizeof(line) - 2;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
            line[i] = '?';
    line[n++] = '\n';
    ssize_t written = write(STDERR_FILENO, line, n);
    (void)written; /* nowhere left to say it */
}
