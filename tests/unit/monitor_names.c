/* Another key for the hashes of names: everything is found at every place of the way, and nothing is left behind. */
#include "monitor_rig.h"

#include <fcntl.h>
#include <lmdb.h>
#include <stdlib.h>
#include <unistd.h>

#include "vault/log.h"
#include "vault/result.h"
#include "vaultd/monitor/access/grants.h"
#include "vaultd/monitor/care/backup.h"
#include "vaultd/monitor/current.h"
#include "vaultd/monitor/keys/jobs.h"
#include "vaultd/monitor/keys/ring.h"
#include "vaultd/monitor/keys/subject_keys.h"
#include "vaultd/monitor/lookup.h"
#include "vaultd/monitor/names.h"

enum { SUBJECTS = 12, SERVICES = 8, FILES = 2, PLAIN = 1000 };
static const char dataset[] = "D1";

static struct peer clinic, depositor, second;
static uint8_t files[SUBJECTS][FILES][ID_SIZE];
static unsigned subjects, services; /* how many there are by now */
static bool shredded[SUBJECTS + 200];
static struct secret *old_key;

static const char *named(const char *kind, unsigned n) {
    static char name[64];
    assert_true(format_string(name, sizeof(name), "%s-%u", kind, n));
    return name;
}

static unsigned rotate(const char *what) {
    struct message *q = request(&root, MSG_key_rotate);
    copy_string(q->key_rotate.what, sizeof(q->key_rotate.what), what);
    return ask_status(&root);
}

/* ---- the world ---- */

static void deposit(const char *subject, const char *name, uint8_t ret[ID_SIZE]) {
    struct deposit d = {0};
    struct message *q = create_request(&depositor, subject, name);
    copy_string(q->upload_create.dataset, sizeof(q->upload_create.dataset), dataset);
    struct message *answer = ask(&depositor);
    assert_int_equal(answer->type, MSG_upload);
    COPY_ARRAY(d.id, answer->upload.upload);
    deposit_announce(&depositor, &d, PLAIN);
    page_request(&depositor, &d, 0);
    assert_int_equal(ask(&depositor)->type, MSG_done);
    commit_request(&depositor, &d, 7);
    answer = ask(&depositor);
    assert_int_equal(status_of(answer), 201);
    json_t *file = document_of(answer);
    assert_true(hex_decode(ret, ID_SIZE, json_string_value(json_object_get(file, "id"))));
    json_decref(file);
}

static void add_project(unsigned n) {
    struct message *q = request(&root, MSG_project_add);
    copy_string(q->project_add.name, sizeof(q->project_add.name), named("P", n));
    assert_int_equal(ask_status(&root), 201);
    q = request(&root, MSG_ethics_add);
    copy_string(q->ethics_add.name, sizeof(q->ethics_add.name), named("A", n));
    copy_string(q->ethics_add.project, sizeof(q->ethics_add.project), named("P", n));
    assert_int_equal(ask_status(&root), 201);
}

static void add_subject(void) {
    make_subject(named("T", subjects));
    set_consent(named("T", subjects), true, true);
    subjects++;
}

static void add_service(void) {
    make_service(named("svc", services), 1u << ROLE_READER, 1u << PURPOSE_TREATMENT);
    add_project(services);
    services++;
}

static void approve(unsigned expected) {
    request(&second, MSG_pending_approve)->pending_approve.number = m.meta.pending;
    assert_int_equal(ask_status(&second), expected);
}

static int names_set_up(void **state) {
    vault_set_up(state);
    make_service("second", 1u << ROLE_CUSTODIAN | 1u << ROLE_REGISTRAR, 0);
    m.setup.approve_seconds = 3600;
    depositor = peer_tls(SAN_OF("depositor"));
    clinic = peer_tls(SAN_OF("clinic"));
    second = peer_tls(SAN_OF("second"));
    subjects = services = 0;
    for (size_t i = 0; i < sizeof(shredded); i++)
        shredded[i] = false;
    while (subjects < SUBJECTS) {
        add_subject();
        deposit(named("T", subjects - 1), "a.cram", files[subjects - 1][0]);
        deposit(named("T", subjects - 1), "b.cram", files[subjects - 1][1]);
    }
    while (services < SERVICES)
        add_service();
    old_key = NULL;
    assert_int_equal(secret_new(&old_key, SECRET_KEY_SIZE), VAULT_OK);
    copy_bytes(secret_edit(old_key), SECRET_KEY_SIZE, secret_view(keyring_name_key(m.keyring)), SECRET_KEY_SIZE);
    return 0;
}

