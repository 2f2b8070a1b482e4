/* Projects and the ethics approvals that they need. */
#include <string.h>

#include "vaultd/monitor/access/grants.h"
#include "vaultd/monitor/access/listing.h"
#include "vaultd/monitor/answers.h"
#include "vaultd/monitor/current.h"
#include "vaultd/monitor/lookup.h"
#include "vaultd/monitor/table.h"
#include "vault/result.h"

static json_t *project_json(struct request *q, const void *record) {
    const struct project_value *p = record;
    (void)q;
    return json_pack("{s:s, s:s, s:o, s:o, s:b}", "name", p->name, "title", p->title, "services",
                     json_list(p->services), "added", json_time(p->added), "closed", p->closed != 0);
}

static json_t *ethics_json(struct request *q, const void *record) {
    const struct ethics_value *e = record;
    (void)q;
    return json_pack("{s:s, s:s, s:o, s:o, s:o, s:b, s:o, s:o, s:o, s:b}", "name", e->name, "project", e->project,
                     "datasets", json_list(e->datasets), "diseases", json_list(e->diseases), "uses", json_list(e->uses),
                     "non_commercial", e->non_commercial != 0, "from", json_day(e->valid_from), "until",
                     json_day(e->valid_until), "added", json_time(e->added), "revoked", e->revoked != 0);
}

/* VAULT_NOT_FOUND if a service of the list is not registered. */
static int services_are_known(struct monitor *m, const char *list) {
    struct service_value s;
    char name[NAME_MAX_SIZE + 1];
    int result = VAULT_OK;
    while (result == VAULT_OK && name_next(&list, name))
        result = find_service(m, name, &s);
    return result;
}

int answer_project_add(struct request *q) {
    static struct project_value p;
    const struct msg_project_add *a = &q->message->project_add;
    if (!name_is_good(a->name) || !names_are_good(a->services, SIZE_MAX))
        return refuse(q, "project.add", NULL, 400, "malformed", "The name or a service's name is malformed.");
    int result = find_project(q->monitor, a->name, &p);
    if (result == VAULT_OK)
        return refuse(q, "project.add", NULL, 409, "exists", "There is a project of this name.");
    if (result != VAULT_NOT_FOUND)
        return result;
    result = services_are_known(q->monitor, a->services);
    if (result == VAULT_NOT_FOUND)
        return refuse(q, "project.add", NULL, 404, "no-such-service", "A service of the project is not registered.");
    if (result != VAULT_OK)
        return result;
    p = (struct project_value){.added = monitor_time(q->monitor)};
    copy_string(p.name, sizeof(p.name), a->name);
    copy_string(p.title, sizeof(p.title), a->title);
    copy_string(p.services, sizeof(p.services), a->services);
    result = journal_start_chain(q->monitor, NAME_CHAIN_PROJECT, p.name);
    if (result == VAULT_OK)
        result = project_make_current(q->monitor, &p);
    return result == VAULT_OK ? administer(q, "project.add", NULL, 'C', p.name, 201, project_json(q, &p)) : result;
}

int answer_project_list(struct request *q) {
    static struct project_value p;
    struct listing l = {.db = DB_PROJECTS,
                        .layout = &layout_project_value,
                        .record = &p,
                        .item = project_json,
                        .member = "projects",
                        .event = "project.list"};
    return answer_listing(q, &l, q->message->project_list.cursor);
}

int answer_project_close(struct request *q) {
    static struct project_value p;
    struct grant_filter filter = {.cause = "the project was closed", .asked_by = q->worker->number};
    int result = find_project(q->monitor, q->message->project_close.name, &p);
    if (result == VAULT_NOT_FOUND)
        return refuse(q, "project.close", NULL, 404, "no-such-project", "There is no such project.");
    if (result != VAULT_OK)
        return result;
    p.closed = 1;
    result = project_store(q->monitor, &p);
    if (result == VAULT_OK)
        result = grants_decide_again(q->monitor, &filter, NULL);
    if (result == VAULT_OK)
        result = project_make_current(q->monitor, &p);
    return result == VAULT_OK ? administer(q, "project.close", NULL, 'U', p.name, 200, project_json(q, &p)) : result;
}

static bool diseases_are_good(const char *list) {
    char name[NAME_MAX_SIZE + 1];
    while (*list != '\0')
        if (!name_next(&list, name) || !disease_is_good(name, strlen(name)))
            return false;
    return true;
}

