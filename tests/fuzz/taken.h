/* How many inputs the harness got past the parser's refusals. An executor that never gets there tests only the door. */
#ifndef FUZZ_TAKEN_H
#define FUZZ_TAKEN_H

#include <stdint.h>

extern uint64_t fuzz_taken;

#endif
