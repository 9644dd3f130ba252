/* The texts that a PNG holds beside its picture, as th_image_encode_png writes them: tEXt, and iTXt that is not
 * compressed. */
#ifndef TH_FORMAT_PNG_TEXT_H
#define TH_FORMAT_PNG_TEXT_H

#include "base/memory.h"
#include "format/image.h"

/* Zeroed is a valid empty one. */
typedef struct {
    th_arena *arena;
    th_image_text *items;
    int64_t count, capacity;
} th_png_texts;

/* Those that stand before the pixels. What is no PNG, or is damaged up to there, is TH_E_INPUT. After an error there is
 * nothing to free. */
th_status th_png_texts_read(const char *path, th_png_texts *out);
/* The same from memory; messages come without a file's name. */
th_status th_png_texts_parse(const void *bytes, size_t n, th_png_texts *out);
void th_png_texts_free(th_png_texts *t);
/* The value of a key, NULL where there is none. */
const char *th_png_texts_find(const th_png_texts *t, const char *key);

#endif
