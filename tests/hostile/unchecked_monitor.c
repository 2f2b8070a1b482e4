/* The monitor's own checks among those that a test can switch off (unchecked.h). */
#include <string.h>

#include "tests/hostile/unchecked.h"
#include "vault/result.h"
#include "vaultd/monitor/access/grants.h"
#include "vaultd/monitor/monitor.h"

struct grant *__real_grant_find(struct monitor *m, const struct worker *w, const uint8_t id[ID_SIZE]);
struct grant *__wrap_grant_find(struct monitor *m, const struct worker *w, const uint8_t id[ID_SIZE]);
unsigned __real_grants_of(const struct monitor *m, uint64_t worker);
unsigned __wrap_grants_of(const struct monitor *m, uint64_t worker);
int __real_upload_find(struct request *q, const uint8_t id[ID_SIZE], struct upload_value *ret);
int __wrap_upload_find(struct request *q, const uint8_t id[ID_SIZE], struct upload_value *ret);
int __real_object_is_of_another(struct monitor *m, const uint8_t address[HASH_SIZE], const uint8_t blob[ID_SIZE],
                                bool *ret_other);
int __wrap_object_is_of_another(struct monitor *m, const uint8_t address[HASH_SIZE], const uint8_t blob[ID_SIZE],
                                bool *ret_other);
int __real_answer_upload_create(struct request *q);
int __wrap_answer_upload_create(struct request *q);
int __real_answer_page_get(struct request *q);
int __wrap_answer_page_get(struct request *q);
void __real_table_dispatch(struct monitor *m, struct worker *w, struct message *request);
void __wrap_table_dispatch(struct monitor *m, struct worker *w, struct message *request);

/* Whose the grant is. */
struct grant *__wrap_grant_find(struct monitor *m, const struct worker *w, const uint8_t id[ID_SIZE]) {
    if (!check_is_off("grant_find"))
        return __real_grant_find(m, w, id);
    for (struct grant *g = m->grants; g != NULL; g = g->next)
        if (memcmp(g->id, id, ID_SIZE) == 0)
            return g;
    return NULL;
}

/* How many files one worker may have open. */
unsigned __wrap_grants_of(const struct monitor *m, uint64_t worker) {
    return check_is_off("grants_of") ? 0 : __real_grants_of(m, worker);
}

/* Whose the upload is, and that it is open. */
int __wrap_upload_find(struct request *q, const uint8_t id[ID_SIZE], struct upload_value *ret) {
    if (!check_is_off("upload_find"))
        return __real_upload_find(q, id, ret);
    int result = index_get_record(q->monitor->index, DB_UPLOADS, id, ID_SIZE, &layout_upload_value, ret);
    if (result == VAULT_OK)
        q->subject = ret->subject;
    return result == VAULT_NOT_FOUND ? VAULT_DENIED : result;
}

/* That no file has an object of this address. */
int __wrap_object_is_of_another(struct monitor *m, const uint8_t address[HASH_SIZE], const uint8_t blob[ID_SIZE],
                                bool *ret_other) {
    if (!check_is_off("object_is_of_another"))
        return __real_object_is_of_another(m, address, blob, ret_other);
    *ret_other = false;
    return VAULT_OK;
}

/* How many uploads one worker may have open. */
int __wrap_answer_upload_create(struct request *q) {
    if (check_is_off("uploads"))
        q->worker->uploads = 0;
    return __real_answer_upload_create(q);
}

/* Nothing before the gate has vouched. */
void __wrap_table_dispatch(struct monitor *m, struct worker *w, struct message *request) {
    if (check_is_off("early"))
        w->identified = true;
    __real_table_dispatch(m, w, request);
}

/* That the page is one of the file's. */
int __wrap_answer_page_get(struct request *q) {
    struct grant *g = grant_find(q->monitor, q->worker, q->message->page_get.grant);
    if (g == NULL || !check_is_off("page_bound"))
        return __real_answer_page_get(q);
    uint32_t chunks = g->chunks;
    g->chunks = UINT32_MAX - PAGE_CHUNKS;
    int result = __real_answer_page_get(q);
    g->chunks = chunks;
    return result;
}
