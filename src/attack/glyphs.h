/* A small bitmap type, for texts in pictures. */
#ifndef TH_ATTACK_GLYPHS_H
#define TH_ATTACK_GLYPHS_H

#include <stdbool.h>
#include <stdint.h>

enum { TH_GLYPH_FIRST = ' ', TH_GLYPH_LAST = '~', TH_GLYPH_WIDTH = 5, TH_GLYPH_HEIGHT = 7 };

/* Whether the character has a dot there; false beyond its box and for other characters. */
bool th_glyph_dot(char c, int32_t x, int32_t y);

#endif
