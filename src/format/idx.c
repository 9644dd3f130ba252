/* IDX: a header of four bytes and the dimensions, then the items. Both kinds of file are read through one source, which
 * gives a stated number of bytes or fails, so that a compressed file never expands beyond what its header says. */
#include "format/idx.h"

#include <endian.h>
#include <string.h>
#include <zlib.h>

#include "base/file.h"
#include "base/memory.h"

/* Deflate never expands a byte to more than this (zlib.net, "Maximum Compression Factor"). */
#define DEFLATE_RATIO_MAX 1032
#define PIECE_MAX ((size_t)1 << 30)

typedef struct {
    const uint8_t *bytes; /* the file's, or what is left of them */
    size_t left;
    bool packed, ended;
    z_stream z;
} source;

static th_status source_open(source *s, const void *bytes, size_t n) {
    *s = (source){.bytes = bytes, .left = n};
    s->packed = n >= 2 && s->bytes[0] == 0x1f && s->bytes[1] == 0x8b;
    if (!s->packed) return TH_OK;
    int code = inflateInit2(&s->z, 15 + 16); /* + 16: with gzip's header and checksum */
    if (code == Z_OK) return TH_OK;
    s->packed = false;
    return code == Z_MEM_ERROR ? th_fail_memory() : th_fail(TH_E_BUG, "zlib does not start");
}

static void source_close(source *s) {
    if (s->packed) inflateEnd(&s->z);
}

static th_status fail_short(void) { return th_fail(TH_E_INPUT, "ends early"); }

/* Inflates at most n bytes (up to 4 GiB at a time) and says how many came. */
static th_status inflate_some(source *s, uint8_t *out, size_t n, size_t *got) {
    size_t offered = s->left < PIECE_MAX ? s->left : PIECE_MAX, room = n < PIECE_MAX ? n : PIECE_MAX;
    s->z.next_in = (Bytef *)s->bytes;
    s->z.avail_in = (uInt)offered;
    s->z.next_out = out;
    s->z.avail_out = (uInt)room;
    int code = inflate(&s->z, Z_NO_FLUSH);
    s->bytes += offered - s->z.avail_in;
    s->left -= offered - s->z.avail_in;
    *got = room - s->z.avail_out;
    s->ended = code == Z_STREAM_END;
    if (code == Z_MEM_ERROR) return th_fail_memory();
    if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR)
        return th_fail(TH_E_INPUT, "the gzip data are damaged: %s", s->z.msg ? s->z.msg : "unknown error");
    if (*got == 0 && !s->ended && s->left == 0) return fail_short();
    return TH_OK;
}

static th_status source_read(source *s, void *out, size_t n) {
    if (!s->packed) {
        if (n > s->left) return fail_short();
        if (n) memcpy(out, s->bytes, n);
        s->bytes += n;
        s->left -= n;
        return TH_OK;
    }
    for (size_t have = 0, got = 0; have < n; have += got) {
        if (s->ended) return fail_short();
        TH_TRY(inflate_some(s, (uint8_t *)out + have, n - have, &got));
    }
    return TH_OK;
}

/* Nothing may follow. For gzip this is also what reads and checks the checksum. */
static th_status source_finish(source *s) {
    uint8_t more;
    size_t got = 0;
    while (s->packed && !s->ended && got == 0) TH_TRY(inflate_some(s, &more, 1, &got));
    if (got || s->left) return th_fail(TH_E_INPUT, "has bytes behind the array that its header describes");
    return TH_OK;
}

static size_t item_size(int type) {
    switch (type) {
    case TH_IDX_U8:
    case TH_IDX_I8: return 1;
    case TH_IDX_I16: return 2;
    case TH_IDX_I32:
    case TH_IDX_F32: return 4;
    case TH_IDX_F64: return 8;
    default: return 0;
    }
}

static th_status read_header(source *s, th_idx *x) {
    uint8_t magic[4];
    TH_TRY(source_read(s, magic, 4));
    size_t size = item_size(magic[2]);
    if (magic[0] || magic[1] || !size)
        return th_fail(TH_E_INPUT, "is no IDX file: it begins with %02x %02x %02x %02x", magic[0], magic[1], magic[2],
                       magic[3]);
    if (magic[3] < 1 || magic[3] > TH_IDX_DIMENSIONS_MAX)
        return th_fail(TH_E_INPUT, "has %d dimensions, 1 to %d are read", magic[3], TH_IDX_DIMENSIONS_MAX);
    x->type = magic[2];
    x->dimensions = magic[3];
    x->bytes = size;
    for (int i = 0; i < x->dimensions; i++) {
        uint32_t n;
        TH_TRY(source_read(s, &n, 4));
        x->shape[i] = be32toh(n);
        if (__builtin_mul_overflow(x->bytes, (size_t)x->shape[i], &x->bytes))
            return th_fail(TH_E_INPUT, "its dimensions overflow");
    }
    x->count = (int64_t)(x->bytes / size);
    return TH_OK;
}

static void to_host_order(th_idx *x) {
    uint16_t *h = x->data;
    uint32_t *w = x->data;
    uint64_t *d = x->data;
    switch (item_size((int)x->type)) {
    case 2:
        for (int64_t i = 0; i < x->count; i++) h[i] = be16toh(h[i]);
        break;
    case 4:
        for (int64_t i = 0; i < x->count; i++) w[i] = be32toh(w[i]);
        break;
    case 8:
        for (int64_t i = 0; i < x->count; i++) d[i] = be64toh(d[i]);
        break;
    default: break;
    }
}

static th_status read_array(source *s, th_idx *x) {
    TH_TRY(read_header(s, x));
    /* Before any memory is asked for: can the file hold that much at all? */
    size_t most = s->packed ? (s->left < SIZE_MAX / 2048 ? (s->left + 64) * DEFLATE_RATIO_MAX : SIZE_MAX) : s->left;
    if (x->bytes > most)
        return th_fail(TH_E_INPUT, "ends early: its header describes %zu bytes, %zu follow%s", x->bytes, s->left,
                       s->packed ? " compressed" : "");
    if (x->bytes > TH_IDX_BYTES_MAX)
        return th_fail(TH_E_INPUT, "describes %zu bytes, at most %zu are allowed", x->bytes, TH_IDX_BYTES_MAX);
    x->data = th_alloc(x->bytes, 1);
    if (!x->data) return th_fail_memory();
    TH_TRY(source_read(s, x->data, x->bytes));
    TH_TRY(source_finish(s));
    to_host_order(x);
    return TH_OK;
}

th_status th_idx_parse(const void *bytes, size_t n, th_idx *out) {
    *out = (th_idx){0};
    source s;
    TH_TRY(source_open(&s, bytes, n));
    th_status status = read_array(&s, out);
    source_close(&s);
    if (status != TH_OK) th_idx_free(out);
    return status;
}

th_status th_idx_read(const char *path, th_idx *out) {
    *out = (th_idx){0};
    th_mapping m;
    TH_TRY(th_file_map(path, &m));
    th_status s = th_idx_parse(m.data, m.length, out);
    th_file_unmap(&m);
    return th_fail_in(s, "%s", path);
}

void th_idx_free(th_idx *x) {
    th_free(x->data);
    *x = (th_idx){0};
}
