#include <sodium.h>

#include "token.h"
#include "vault/buffer.h"
#include "vault/result.h"

void task_refuse(uint64_t id, enum token_refusal why, CK_RV said, struct message *answer) {
    message_init(answer, MSG_token_refused, id);
    answer->token_refused.why = (uint8_t)why;
    answer->token_refused.detail = said;
}

/* What was wrapped is unwrapped again before anything rests on it. */
static enum token_refusal wrap_and_see(struct token *t, CK_OBJECT_HANDLE key, const struct secret *root,
                                       struct msg_token_wrapped *ret) {
    CLEANUP_SECRET struct secret *back = NULL;
    enum token_refusal why = key_wrap_root(t, key, ret->key, root, ret->wrapped);
    if (why == TOKEN_GRANTED)
        why = key_unwrap_root(t, key, ret->key, ret->wrapped, &back);
    return why == TOKEN_GRANTED && !secret_equal(back, root) ? TOKEN_NONSENSE : why;
}

static enum token_refusal do_wrap(struct token *t, const struct msg_token_wrap *asked, struct msg_token_wrapped *ret) {
    CK_OBJECT_HANDLE key = 0;
    struct writer id = writer_of(ret->key, sizeof(ret->key));
    uint8_t random[TOKEN_KEY_ID - ID_SIZE];
    randombytes_buf(random, sizeof(random));
    write_bytes(&id, asked->vault, ID_SIZE);
    write_bytes(&id, random, sizeof(random));
    enum token_refusal why = key_usable(t, true);
    if (why == TOKEN_GRANTED)
        why = key_make(t, ret->key, &key);
    if (why != TOKEN_GRANTED)
        return why;
    why = wrap_and_see(t, key, asked->root, ret);
    if (why != TOKEN_GRANTED)
        (void)t->module->C_DestroyObject(t->session, key); /* `said` is of what went wrong before */
    return why;
}

static enum token_refusal do_unwrap(struct token *t, const struct msg_token_unwrap *asked,
                                    struct msg_token_unwrapped *ret) {
    CK_OBJECT_HANDLE key = 0;
    enum token_refusal why = key_usable(t, false);
    if (why == TOKEN_GRANTED)
        why = key_find(t, asked->key, &key);
    return why == TOKEN_GRANTED ? key_unwrap_root(t, key, asked->key, asked->wrapped, &ret->root) : why;
}

int task_do(struct token *t, const struct message *asked, struct message *answer) {
    enum token_refusal why = TOKEN_GRANTED;
    switch (asked->type) {
    case MSG_token_wrap:
        message_init(answer, MSG_token_wrapped, asked->id);
        why = do_wrap(t, &asked->token_wrap, &answer->token_wrapped);
        break;
    case MSG_token_unwrap:
        message_init(answer, MSG_token_unwrapped, asked->id);
        why = do_unwrap(t, &asked->token_unwrap, &answer->token_unwrapped);
        break;
    case MSG_token_sweep:
        message_init(answer, MSG_token_swept, asked->id);
        why = keys_sweep(t, asked->token_sweep.vault, asked->token_sweep.keep, &answer->token_swept.destroyed);
        break;
    default: return VAULT_E_PROTOCOL;
    }
    if (why != TOKEN_GRANTED)
        task_refuse(asked->id, why, t->said, answer);
    return VAULT_OK;
}
