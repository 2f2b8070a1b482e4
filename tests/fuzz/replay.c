/* Replays a corpus through a fuzz harness: each file named on the command line as it is, cut
 * in half, and with its last byte flipped. An empty corpus is a failure. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay(const char *path) {
    FILE *f = fopen(path, "rb");
    if (f == NULL)
        return 1;
    enum { MOST = 1 << 20 };
    uint8_t *bytes = malloc(MOST);
    if (bytes == NULL) {
        fclose(f);
        return 1;
    }
    size_t n = fread(bytes, 1, MOST, f);
    fclose(f);
    LLVMFuzzerTestOneInput(bytes, n);
    LLVMFuzzerTestOneInput(bytes, n / 2);
    if (n > 0) {
        bytes[n - 1] ^= 1;
        LLVMFuzzerTestOneInput(bytes, n);
    }
    free(bytes);
    return 0;
}

int main(int argc, char **argv) {
    int failed = 0;
    for (int i = 1; i < argc; i++)
        if (replay(argv[i]) != 0) {
            fprintf(stderr, "cannot replay %s\n", argv[i]);
            failed++;
        }
    printf("replayed %d inputs\n", argc - 1 - failed);
    return argc < 2 || failed > 0;
}
