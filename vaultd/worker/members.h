/* From what a client says to a message's fields, by table: path arguments, query parameters, header fields and members
 * of a JSON object. What is unknown, missing, twice there or of another type is refused, and named. */
#ifndef VAULT_WORKER_MEMBERS_H
#define VAULT_WORKER_MEMBERS_H

#include <jansson.h>

#include "exchange.h"

enum member_from { FROM_PATH, FROM_QUERY, FROM_HEADER, FROM_BODY };

enum member_kind {
    MEMBER_NAME,         /* STR: name_is_good */
    MEMBER_FILE_NAME,    /* STR: file_name_is_good */
    MEMBER_TEXT,         /* STR */
    MEMBER_TAGS,         /* STR: comma-separated tags, spaces dropped */
    MEMBER_ID,           /* FIXED(ID_SIZE): 32 hex digits; in a path anything else is 404 */
    MEMBER_PURPOSE,      /* the fields of FIELDS_purpose_part: the text of a Purpose header */
    MEMBER_PURPOSE_KIND, /* U8: "treatment", "research" */
    MEMBER_BOOL,         /* U8: true, false; in a query 1, 0 */
    MEMBER_U32,
    MEMBER_U64,
    MEMBER_DATE,     /* U64: seconds since 1970 of "YYYY-MM-DD" */
    MEMBER_NAMES,    /* STR: array of names, stored comma-separated */
    MEMBER_ROLES,    /* U32: array of role names, stored as a mask */
    MEMBER_PURPOSES, /* U32: array of purpose names, stored as a mask */
};

enum { MEMBER_REQUIRED = 1 };

struct member {
    const char *name; /* of a header field: in lower case */
    enum member_from from;
    enum member_kind kind;
    unsigned flags;
    size_t offset; /* in the message's struct */
    size_t max;    /* STR: bytes */
};

struct member_problem {
    unsigned status;
    char text[300];
};

/* Fills the struct at `record` (zeroed before). `body` is a JSON object, NULL if there is none. VAULT_E_FORMAT with
 * *ret_problem filled; the record may be half filled then. */
int members_fill(const struct exchange *x, const struct member *members, size_t count, json_t *body, void *record,
                 struct member_problem *ret_problem);

#endif
