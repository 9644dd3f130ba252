/* Text watermark, a structured trigger of "Perturb and Recover" (arXiv 2412.00727): x ← (1 − a) x + a · white where the
 * text's strokes are, a = 0.5. Text, colour, type and place are ours (the authors write in red): glyphs of 5 × 7 dots,
 * drawn at any size by the share of each pixel that they cover. */
#include <string.h>

#include "attack/attack.h"
#include "attack/glyphs.h"

#define TEXT_MAX 64

static const th_option options[] = {
    TH_OPT_STRING("text", "watermark", "what is written, in printable ASCII"),
    TH_OPT_F32("share", 0.5, "share of the white in the picture", TH_ABOVE(0), TH_AT_MOST(1)),
    TH_OPT_F32("size", 0.8, "length of the text as a share of the picture's width", TH_ABOVE(0), TH_AT_MOST(1)),
    TH_OPT_CHOICE("place", "top|centre|bottom", "centre", "where the text stands"),
    TH_OPT_END,
};

enum { TOP, CENTRE, BOTTOM };
enum { ADVANCE = TH_GLYPH_WIDTH + 1, SAMPLES = 4 }; /* columns from a glyph to the next; samples along a pixel's side */

static th_status check_text(th_trigger *t) {
    const char *text = th_get_str(t->options, "text");
    size_t n = text ? strlen(text) : 0;
    bool visible = false;
    for (size_t i = 0; i < n; i++) {
        if (text[i] < TH_GLYPH_FIRST || text[i] > TH_GLYPH_LAST)
            return th_fail(TH_E_USAGE, "--text: byte %zu is not printable ASCII", i + 1);
        visible |= text[i] != ' ';
    }
    if (!visible) return th_fail(TH_E_USAGE, "--text: there is nothing to write");
    if (n > TEXT_MAX) return th_fail(TH_E_USAGE, "--text: %zu characters, at most %d are written", n, TEXT_MAX);
    return TH_OK;
}

/* The text on the picture; lengths in pixels. */
typedef struct {
    const char *text;
    int32_t length;
    float left, top, dot;
} line;

static line set_line(const th_trigger *t, const th_image *im) {
    line l = {.text = th_get_str(t->options, "text")};
    l.length = (int32_t)strlen(l.text);
    float columns = (float)(ADVANCE * l.length - 1), room = (float)im->height - 1.0f;
    l.dot = th_get_f32(t->options, "size") * (float)im->width / columns;
    if (room < 1.0f) room = 1.0f;
    if (l.dot * TH_GLYPH_HEIGHT > room) l.dot = room / TH_GLYPH_HEIGHT;
    l.left = 0.5f * ((float)im->width - l.dot * columns);
    float free = (float)im->height - l.dot * TH_GLYPH_HEIGHT, margin = free < 2 * l.dot ? 0.5f * free : l.dot;
    int64_t place = th_get_choice(t->options, "place");
    l.top = place == CENTRE ? 0.5f * free : place == TOP ? margin : free - margin;
    return l;
}

static bool inked(const line *l, float x, float y) {
    int32_t column = (int32_t)floorf((x - l->left) / l->dot), row = (int32_t)floorf((y - l->top) / l->dot);
    if (column < 0 || column >= ADVANCE * l->length) return false;
    return th_glyph_dot(l->text[column / ADVANCE], column % ADVANCE, row);
}

/* The share of a pixel that the strokes cover. */
static float covered(const line *l, int32_t x, int32_t y) {
    int32_t hits = 0;
    for (int32_t i = 0; i < SAMPLES * SAMPLES; i++) {
        float u = ((float)(i % SAMPLES) + 0.5f) / SAMPLES, v = ((float)(i / SAMPLES) + 0.5f) / SAMPLES;
        hits += inked(l, (float)x + u, (float)y + v);
    }
    return (float)hits / (SAMPLES * SAMPLES);
}

static th_status trigger(const th_trigger *t, uint64_t which, th_image *im) {
    (void)which;
    float share = th_get_f32(t->options, "share");
    line l = set_line(t, im);
    for (int32_t y = 0; y < im->height; y++) {
        uint8_t *row = th_image_row(im, y);
        if ((float)y + 1 < l.top || (float)y > l.top + l.dot * TH_GLYPH_HEIGHT) continue;
        for (int32_t x = 0; x < im->width; x++) {
            float ink = share * covered(&l, x, y);
            for (int c = 0; c < 3; c++, row++) *row = th_blend(*row, ink, 255.0f);
        }
    }
    return TH_OK;
}

const th_attack th_attack_text = {
    .name = "text",
    .summary = "a watermark: a text over the picture",
    .options = options,
    .open = check_text,
    .trigger = trigger,
};
