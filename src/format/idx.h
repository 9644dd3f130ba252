/* IDX, the format of the MNIST family (http://yann.lecun.com/exdb/mnist, "the IDX file format"): an array of any rank,
 * big-endian, plain or compressed with gzip. */
#ifndef TH_FORMAT_IDX_H
#define TH_FORMAT_IDX_H

#include "base/status.h"

/* The third byte of the file. */
typedef enum {
    TH_IDX_U8 = 0x08,
    TH_IDX_I8 = 0x09,
    TH_IDX_I16 = 0x0B,
    TH_IDX_I32 = 0x0C,
    TH_IDX_F32 = 0x0D,
    TH_IDX_F64 = 0x0E,
} th_idx_type;

#define TH_IDX_DIMENSIONS_MAX 8
#define TH_IDX_BYTES_MAX ((size_t)8 << 30) /* of the array */

typedef struct {
    th_idx_type type;
    int dimensions;                       /* 1 … TH_IDX_DIMENSIONS_MAX */
    int64_t shape[TH_IDX_DIMENSIONS_MAX]; /* outermost first; a dimension may be 0 */
    int64_t count;                        /* items: the product of the shape */
    void *data;                           /* [count] of the type, in the machine's byte order */
    size_t bytes;                         /* count times the size of the type */
} th_idx;

/* Free with th_idx_free; after an error there is nothing to free. */
th_status th_idx_read(const char *path, th_idx *out);
/* The same from memory; messages come without a file's name. */
th_status th_idx_parse(const void *bytes, size_t n, th_idx *out);
void th_idx_free(th_idx *x);

#endif
