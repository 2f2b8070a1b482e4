/* Faults that every analysis must find: a block is read after it was given back, and an array past its end. Never part
 * of a program of the vault; tests/torture/static and tests/torture/valgrind look at it before anything else. */
#include <stdio.h>
#include <stdlib.h>

static char past_the_end(void) {
    char four[4] = "abc";
    return four[4];
}

int main(void) {
    char *block = malloc(8);
    if (block == NULL)
        return 1;
    block[0] = 'x';
    free(block);
    printf("%c\n", block[0] ^ past_the_end());
    return 0;
}
