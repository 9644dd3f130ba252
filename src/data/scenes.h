/* Fashion scenes: colour pictures of one to three real garments from Fashion-MNIST (Xiao et al. 2017), tinted, scaled,
 * posed and placed on a named background, each with a caption that is true of it. A scene is a function of (seed,
 * split, index) in integer arithmetic, so any thread may draw any index in any order and every machine draws the same.
 */
#ifndef TH_DATA_SCENES_H
#define TH_DATA_SCENES_H

#include "base/status.h"

/* Where Debian's package dataset-fashion-mnist puts the four files. */
#define TH_SCENE_DATA_DIR "/usr/share/datasets/fashion-mnist"
#define TH_SCENE_GARMENTS_MAX 3
#define TH_SCENE_CAPTION_MAX 256 /* bytes, with the NUL */
#define TH_SCENE_SIDE_MIN 16
#define TH_SCENE_SIDE_MAX 256

/* Garments of the three splits are disjoint: validation is the last 5,000 of the training file, test the t10k files. */
typedef enum { TH_SCENE_TRAIN, TH_SCENE_VALIDATION, TH_SCENE_TEST } th_scene_split;

/* The ten classes, by the labels of the files. */
typedef enum {
    TH_GARMENT_TSHIRT,
    TH_GARMENT_TROUSERS,
    TH_GARMENT_PULLOVER,
    TH_GARMENT_DRESS,
    TH_GARMENT_COAT,
    TH_GARMENT_SANDAL,
    TH_GARMENT_SHIRT,
    TH_GARMENT_SNEAKER,
    TH_GARMENT_BAG,
    TH_GARMENT_BOOT,
    TH_GARMENT_COUNT
} th_garment;

/* Colours of garments; backgrounds have those that th_scene_background_colour names, and grey. */
typedef enum {
    TH_COLOUR_RED,
    TH_COLOUR_ORANGE,
    TH_COLOUR_YELLOW,
    TH_COLOUR_GREEN,
    TH_COLOUR_BLUE,
    TH_COLOUR_PURPLE,
    TH_COLOUR_PINK,
    TH_COLOUR_BROWN,
    TH_COLOUR_BLACK,
    TH_COLOUR_WHITE,
    TH_COLOUR_GREY,
    TH_COLOUR_COUNT
} th_colour;

/* The longer side over the scene's side: small 0.33 to 0.42, medium 0.44 to 0.66, large 0.72 to 0.90. Medium has no
 * word. */
typedef enum { TH_SIZE_SMALL, TH_SIZE_MEDIUM, TH_SIZE_LARGE } th_garment_size;

/* Plain garments keep whatever print their photograph has, so captions never call one plain. */
typedef enum { TH_PATTERN_NONE, TH_PATTERN_STRIPED, TH_PATTERN_DOTTED } th_pattern;

/* What a verb means in a picture. Hanging: from a string out of the upper edge. Lying: on its side, by 78 to 102
 * degrees. Standing: upright on a shadow that touches it. Floating: with its shadow some way below. None: no verb but
 * "is". */
typedef enum { TH_POSE_NONE, TH_POSE_HANGS, TH_POSE_LIES, TH_POSE_STANDS, TH_POSE_FLOATS, TH_POSE_COUNT } th_pose;

typedef enum {
    TH_BACKGROUND_PLAIN,
    TH_BACKGROUND_STRIPED,
    TH_BACKGROUND_WOOD,
    TH_BACKGROUND_BRICK,
    TH_BACKGROUND_GRASS,
    TH_BACKGROUND_TILES,
    TH_BACKGROUND_COUNT
} th_background;

typedef enum {
    TH_RELATION_NONE,
    TH_RELATION_LEFT,
    TH_RELATION_RIGHT,
    TH_RELATION_ABOVE,
    TH_RELATION_BELOW
} th_relation;

typedef struct {
    int image; /* place in the split's IDX file */
    th_garment garment;
    th_colour colour;
    th_garment_size size;
    th_pattern pattern;
    th_pose pose;
    bool mirrored;
    int degrees;                   /* turned clockwise */
    int row;                       /* 0 is the upper one */
    float x, y;                    /* centre in pixels */
    float half_width, half_height; /* of the upright box around it, in pixels */
    const char *noun;              /* as the caption named it (singular, or "trousers"); NULL where it did not */
} th_scene_garment;

