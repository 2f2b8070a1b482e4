#include "vaultd/gate/anchors.h"

#include <openssl/bio.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>

#include "vault/buffer.h"
#include "vault/log.h"
#include "vault/result.h"
#include "vaultd/gate/certificates.h"

struct anchors {
    struct files seen;
    struct text in_force;
    struct text before; /* while others are in the file: the lists from before, of those that are in force */
    struct trust *trust;
};

static int copy_text(const void *bytes, size_t n, struct text *ret) {
    struct text t = {.bytes = malloc(n == 0 ? 1 : n), .n = n};
    if (t.bytes == NULL)
        return VAULT_E_MEMORY;
    copy_bytes(t.bytes, n, bytes, n);
    *ret = t;
    return VAULT_OK;
}

static bool same(const struct text *a, const struct text *b) {
    return a->n == b->n && memcmp(a->bytes, b->bytes, a->n) == 0;
}

static int write_pem(STACK_OF(X509) * list, struct text *ret) {
    BIO *bio = BIO_new(BIO_s_mem());
    char *bytes = NULL;
    int result = bio == NULL ? VAULT_E_MEMORY : VAULT_OK;
    for (int i = 0; result == VAULT_OK && i < sk_X509_num(list); i++)
        if (PEM_write_bio_X509(bio, sk_X509_value(list, i)) != 1)
            result = VAULT_E_MEMORY;
    long n = result == VAULT_OK ? BIO_get_mem_data(bio, &bytes) : 0;
    if (result == VAULT_OK && n > ANCHORS_MAX) {
        log_error("client authorities: their certificates are more than %d bytes", ANCHORS_MAX);
        result = VAULT_E_LIMIT;
    }
    if (result == VAULT_OK)
        result = copy_text(bytes, (size_t)n, ret);
    BIO_free(bio);
    return result;
}

/* One subject as RFC 2253 has it, whose escapes leave printable ASCII; false if it does not fit. */
static bool add_subject(X509 *certificate, struct writer *w) {
    char *text = NULL;
    BIO *bio = BIO_new(BIO_s_mem());
    bool written = bio != NULL && X509_NAME_print_ex(bio, X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253) >= 0;
    long n = written ? BIO_get_mem_data(bio, &text) : 0;
    if (w->used > 0)
        write_bytes(w, "; ", 2);
    for (long i = 0; i < n; i++)
        write_u8(w, text[i] >= 0x20 && text[i] < 0x7f ? (uint8_t)text[i] : '?');
    BIO_free(bio);
    return !w->bad;
}

static void write_subjects(STACK_OF(X509) * list, char ret[ANCHORS_SUBJECTS + 1]) {
    static const char more[] = "...";
    struct writer w = writer_of(ret, ANCHORS_SUBJECTS - sizeof(more));
    size_t used = 0;
    int i = 0;
    while (i < sk_X509_num(list) && add_subject(sk_X509_value(list, i), &w)) {
        used = w.used;
        i++;
    }
    copy_string(ret + used, ANCHORS_SUBJECTS + 1 - used, i < sk_X509_num(list) ? more : "");
}

int files_check(struct files *f, const struct text *authorities) {
    STACK_OF(X509) *list = NULL;
    struct trust *trust = NULL;
    int result = certificates_read(authorities->bytes, authorities->n, &list);
    if (result != VAULT_OK)
        return result;
    result = write_pem(list, &f->authorities);
    f->count = (uint32_t)sk_X509_num(list);
    write_subjects(list, f->subjects);
    sk_X509_pop_free(list, X509_free);
    if (result == VAULT_OK)
        result = trust_new(&f->authorities, &f->lists, NULL, &trust);
    trust_free(&trust);
    return result;
}

void files_free(struct files *f) {
    text_free(&f->authorities);
    text_free(&f->lists);
}

int anchors_new(struct files *f, struct anchors **ret) {
    struct anchors *a = calloc(1, sizeof(*a));
    if (a == NULL) {
        files_free(f);
        return VAULT_E_MEMORY;
    }
    a->seen = *f;
    *f = (struct files){.count = 0};
    int result = anchors_use(a, a->seen.authorities.bytes, a->seen.authorities.n);
    if (result == VAULT_OK)
        *ret = a;
    else
        anchors_free(&a);
    return result;
}

void anchors_free(struct anchors **a) {
    if (a == NULL || *a == NULL)
        return;
    files_free(&(*a)->seen);
    text_free(&(*a)->in_force);
    text_free(&(*a)->before);
    trust_free(&(*a)->trust);
    free(*a);
    *a = NULL;
}

static void move_text(struct text *to, struct text *from) {
    text_free(to);
    *to = *from;
    *from = (struct text){.bytes = NULL};
}

/* Whoever puts other authorities in the file changes the lists with them; those in force go on with theirs. */
int anchors_renew(struct anchors *a, struct files *f, bool *ret_others) {
    struct trust *fresh = NULL;
    bool in_force = same(&f->authorities, &a->in_force);
    const struct text *before = in_force ? NULL : a->before.n > 0 ? &a->before : &a->seen.lists;
    int result = trust_new(&a->in_force, &f->lists, before, &fresh);
    if (result != VAULT_OK) {
        files_free(f);
        return result;
    }
    trust_free(&a->trust);
    a->trust = fresh;
    if (in_force)
        text_free(&a->before);
    else if (a->before.n == 0)
        move_text(&a->before, &a->seen.lists);
    *ret_others = !same(&f->authorities, &a->seen.authorities);
    files_free(&a->seen);
    a->seen = *f;
    *f = (struct files){.count = 0};
    return VAULT_OK;
}

int anchors_use(struct anchors *a, const void *pem, size_t size) {
    struct text in_force = {.bytes = NULL};
    struct trust *fresh = NULL;
    int result = copy_text(pem, size, &in_force);
    if (result != VAULT_OK)
        return result;
    bool of_file = same(&in_force, &a->seen.authorities);
    result = trust_new(&in_force, &a->seen.lists, of_file ? NULL : &a->before, &fresh);
    if (result != VAULT_OK) {
        text_free(&in_force);
        return result;
    }
    trust_free(&a->trust);
    a->trust = fresh;
    move_text(&a->in_force, &in_force);
    if (of_file)
        text_free(&a->before);
    return VAULT_OK;
}

const struct files *anchors_seen(const struct anchors *a) {
    return &a->seen;
}

bool anchors_held(const struct anchors *a) {
    return !same(&a->seen.authorities, &a->in_force);
}

const struct trust *anchors_trust(const struct anchors *a) {
    return a->trust;
}
