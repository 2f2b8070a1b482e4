#include "age.h"
#include "vaultd/monitor/log/log.h"

#include "vault/log.h"
#include "vault/result.h"

#define DAY_US 86400000000ULL

/* A key, as far as its age goes. */
struct aged {
    const char *what, *rule, *due;
    uint64_t since; /* microseconds since 1970 */
};

enum { AGED = 2 };

static void look(const struct monitor *m, struct aged ret[AGED]) {
    uint64_t created = 0;
    (void)keyring_generation(m->keyring, keyring_count(m->keyring) - 1, &created);
    ret[0] = (struct aged){"key-encryption key", "kek-too-old", "key rotate kek", created * 1000000};
    ret[1] = (struct aged){"root key", "root-too-old", "key rotate root", m->meta.sealed};
}

static uint32_t days(struct monitor *m, const struct aged *a) {
    uint64_t now = monitor_time(m);
    return now <= a->since ? 0 : (uint32_t)((now - a->since) / DAY_US);
}

json_t *key_age_json(struct monitor *m) {
    struct aged keys[AGED];
    look(m, keys);
    return json_pack("{s:i, s:i}", "kek_days", (int)days(m, &keys[0]), "root_days", (int)days(m, &keys[1]));
}

static bool is_old(struct monitor *m, const struct aged *a, uint32_t limit) {
    return limit != 0 && days(m, a) >= limit;
}

void key_age_warn(struct monitor *m, json_t *list) {
    struct aged keys[AGED];
    char text[KEY_AGE_TEXT];
    look(m, keys);
    for (unsigned i = 0; i < AGED; i++)
        if (is_old(m, &keys[i], m->setup.key_age_warn) &&
            format_string(text, sizeof(text), "The %s is %u days old: '%s' is due.", keys[i].what, days(m, &keys[i]),
                          keys[i].due))
            json_array_append_new(list, json_string(text));
}

bool key_age_forbids(struct monitor *m, const char **ret_rule, char ret_text[KEY_AGE_TEXT]) {
    struct aged keys[AGED];
    look(m, keys);
    for (unsigned i = 0; i < AGED; i++)
        if (is_old(m, &keys[i], m->setup.key_age_maximum)) {
            *ret_rule = keys[i].rule;
            return format_string(ret_text, KEY_AGE_TEXT,
                                 "The %s is %u days old, and takes no deposits from its day %u on: '%s' is due.",
                                 keys[i].what, days(m, &keys[i]), m->setup.key_age_maximum, keys[i].due);
        }
    return false;
}

int key_age_tick(struct monitor *m) {
    enum { LOOK_MS = 600000 };
    struct aged keys[AGED];
    uint64_t now = m->seal == SEAL_UNSEALED ? monitor_time(m) : 0;
    if (m->seal != SEAL_UNSEALED || m->setup.key_age_warn == 0)
        return -1;
    if (m->age_told != 0 && now - m->age_told < DAY_US)
        return LOOK_MS;
    look(m, keys);
    for (unsigned i = 0; i < AGED; i++)
        if (is_old(m, &keys[i], m->setup.key_age_warn)) {
            log_warning("keys: the %s is old days=%u due=\"%s\"", keys[i].what, days(m, &keys[i]), keys[i].due);
            m->age_told = now;
        }
    return LOOK_MS;
}