static void drop_peers(void) {
    struct peer *peers[] = {&clinic, &depositor, &second};
    for (size_t i = 0; i < 3; i++) {
        if (peers[i]->channel >= 0)
            close(peers[i]->channel);
        peers[i]->channel = -1;
    }
}

static int names_tear_down(void **state) {
    drop_peers();
    secret_free(&old_key);
    return rig_tear_down(state);
}

static void start_again(void) {
    drop_peers();
    rig_stop();
    assert_true(rig_start_unsealed());
    depositor = peer_tls(SAN_OF("depositor"));
    clinic = peer_tls(SAN_OF("clinic"));
    second = peer_tls(SAN_OF("second"));
}

/* ---- what is to be found ---- */

static void expect_readable(const uint8_t file[ID_SIZE]) {
    struct msg_grant g = open_file(&clinic, file);
    secret_free(&g.key);
    struct message *q = request(&clinic, MSG_grant_close);
    COPY_ARRAY(q->grant_close.grant, g.grant);
    (void)ask(&clinic);
}

static size_t listed(const char *subject, const char *in) {
    struct message *q = request(&root, MSG_file_list);
    copy_string(q->file_list.subject, sizeof(q->file_list.subject), subject);
    copy_string(q->file_list.dataset, sizeof(q->file_list.dataset), in);
    struct message *answer = ask(&root);
    assert_int_equal(status_of(answer), 200);
    json_t *json = document_of(answer);
    size_t n = json_array_size(json_object_get(json, "files"));
    json_decref(json);
    return n;
}

static void expect_subject(unsigned n) {
    static struct subject_value s;
    static struct file_value f;
    static struct consent_value c;
    uint8_t none[ID_SIZE] = {0};
    char name[64];
    copy_string(name, sizeof(name), named("T", n));
    assert_int_equal(find_subject(&m, name, &s), VAULT_OK);
    assert_int_equal(find_consent(&m, name, s.consent, &c), VAULT_OK);
    assert_int_equal(find_file(&m, none, name, "nothing", &f), VAULT_NOT_FOUND);
    if (n >= SUBJECTS || shredded[n])
        return;
    for (unsigned i = 0; i < FILES; i++) {
        assert_int_equal(find_file(&m, none, name, i == 0 ? "a.cram" : "b.cram", &f), VAULT_OK);
        assert_memory_equal(f.file, files[n][i], ID_SIZE);
    }
}

static void everything_is_found(void) {
    static struct service_value s;
    static struct project_value p;
    static struct ethics_value e;
    for (unsigned n = 0; n < subjects; n++)
        expect_subject(n);
    for (unsigned n = 0; n < services; n++) {
        assert_int_equal(find_service(&m, named("svc", n), &s), VAULT_OK);
        assert_int_equal(find_project(&m, named("P", n), &p), VAULT_OK);
        assert_int_equal(find_ethics(&m, named("A", n), &e), VAULT_OK);
    }
    assert_int_equal(find_subject(&m, "nobody", &(struct subject_value){0}), VAULT_NOT_FOUND);
    assert_int_equal(find_service(&m, "nobody", &s), VAULT_NOT_FOUND);
    index_end_reads(m.index);
}

static void readers_read(unsigned n) {
    expect_readable(files[n % SUBJECTS][n % FILES]);
    assert_int_equal(listed(named("T", n % SUBJECTS), ""), FILES);
}

static enum check_state checked(void) {
    m.check = CHECK_WAITING;
    for (unsigned n = 0; n < 400 && (m.check == CHECK_WAITING || m.check == CHECK_RUNNING); n++)
        turn();
    return m.check;
}

