#include "monitor_rig.h"

#include <dirent.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vault/log.h"
#include "vault/result.h"
#include "vault/token.h"
#include "vaultd/monitor/keys/jobs.h"
#include "vaultd/monitor/log/records.h"

struct monitor m;
struct peer root;
uint64_t rig_reserve;
bool rig_token;
const char *rig_witnesses = "";
bool rig_backups;

static char folder[64];
static bool mounted;
static int control = -1, gate = -1, store = -1;
static struct secret *store_key;
static uint64_t last_worker;
static struct message out, in;

/* ---- the folder and the core ---- */

const char *rig_folder(void) {
    return folder;
}

static const char *in_folder(const char *name) {
    static char path[128];
    assert_true(format_string(path, sizeof(path), "%s/%s", folder, name));
    return path;
}

void write_root_key(const char *name, char digit) {
    char text[64];
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = digit;
    int fd = open(in_folder(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, sizeof(text)), sizeof(text));
    close(fd);
}

int rig_set_up(void **state) {
    (void)state;
    copy_string(folder, sizeof(folder), "/tmp/vault-monitor.XXXXXX");
    assert_non_null(mkdtemp(folder));
    assert_int_equal(mkdir(in_folder("state"), 0700), 0);
    assert_int_equal(mkdir(in_folder("twin"), 0700), 0);
    write_root_key("root.key", 'a');
    write_root_key("other.key", 'b');
    last_worker = 0;
    return 0;
}

bool rig_small_disk(unsigned kilobytes) {
    char options[64];
    assert_true(format_string(options, sizeof(options), "size=%uk,mode=0700,nr_inodes=64", kilobytes));
    mounted = mount("tmpfs", in_folder("state"), "tmpfs", 0, options) == 0;
    return mounted;
}

int vault_set_up(void **state) {
    rig_set_up(state);
    rig_start(false);
    make_vault();
    make_world();
    return 0;
}

