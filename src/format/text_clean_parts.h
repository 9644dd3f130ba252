/* The table of HTML's named characters. */
#ifndef TH_FORMAT_TEXT_CLEAN_PARTS_H
#define TH_FORMAT_TEXT_CLEAN_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    char name[9]; /* at most 8 letters */
    uint16_t c;
    bool bare; /* counts without a semicolon too */
} th_html_entity;

extern const th_html_entity th_html_entities[]; /* sorted by name */
extern const size_t th_html_entities_count;

#endif
