/* PNG by way of libpng. Its errors jump out of it, as libjpeg's do: below a setjmp no local variable may matter, so
 * what is to be freed afterwards hangs on a struct. */
#include <setjmp.h>
#include <string.h>

#include <png.h>

#include "base/memory.h"
#include "base/str.h"
#include "format/codec.h"

#define CHUNK_BYTES_MAX ((png_alloc_size_t)8 << 20) /* what a chunk other than the image data may need */

typedef struct {
    png_structp png;
    png_infop info;
    th_status status; /* set before a jump; the message is set then too */
    bool refused;     /* libpng asked for memory that is not there */
    const uint8_t *bytes;
    size_t length, at;
    uint8_t *rows; /* a row before it becomes RGB; all rows where the file is interlaced */
    size_t rows_size;
} reader;

/* libpng's words for missing memory are many, so it is the allocator that remembers. */
static void raise_from(png_structp png, th_status *status, bool refused, const char *text) {
    *status = refused ? th_fail_memory() : th_fail(TH_E_INPUT, "PNG: %s", text);
    png_longjmp(png, 1);
}

static void on_read_error(png_structp png, png_const_charp text) {
    reader *r = png_get_error_ptr(png);
    raise_from(png, &r->status, r->refused, text);
}

static void on_warning(png_structp png, png_const_charp text) { (void)png, (void)text; }

static void read_bytes(png_structp png, png_bytep out, size_t n) {
    reader *r = png_get_io_ptr(png);
    if (n > r->length - r->at) raise_from(png, &r->status, r->refused, "the file ends early");
    memcpy(out, r->bytes + r->at, n);
    r->at += n;
}

/* libpng's pointer for memory is to a bool that says whether some was refused. */
static png_voidp allocate(png_structp png, png_alloc_size_t n) {
    void *p = th_alloc(n, 1);
    if (!p) *(bool *)png_get_mem_ptr(png) = true;
    return p;
}

static void release(png_structp png, png_voidp p) {
    (void)png;
    th_free(p);
}

/* Only the header, the palette, the transparency and the pixels are read: a hostile text or profile is never looked at.
 */
static void ignore_other_chunks(png_structp png) {
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, NULL, -1); /* -1: those that libpng knows, too */
    png_set_chunk_malloc_max(png, CHUNK_BYTES_MAX);
}

/* What libpng is asked to turn pixels into. */
typedef enum {
    ROW_RGB,    /* straight into the picture */
    ROW_INDEX,  /* a byte a pixel, into the palette */
    ROW_GREY16, /* two bytes a pixel, big-endian */
    ROW_RGBA,   /* to be blended */
} row_kind;

static row_kind choose_rows(reader *r, th_alpha alpha) {
    png_structp png = r->png;
    int type = png_get_color_type(png, r->info), depth = png_get_bit_depth(png, r->info);
    bool transparent = (type & PNG_COLOR_MASK_ALPHA) || png_get_valid(png, r->info, PNG_INFO_tRNS);
    if (type == PNG_COLOR_TYPE_PALETTE) {
        if (depth < 8) png_set_packing(png);
        return ROW_INDEX;
    }
    bool blend = transparent && alpha == TH_ALPHA_WHITE;
    if (type == PNG_COLOR_TYPE_GRAY && depth == 16 && !blend) return ROW_GREY16;
    if (depth < 8) png_set_expand_gray_1_2_4_to_8(png);
    if (blend && !(type & PNG_COLOR_MASK_ALPHA)) png_set_tRNS_to_alpha(png);
    if (depth == 16) png_set_strip_16(png);
    if (!blend) png_set_strip_alpha(png);
    if (!(type & PNG_COLOR_MASK_COLOR)) png_set_gray_to_rgb(png);
    return blend ? ROW_RGBA : ROW_RGB;
}