static void drop(int *fd) {
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void rig_stop(void) {
    message_clear(&in);
    message_clear(&out);
    drop(&root.channel);
    if (m.loop != NULL) {
        monitor_close(&m);
        close(m.control);
        close(m.gate);
        close(m.store);
        close(m.place.directory);
        close(m.place.twin_directory);
    }
    drop(&control);
    drop(&gate);
    drop(&store);
    secret_free(&store_key);
    m = (struct monitor){0};
    assert_int_equal(chdir("/"), 0);
}

/* Its files have names of chance. */
static void remove_archive(void) {
    char path[512];
    DIR *d = opendir(in_folder("state/archive"));
    if (d == NULL)
        return;
    for (const struct dirent *e; (e = readdir(d)) != NULL;) {
        (void)format_string(path, sizeof(path), "state/archive/%s", e->d_name);
        if (e->d_name[0] != '.')
            (void)unlink(in_folder(path));
    }
    closedir(d);
    (void)rmdir(in_folder("state/archive"));
}

int rig_tear_down(void **state) {
    static const char *const files[] = {
        "state/index/data.mdb", "state/index/lock.mdb", "state/keyring", "state/ballast",
        "state/reserve",        "twin/keyring.twin",    "root.key",      "other.key"};
    (void)state;
    rig_stop();
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        (void)unlink(in_folder(files[i]));
    (void)rmdir(in_folder("state/index"));
    remove_archive();
    if (mounted)
        assert_int_equal(umount2(in_folder("state"), MNT_DETACH), 0);
    mounted = false;
    return rmdir(in_folder("state")) != 0 || rmdir(in_folder("twin")) != 0 || rmdir(folder) != 0;
}

static void lend(struct message *to, int fd) {
    assert_true(fd >= 0);
    to->fds[to->fd_count++] = fd;
}

static void send_setup(int gate_end, int store_end, bool stay_sealed) {
    message_init(&out, MSG_monitor_setup, 0);
    out.monitor_setup.stay_sealed = stay_sealed;
    copy_string(out.monitor_setup.origin, sizeof(out.monitor_setup.origin), ORIGIN);
    copy_string(out.monitor_setup.twin, sizeof(out.monitor_setup.twin), "keyring.twin");
    out.monitor_setup.administrator = 4711;
    out.monitor_setup.map_size = 64 << 20;
    out.monitor_setup.service_limit = 8;
    out.monitor_setup.reserve_size = rig_reserve;
    out.monitor_setup.token = rig_token;
    out.monitor_setup.backups = rig_backups;
    out.monitor_setup.witness_every = 3600;
    out.monitor_setup.witness_seconds = 10;
    copy_string(out.monitor_setup.witnesses, sizeof(out.monitor_setup.witnesses), rig_witnesses);
    lend(&out, open(in_folder("state"), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    lend(&out, open(in_folder("twin"), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    lend(&out, gate_end);
    lend(&out, store_end);
    assert_int_equal(channel_send(control, &out), VAULT_OK);
    message_clear(&out);
}

void rig_start(bool stay_sealed) {
    int c[2], g[2], s[2];
    assert_int_equal(channel_pair(c), VAULT_OK);
    assert_int_equal(channel_pair(g), VAULT_OK);
    assert_int_equal(channel_pair(s), VAULT_OK);
    control = c[0];
    gate = g[0];
    store = s[0];
    m = (struct monitor){.control = c[1]};
    send_setup(g[1], s[1], stay_sealed);
    assert_int_equal(monitor_start(&m), VAULT_OK);
    assert_int_equal(channel_receive(store, &in), VAULT_OK);
    assert_int_equal(in.type, MSG_store_key);
    store_key = secret_move(&in.store_key.key);
    in.type = 0;
    life_start(&m);
    root = peer_unix(0);
}

bool rig_start_unsealed(void) {
    rig_start(false);
    supervisor_credential("root.key");
    return supervisor_heard().seal == SEAL_UNSEALED;
}

void turn(void) {
    bool more = true; /* do not wait */
    assert_int_equal(monitor_turn(&m, &more), VAULT_OK);
}

void turn_without_writing(void) {
    struct rlimit old, none;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    none = old;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    bool more = true;
    int result = monitor_turn(&m, &more);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(result, VAULT_OK);
}

void turns(unsigned n) {
    while (n-- > 0)
        turn();
}

void turns_for(unsigned ms) {
    uint64_t end = loop_now_ms() + ms;
    do {
        turn();
        usleep(1000);
    } while (loop_now_ms() < end);
}

unsigned turns_in(unsigned ms) {
    uint64_t end = loop_now_ms() + ms;
    unsigned count = 0;
    bool more = true; /* what the turn before left to do is not known here: no waiting with that */
    for (; loop_now_ms() < end; count++)
        assert_int_equal(monitor_turn(&m, &more), VAULT_OK);
    return count;
}

void jobs_finish(void) {
    turns_until(jobs_open(&m) == 0 && !index_writing(m.index));
}

/* ---- the supervisor ---- */

struct heard supervisor_heard(void) {
    struct heard h = {0};
    message_clear(&in);
    while (channel_receive(control, &in) == VAULT_OK) {
        h.ready += in.type == MSG_ready;
        h.wanted += in.type == MSG_credential_wanted;
        h.workers_wanted += in.type == MSG_worker_wanted;
        if (in.type == MSG_token_wanted) {
            h.token_id = in.id;
            h.token_by_itself = in.token_wanted.by_itself != 0;
        }
        if (in.type == MSG_courier_wanted)
            h.courier_id = in.id;
        if (in.type == MSG_backup_wanted) {
            h.backup_id = in.id;
            h.backup_task = in.backup_wanted.task;
        }
        if (in.type == MSG_worker_kill) {
            h.killed++;
            h.last_killed = in.worker_kill.worker;
            h.why = in.worker_kill.why;
        }
        if (in.type == MSG_state) {
            h.states++;
            h.seal = in.state.seal;
            h.by_operator = in.state.by_operator;
        }
        message_clear(&in);
    }
    return h;
}

void supervisor_credential(const char *name) {
    message_init(&out, MSG_credential, 0);
    if (name == NULL)
        copy_string(out.credential.problem, sizeof(out.credential.problem), "There is no root key.");
    else
        lend(&out, open(in_folder(name), O_RDONLY | O_CLOEXEC));
    assert_int_equal(channel_send(control, &out), VAULT_OK);
    message_clear(&out);
    turn();
}

int supervisor_token(uint64_t id) {
    int ends[2];
    assert_int_equal(channel_pair(ends), VAULT_OK);
    message_init(&out, MSG_token_channel, id);
    lend(&out, ends[1]);
    assert_int_equal(channel_send(control, &out), VAULT_OK);
    message_clear(&out);
    turn();
    return ends[0];
}

static void hand_backup_channel(uint64_t id, int end) {
    message_init(&out, MSG_backup_channel, id);
    lend(&out, end);
    assert_int_equal(channel_send(control, &out), VAULT_OK);
    message_clear(&out);
    turn();
}

int supervisor_courier(uint64_t id) {
    int ends[2] = {-1, -1};
    assert_int_equal(channel_pair(ends), VAULT_OK);
    message_init(&out, MSG_courier_channel, id);
    out.fds[0] = ends[1];
    out.fd_count = 1;
    assert_int_equal(channel_send(control, &out), VAULT_OK);
    out.fds[0] = -1;
    out.fd_count = 0;
    close(ends[1]);
    turn();
    return ends[0];
}

int supervisor_backup(uint64_t id) {
    int ends[2] = {-1, -1};
    assert_int_equal(channel_pair(ends), VAULT_OK);
    hand_backup_channel(id, ends[1]);
    return ends[0];
}

void supervisor_backup_died_before(uint64_t id) {
    int ends[2] = {-1, -1};
    assert_int_equal(channel_pair(ends), VAULT_OK);
    close(ends[0]);
    hand_backup_channel(id, ends[1]);
}

void supervisor_no_backup(uint64_t id, const char *rule) {
    message_init(&out, MSG_backup_channel, id);
    copy_string(out.backup_channel.rule, sizeof(out.backup_channel.rule), rule);
    copy_string(out.backup_channel.problem, sizeof(out.backup_channel.problem), "There is none.");
    assert_int_equal(channel_send(control, &out), VAULT_OK);
    turn();
}

void supervisor_backup_gone(uint64_t id, const char *rule) {
    message_init(&out, MSG_backup_gone, id);
    copy_string(out.backup_gone.rule, sizeof(out.backup_gone.rule), rule);
    if (rule[0] != '\0')
        copy_string(out.backup_gone.problem, sizeof(out.backup_gone.problem), "It is gone.");
    assert_int_equal(channel_send(control, &out), VAULT_OK);
    turns(2);
}

void supervisor_no_token(uint64_t id, const char *rule) {
    message_init(&out, MSG_token_channel, id);
    copy_string(out.token_channel.rule, sizeof(out.token_channel.rule), rule);
    copy_string(out.token_channel.problem, sizeof(out.token_channel.problem), "There is none.");
    assert_int_equal(channel_send(control, &out), VAULT_OK);
    turn();
}

void supervisor_token_gone(uint64_t id, const char *rule) {
    message_init(&out, MSG_token_gone, id);
    copy_string(out.token_gone.rule, sizeof(out.token_gone.rule), rule);
    if (rule[0] != '\0')
        copy_string(out.token_gone.problem, sizeof(out.token_gone.problem), "It is gone.");
    assert_int_equal(channel_send(control, &out), VAULT_OK);
    turn();
}

void supervisor_gone(uint64_t worker) {
    message_init(&out, MSG_worker_gone, 0);
    out.worker_gone.worker = worker;
    assert_int_equal(channel_send(control, &out), VAULT_OK);
}

void supervisor_ends_sealed(void) {
    for (const struct worker *w = m.workers; w != NULL; w = w->next)
        if (w->sealed)
            supervisor_gone(w->number);
    turn();
}

/* ---- workers ---- */

struct peer peer_new(void) {
    struct peer p = {.number = ++last_worker};
    int ends[2];
    assert_int_equal(channel_pair(ends), VAULT_OK);
    p.channel = ends[0];
    message_init(&out, MSG_worker_new, 0);
    out.worker_new.worker = p.number;
    lend(&out, ends[1]);
    assert_int_equal(channel_send(control, &out), VAULT_OK);
    message_clear(&out);
    return p;
}

void peer_client(const struct peer *p, enum peer_kind kind, uint32_t uid) {
    message_init(&out, MSG_worker_client, 0);
    out.worker_client.worker = p->number;
    out.worker_client.kind = (uint8_t)kind;
    out.worker_client.uid = uid;
    copy_string(out.worker_client.address, sizeof(out.worker_client.address), kind == PEER_UNIX ? "unix" : "192.0.2.1");
    assert_int_equal(channel_send(control, &out), VAULT_OK);
}

void peer_identity(const struct peer *p, const char *san) {
    message_init(&out, MSG_identity, 0);
    out.identity.worker = p->number;
    copy_string(out.identity.san, sizeof(out.identity.san), san);
    assert_int_equal(channel_send(gate, &out), VAULT_OK);
}

void gate_lost(const struct peer *p) {
    message_init(&out, MSG_identity_lost, 0);
    out.identity_lost.worker = p->number;
    copy_string(out.identity_lost.reason, sizeof(out.identity_lost.reason), "the certificate was revoked");
    assert_int_equal(channel_send(gate, &out), VAULT_OK);
}

void gate_sees(const char *pem) {
    message_init(&out, MSG_anchors_seen, 0);
    out.anchors_seen.pem_size = (uint32_t)strlen(pem);
    copy_bytes(out.anchors_seen.pem, sizeof(out.anchors_seen.pem), pem, strlen(pem));
    out.anchors_seen.count = 1;
    assert_true(format_string(out.anchors_seen.subjects, sizeof(out.anchors_seen.subjects), "CN=%s", pem));
    assert_int_equal(channel_send(gate, &out), VAULT_OK);
    turns(2);
}

static uint64_t told_id;

const char *gate_told(void) {
    static char text[ANCHORS_MAX + 1];
    message_clear(&in);
    if (channel_receive(gate, &in) != VAULT_OK)
        return "";
    assert_int_equal(in.type, MSG_anchors_use);
    told_id = in.id;
    copy_bytes(text, sizeof(text) - 1, in.anchors_use.pem, in.anchors_use.pem_size);
    text[in.anchors_use.pem_size] = '\0';
    return text;
}

void gate_uses(void) {
    message_init(&out, MSG_anchors_used, told_id);
    assert_int_equal(channel_send(gate, &out), VAULT_OK);
    turns(2);
}

struct peer peer_unix(uint32_t uid) {
    struct peer p = peer_new();
    peer_client(&p, PEER_UNIX, uid);
    turn();
    return p;
}

struct peer peer_tls(const char *san) {
    struct peer p = peer_new();
    peer_client(&p, PEER_TLS, 0);
    turn(); /* the gate cannot vouch for a worker that the core does not know yet */
    peer_identity(&p, san);
    turn();
    return p;
}

struct peer peer_nobody(void) {
    struct peer p = peer_new();
    peer_client(&p, PEER_NOBODY, 0);
    turn();
    return p;
}

void peer_end(struct peer *p) {
    drop(&p->channel);
    supervisor_gone(p->number);
    turn();
}

struct message *request(struct peer *p, enum message_type type) {
    message_init(&out, type, ++p->id);
    return &out;
}

void send_now(struct peer *p) {
    assert_int_equal(channel_send(p->channel, &out), VAULT_OK);
}

struct message *received(struct peer *p) {
    message_clear(&in);
    return channel_receive(p->channel, &in) == VAULT_OK ? &in : NULL;
}

struct message *ask(struct peer *p) {
    struct message *answer = NULL;
    send_now(p);
    for (unsigned n = 0; n < 20 && answer == NULL; n++) {
        turn();
        answer = received(p);
    }
    assert_non_null(answer);
    assert_int_equal(answer->id, p->id);
    return answer;
}

unsigned status_of(const struct message *answer) {
    return answer != NULL && answer->type == MSG_answer ? answer->answer.status : 0;
}

unsigned ask_status(struct peer *p) {
    return status_of(ask(p));
}

json_t *document_of(const struct message *answer) {
    json_t *json = json_loadb((const char *)answer->answer.json, answer->answer.json_size, 0, NULL);
    assert_non_null(json);
    return json;
}

bool says(const struct message *answer, const char *text) {
    return memmem(answer->answer.json, answer->answer.json_size, text, strlen(text)) != NULL;
}

/* ---- the world ---- */

void make_vault(void) {
    request(&root, MSG_init);
    send_now(&root);
    turn();
    assert_int_equal(supervisor_heard().wanted, 1);
    supervisor_credential("root.key");
    struct message *answer = received(&root);
    assert_non_null(answer);
    assert_int_equal(status_of(answer), 201);
    assert_int_equal(supervisor_heard().seal, SEAL_UNSEALED);
}

void make_subject(const char *subject) {
    struct message *q = request(&root, MSG_subject_add);
    copy_string(q->subject_add.subject, sizeof(q->subject_add.subject), subject);
    assert_int_equal(ask_status(&root), 201);
}

void set_consent(const char *subject, bool treatment, bool research) {
    struct consent c = {.treatment = treatment, .findings = FINDINGS_ALL, .recontact = 1};
    copy_string(c.subject, sizeof(c.subject), subject);
    copy_string(c.signed_on, sizeof(c.signed_on), "2026-11-22");
    copy_string(c.form, sizeof(c.form), "2.1");
    struct writer terms = writer_of(c.research, sizeof(c.research));
    if (research)
        write_u32(&terms, 42); /* general research use */
    c.research_size = (uint32_t)terms.used;
    struct message *q = request(&root, MSG_consent_set);
    struct writer w = writer_of(q->consent_set.consent, sizeof(q->consent_set.consent));
    layout_encode(&layout_consent, &c, &w);
    assert_false(w.bad);
    q->consent_set.consent_size = (uint32_t)w.used;
    assert_int_equal(ask_status(&root), 200);
}

void make_service(const char *name, uint32_t roles, uint32_t purposes) {
    struct message *q = request(&root, MSG_service_add);
    copy_string(q->service_add.name, sizeof(q->service_add.name), name);
    assert_true(format_string(q->service_add.san, sizeof(q->service_add.san), SAN_OF("%s"), name));
    q->service_add.roles = roles;
    q->service_add.purposes = purposes;
    assert_int_equal(ask_status(&root), 201);
}

static void permit_rule(struct policy *p, const char *id, uint32_t actions, unsigned purpose, uint32_t conditions) {
    struct policy_rule *r = &p->rules[p->count++];
    copy_string(r->id, sizeof(r->id), id);
    copy_string(r->text, sizeof(r->text), "A rule of the test.");
    r->actions = actions;
    r->purposes = 1u << purpose;
    r->conditions = conditions;
}

void load_policy(const char *name) {
    static struct policy p;
    size_t used = 0;
    uint32_t reading = 1u << ACTION_READ | 1u << ACTION_METADATA | 1u << ACTION_LIST;
    p = (struct policy){0};
    copy_string(p.name, sizeof(p.name), name);
    permit_rule(&p, "deposit", 1u << ACTION_DEPOSIT, PURPOSE_NONE, 0);
    permit_rule(&p, "treatment", reading, PURPOSE_TREATMENT, 1u << CONDITION_CONSENT_TREATMENT);
    permit_rule(&p, "research", reading, PURPOSE_RESEARCH,
                1u << CONDITION_CONSENT_RESEARCH | 1u << CONDITION_PROJECT_OPEN | 1u << CONDITION_APPROVAL_VALID);
    struct message *q = request(&root, MSG_policy_load);
    assert_int_equal(policy_encode(&p, q->policy_load.policy, sizeof(q->policy_load.policy), &used), VAULT_OK);
    q->policy_load.policy_size = (uint32_t)used;
    assert_int_equal(ask_status(&root), 200);
}

static void make_project(void) {
    struct message *q = request(&root, MSG_project_add);
    copy_string(q->project_add.name, sizeof(q->project_add.name), "P1");
    copy_string(q->project_add.services, sizeof(q->project_add.services), "research");
    assert_int_equal(ask_status(&root), 201);
    q = request(&root, MSG_ethics_add);
    copy_string(q->ethics_add.name, sizeof(q->ethics_add.name), "A1");
    copy_string(q->ethics_add.project, sizeof(q->ethics_add.project), "P1");
    assert_int_equal(ask_status(&root), 201);
}

void make_world(void) {
    load_policy("first");
    make_subject("S-1");
    set_consent("S-1", true, true);
    make_service("depositor", 1u << ROLE_DEPOSITOR, 0);
    make_service("clinic", 1u << ROLE_READER, 1u << PURPOSE_TREATMENT);
    make_service("research", 1u << ROLE_READER, 1u << PURPOSE_RESEARCH);
    make_project();
}

void withdraw_request(struct peer *p, const char *subject) {
    struct message *q = request(p, MSG_consent_withdraw);
    copy_string(q->consent_withdraw.subject, sizeof(q->consent_withdraw.subject), subject);
}

struct message *open_request(struct peer *p, const uint8_t file[ID_SIZE], uint8_t purpose) {
    struct message *q = request(p, MSG_open);
    q->open.action = OPEN_READ;
    COPY_ARRAY(q->open.file, file);
    q->open.purpose = purpose;
    if (purpose == PURPOSE_RESEARCH) {
        copy_string(q->open.project, sizeof(q->open.project), "P1");
        copy_string(q->open.approval, sizeof(q->open.approval), "A1");
    }
    return q;
}

struct msg_grant open_file(struct peer *p, const uint8_t file[ID_SIZE]) {
    open_request(p, file, PURPOSE_TREATMENT);
    struct message *answer = ask(p);
    assert_int_equal(answer->type, MSG_grant);
    struct msg_grant g = answer->grant;
    g.key = NULL; /* stays with the message */
    return g;
}

/* ---- deposits ---- */

struct message *create_request(struct peer *p, const char *subject, const char *name) {
    struct message *q = request(p, MSG_upload_create);
    copy_string(q->upload_create.subject, sizeof(q->upload_create.subject), subject);
    copy_string(q->upload_create.name, sizeof(q->upload_create.name), name);
    return q;
}

struct deposit deposit_begin(struct peer *p, const char *subject, const char *name) {
    struct deposit d = {0};
    create_request(p, subject, name);
    struct message *answer = ask(p);
    assert_int_equal(answer->type, MSG_upload);
    COPY_ARRAY(d.id, answer->upload.upload);
    return d;
}

void receipts_make(const struct peer *p, struct deposit *d) {
    for (size_t n = 0; n < d->page.count; n++) {
        struct token_claim claim = {.kind = TOKEN_RECEIPT, .worker = p->number, .length = d->page.chunks[n].length};
        COPY_ARRAY(claim.upload, d->id);
        COPY_ARRAY(claim.address, d->page.chunks[n].address);
        token_make(store_key, &claim, d->receipts[n]);
    }
}

void deposit_announce(struct peer *p, struct deposit *d, uint64_t plain) {
    d->plain = plain;
    d->page.count = (size_t)blob_chunks(plain);
    assert_true(d->page.count <= PAGE_CHUNKS);
    for (size_t n = 0; n < d->page.count; n++) {
        struct chunk *c = &d->page.chunks[n];
        randombytes_buf(c->address, sizeof(c->address));
        randombytes_buf(c->base, sizeof(c->base));
        c->length = blob_chunk_length(plain, n);
        struct message *q = request(p, MSG_upload_announce);
        COPY_ARRAY(q->upload_announce.upload, d->id);
        COPY_ARRAY(q->upload_announce.address, c->address);
        q->upload_announce.length = c->length;
        assert_int_equal(ask(p)->type, MSG_put_token);
    }
    receipts_make(p, d);
}

struct message *page_request(struct peer *p, const struct deposit *d, uint32_t number) {
    struct message *q = request(p, MSG_upload_page);
    COPY_ARRAY(q->upload_page.upload, d->id);
    q->upload_page.page = number;
    struct writer w = writer_of(q->upload_page.chunks, sizeof(q->upload_page.chunks));
    manifest_encode(&d->page, &w);
    q->upload_page.chunks_size = (uint32_t)w.used;
    q->upload_page.receipts_size = (uint32_t)(d->page.count * HASH_SIZE);
    copy_bytes(q->upload_page.receipts, sizeof(q->upload_page.receipts), d->receipts, d->page.count * HASH_SIZE);
    return q;
}

void commit_request(struct peer *p, const struct deposit *d, uint8_t content) {
    struct message *q = request(p, MSG_upload_commit);
    COPY_ARRAY(q->upload_commit.upload, d->id);
    q->upload_commit.size = d->plain;
    q->upload_commit.sha256[0] = content;
}

void deposit_file(struct peer *p, const char *subject, const char *name, uint64_t plain, uint8_t content,
                  uint8_t ret_file[ID_SIZE]) {
    struct deposit d = deposit_begin(p, subject, name);
    deposit_announce(p, &d, plain);
    page_request(p, &d, 0);
    assert_int_equal(ask(p)->type, MSG_done);
    commit_request(p, &d, content);
    struct message *answer = ask(p);
    assert_int_equal(status_of(answer), 201);
    json_t *file = document_of(answer);
    assert_true(hex_decode(ret_file, ID_SIZE, json_string_value(json_object_get(file, "id"))));
    json_decref(file);
}

size_t store_removes_one(uint8_t (*ret)[HASH_SIZE], size_t room) {
    turn();
    message_clear(&in);
    if (channel_receive(store, &in) != VAULT_OK)
        return 0;
    assert_int_equal(in.type, MSG_object_remove);
    assert_true(room > 0);
    COPY_ARRAY(ret[0], in.object_remove.address);
    message_init(&out, MSG_object_removed, in.id);
    COPY_ARRAY(out.object_removed.address, in.object_remove.address);
    out.object_removed.status = STORE_DONE;
    assert_int_equal(channel_send(store, &out), VAULT_OK);
    return 1;
}

size_t store_removes(uint8_t (*ret)[HASH_SIZE], size_t room) {
    size_t count = 0;
    for (unsigned idle = 0; idle < 3; idle++) {
        size_t found = store_removes_one(ret == NULL ? NULL : ret + count, room - count);
        count += found;
        idle = found > 0 ? 0 : idle;
    }
    return count;
}

size_t store_checks(uint8_t status, size_t most) {
    size_t count = 0;
    for (unsigned idle = 0; idle < 5 && count < most; idle++) {
        turn();
        message_clear(&in);
        if (channel_receive(store, &in) != VAULT_OK)
            continue;
        assert_int_equal(in.type, MSG_object_check);
        message_init(&out, MSG_object_checked, in.id);
        COPY_ARRAY(out.object_checked.address, in.object_check.address);
        out.object_checked.status = status;
        assert_int_equal(channel_send(store, &out), VAULT_OK);
        count++;
        idle = 0;
    }
    turn();
    return count;
}

/* ---- the audit ---- */

char *audit_text(void) {
    char *text = calloc(1, 1);
    size_t used = 0;
    uint64_t end = m.tree.size;
    for (uint64_t from = 0; from < end;) {
        struct message *q = request(&root, MSG_audit_records);
        q->audit_records.from = from;
        q->audit_records.to = q->audit_records.tree = end;
        struct message *answer = ask(&root);
        assert_int_equal(answer->type, MSG_block);
        text = realloc(text, used + answer->block.bytes_size + 1);
        assert_non_null(text);
        copy_bytes(text + used, answer->block.bytes_size, answer->block.bytes, answer->block.bytes_size);
        used += answer->block.bytes_size;
        text[used] = '\0';
        from = answer->block.next;
    }
    return text;
}

static bool holds_all(const char *line, const char *first, va_list parts) {
    for (const char *part = first; part != NULL; part = va_arg(parts, const char *))
        if (strstr(line, part) == NULL)
            return false;
    return true;
}

unsigned audit_count(const char *first, ...) {
    unsigned count = 0;
    char *text = audit_text();
    for (char *line = text, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        va_list parts;
        *end = '\0';
        va_start(parts, first);
        count += holds_all(line, first, parts);
        va_end(parts);
    }
    free(text);
    return count;
}

void forge_record(uint64_t seq, const char *from, const char *to) {
    static char frame[INDEX_VALUE_MAX];
    uint8_t wanted[8], key[INDEX_KEY_MAX];
    size_t key_size = 0, n = 0;
    put_be64(wanted, seq);
    assert_int_equal(
        index_get_upto(m.index, DB_RECORDS, wanted, sizeof(wanted), key, &key_size, frame, sizeof(frame), &n),
        VAULT_OK);
    char *at = frame, *end = frame + n;
    for (uint64_t number = get_be64(key); number < seq && at < end; number++)
        at = (char *)memchr(at, '\n', (size_t)(end - at)) + 1;
    assert_true(at < end && strlen(from) == strlen(to));
    at = memmem(at, (size_t)((char *)memchr(at, '\n', (size_t)(end - at)) - at), from, strlen(from));
    assert_non_null(at);
    copy_bytes(at, (size_t)(end - at), to, strlen(to));
    assert_int_equal(batch_begin(&m), VAULT_OK);
    assert_int_equal(index_put(m.index, DB_RECORDS, key, key_size, frame, n), VAULT_OK);
    assert_int_equal(batch_finish(&m), VAULT_OK);
    assert_int_equal(records_load(&m), VAULT_OK); /* what is in memory is as it was */
}
