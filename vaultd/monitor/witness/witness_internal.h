/* The witnesses and the round under way; how one is asked. */
#ifndef VAULT_MONITOR_WITNESS_INTERNAL_H
#define VAULT_MONITOR_WITNESS_INTERNAL_H

#include "vault/witness.h"
#include "witnesses.h"

struct witness {
    struct witness_key key;
    uint64_t size;     /* of its tree of our log, as far as it is known here */
    uint64_t cosigned; /* seconds since 1970, by the earlier of its clock and ours; 0: not since the vault was opened */
    uint64_t heard;    /* loop_now_ms of that */
    char line[COSIGNATURE_LINE_MAX]; /* of the round's head; empty: not cosigned */
    bool in_witnessed;               /* its line is in `witnessed` */
    char problem[200];               /* with the last answer; empty: none */
};

/* DUE: a head is to be recorded. RECORDED: that waits to be durable. ASK: the next witness is to be asked. ASKED: it
 * was. */
enum round { ROUND_IDLE, ROUND_DUE, ROUND_RECORDED, ROUND_ASK, ROUND_ASKED };

/* The process that carries a request (courier.c). */
struct courier {
    uint64_t id; /* of the last courier_wanted */
    bool runs, open;
    int channel;
    struct watch *watch;
    char body[WITNESS_REQUEST_MAX]; /* what it carries */
};

struct witnesses {
    unsigned count;
    struct witness each[WITNESSES_MOST];
    enum round round;
    unsigned at;       /* whom the round is at */
    bool again;        /* it is asked a second time, from the size that it stated */
    bool seen;         /* a round has ended since the vault was opened */
    bool clear;        /* all have cosigned, and a doubt is to be taken back */
    uint64_t next;     /* loop_now_ms: the next round */
    uint64_t deadline; /* loop_now_ms: for the answer */
    uint64_t recorded; /* the log's size behind its last record of a checkpoint */
    uint64_t size;     /* of the round's head */
    char note[CHECKPOINT_TEXT_MAX];
    char witnessed[CHECKPOINT_TEXT_MAX + WITNESSES_MOST * COSIGNATURE_LINE_MAX]; /* the last that was cosigned */
    uint64_t witnessed_size, witnessed_time;
    char doubt[CHECKPOINT_ORIGIN_MAX + 200]; /* what a witness says against this log, until that is durable */
    uint8_t doubter[HASH_SIZE];
    bool doubt_recorded; /* in the batch under way */
    struct courier courier;
};

/* Asks for a process that carries courier.body to the witness the round is at. */
void courier_start(struct monitor *m);
/* Nobody waits for it any more. */
void courier_stop(struct monitor *m);
/* What it brought; status 0: a problem instead. */
void round_answered(struct monitor *m, const struct msg_courier_brought *brought);

#endif
