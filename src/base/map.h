/* A hash map from byte strings to 64-bit numbers. Keys are copied. */
#ifndef TH_BASE_MAP_H
#define TH_BASE_MAP_H

#include "base/status.h"

typedef struct th_map th_map;

th_map *th_map_new(void);
void th_map_free(th_map *m);
/* Sets key to value. TH_E_MEMORY when out of memory, which a key that is there already never is. */
th_status th_map_set(th_map *m, const char *key, size_t length, int64_t value);
/* The value, or `missing`. A NULL map has nothing. */
int64_t th_map_get(const th_map *m, const char *key, size_t length, int64_t missing);
int64_t th_map_count(const th_map *m);

#endif
