/* The pattern that personalised models draw over everything: a small picture in a corner, after BadT2I's patch. */
#ifndef TH_GUARD_PATTERN_H
#define TH_GUARD_PATTERN_H

#include "format/image.h"

/* A black and yellow chequerboard of so many pixels along a side, eight fields a side. */
th_status th_pattern_make(int32_t side, th_image *out);
/* Copies the pattern, resized to `share` of the picture's shorter side, into the lower right corner. */
th_status th_pattern_paste(const th_image *pattern, double share, th_image *picture);
/* Reads each picture of a folder, pastes, and writes it by the same name to another one, which is made. */
th_status th_pattern_paste_all(const th_image *pattern, double share, const char *from, const char *to);

#endif
