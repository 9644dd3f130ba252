/* A PNG is a signature and chunks: length, type, data, CRC-32 of type and data (ISO/IEC 15948, 5.3). */
#include "format/png_text.h"

#include <string.h>
#include <zlib.h>

#include "base/file.h"

static const uint8_t signature[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
enum { CHUNK = 12, TEXT_MAX = 1 << 24 };

static uint32_t read_u32(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | (uint32_t)p[3];
}

static th_status add(th_png_texts *t, const char *key, const char *value, size_t length) {
    if (!th_grow(t->items, t->count, t->capacity)) return th_fail_memory();
    char *copy = th_arena_alloc(t->arena, length + 1, 1);
    if (copy) memcpy(copy, value, length);
    t->items[t->count++] = (th_image_text){.key = th_arena_strdup(t->arena, key), .value = copy};
    return th_arena_failed(t->arena) ? th_fail_memory() : TH_OK;
}

/* After the string that begins at *p; false if it does not end within the data. */
static bool skip_string(const char *data, size_t n, size_t *p) {
    const char *end = memchr(data + *p, '\0', n - *p);
    if (end) *p = (size_t)(end + 1 - data);
    return end != NULL;
}

/* tEXt: key, NUL, text. iTXt: key, NUL, compressed?, method, language, NUL, translated key, NUL, text. */
static th_status read_text(th_png_texts *t, bool international, const char *data, size_t n) {
    size_t p = 0;
    bool whole = n <= TEXT_MAX && skip_string(data, n, &p);
    if (whole && international) {
        whole = n - p >= 2;
        if (whole && data[p]) return TH_OK; /* compressed: not ours */
        p += 2;
        whole = whole && skip_string(data, n, &p) && skip_string(data, n, &p);
    }
    if (!whole) return th_fail(TH_E_INPUT, "PNG: a text chunk is damaged");
    return add(t, data, data + p, n - p);
}

static th_status read_chunks(th_png_texts *t, const uint8_t *bytes, size_t n) {
    if (n < sizeof signature || memcmp(bytes, signature, sizeof signature)) return th_fail(TH_E_INPUT, "is no PNG");
    for (size_t at = sizeof signature;;) {
        if (n - at < CHUNK) return th_fail(TH_E_INPUT, "PNG: ends before its picture");
        uint32_t length = read_u32(bytes + at);
        const uint8_t *type = bytes + at + 4, *data = type + 4;
        if (length > n - at - CHUNK) return th_fail(TH_E_INPUT, "PNG: ends within a chunk");
        if (!memcmp(type, "IDAT", 4) || !memcmp(type, "IEND", 4)) return TH_OK;
        bool international = !memcmp(type, "iTXt", 4);
        if (international || !memcmp(type, "tEXt", 4)) {
            if (crc32(0, type, length + 4) != read_u32(data + length))
                return th_fail(TH_E_INPUT, "PNG: a text chunk is damaged");
            TH_TRY(read_text(t, international, (const char *)data, length));
        }
        at += CHUNK + length;
    }
}

th_status th_png_texts_parse(const void *bytes, size_t n, th_png_texts *out) {
    *out = (th_png_texts){.arena = th_arena_new()};
    th_status s = out->arena ? read_chunks(out, bytes, n) : th_fail_memory();
    if (s != TH_OK) th_png_texts_free(out);
    return s;
}

th_status th_png_texts_read(const char *path, th_png_texts *out) {
    th_mapping m;
    *out = (th_png_texts){0};
    TH_TRY(th_file_map(path, &m));
    th_status s = th_fail_in(th_png_texts_parse(m.data, m.length, out), "%s", path);
    th_file_unmap(&m);
    return s;
}

void th_png_texts_free(th_png_texts *t) {
    th_arena_free(t->arena);
    th_free(t->items);
    *t = (th_png_texts){0};
}

const char *th_png_texts_find(const th_png_texts *t, const char *key) {
    for (int64_t i = 0; i < t->count; i++)
        if (!strcmp(t->items[i].key, key)) return t->items[i].value;
    return NULL;
}