/* ---- what is to be found no more ---- */

static uint8_t olds[4096][HASH_SIZE];
static unsigned old_count;

static void add_old(enum name_kind kind, const char *name, const char *subject) {
    assert_true(old_count < sizeof(olds) / HASH_SIZE);
    name_hash_under(old_key, kind, name, subject, olds[old_count++]);
}

static void compute_olds(void) {
    static const char *const fixed[] = {"depositor", "clinic", "research", "second"};
    char san[128];
    old_count = 0;
    for (unsigned n = 0; n <= subjects; n++) {
        char name[64];
        copy_string(name, sizeof(name), n == subjects ? "S-1" : named("T", n));
        add_old(NAME_SUBJECT, name, NULL);
        add_old(NAME_CHAIN_SUBJECT, name, NULL);
        add_old(NAME_FILE, "a.cram", name);
        add_old(NAME_FILE, "b.cram", name);
    }
    add_old(NAME_DATASET, dataset, NULL);
    add_old(NAME_CHAIN_SERVICE, "unix:0", NULL);
    for (unsigned n = 0; n < services + 4; n++) {
        const char *name = n < services ? named("svc", n) : fixed[n - services];
        assert_true(format_string(san, sizeof(san), SAN_OF("%s"), name));
        add_old(NAME_SERVICE, name, NULL);
        add_old(NAME_CHAIN_SERVICE, name, NULL);
        add_old(NAME_SAN, san, NULL);
    }
    for (unsigned n = 0; n <= services; n++) {
        add_old(NAME_PROJECT, n == services ? "P1" : named("P", n), NULL);
        add_old(NAME_ETHICS, n == services ? "A1" : named("A", n), NULL);
    }
}

static bool is_old(const uint8_t *hash) {
    for (unsigned n = 0; n < old_count; n++)
        if (memcmp(olds[n], hash, HASH_SIZE) == 0)
            return true;
    return false;
}

/* How many entries of all databases are under a hash of before, or say one in their value. */
static unsigned under_old(void) {
    uint8_t key[INDEX_KEY_MAX];
    struct blob_value b;
    unsigned found = 0;
    compute_olds();
    for (enum index_db db = DB_META; db < DB_COUNT; db++) {
        size_t size = 0;
        while (index_next(m.index, db, NULL, 0, key, size, key, &size) == VAULT_OK) {
            found += size >= HASH_SIZE && is_old(key);
            if (db == DB_BLOBS) {
                assert_int_equal(index_get_record(m.index, db, key, size, &layout_blob_value, &b), VAULT_OK);
                found += is_old(b.subject);
            }
        }
    }
    index_end_reads(m.index);
    return found;
}

static void expect_name_key(uint32_t generation, bool both) {
    assert_int_equal(keyring_name_generation(m.keyring), generation);
    assert_int_equal(m.meta.name_key, generation);
    assert_int_equal(keyring_next_name_key(m.keyring) != NULL, both);
    assert_int_equal(m.meta.naming != NAMING_NONE, both);
    assert_int_equal(m.meta.intent, INTENT_NONE);
    everything_is_found();
    readers_read(generation);
    assert_int_equal(checked(), CHECK_WHOLE);
}

static void order(enum message_type type, uint32_t number) {
    struct message *q = request(&root, type);
    if (type == MSG_job_pause)
        q->job_pause.number = number;
    else
        q->job_resume.number = number;
    assert_int_equal(ask_status(&root), 200);
}

/* What is begun now waits, until the first job is resumed. */
static void jobs_wait(void) {
    struct job_value first = {.generation = 1, .total = 1, .paused = 1};
    assert_int_equal(batch_begin(&m), VAULT_OK);
    assert_int_equal(job_begin(&m, job_kek.what, &first), VAULT_OK);
    assert_int_equal(batch_finish(&m), VAULT_OK);
    turns(2);
}

