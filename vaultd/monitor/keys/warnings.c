#include "warnings.h"

#include "age.h"
#include "escrow.h"

json_t *key_warnings(struct monitor *m) {
    json_t *list = json_array();
    if (escrows_outdated(m))
        json_array_append_new(
            list,
            json_string("No escrow copy is of the key ring as it is now: make a new one, and destroy older ones."));
    key_age_warn(m, list);
    return list;
}
