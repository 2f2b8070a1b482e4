/* Checks that a test can switch off, one at a time, while the program runs: a check is off while the file `unchecked`
 * in the directory that the program works in (the state's, or the objects') holds its name. With all of them on it is
 * the real program. The functions that make the checks are replaced by the linker (unchecked.cmake). */
#ifndef TESTS_HOSTILE_UNCHECKED_H
#define TESTS_HOSTILE_UNCHECKED_H

#include <stdbool.h>

bool check_is_off(const char *check);

#endif