/* Begins the change with its job paused at the front of the queue. */
static uint32_t begin_held(void) {
    jobs_wait();
    uint32_t first = m.meta.jobs;
    assert_int_equal(rotate("names"), 202);
    order(MSG_job_pause, first + 1);
    order(MSG_job_resume, first);
    for (unsigned n = 0; n < 400 && m.meta.jobs_ended < first; n++)
        turn();
    assert_int_equal(m.meta.jobs_ended, first);
    return first + 1;
}

/* One step of the job, which is paused. False: nothing is left to do. */
static bool step(uint32_t number) {
    struct job_value j;
    assert_int_equal(batch_begin(&m), VAULT_OK);
    assert_int_equal(job_load(&m, number, &j), VAULT_OK);
    int result = job_names.step(&m, &j);
    assert_true(result == VAULT_OK || result == VAULT_NOT_FOUND);
    assert_int_equal(j.failed, 0);
    assert_int_equal(job_store(&m, &j), VAULT_OK);
    assert_int_equal(batch_finish(&m), VAULT_OK);
    return result == VAULT_OK;
}

/* ---- the tests ---- */

static void names_get_another_key(void **state) {
    (void)state;
    assert_true(under_old() > 100);
    assert_int_equal(rotate("names"), 202);
    jobs_finish();
    expect_name_key(2, false);
    assert_int_equal(under_old(), 0);
    assert_int_equal(audit_count("\"event\":\"key.rotated\"", "names to generation 2, ", " 0 damaged\"", NULL), 1);
    start_again();
    expect_name_key(2, false);
    assert_int_equal(rotate("names"), 202);
    jobs_finish();
    expect_name_key(3, false);
    assert_int_equal(listed("", dataset), SUBJECTS * FILES);
}

static void everything_is_found_at_every_place_of_the_way(void **state) {
    unsigned steps = 0;
    (void)state;
    uint32_t job = begin_held();
    assert_int_equal(rotate("names"), 409);
    do {
        everything_is_found();
        readers_read(steps);
        assert_int_equal(listed("", dataset), SUBJECTS * FILES);
        if (steps % 9 == 0)
            start_again();
        steps++;
    } while (step(job));
    assert_true(steps > SUBJECTS + 4 * SERVICES);
    assert_int_equal(under_old(), 0);
    order(MSG_job_resume, job);
    jobs_finish();
    expect_name_key(2, false);
    assert_int_equal(under_old(), 0);
}

static void what_is_added_on_the_way_goes_where_it_belongs(void **state) {
    uint8_t added[200][ID_SIZE];
    unsigned steps = 0;
    (void)state;
    uint32_t job = begin_held();
    do {
        add_subject();
        deposit(named("T", subjects - 1), "a.cram", added[steps]);
        add_service();
        everything_is_found();
        steps++;
    } while (step(job) && steps < 60);
    order(MSG_job_resume, job);
    jobs_finish();
    expect_name_key(2, false);
    assert_int_equal(under_old(), 0);
    while (steps-- > 0)
        expect_readable(added[steps]);
}

/* A list that was begun before goes on where it was: nothing twice, nothing passed over. */
static void a_list_goes_on_while_its_entries_move(void **state) {
    enum { MORE = 60 };
    char cursor[400] = "";
    uint8_t id[ID_SIZE];
    unsigned count = 0, pages = 0;
    json_t *seen = json_object();
    (void)state;
    for (unsigned i = 0; i < MORE * 4; i++) {
        char name[32];
        assert_true(format_string(name, sizeof(name), "m%u", i));
        deposit(named("T", i % SUBJECTS), name, id);
    }
    uint32_t job = begin_held();
    do {
        struct message *q = request(&root, MSG_file_list);
        copy_string(q->file_list.dataset, sizeof(q->file_list.dataset), dataset);
        copy_string(q->file_list.cursor, sizeof(q->file_list.cursor), cursor);
        struct message *answer = ask(&root);
        assert_int_equal(status_of(answer), 200);
        json_t *json = document_of(answer), *file;
        size_t i;
        json_array_foreach(json_object_get(json, "files"), i, file) {
            const char *name = json_string_value(json_object_get(file, "id"));
            assert_null(json_object_get(seen, name));
            json_object_set_new(seen, name, json_true());
            count++;
        }
        const char *next = json_string_value(json_object_get(json, "next"));
        copy_string(cursor, sizeof(cursor), next == NULL ? "" : next);
        json_decref(json);
        for (unsigned n = 0; n < 5; n++)
            (void)step(job);
        if (pages++ == 1) {
            order(MSG_job_resume, job);
            jobs_finish();
        }
    } while (cursor[0] != '\0');
    json_decref(seen);
    assert_true(pages > 2);
    assert_int_equal(count, SUBJECTS * FILES + MORE * 4);
}

