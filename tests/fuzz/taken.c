#include "taken.h"

uint64_t fuzz_taken;
