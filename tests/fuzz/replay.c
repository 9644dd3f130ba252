/* Runs a fuzz target over every file of the folders and files named on the command line, without libFuzzer: the corpus
 * as a regression test. With --seconds N it then goes on with random mutations of them, seeded, so that each run of the
 * test suite also looks at inputs that no one has seen. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct {
    uint8_t *data;
    size_t size;
} input;
static input inputs[4096];
static int count;

static void add_file(const char *path) {
    FILE *f = fopen(path, "rb");
    if (!f || count == 4096) exit(2);
    fseek(f, 0, SEEK_END);
    long size = ftell(f);
    rewind(f);
    uint8_t *data = malloc((size_t)size + 1);
    if (!data || fread(data, 1, (size_t)size, f) != (size_t)size) exit(2);
    fclose(f);
    inputs[count++] = (input){data, (size_t)size};
}

static void add_path(const char *path) {
    struct stat st;
    if (stat(path, &st) != 0) {
        fprintf(stderr, "%s: no such corpus\n", path);
        exit(2);
    }
    if (!S_ISDIR(st.st_mode)) {
        add_file(path);
        return;
    }
    DIR *d = opendir(path);
    for (struct dirent *e; d && (e = readdir(d));) {
        char name[4096];
        if (e->d_name[0] == '.') continue;
        snprintf(name, sizeof name, "%s/%s", path, e->d_name);
        add_path(name);
    }
    if (d) closedir(d);
}

/* The bytes go through a block of exactly their size, so that a sanitizer or valgrind sees a read past the end. */
static void run(const uint8_t *data, size_t size) {
    uint8_t *copy = malloc(size ? size : 1);
    if (!copy) exit(2);
    memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static uint64_t state = 0x9E3779B97F4A7C15u;
static uint32_t next(uint32_t n) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return (uint32_t)((state >> 32) % n);
}

static void mutate(int rounds_seconds) {
    time_t end = time(NULL) + rounds_seconds;
    long runs = 0;
    while (time(NULL) < end) {
        const input *from = &inputs[next((uint32_t)count)];
        size_t size = from->size, room = size + 64;
        uint8_t *data = calloc(room, 1);
        if (!data) exit(2);
        memcpy(data, from->data, size);
        for (uint32_t k = 1 + next(4); k; k--) {
            uint32_t what = next(5);
            if (what == 0 && size)
                size = next((uint32_t)size + 1);
            else if (what == 1 && size + 8 < room)
                memmove(data + 4, data, size), size += 4;
            else if (what == 2 && size)
                data[next((uint32_t)size)] = (uint8_t)next(256);
            else if (what == 3 && size)
                data[next((uint32_t)size)] ^= (uint8_t)(1u << next(8));
            else if (size)
                data[next((uint32_t)size)] = (uint8_t)("0\xff\x7f{}[]\",:-"[next(11)]);
        }
        run(data, size);
        free(data);
        runs++;
    }
    printf("%ld mutated inputs\n", runs);
}

int main(int argc, char **argv) {
    int seconds = 0;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--seconds") && i + 1 < argc)
            seconds = atoi(argv[++i]);
        else
            add_path(argv[i]);
    }
    for (int i = 0; i < count; i++) run(inputs[i].data, inputs[i].size);
    printf("%d inputs of the corpus\n", count);
    if (!count) return 2;
    if (seconds) mutate(seconds);
    return 0;
}