/* The next page of all subjects after *cursor, which moves on; how many are in it, or 1000 where that was refused. */
static unsigned page_of_subjects(char cursor[400]) {
    struct message *q = request(&root, MSG_subject_list);
    copy_string(q->subject_list.cursor, sizeof(q->subject_list.cursor), cursor);
    struct message *answer = ask(&root);
    if (status_of(answer) == 409) {
        assert_true(says(answer, "list-moved"));
        return 1000;
    }
    assert_int_equal(status_of(answer), 200);
    json_t *json = document_of(answer);
    size_t n = json_array_size(json_object_get(json, "subjects"));
    const char *next = json_string_value(json_object_get(json, "next"));
    copy_string(cursor, 400, next == NULL ? "" : next);
    json_decref(json);
    return (unsigned)n;
}

static unsigned all_subjects(void) {
    char cursor[400] = "";
    unsigned n = 0;
    do
        n += page_of_subjects(cursor);
    while (cursor[0] != '\0');
    return n;
}

/* It is never answered as if it were whole where it may not be. */
static void a_list_whose_entries_moved_begins_anew(void **state) {
    enum { MANY = 120 };
    char cursor[400] = "", other[400] = "";
    (void)state;
    while (subjects < MANY)
        add_subject();
    uint32_t job = begin_held();
    assert_int_equal(page_of_subjects(cursor), 50);
    (void)step(job);
    copy_string(other, sizeof(other), cursor);
    assert_int_equal(page_of_subjects(other), 1000);
    assert_int_equal(all_subjects(), MANY + 1);
    while (m.meta.naming == NAMING_SUBJECTS)
        (void)step(job);
    cursor[0] = '\0';
    assert_int_equal(page_of_subjects(cursor), 50);
    order(MSG_job_resume, job);
    jobs_finish();
    unsigned rest = 0; /* all subjects had moved before the first page */
    while (cursor[0] != '\0')
        rest += page_of_subjects(cursor);
    assert_int_equal(rest, MANY + 1 - 50);
}

static void jobs_behind_it_know_whose_they_are(void **state) {
    (void)state;
    jobs_wait();
    uint32_t first = m.meta.jobs;
    assert_int_equal(rotate("names"), 202);
    struct message *q = request(&root, MSG_subject_shred);
    copy_string(q->subject_shred.subject, sizeof(q->subject_shred.subject), "T-3");
    assert_int_equal(ask_status(&root), 202);
    approve(200);
    q = request(&root, MSG_file_remove);
    COPY_ARRAY(q->file_remove.file, files[4][0]);
    assert_int_equal(ask_status(&root), 202);
    approve(200);
    shredded[3] = shredded[4] = true;
    order(MSG_job_resume, first);
    jobs_finish();
    everything_is_found();
    assert_int_equal(under_old(), 0);
    assert_int_equal(listed("T-3", ""), 0);
    assert_int_equal(listed("T-4", ""), 1);
    expect_readable(files[4][1]);
    assert_int_equal(audit_count("\"event\":\"subject.shredded\"", "2 files, 0 damaged", NULL), 1);
    assert_int_equal(audit_count("\"event\":\"key.rotated\"", "subject, 1 keys, 0 with damaged files", NULL), 1);
    static struct subject_value s;
    assert_int_equal(find_subject(&m, "T-4", &s), VAULT_OK);
    assert_int_equal(s.key_number, 2);
    assert_int_equal(s.turning, TURN_NONE);
    request(&root, MSG_subject_show);
    q = request(&root, MSG_subject_show);
    copy_string(q->subject_show.subject, sizeof(q->subject_show.subject), "T-3");
    assert_int_equal(ask_status(&root), 200);
    index_end_reads(m.index);
}