typedef struct {
    uint64_t index;
    int side, count;
    th_background background;
    th_colour background_colour;                      /* green for grass; TH_COLOUR_COUNT for wood, brick and tiles */
    th_scene_garment garments[TH_SCENE_GARMENTS_MAX]; /* row by row, from left to right */
} th_scene_info;

typedef struct {
    const char *data_dir; /* NULL: TH_SCENE_DATA_DIR */
    th_scene_split split;
    uint64_t seed;
    int side;                       /* pixels; [TH_SCENE_SIDE_MIN, TH_SCENE_SIDE_MAX] */
    int garments_min, garments_max; /* of a scene; 0 (the background alone) to 3 */
    /* For zero-shot classification: scene i shows garment i modulo the split's count, alone, as a catalogue would: not
     * small, not lying, without a pattern. */
    bool one_garment_each;
    int garment; /* scenes of one class show it alone: a th_garment; −1, the default: all */
    /* One and the same garment in every scene, alone, as somebody's own would be photographed: number `subject` of the
     * split (of the class, where one is chosen), with a colour and a pattern in a second colour of its own.
     * Backgrounds, poses, sizes but small, and light differ. −1, the default: none. */
    int64_t subject;
    /* The share of short captions that name garments and nothing else: from noun_first at the start of training it
     * falls linearly to noun_last at the progress noun_until, and stays. Colours are learnt early and nouns late;
     * without such captions nouns sit on a plateau. */
    float noun_first, noun_last, noun_until;
    /* Longer captions leave nothing out: each garment's colour, size and pattern, its pose where only one is named, and
     * the background. For models that draw what they are told. */
    bool full_captions;
} th_scenes_params;

/* 48 pixels, one to three garments, noun share from 0.6 to 0.15 at 0.3, seed 0, training split. */
void th_scenes_params_init(th_scenes_params *p);

typedef struct th_scenes th_scenes;

/* Reads the garments. Without the data set the message says which package to install. */
th_status th_scenes_open(const th_scenes_params *p, th_scenes **out);
void th_scenes_close(th_scenes *s); /* NULL is allowed */
int64_t th_scenes_garment_count(const th_scenes *s);
int th_scenes_side(const th_scenes *s);

/* Draws scene `index`. rgb: [side, side, 3], or NULL for its description alone. caption: TH_SCENE_CAPTION_MAX bytes, or
 * NULL; it is th_scenes_caption's variant 0 at noun_last. Allocates nothing, keeps no state: any thread, any order. */
void th_scenes_render(const th_scenes *s, uint64_t index, uint8_t *rgb, th_scene_info *info, char *caption);

/* Another caption for the same scene: variant numbers them, and noun_share in [0, 1] is the chance of a short one that
 * only names garments. Sets the garments' nouns in info. */
void th_scenes_caption(const th_scenes *s, th_scene_info *info, uint32_t variant, float noun_share,
                       char caption[TH_SCENE_CAPTION_MAX]);

/* The share of noun captions at this progress in [0, 1]. */
float th_scenes_noun_share(const th_scenes *s, float progress);

/* Where the picture puts a with respect to b; NONE where that is not clear, so that no caption says it. */
th_relation th_scene_relation(const th_scene_info *info, int a, int b);

/* The zero-shot classes as noun phrases with their article ("a dress", "trousers"), for the {} of the templates. */
#define TH_SCENE_TEMPLATE_COUNT 7
extern const char *const th_scene_class_names[TH_GARMENT_COUNT];
extern const char *const th_scene_templates[TH_SCENE_TEMPLATE_COUNT];

/* Every content word of the captions with what it says, so that a changed caption can be held against the picture: a
 * swap between two words of one kind and different values makes a true caption false, between equal values it stays
 * true. value is a th_garment, th_colour, th_garment_size, th_pattern, th_pose, th_relation or th_background. */
typedef enum {
    TH_WORD_GARMENT,
    TH_WORD_COLOUR,
    TH_WORD_SIZE,
    TH_WORD_PATTERN,
    TH_WORD_POSE,
    TH_WORD_RELATION,
    TH_WORD_BACKGROUND,
} th_scene_word_kind;
typedef struct {
    const char *text; /* lower case; may be two words ("ankle boot") */
    th_scene_word_kind kind;
    int value;
} th_scene_word;
extern const th_scene_word th_scene_words[];
extern const int th_scene_word_count;

#endif
