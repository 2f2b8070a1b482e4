/* Consents and policies: parsed here, and handed to the monitor in their bounded form. */
#include "http_reply.h"
#include "route.h"
#include "serve.h"
#include "vault/documents.h"
#include "vault/parse.h"
#include "vault/result.h"

static int encode_consent(struct msg_consent_set *m, const struct consent *consent) {
    struct writer w = writer_of(m->consent, sizeof(m->consent));
    layout_encode(&layout_consent, consent, &w);
    m->consent_size = (uint32_t)w.used;
    return w.bad ? VAULT_E_LIMIT : VAULT_OK;
}

int serve_consent(struct exchange *x) {
    char *text = document_buffer();
    char subject[NAME_MAX_SIZE + 1];
    char problem[200] = "";
    struct consent consent = {0};
    size_t n = 0;
    if (http_decode(x->arguments[0].value, subject, sizeof(subject)) != VAULT_OK || !name_is_good(subject))
        return reply_refusal(x, 400, "request", "path segment `subject` is no identifier");
    int result = read_document(x, text, &n);
    if (result != VAULT_AGAIN)
        return result;
    result = consent_parse(text, n, subject, &consent, problem);
    wipe(text, n);
    if (result != VAULT_OK)
        return reply_refusal(x, 400, "consent", problem);
    if (encode_consent(&x->w->request.consent_set, &consent) != VAULT_OK)
        return reply_refusal(x, 413, "consent", "the consent is too long");
    return serve_relay(x);
}

int serve_policy(struct exchange *x) {
    static struct policy policy;
    struct msg_policy_load *m = &x->w->request.policy_load;
    char *text = document_buffer();
    char problem[300] = "";
    size_t n = 0;
    size_t used = 0;
    int result = read_document(x, text, &n);
    if (result != VAULT_AGAIN)
        return result;
    result = policy_parse(text, n, &policy, problem);
    if (result != VAULT_OK)
        return reply_refusal(x, 400, "policy", problem);
    if (policy_encode(&policy, m->policy, sizeof(m->policy), &used) != VAULT_OK)
        return reply_refusal(x, 413, "policy", "the policy is too long");
    m->policy_size = (uint32_t)used;
    return serve_relay(x);
}