/* What was shredded before has a subject without keys, and a list of what was. */
static void shredded_subjects_move_too(void **state) {
    static struct subject_value s;
    (void)state;
    struct message *q = request(&root, MSG_subject_shred);
    copy_string(q->subject_shred.subject, sizeof(q->subject_shred.subject), "T-3");
    assert_int_equal(ask_status(&root), 202);
    approve(200);
    jobs_finish();
    shredded[3] = true;
    assert_int_equal(rotate("names"), 202);
    jobs_finish();
    expect_name_key(2, false);
    assert_int_equal(under_old(), 0);
    assert_int_equal(find_subject(&m, "T-3", &s), VAULT_OK);
    assert_int_equal(s.shreds, 1);
    q = request(&root, MSG_subject_show);
    copy_string(q->subject_show.subject, sizeof(q->subject_show.subject), "T-3");
    assert_int_equal(ask_status(&root), 200);
}

/* A turn of the subject's key that left something to do: two keys, each wrapped for the subject's hash. */
static void keys_of_a_turn_under_way_move_too(void **state) {
    static struct subject_value s;
    (void)state;
    assert_int_equal(batch_begin(&m), VAULT_OK);
    assert_int_equal(find_subject(&m, "T-5", &s), VAULT_OK);
    assert_int_equal(subject_key_give(&m, &s), VAULT_OK);
    assert_int_equal(subject_store(&m, &s), VAULT_OK);
    assert_int_equal(batch_finish(&m), VAULT_OK);
    expect_readable(files[5][0]);
    assert_int_equal(rotate("names"), 202);
    jobs_finish();
    expect_readable(files[5][0]);
    assert_int_equal(rotate("subject"), 202);
    jobs_finish();
    expect_readable(files[5][1]);
    assert_int_equal(find_subject(&m, "T-5", &s), VAULT_OK);
    assert_int_equal(s.turning, TURN_NONE);
    index_end_reads(m.index);
}

/* An administrator on the Unix socket has a chain and nothing else: it goes on, and does not begin anew. */
static void chains_of_local_administrators_go_on(void **state) {
    static const char anew[] = "\"service\":{\"n\":0,";
    (void)state;
    unsigned before = audit_count("\"service\":{\"name\":\"unix:0\"}", anew, NULL);
    uint32_t job = begin_held();
    while (step(job))
        assert_int_equal(listed("T-1", ""), FILES);
    order(MSG_job_resume, job);
    jobs_finish();
    request(&root, MSG_key_list);
    assert_true(says(ask(&root), "\"names\":2"));
    assert_int_equal(before, 1);
    assert_int_equal(audit_count("\"service\":{\"name\":\"unix:0\"}", anew, NULL), 1);
}

/* ---- deaths ---- */

/* A folder in which nothing can be made, in the place of one of those of the ring's copies: its store fails there. */
static int lost_folder(void) {
    char name[] = "/tmp/vault-lost.XXXXXX";
    assert_non_null(mkdtemp(name));
    int fd = open(name, O_RDONLY | O_DIRECTORY);
    assert_true(fd >= 0 && rmdir(name) == 0);
    return fd;
}

/* Asks for the change, and dies at the store of the ring, before (`first`) or after its first copy was replaced. */
static void begin_and_die(bool first) {
    int *place = first ? &m.place.directory : &m.place.twin_directory;
    int whole = *place;
    *place = lost_folder();
    struct message *q = request(&root, MSG_key_rotate);
    copy_string(q->key_rotate.what, sizeof(q->key_rotate.what), "names");
    send_now(&root);
    turns(3);
    assert_true(m.stop);
    close(*place);
    *place = whole;
    start_again();
}

static void death_before_the_ring_leaves_the_name_key_as_it_was(void **state) {
    (void)state;
    begin_and_die(true);
    jobs_finish();
    assert_int_equal(m.meta.jobs, 0);
    expect_name_key(1, false);
}

