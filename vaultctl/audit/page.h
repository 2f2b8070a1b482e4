/* The parts of the page that an export has for people (audit.html). docs/format-audit.md. */
#ifndef VAULTCTL_AUDIT_PAGE_H
#define VAULTCTL_AUDIT_PAGE_H

#include "folder.h"
#include "tally.h"
#include "markup.h"

/* vaultctl/audit/page/audit.js and audit.css, put into the program when it is built. */
extern const unsigned char page_script[], page_style[];
extern const size_t page_script_size, page_style_size;

/* Everything above the table of records, from what was counted; it needs no script. What cannot be written is in `h`.
 */
void page_summary(struct html *h, const struct audit_folder *f, const struct tally *t);
/* The charts over time, each with its numbers in a table. */
void page_charts(struct html *h, const struct tally *t);
/* What an ending is called, and what of the style draws it. */
const char *ending_name(enum ending e);

#endif
