#include "refuse.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "vault/fields.h"
#include "vault/result.h"

int refuse(char *problem, size_t size, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(problem, size, format, arguments);
    va_end(arguments);
    if (n < 0)
        problem[0] = '\0';
    for (size_t length = strlen(problem); length > 0 && !text_is_clean(problem, length);)
        problem[--length] = '\0';
    return VAULT_E_FORMAT;
}