static void death_after_the_ring_goes_on_with_both_name_keys(void **state) {
    (void)state;
    begin_and_die(false);
    assert_int_equal(m.meta.jobs, 1);
    jobs_finish();
    expect_name_key(2, false);
    assert_int_equal(under_old(), 0);
}

/* Dies when the key before is to go, before or after it went. */
static void die_at_the_end(bool first) {
    uint32_t job = begin_held();
    while (step(job))
        continue;
    int *place = first ? &m.place.directory : &m.place.twin_directory;
    int whole = *place;
    *place = lost_folder();
    request(&root, MSG_job_resume)->job_resume.number = job;
    send_now(&root);
    for (unsigned n = 0; n < 400 && !m.stop; n++)
        turn();
    assert_true(m.stop);
    close(*place);
    *place = whole;
    start_again();
    jobs_finish();
    expect_name_key(2, false);
    assert_int_equal(under_old(), 0);
    assert_int_equal(audit_count("\"event\":\"key.rotated\"", "names to generation 2", NULL), 1);
}

static void death_before_the_key_goes_ends_it_later(void **state) {
    (void)state;
    die_at_the_end(true);
}

static void death_after_the_key_went_is_recorded_later(void **state) {
    (void)state;
    die_at_the_end(false);
}

/* ---- damage ---- */

static uint8_t flipped[INDEX_KEY_MAX]; /* the key of that entry */
static size_t flipped_size;

/* Flips a bit of the first entry of a database, or flips it back, while the vault does not run. */
static void flip(const char *db, bool back) {
    MDB_env *env;
    MDB_txn *t;
    MDB_dbi dbi;
    MDB_cursor *c;
    MDB_val k, v;
    static uint8_t value[4096];
    drop_peers();
    rig_stop();
    assert_int_equal(chdir(rig_folder()), 0);
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_set_maxdbs(env, DB_COUNT), 0);
    assert_int_equal(mdb_env_open(env, "state/index", 0, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &t), 0);
    assert_int_equal(mdb_dbi_open(t, db, 0, &dbi), 0);
    assert_int_equal(mdb_cursor_open(t, dbi, &c), 0);
    k = (MDB_val){.mv_size = back ? flipped_size : 0, .mv_data = flipped};
    assert_int_equal(mdb_cursor_get(c, &k, &v, back ? MDB_SET_KEY : MDB_FIRST), 0);
    if (!back)
        copy_bytes(flipped, sizeof(flipped), k.mv_data, k.mv_size);
    flipped_size = k.mv_size;
    assert_true(v.mv_size < sizeof(value));
    copy_bytes(value, sizeof(value), v.mv_data, v.mv_size);
    value[30] ^= 1;
    v.mv_data = value;
    assert_int_equal(mdb_cursor_put(c, &k, &v, MDB_CURRENT), 0);
    mdb_cursor_close(c);
    assert_int_equal(mdb_txn_commit(t), 0);
    mdb_env_close(env);
    assert_true(rig_start_unsealed());
    depositor = peer_tls(SAN_OF("depositor"));
    clinic = peer_tls(SAN_OF("clinic"));
    second = peer_tls(SAN_OF("second"));
}

/* It stops at the owner, nothing of whom has moved, so that what is mended is found in its place. */
static void damaged_entry_keeps_the_key_before_until_it_is_mended(void **state) {
    static const char *const dbs[] = {"blobs", "file-names", "dataset-files", "subject-files", "consents", "projects"};
    (void)state;
    for (unsigned n = 0; n < sizeof(dbs) / sizeof(dbs[0]); n++) {
        flip(dbs[n], false);
        assert_int_equal(rotate("names"), 202);
        jobs_finish();
        assert_int_equal(keyring_name_generation(m.keyring), n + 1);
        assert_non_null(keyring_next_name_key(m.keyring));
        assert_int_equal(
            audit_count("\"event\":\"key.rotated\"", "\"outcome\":\"failed\"", "the key before is kept", NULL), n + 1);
        flip(dbs[n], true);
        everything_is_found();
        assert_int_equal(checked(), CHECK_WHOLE);
        assert_int_equal(rotate("names"), 202);
        jobs_finish();
        expect_name_key(n + 2, false);
    }
    assert_int_equal(under_old(), 0);
}

