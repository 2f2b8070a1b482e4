#ifndef VAULT_WORKER_DOCUMENTS_REFUSE_H
#define VAULT_WORKER_DOCUMENTS_REFUSE_H

#include <stddef.h>

/* Writes the problem, cut where it does not fit and never in the middle of a character. Gives VAULT_E_FORMAT. */
int refuse(char *problem, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
