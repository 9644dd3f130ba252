/* JPEG by way of libjpeg-turbo. Its errors jump out of it; the jump lands in the function that called it, which then
 * only looks at the th_jpeg (no local variable changes in between). */
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jerror.h>
#include <jpeglib.h>

#include "base/memory.h"
#include "base/str.h"
#include "format/codec.h"

/* A progressive file may hold any number of scans, each as costly as decoding the picture; real ones have about ten. */
#define SCANS_MAX 200
#define ROWS 16 /* asked for at a time; libjpeg gives what it has ready */

typedef struct {
    struct jpeg_error_mgr manager; /* first, so that libjpeg's pointer to it is one to this */
    jmp_buf escape;
    th_status status; /* decided before the jump; the message is set then too */
} escape_hatch;

static void raise_from(j_common_ptr cinfo, th_status status, const char *text) {
    escape_hatch *h = (escape_hatch *)cinfo->err;
    h->status = th_fail(status, "JPEG: %s", text);
    longjmp(h->escape, 1);
}

static void on_error(j_common_ptr cinfo) {
    char text[JMSG_LENGTH_MAX];
    cinfo->err->format_message(cinfo, text);
    raise_from(cinfo, cinfo->err->msg_code == JERR_OUT_OF_MEMORY ? TH_E_MEMORY : TH_E_INPUT, text);
}

/* Most warnings are harmless (stray bytes between segments); data that stops short would give a grey lower part. */
static void on_message(j_common_ptr cinfo, int level) {
    if (level < 0 && cinfo->err->msg_code == JWRN_HIT_MARKER)
        raise_from(cinfo, TH_E_INPUT, "the image data ends before the image does");
}

static void on_print(j_common_ptr cinfo) { (void)cinfo; }

static struct jpeg_error_mgr *hatch_init(escape_hatch *h) {
    jpeg_std_error(&h->manager);
    h->manager.error_exit = on_error;
    h->manager.emit_message = on_message;
    h->manager.output_message = on_print;
    return &h->manager;
}

struct th_jpeg {
    escape_hatch hatch;
    struct jpeg_decompress_struct info;
    struct jpeg_source_mgr source;
    struct jpeg_progress_mgr progress;
};

static void source_nothing(j_decompress_ptr info) { (void)info; }

static boolean source_ended(j_decompress_ptr info) {
    raise_from((j_common_ptr)info, TH_E_INPUT, "the file ends early");
    return FALSE;
}

static void source_skip(j_decompress_ptr info, long n) {
    if (n <= 0) return;
    if ((size_t)n > info->src->bytes_in_buffer) source_ended(info);
    info->src->next_input_byte += n;
    info->src->bytes_in_buffer -= (size_t)n;
}

static void watch_scans(j_common_ptr cinfo) {
    if (((j_decompress_ptr)cinfo)->input_scan_number > SCANS_MAX) raise_from(cinfo, TH_E_INPUT, "has too many scans");
}

th_status th_jpeg_new(th_jpeg **out) {
    th_jpeg *d = th_alloc(1, sizeof *d);
    if (!d) return th_fail_memory();
    d->info.err = hatch_init(&d->hatch);
    if (setjmp(d->hatch.escape)) {
        th_status s = d->hatch.status;
        th_jpeg_free(d);
        return s;
    }
    jpeg_create_decompress(&d->info);
    d->source = (struct jpeg_source_mgr){.init_source = source_nothing,
                                         .fill_input_buffer = source_ended,
                                         .skip_input_data = source_skip,
                                         .resync_to_restart = jpeg_resync_to_restart,
                                         .term_source = source_nothing};
    d->progress.progress_monitor = watch_scans;
    d->info.src = &d->source;
    d->info.progress = &d->progress;
    *out = d;
    return TH_OK;
}

void th_jpeg_free(th_jpeg *d) {
    if (!d) return;
    jpeg_destroy_decompress(&d->info);
    th_free(d);
}

/* The largest of 8, 4, 2 by which the picture can be divided and still cover width × height. */
static unsigned draft_scale(const struct jpeg_decompress_struct *info, const th_image_params *params) {
    if (params->draft_width < 1 || params->draft_height < 1) return 1;
    unsigned sx = info->image_width / (unsigned)params->draft_width;
    unsigned sy = info->image_height / (unsigned)params->draft_height;
    unsigned s = sx < sy ? sx : sy;
    return s >= 8 ? 8 : s >= 4 ? 4 : s >= 2 ? 2 : 1;
}

/* a · b / 255, rounded, as Pillow has it. */
static inline uint32_t scale255(uint32_t a, uint32_t b) {
    uint32_t t = a * b + 128;
    return ((t >> 8) + t) >> 8;
}

/* One row of inverted CMYK, in which 255 is no ink. */
static void row_from_cmyk(const uint8_t *cmyk, int32_t width, uint8_t *rgb) {
    for (int32_t x = 0; x < width; x++) {
        uint32_t light = cmyk[4 * x + 3];
        for (int c = 0; c < 3; c++) rgb[3 * x + c] = (uint8_t)(light - scale255(255u - cmyk[4 * x + c], light));
    }
}

static void read_rgb(struct jpeg_decompress_struct *info, th_image *out) {
    while (info->output_scanline < info->output_height) {
        JSAMPROW rows[ROWS];
        JDIMENSION y = info->output_scanline, n = info->output_height - y;
        if (n > ROWS) n = ROWS;
        for (JDIMENSION i = 0; i < n; i++) rows[i] = th_image_row(out, y + i);
        jpeg_read_scanlines(info, rows, n);
    }
}

