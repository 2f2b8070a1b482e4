#include <string.h>

#include "ask.h"
#include "vault/fields.h"
#include "vault/result.h"

/* As many whole characters as there is room for. What the record cannot hold is replaced: the text may quote the
 * client. */
static void put_text(char *to, size_t size, const char *text) {
    size_t n = strnlen(text, size - 1);
    if (text[n] != '\0')
        while (n > 0 && ((uint8_t)text[n] & 0xc0) == 0x80)
            n--;
    copy_bytes(to, size - 1, text, n);
    to[n] = '\0';
    if (text_is_clean(to, n))
        return;
    for (size_t i = 0; i < n; i++)
        if (to[i] < 0x20 || to[i] > 0x7e)
            to[i] = '?';
}

int ask_refusal(struct worker *w, unsigned status, const char *rule, const char *text) {
    ask_start(w, MSG_refusal);
    struct msg_refusal *m = &w->request.refusal;
    m->status = status;
    put_text(m->rule, sizeof(m->rule), rule);
    put_text(m->text, sizeof(m->text), text);
    (void)ask(w, MSG_answer); /* it is an `answer` in any case */
    return w->reply.answer.status == status ? VAULT_OK : VAULT_DENIED;
}
