/* Sets of pictures with captions and labels, read-only, indexed when opened, then read in any order from any thread.
 *
 * What can be opened:
 * - a folder that holds a table (pairs.tsv, or the only .tsv or .csv with a column of pictures), or .tar shards, or
 *   pictures, each with its caption in a .txt of the same name or all without, or sub-folders of pictures, which are
 *   classes: their names are labels and captions. The first of these that there is;
 * - a table, .tsv or .csv: a column of paths, relative to the table, one of captions, maybe one of labels. A caption
 * may be a list, ["a", 'b'], as JSON or Python writes it, and a picture may stand in several rows;
 * - WebDataset shards, x-{000..012}.tar or x-*.tar: samples with a .jpg, .jpeg, .png or .webp, a caption in .txt or in
 *   .json ("caption", "captions" or "text"), a label in .cls. Without captions and labels, the folders of the keys are
 *   classes;
 * - an IDX file of pictures, grey [n, h, w] or colour [n, h, w, 3], and the labels that lie beside it under the usual
 *   name (images → labels, idx3 → idx1);
 * - fashion-scenes?split=train&side=48&seed=7&count=20000&garments=1-3&offset=0&single=1&nouns=0.6-0.15&data=DIR:
 *   scenes of data/scenes.h. split: train, validation, test. single: one garment each, with its class as label. count:
 *   as many as the split has garments. offset: the number of the first scene; different ranges share no scene. nouns:
 *   the share of captions that only name garments, one number or two between which it falls in training. class: scenes
 *   of one garment of this class, by its noun. subject=N: every scene shows one and the same garment, alone.
 *   captions=full: longer captions tell garment, colour, size, pattern, pose and background; free, the default, leaves
 *   out some of them.
 *
 * A picture has a number among those chosen, and so has a sample, which is a picture with one of its captions. */
#ifndef TH_DATA_DATASET_H
#define TH_DATA_DATASET_H

#include "base/hash.h"
#include "data/scenes.h"
#include "format/image.h"

typedef enum {
    TH_CAPTIONS_ALL,    /* a sample for each caption */
    TH_CAPTIONS_FIRST,  /* a sample for each picture, with its first caption */
    TH_CAPTIONS_RANDOM, /* a sample for each picture, whose caption is drawn anew in each epoch */
} th_captions;

typedef struct {
    /* Of tables; NULL: the first that there is of image, filepath, file_name, file; caption, title, text, captions,
     * prompt; label. */
    const char *image_column, *caption_column, *label_column;
    char separator;    /* of tables; 0: by the file's name */
    bool plain_quotes; /* in tables " is a character like others */
    /* Which pictures: those numbered in indices, or all; of these from offset on every stride-th, at most limit. */
    const int64_t *indices;                     /* NULL: all. Copied */
    int64_t index_count, offset, stride, limit; /* limit 0: no limit */
    th_captions captions;
    uint64_t seed; /* of random captions */
    /* Pictures that cannot be read, and samples without a picture or a caption where others have one, are passed over
     * and counted instead of being errors. */
    bool skip_bad;
} th_dataset_params;
void th_dataset_params_init(th_dataset_params *p); /* all pictures, all captions, errors are errors */

typedef struct th_dataset th_dataset;
/* p and watch may be NULL. A set without a sample is TH_E_INPUT. */
th_status th_dataset_open(const char *spec, const th_dataset_params *p, const th_watch *w, th_dataset **out);
void th_dataset_close(th_dataset *d);             /* NULL is allowed */
const char *th_dataset_kind(const th_dataset *d); /* "image folder", "table", … */

int64_t th_dataset_count(const th_dataset *d);  /* samples */
int64_t th_dataset_images(const th_dataset *d); /* pictures */
/* The picture of a sample, and the first sample of a picture: its other ones follow. */
int64_t th_dataset_image(const th_dataset *d, int64_t sample);
int64_t th_dataset_sample(const th_dataset *d, int64_t image);

/* Texts that are made when asked for are put into room; others stay where they are until the set is closed. */
#define TH_DATASET_ROOM TH_SCENE_CAPTION_MAX
/* What the picture is called: its path as the set gives it, its key in the shard, its number. */
const char *th_dataset_key(const th_dataset *d, int64_t image, char room[TH_DATASET_ROOM]);

/* When a caption is asked for: random ones change by the epoch, those of scenes also by how far training is, from 0 to
 * 1 (th_scenes_noun_share). NULL: epoch 0 at the end of training. */
typedef struct {
    uint32_t epoch;
    float progress;
} th_moment;
/* NULL where the set has no captions. */
const char *th_dataset_caption(const th_dataset *d, int64_t sample, const th_moment *when, char room[TH_DATASET_ROOM]);
/* All captions of a picture, for retrieval. Scenes have one. */
int64_t th_dataset_captions(const th_dataset *d, int64_t image);
const char *th_dataset_caption_of(const th_dataset *d, int64_t image, int64_t k, char room[TH_DATASET_ROOM]);

/* The class of a picture; −1 where it has none. */
int32_t th_dataset_label(const th_dataset *d, int64_t image);
int32_t th_dataset_classes(const th_dataset *d);                   /* 0 where there are no labels */
const char *th_dataset_class_name(const th_dataset *d, int32_t c); /* NULL where classes have numbers only */
/* What a scene shows; false where the set is of another kind. */
bool th_dataset_scene(const th_dataset *d, int64_t image, th_scene_info *info);

/* What reading needs; one a thread. params: of the decoder, may be NULL. */
typedef struct th_dataset_reader th_dataset_reader;
th_status th_dataset_reader_new(const th_image_params *params, th_dataset_reader **out);
void th_dataset_reader_free(th_dataset_reader *r); /* NULL is allowed */

/* The sample's picture (see th_image_new). Errors name the file, or the shard and the key. With skip_bad it is that of
 * the next sample whose picture can be read, and *used says which sample that is, also for its caption and label; the
 * result is the same on every run. used may be NULL without skip_bad. */
th_status th_dataset_read(th_dataset *d, th_dataset_reader *r, int64_t sample, th_image *out, int64_t *used);
/* How many samples were passed over when opening and pictures when reading so far, and the message of the first of
 * them: by their order in the set. message may be NULL. */
int64_t th_dataset_skipped(th_dataset *d, char message[TH_MESSAGE_MAX]);

/* What identifies the chosen content: keys, sizes, labels and captions of the pictures, for scenes what they are drawn
 * from; not where the set lies nor when it was written. Asks for the sizes of all files. */
th_status th_dataset_hash(const th_dataset *d, const th_watch *w, char out[TH_HASH_TEXT]);

#endif