/* Where the root page of a database is in the file. */
static off_t page_of(const char *db) {
    enum { ROOT_AT = 40 }; /* in LMDB's struct of a database */
    MDB_env *env;
    MDB_txn *t;
    MDB_dbi dbi;
    MDB_stat stat;
    MDB_val k = {.mv_size = strlen(db), .mv_data = (void *)(uintptr_t)db}, v;
    uint64_t root_page = 0;
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_set_maxdbs(env, DB_COUNT), 0);
    assert_int_equal(mdb_env_open(env, "state/index", MDB_RDONLY, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, MDB_RDONLY, &t), 0);
    assert_int_equal(mdb_dbi_open(t, NULL, 0, &dbi), 0);
    assert_int_equal(mdb_get(t, dbi, &k, &v), 0);
    copy_bytes(&root_page, sizeof(root_page), (const uint8_t *)v.mv_data + ROOT_AT, sizeof(root_page));
    assert_int_equal(mdb_env_stat(env, &stat), 0);
    mdb_txn_abort(t);
    mdb_env_close(env);
    return (off_t)(root_page * stat.ms_psize);
}

/* A transaction that meets such a page commits nothing: the job must not take the others' with it for ever. */
static void page_that_cannot_be_read_ends_the_job_and_keeps_the_key(void **state) {
    enum { FLAGS_AT = 10 };
    static const uint8_t no_page[2];
    (void)state;
    struct message *q = request(&root, MSG_file_remove);
    COPY_ARRAY(q->file_remove.file, files[4][0]);
    assert_int_equal(ask_status(&root), 202);
    approve(200);
    jobs_finish();
    drop_peers();
    rig_stop();
    assert_int_equal(chdir(rig_folder()), 0);
    off_t page = page_of("shreds");
    assert_true(page > 0);
    int fd = open("state/index/data.mdb", O_WRONLY);
    assert_int_equal(pwrite(fd, no_page, sizeof(no_page), page + FLAGS_AT), sizeof(no_page));
    close(fd);
    assert_true(rig_start_unsealed());
    jobs_wait();
    uint32_t first = m.meta.jobs;
    assert_int_equal(rotate("names"), 202);
    order(MSG_job_resume, first);
    jobs_finish();
    assert_int_equal(rotate("kek"), 202);
    jobs_finish();
    assert_int_equal(audit_count("\"event\":\"job.failed\"", "the index cannot be read where it goes on", NULL), 1);
    assert_int_equal(audit_count("\"event\":\"key.rotated\"", "kek to generation 2", NULL), 1);
    assert_int_equal(keyring_name_generation(m.keyring), 1);
    assert_non_null(keyring_next_name_key(m.keyring));
    request(&root, MSG_subject_list);
    assert_true(says(ask(&root), "S-1"));
}

#define NAMES(test) cmocka_unit_test_setup_teardown(test, names_set_up, names_tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        NAMES(names_get_another_key),
        NAMES(everything_is_found_at_every_place_of_the_way),
        NAMES(what_is_added_on_the_way_goes_where_it_belongs),
        NAMES(a_list_goes_on_while_its_entries_move),
        NAMES(a_list_whose_entries_moved_begins_anew),
        NAMES(jobs_behind_it_know_whose_they_are),
        NAMES(shredded_subjects_move_too),
        NAMES(keys_of_a_turn_under_way_move_too),
        NAMES(chains_of_local_administrators_go_on),
        NAMES(death_before_the_ring_leaves_the_name_key_as_it_was),
        NAMES(death_after_the_ring_goes_on_with_both_name_keys),
        NAMES(death_before_the_key_goes_ends_it_later),
        NAMES(death_after_the_key_went_is_recorded_later),
        NAMES(page_that_cannot_be_read_ends_the_job_and_keeps_the_key),
        NAMES(damaged_entry_keeps_the_key_before_until_it_is_mended),
    };
    log_start("test");
    if (secret_start() != VAULT_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
