/* WebDataset shards: the stream, and the index of the same bytes in a file. */
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "format/tar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void stream(const uint8_t *data, size_t size, const th_tar_params *p) {
    th_tar_reader *r;
    th_tar_sample s;
    bool more;
    if (th_tar_open_memory(data, size, "fuzz", p, &r) != TH_OK) return;
    while (th_tar_next(r, &s, &more) == TH_OK && more) {
        volatile size_t sum = strlen(s.key);
        for (int i = 0; i < s.count; i++)
            sum = sum + strlen(s.files[i].extension) + strlen(s.files[i].data) + s.files[i].size;
        th_tar_find(&s, "jpg;png;txt");
    }
    th_tar_close(r);
}

static void read_all(const th_tar_index *x) {
    for (int64_t i = 0; i < th_tar_index_count(x); i++) {
        int count;
        const th_tar_place *p = th_tar_index_files(x, i, &count);
        for (int k = 0; k < count; k++) {
            void *bytes = th_alloc((size_t)p[k].size, 1);
            if (bytes && th_tar_index_read(x, &p[k], bytes) != TH_OK) __builtin_trap(); /* it lies inside the file */
            th_free(bytes);
        }
        th_tar_index_find(x, i, "jpg;png;txt");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    th_tar_params p;
    th_tar_params_init(&p);
    p.entry_bytes_max = 1 << 20;
    stream(data, size, &p);
    char path[64];
    snprintf(path, sizeof path, "/dev/shm/fuzz_tar.%d", (int)getpid());
    FILE *f = fopen(path, "wb");
    if (!f) return 0;
    fwrite(data, 1, size, f);
    fclose(f);
    th_tar_index *x;
    if (th_tar_index_open(path, &p, &x) == TH_OK) {
        read_all(x);
        th_tar_index_close(x);
    }
    unlink(path);
    return 0;
}
