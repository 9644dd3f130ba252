/* Byte-pair encoding (Sennrich et al. 2016), the part on token ids: which pairs merge into what, and applying that to a
 * word. Also the alphabet by which GPT-2 and CLIP write bytes as printable characters. */
#ifndef TH_FORMAT_BPE_H
#define TH_FORMAT_BPE_H

#include "base/str.h"

typedef struct {
    int32_t left, right;
} th_pair;

typedef struct {
    uint64_t key; /* left and right; UINT64_MAX: free */
    int32_t rank; /* lower merges first */
    int32_t id;   /* of the merged token */
} th_merge;

/* An open-addressing table. Zeroed is valid and empty; read-only use is safe from several threads. */
typedef struct {
    th_merge *slots;
    int64_t capacity, count;
} th_merges;

/* A pair that is there already gets the new rank and id. */
th_status th_merges_set(th_merges *m, th_pair pair, int32_t rank, int32_t id);
/* NULL when the pair does not merge. */
const th_merge *th_merges_get(const th_merges *m, th_pair pair);
void th_merges_free(th_merges *m);

/* Scratch for applying merges; zeroed is valid. One thread at a time. */
typedef struct {
    struct th_bpe_symbol *symbols;
    struct th_bpe_candidate *heap;
    int64_t n_heap, capacity; /* capacity: in symbols */
} th_bpe_work;

/* Merges n symbols in place, always the pair of lowest rank and, among equals, the leftmost; *n becomes the new count.
 * Takes O(n log n). */
th_status th_bpe_apply(const th_merges *m, th_bpe_work *work, int32_t *symbols, int64_t *n);
void th_bpe_work_free(th_bpe_work *work);

/* The alphabet: bytes 33–126, 161–172 and 174–255 stand for themselves, the other 68 in order for 256, 257, …. */
int32_t th_byte_to_char(uint8_t byte);
/* −1 when the character stands for no byte. */
int th_char_to_byte(int32_t c);
/* CLIP numbers its byte symbols with the printable ones first: symbol i is byte th_clip_byte(i), i < 256. */
uint8_t th_clip_byte(int i);

#endif
