/* Numbers as text: read and written the same in every locale, and sizes and times as people read them. */
#ifndef TH_BASE_NUMBER_H
#define TH_BASE_NUMBER_H

#include "base/status.h"

/* The whole text is the number, else false and *out stays. No spaces, no hexadecimals, no infinities. */
bool th_parse_i64(const char *text, int64_t *out);
bool th_parse_f64(const char *text, double *out);
/* Bytes: "4096", "512M", "1.5G", "2GiB"; a unit is a power of 1024. Not below zero. */
bool th_parse_size(const char *text, int64_t *out);

#define TH_NUMBER_TEXT 40
/* The shortest decimal that reads back as the same number: "2.15", "1e-05", "nan". */
void th_print_f64(char out[TH_NUMBER_TEXT], double v);
void th_print_f32(char out[TH_NUMBER_TEXT], float v); /* as the same f32 */
/* With so many digits after the point: "3.50". Not a number is "–". */
void th_print_fixed(char out[TH_NUMBER_TEXT], double v, int digits);
/* A size that th_parse_size reads back: "512M", "1000". */
void th_print_size(char out[TH_NUMBER_TEXT], int64_t bytes);

/* For people, about three digits; what is not finite is "–". */
void th_human_count(char out[TH_NUMBER_TEXT], double v);   /* "950", "1.2 k", "151 M": powers of 1000 */
void th_human_bytes(char out[TH_NUMBER_TEXT], double v);   /* "1.5 GiB": powers of 1024 */
void th_human_seconds(char out[TH_NUMBER_TEXT], double v); /* "12 ms", "3 min 20 s", "2 h 5 min" */

#endif