/* 256 RGBA colours. Entries that the file's palette lacks are black, as in Pillow. */
static void read_palette(reader *r, uint8_t palette[256][4]) {
    memset(palette, 0, 256 * 4);
    for (int i = 0; i < 256; i++) palette[i][3] = 255;
    png_colorp colors;
    int count = 0;
    if (png_get_PLTE(r->png, r->info, &colors, &count))
        for (int i = 0; i < count && i < 256; i++) {
            palette[i][0] = colors[i].red;
            palette[i][1] = colors[i].green;
            palette[i][2] = colors[i].blue;
        }
    png_bytep alpha;
    count = 0;
    if (png_get_tRNS(r->png, r->info, &alpha, &count, NULL))
        for (int i = 0; i < count && i < 256; i++) palette[i][3] = alpha[i];
}

static void rows_from_indices(const uint8_t *index, size_t n, uint8_t palette[256][4], uint8_t *rgb) {
    for (size_t i = 0; i < n; i++) memcpy(rgb + 3 * i, palette[index[i]], 3);
}

static void rows_from_grey16(const uint8_t *grey, size_t n, uint8_t *rgb) {
    for (size_t i = 0; i < n; i++) memset(rgb + 3 * i, grey[2 * i] ? 255 : grey[2 * i + 1], 3);
}

/* Pixels of the rows' kind to RGB. */
static void convert_rows(row_kind kind, const uint8_t *rows, size_t n, uint8_t palette[256][4], uint8_t *rgb) {
    if (kind == ROW_INDEX)
        rows_from_indices(rows, n, palette, rgb);
    else if (kind == ROW_GREY16)
        rows_from_grey16(rows, n, rgb);
    else
        th_codec_over_white(rows, (int64_t)n, rgb);
}

static void read_rows(reader *r, th_image *out, int passes) {
    for (int pass = 0; pass < passes; pass++)
        for (int32_t y = 0; y < out->height; y++) png_read_row(r->png, th_image_row(out, y), NULL);
}

/* Rows that are not RGB yet; bytes is the size of one of them. */
static th_status read_and_convert(reader *r, th_image *out, int passes, row_kind kind, size_t bytes,
                                  uint8_t palette[256][4]) {
    size_t count = passes > 1 ? (size_t)out->height : 1;
    r->rows_size = bytes * count;
    r->rows = th_alloc_big(r->rows_size);
    if (!r->rows) return th_fail_memory();
    for (int pass = 0; pass < passes; pass++)
        for (int32_t y = 0; y < out->height; y++) {
            uint8_t *row = r->rows + (passes > 1 ? (size_t)y * bytes : 0);
            png_read_row(r->png, row, NULL);
            if (pass == passes - 1) convert_rows(kind, row, (size_t)out->width, palette, th_image_row(out, y));
        }
    return TH_OK;
}

/* Runs below a setjmp. */
static th_status decode(reader *r, const th_image_params *params, th_image *out) {
    png_structp png = r->png;
    uint8_t palette[256][4];
    png_set_read_fn(png, r, read_bytes);
    png_set_user_limits(png, TH_IMAGE_SIDE_MAX, TH_IMAGE_SIDE_MAX);
    ignore_other_chunks(png);
    png_read_info(png, r->info);
    png_uint_32 width = png_get_image_width(png, r->info), height = png_get_image_height(png, r->info);
    TH_TRY(th_codec_check_size("PNG", width, height, params));
    row_kind kind = choose_rows(r, params->alpha);
    int passes = png_set_interlace_handling(png);
    if (kind == ROW_INDEX) {
        read_palette(r, palette);
        if (params->alpha == TH_ALPHA_WHITE)
            for (int i = 0; i < 256; i++) th_codec_over_white(palette[i], 1, palette[i]);
    }
    png_read_update_info(png, r->info);
    TH_TRY(th_image_new(out, width, height));
    if (kind == ROW_RGB)
        read_rows(r, out, passes);
    else
        TH_TRY(read_and_convert(r, out, passes, kind, png_get_rowbytes(png, r->info), palette));
    png_read_end(png, NULL);
    return TH_OK;
}

static th_status decode_guarded(reader *r, const th_image_params *params, th_image *out) {
    if (setjmp(png_jmpbuf(r->png))) return r->status;
    return decode(r, params, out);
}

