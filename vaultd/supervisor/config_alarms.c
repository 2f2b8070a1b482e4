/* The section `alarms`: what is out of the ordinary in the stream of decisions. */
#include <stdlib.h>
#include <string.h>

#include "config_internal.h"
#include "vault/result.h"

typedef const struct yaml_node node;

/* `6-20`: from six to before eight in the evening, UTC. */
static int take_hours(node *section, struct alarms_config *to, char *problem) {
    node *member = yaml_member(section, "hours");
    const char *text = NULL;
    char *end = NULL;
    if (member == NULL)
        return VAULT_OK;
    int result = yaml_get_string(member, 5, &text, problem);
    if (result != VAULT_OK)
        return result;
    unsigned long from = strtoul(text, &end, 10);
    bool good = text[0] >= '0' && text[0] <= '9' && *end == '-' && end[1] >= '0' && end[1] <= '9';
    unsigned long until = good ? strtoul(end + 1, &end, 10) : 24;
    if (!good || *end != '\0' || from > 23 || until > 24 || from == until)
        return yaml_refuse(member, problem, "hours: '%s' is not two different full hours (UTC), such as 6-20", text);
    to->hours = true;
    to->from = (uint8_t)from;
    to->until = (uint8_t)until;
    return VAULT_OK;
}

int take_alarms(node *root, struct alarms_config *to, char *problem) {
    enum { DENIALS_MOST = 1000000, SUBJECTS_MOST = 50000 };
    static const char *const known[] = {"denials", "subjects", "hours", "weekdays", NULL};
    node *section = yaml_member(root, "alarms");
    if (section == NULL)
        return VAULT_OK;
    int result = yaml_need_map(section, known, problem);
    if (result == VAULT_OK)
        result = take_u32(section, "denials", 0, DENIALS_MOST, &to->denials, problem);
    if (result == VAULT_OK)
        result = take_u32(section, "subjects", 0, SUBJECTS_MOST, &to->subjects, problem);
    if (result == VAULT_OK)
        result = take_hours(section, to, problem);
    node *weekdays = yaml_member(section, "weekdays");
    if (result == VAULT_OK && weekdays != NULL)
        result = yaml_get_bool(weekdays, &to->weekdays, problem);
    if (result == VAULT_OK && to->weekdays && !to->hours)
        return yaml_refuse(weekdays, problem, "weekdays: goes with hours");
    return result;
}
