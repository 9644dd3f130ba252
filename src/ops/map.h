/* The runner of elementwise operations. A tile of the output at a time is computed from tiles of the inputs, which lie
 * in the first cache: broadcasting and bf16 are dealt with when a tile is read or written, so an operation's own loop
 * knows only dense f32. A chain of them (ops/fused.c) runs on the same tile without touching memory in between. */
#ifndef TH_OPS_MAP_H
#define TH_OPS_MAP_H

#include "ops/op.h"

#define TH_MAP_TILE 512

th_status th_map_infer(th_node *n); /* the broadcast shape of all inputs */
int64_t th_map_units(const th_node *n);
th_status th_map_prepare(th_prepared *p);
void th_map_release(void *state);
void th_map_range(const th_kernel_args *a, int64_t begin, int64_t end, char *scratch);

/* The shape of a and b broadcast together into *out; false if they do not fit. */
bool th_broadcast_shapes(const th_desc *a, const th_desc *b, th_desc *out);

#define TH_MAP_KERNEL \
    { .range = th_map_range, .units = th_map_units, .prepare = th_map_prepare, .release = th_map_release }
/* The part of a row that all maps share; in and out are precisions. */
#define TH_MAP_ROW(in, out)                                                                      \
    .flags = TH_OP_MAP, .infer = th_map_infer, .in_precision = {in, in, in, in, in, in, in, in}, \
    .out_precision = {out}, .in_place = 0xFFFFFFFFu, .cpu = TH_MAP_KERNEL

#endif