th_status th_png_decode(const uint8_t *bytes, size_t n, const th_image_params *params, th_image *out) {
    reader r = {.status = TH_E_INPUT, .bytes = bytes, .length = n};
    r.png =
        png_create_read_struct_2(PNG_LIBPNG_VER_STRING, &r, on_read_error, on_warning, &r.refused, allocate, release);
    if (r.png) r.info = png_create_info_struct(r.png);
    th_status s = r.info ? decode_guarded(&r, params, out) : th_fail_memory();
    png_destroy_read_struct(&r.png, &r.info, NULL);
    th_free_big(r.rows, r.rows_size);
    return s;
}

typedef struct {
    png_structp png;
    png_infop info;
    th_status status;
    bool refused;
    th_str bytes;
    png_text *texts;
} writer;

static void on_write_error(png_structp png, png_const_charp text) {
    writer *w = png_get_error_ptr(png);
    raise_from(png, &w->status, w->refused, text);
}

static void write_bytes(png_structp png, png_bytep bytes, size_t n) {
    writer *w = png_get_io_ptr(png);
    th_str_add(&w->bytes, bytes, n);
    if (th_str_status(&w->bytes) == TH_OK) return;
    w->status = th_str_status(&w->bytes);
    png_longjmp(png, 1);
}

static void write_flush(png_structp png) { (void)png; }

static bool is_ascii(const char *text) {
    for (; *text; text++)
        if ((unsigned char)*text >= 128) return false;
    return true;
}

static th_status set_texts(writer *w, const th_image_text *texts, int count) {
    if (count < 1) return TH_OK;
    w->texts = th_alloc((size_t)count, sizeof *w->texts);
    if (!w->texts) return th_fail_memory();
    for (int i = 0; i < count; i++) {
        size_t n = strlen(texts[i].key);
        if (n < 1 || n > 79 || !is_ascii(texts[i].key))
            return th_fail(TH_E_USAGE, "PNG: the text key '%s' must be 1 to 79 ASCII letters", texts[i].key);
        w->texts[i].compression = is_ascii(texts[i].value) ? PNG_TEXT_COMPRESSION_NONE : PNG_ITXT_COMPRESSION_NONE;
        w->texts[i].key = (png_charp)texts[i].key;
        w->texts[i].text = (png_charp)texts[i].value;
    }
    png_set_text(w->png, w->info, w->texts, count);
    return TH_OK;
}

/* Runs below a setjmp. */
static th_status encode(writer *w, const th_image *im, const th_image_text *texts, int count) {
    png_set_write_fn(w->png, w, write_bytes, write_flush);
    png_set_user_limits(w->png, TH_IMAGE_SIDE_MAX, TH_IMAGE_SIDE_MAX);
    png_set_IHDR(w->png, w->info, (png_uint_32)im->width, (png_uint_32)im->height, 8, PNG_COLOR_TYPE_RGB,
                 PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    TH_TRY(set_texts(w, texts, count));
    png_write_info(w->png, w->info);
    for (int32_t y = 0; y < im->height; y++) png_write_row(w->png, th_image_row(im, y));
    png_write_end(w->png, w->info);
    return TH_OK;
}

static th_status encode_guarded(writer *w, const th_image *im, const th_image_text *texts, int count) {
    if (setjmp(png_jmpbuf(w->png))) return w->status;
    return encode(w, im, texts, count);
}

th_status th_image_encode_png(const th_image *im, const th_image_text *texts, int count, th_bytes *out) {
    *out = (th_bytes){0};
    writer w = {.status = TH_E_INPUT};
    th_str_init(&w.bytes, SIZE_MAX / 4);
    w.png =
        png_create_write_struct_2(PNG_LIBPNG_VER_STRING, &w, on_write_error, on_warning, &w.refused, allocate, release);
    if (w.png) w.info = png_create_info_struct(w.png);
    th_status s = w.info ? encode_guarded(&w, im, texts, count) : th_fail_memory();
    png_destroy_write_struct(&w.png, &w.info);
    th_free(w.texts);
    if (s == TH_OK)
        *out = (th_bytes){w.bytes.data, w.bytes.length};
    else
        th_str_free(&w.bytes);
    return s;
}