static void read_cmyk(struct jpeg_decompress_struct *info, th_image *out) {
    JSAMPARRAY row = info->mem->alloc_sarray((j_common_ptr)info, JPOOL_IMAGE, info->output_width * 4, 1);
    while (info->output_scanline < info->output_height) {
        JDIMENSION y = info->output_scanline;
        jpeg_read_scanlines(info, row, 1);
        row_from_cmyk(row[0], out->width, th_image_row(out, y));
    }
}

/* Runs below a setjmp: an error of libjpeg leaves it in the middle. */
static th_status decode(struct jpeg_decompress_struct *info, const th_image_params *params, th_image *out) {
    jpeg_read_header(info, TRUE);
    TH_TRY(th_codec_check_size("JPEG", info->image_width, info->image_height, params));
    if (info->num_components != 1 && info->num_components != 3 && info->num_components != 4)
        return th_fail(TH_E_INPUT, "JPEG: has %d colour components", info->num_components);
    info->out_color_space = info->num_components == 4 ? JCS_CMYK : JCS_RGB;
    info->dct_method = JDCT_ISLOW;
    info->do_fancy_upsampling = TRUE;
    info->scale_num = 1;
    info->scale_denom = draft_scale(info, params);
    jpeg_calc_output_dimensions(info);
    TH_TRY(th_image_new(out, info->output_width, info->output_height));
    jpeg_start_decompress(info);
    if (info->out_color_space == JCS_CMYK)
        read_cmyk(info, out);
    else
        read_rgb(info, out);
    jpeg_finish_decompress(info);
    return TH_OK;
}

th_status th_jpeg_decode(th_jpeg *d, const uint8_t *bytes, size_t n, const th_image_params *params, th_image *out) {
    d->source.next_input_byte = bytes;
    d->source.bytes_in_buffer = n;
    if (setjmp(d->hatch.escape)) {
        jpeg_abort_decompress(&d->info);
        return d->hatch.status;
    }
    th_status s = decode(&d->info, params, out);
    if (s != TH_OK) jpeg_abort_decompress(&d->info);
    return s;
}

/* The encoder's output: blocks that go to a growing string. */
typedef struct {
    struct jpeg_destination_mgr manager; /* first, as above */
    th_str bytes;
    uint8_t block[16384];
} sink;

static void sink_start(j_compress_ptr info) {
    sink *s = (sink *)info->dest;
    s->manager.next_output_byte = s->block;
    s->manager.free_in_buffer = sizeof s->block;
}

static void sink_add(j_compress_ptr info, size_t n) {
    sink *s = (sink *)info->dest;
    th_str_add(&s->bytes, s->block, n);
    if (th_str_status(&s->bytes) != TH_OK) raise_from((j_common_ptr)info, th_str_status(&s->bytes), "out of memory");
}

/* libjpeg wants the whole block to be written whatever free_in_buffer says. */
static boolean sink_full(j_compress_ptr info) {
    sink_add(info, sizeof((sink *)info->dest)->block);
    sink_start(info);
    return TRUE;
}

static void sink_end(j_compress_ptr info) {
    sink_add(info, sizeof((sink *)info->dest)->block - info->dest->free_in_buffer);
}

typedef struct {
    escape_hatch hatch;
    struct jpeg_compress_struct info;
    sink sink;
} encoder;

/* Runs below a setjmp. */
static void encode(struct jpeg_compress_struct *info, const th_image *im, int quality) {
    info->image_width = (JDIMENSION)im->width;
    info->image_height = (JDIMENSION)im->height;
    info->input_components = 3;
    info->in_color_space = JCS_RGB;
    jpeg_set_defaults(info);
    info->dct_method = JDCT_ISLOW;
    jpeg_set_quality(info, quality, TRUE);
    jpeg_start_compress(info, TRUE);
    while (info->next_scanline < info->image_height) {
        JSAMPROW row = th_image_row(im, info->next_scanline);
        jpeg_write_scanlines(info, &row, 1);
    }
    jpeg_finish_compress(info);
}

static th_status encode_guarded(encoder *e, const th_image *im, int quality) {
    if (setjmp(e->hatch.escape)) return e->hatch.status;
    jpeg_create_compress(&e->info);
    e->info.dest = &e->sink.manager;
    encode(&e->info, im, quality);
    return TH_OK;
}

th_status th_image_encode_jpeg(const th_image *im, int quality, th_bytes *out) {
    *out = (th_bytes){0};
    if (quality < 1 || quality > 100) return th_fail(TH_E_USAGE, "JPEG: a quality of %d: it must be 1 to 100", quality);
    if (im->width < 1 || im->height < 1 || im->width > JPEG_MAX_DIMENSION || im->height > JPEG_MAX_DIMENSION)
        return th_fail(TH_E_INPUT, "JPEG: a picture of %d by %d pixels: each side must be 1 to %ld", (int)im->width,
                       (int)im->height, JPEG_MAX_DIMENSION);
    encoder *e = th_alloc(1, sizeof *e);
    if (!e) return th_fail_memory();
    e->info.err = hatch_init(&e->hatch);
    e->sink.manager = (struct jpeg_destination_mgr){
        .init_destination = sink_start, .empty_output_buffer = sink_full, .term_destination = sink_end};
    th_str_init(&e->sink.bytes, SIZE_MAX / 4);
    th_status s = encode_guarded(e, im, quality);
    jpeg_destroy_compress(&e->info);
    if (s == TH_OK)
        *out = (th_bytes){e->sink.bytes.data, e->sink.bytes.length};
    else
        th_str_free(&e->sink.bytes);
    th_free(e);
    return s;
}
