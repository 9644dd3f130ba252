/* What the kinds of data sets share. The rest of the tree uses data/dataset.h. */
#ifndef TH_DATA_DATASET_PARTS_H
#define TH_DATA_DATASET_PARTS_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/memory.h"
#include "data/dataset.h"
#include "format/idx.h"
#include "format/json.h"
#include "format/table.h"
#include "format/tar.h"

/* A picture of a set that is a list: of files or of places in shards. */
typedef struct {
    const char *key;
    int64_t offset; /* in its shard, with size and shard; 0 for files */
    uint32_t size;
    int32_t shard;
    int32_t label;     /* −1: none */
    uint32_t captions; /* its captions begin here and end where the next entry's begin */
} th_entry;

/* A kind of set: what is not the same for all. Pictures are numbered as in the source, before any choice. */
typedef struct {
    const char *name;
    th_status (*read)(th_dataset *d, th_dataset_reader *r, int64_t image, th_image *out);
    /* Adds what identifies the picture besides key, label and captions. */
    th_status (*hash)(const th_dataset *d, int64_t image, th_hash *h);
    void (*close)(th_dataset *d); /* NULL: nothing of its own */
} th_dataset_source;

extern const th_dataset_source th_source_folder, th_source_table, th_source_shards, th_source_idx, th_source_scenes;

struct th_dataset {
    const th_dataset_source *source;
    char *name;   /* for messages: the spec, or the table found in a folder */
    char *folder; /* what relative paths of files stand under; "" for the current one */
    th_captions choice;
    uint64_t seed;
    int64_t source_images; /* before any choice */

    /* lists; entry_count + 1 entries, of which the last only ends the captions */
    th_entry *entries;
    int64_t entry_count;
    const char **captions;
    int64_t caption_count;
    th_arena *text;
    char *table; /* the bytes of a table, in which keys and captions stand */

    th_names shards;
    atomic_int *fds; /* [shards.count]; −1: not open */
    atomic_int open_fds;
    th_idx pixels, labels;
    th_scenes *scenes;
    struct th_scene_spec *scene_spec;

    const char **class_names; /* NULL: numbers only */
    int32_t classes;

    /* the choice: image i is number picked[i] of the source, or first + i · stride */
    int64_t images, first, stride;
    int64_t *picked;
    int64_t samples;
    int64_t *sample_first; /* [images + 1]; NULL: each image is one sample */

    /* skipping; bad is NULL where errors are errors */
    atomic_uchar *bad; /* [images] */
    pthread_mutex_t lock;
    bool lock_made;
    int64_t skipped;
    int64_t first_skipped; /* what first_message is about; samples that were never listed come before all others */
    char first_message[TH_MESSAGE_MAX];
};

struct th_dataset_reader {
    th_image_decoder *decoder;
    th_image_params params;
    char *bytes; /* [capacity] */
    size_t capacity;
};

static inline int64_t th_dataset_source_image(const th_dataset *d, int64_t image) {
    return d->picked ? d->picked[image] : d->first + image * d->stride;
}

/* A list while it grows. Keys, captions and labels must live as long as the set: th_gather_text copies them there. */
typedef struct {
    th_dataset *d;
    const th_dataset_params *p;
    const th_watch *watch;
    int64_t entry_capacity, caption_capacity;
    int32_t *owners;     /* [caption_count]: the picture of each caption */
    const char **labels; /* [entry_count]; NULL: none */
    int64_t owner_capacity, label_capacity;
} th_gather;

/* A new picture, without caption and label; it becomes the last of d->entries. */
th_status th_gather_image(th_gather *g, const char *key);
/* Of any picture, in any order; a picture's captions keep theirs. */
th_status th_gather_caption(th_gather *g, int64_t image, const char *caption);
void th_text_trim(const char **text, size_t *length); /* leaves out the white space at both ends */
/* A copy of the trimmed text that lives as long as the set; NULL when out of memory. */
char *th_gather_text(th_gather *g, const char *text, size_t length);
/* With skip_bad counts the sample that failed and gives TH_OK, else gives s back. */
th_status th_gather_drop(th_gather *g, th_status s);
/* Every picture has a caption, or none has, or those without are dropped. Sorts captions by picture, and turns labels
 * into numbers: as they are where all of them are numbers and by_name is off, else the place among their sorted names.
 */
th_status th_gather_finish(th_gather *g, bool by_name);
void th_gather_free(th_gather *g);

/* Each fills the set and sets its source and source_images. */
th_status th_dataset_open_folder(th_gather *g, const char *path);
th_status th_dataset_open_table(th_gather *g, const char *path);
th_status th_dataset_open_shards(th_gather *g, const char *pattern);
th_status th_dataset_open_idx(th_gather *g, const char *path);
th_status th_dataset_open_scenes(th_gather *g, const char *spec);

/* A set called name that `fill` fills. */
typedef th_status (*th_dataset_fill)(th_gather *g, const void *what);
th_status th_dataset_make(const char *name, const th_dataset_params *p, const th_watch *w, th_dataset_fill fill,
                          const void *what, th_dataset **out);

/* Whether the table at path has a column of pictures, by its first line. */
th_status th_dataset_is_table(const char *path, const th_dataset_params *p, bool *yes);
/* The cells of a table that a set was made of, and its column of pictures. */
th_status th_dataset_read_sheet(const char *path, const th_dataset_params *p, th_sheet *out, int *image);
/* A table from memory, whose paths lie under the current folder; the name is for messages. */
th_status th_dataset_parse_table(const char *name, const void *bytes, size_t n, const th_dataset_params *p,
                                 th_dataset **out);
/* Shards whose names are in d->shards already. */
th_status th_dataset_index_shards(th_gather *g);
/* The captions of a sample's .json are added to the picture, but for one that is `known`, which may be NULL. */
th_status th_dataset_json_captions(th_gather *g, int64_t image, const th_json *j, const char *known);
bool th_dataset_is_picture(const char *name);

/* Takes a list apart in place: ["a", 'b'], as JSON or Python writes it. each gets the strings, which live where text
 * does. False, and nothing is changed or called, where text is not such a list; each's failure is *status. */
typedef th_status (*th_list_fn)(void *context, const char *item);
bool th_caption_list(char *text, th_list_fn each, void *context, th_status *status);

/* fashion-scenes?… */
typedef struct th_scene_spec {
    th_scenes_params params;
    int64_t count, offset; /* count 0: as many as there are garments */
    char data_dir[TH_PATH_MAX];
} th_scene_spec;
#define TH_SCENES_NAME "fashion-scenes"
bool th_scene_spec_is(const char *spec);
th_status th_scene_spec_parse(const char *spec, th_scene_spec *out);
/* Caption, label and description, as of the source's picture. */
const char *th_dataset_scene_caption(const th_dataset *d, int64_t image, const th_moment *when, char *room);
bool th_dataset_scene_info(const th_dataset *d, int64_t image, th_scene_info *info);

#endif