static bool uses_are_good(const char *list) {
    char name[NAME_MAX_SIZE + 1];
    while (*list != '\0') {
        uint32_t number = name_next(&list, name) ? duo_number(name) : 0;
        if (number < USE_FIRST || number > USE_LAST)
            return false;
    }
    return true;
}

/* What is wrong with the lists of an approval; NULL: nothing. */
static const char *fault_of_lists(const struct msg_ethics_add *a) {
    if (!name_is_good(a->name) || !names_are_good(a->datasets, SIZE_MAX))
        return "The name or a dataset's name is malformed.";
    if (!diseases_are_good(a->diseases))
        return "'diseases' has something that is no term like MONDO:0005070.";
    if (!uses_are_good(a->uses))
        return "'uses' has something that is none of DUO:0000031 to DUO:0000040.";
    return NULL;
}

int answer_ethics_add(struct request *q) {
    static struct ethics_value e;
    struct project_value p;
    const struct msg_ethics_add *a = &q->message->ethics_add;
    const char *fault = fault_of_lists(a);
    if (fault != NULL)
        return refuse(q, "ethics.add", NULL, 400, "malformed", fault);
    if (a->non_commercial > 1)
        return refuse(q, "ethics.add", NULL, 400, "malformed", "'non_commercial' is malformed.");
    if (!second_is_good(a->valid_from) || !second_is_good(a->valid_until))
        return refuse(q, "ethics.add", NULL, 400, "malformed", "'from' or 'until' is beyond the year 9999.");
    if (a->valid_until != 0 && a->valid_until <= a->valid_from)
        return refuse(q, "ethics.add", NULL, 400, "malformed", "'until' must be after 'from'.");
    int result = find_ethics(q->monitor, a->name, &e);
    if (result == VAULT_OK)
        return refuse(q, "ethics.add", NULL, 409, "exists", "There is an approval of this name.");
    if (result == VAULT_NOT_FOUND)
        result = find_project(q->monitor, a->project, &p);
    if (result == VAULT_NOT_FOUND)
        return refuse(q, "ethics.add", NULL, 404, "no-such-project", "There is no such project.");
    if (result != VAULT_OK)
        return result;
    e = (struct ethics_value){
        .valid_from = a->valid_from, .valid_until = a->valid_until, .added = monitor_time(q->monitor)};
    e.non_commercial = a->non_commercial;
    copy_string(e.name, sizeof(e.name), a->name);
    copy_string(e.project, sizeof(e.project), a->project);
    copy_string(e.datasets, sizeof(e.datasets), a->datasets);
    copy_string(e.diseases, sizeof(e.diseases), a->diseases);
    copy_string(e.uses, sizeof(e.uses), a->uses);
    char detail[2 * NAME_MAX_SIZE + 48];
    result = ethics_make_current(q->monitor, &e);
    if (!format_string(detail, sizeof(detail), "%s for project %s%s", e.name, e.project,
                       e.non_commercial != 0 ? ", non-commercial use" : ""))
        return VAULT_E_STATE;
    return result == VAULT_OK ? administer(q, "ethics.add", NULL, 'C', detail, 201, ethics_json(q, &e)) : result;
}

int answer_ethics_list(struct request *q) {
    static struct ethics_value e;
    struct listing l = {.db = DB_ETHICS,
                        .layout = &layout_ethics_value,
                        .record = &e,
                        .item = ethics_json,
                        .member = "approvals",
                        .event = "ethics.list"};
    return answer_listing(q, &l, q->message->ethics_list.cursor);
}

int answer_ethics_revoke(struct request *q) {
    static struct ethics_value e;
    struct grant_filter filter = {.cause = "the approval was revoked", .asked_by = q->worker->number};
    int result = find_ethics(q->monitor, q->message->ethics_revoke.name, &e);
    if (result == VAULT_NOT_FOUND)
        return refuse(q, "ethics.revoke", NULL, 404, "no-such-approval", "There is no such approval.");
    if (result != VAULT_OK)
        return result;
    e.revoked = 1;
    result = ethics_store(q->monitor, &e);
    if (result == VAULT_OK)
        result = grants_decide_again(q->monitor, &filter, NULL);
    if (result == VAULT_OK)
        result = ethics_make_current(q->monitor, &e);
    return result == VAULT_OK ? administer(q, "ethics.revoke", NULL, 'U', e.name, 200, ethics_json(q, &e)) : result;
}
