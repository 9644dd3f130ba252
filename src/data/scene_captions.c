/* Captions of the fashion scenes: a small grammar whose every sentence is read off the scene's description, so that
 * what it says is so. It leaves things out at will, or nothing where that is asked for, and never says more. */
#include <stdio.h>
#include <string.h>

#include "data/scene_parts.h"

const char *const th_scene_class_names[TH_GARMENT_COUNT] = {
    "a t-shirt", "trousers", "a pullover", "a dress", "a coat", "a sandal", "a shirt", "a sneaker", "a bag", "a boot",
};

const char *const th_scene_templates[TH_SCENE_TEMPLATE_COUNT] = {
    "{}",
    "a photo of {}",
    "a picture of {}",
    "an image of {}",
    "{} on a plain background",
    "a photo of {} on a plain background",
    "{} in front of a wall",
};

/* No noun serves two classes, and none is a word for a wider class ("shoe", "top"): a caption with one noun in place of
 * another would else be true of the same picture. */
typedef struct {
    const char *one, *many;
} noun;
static const noun trousers[] = {{"trousers", "trousers"}, {"pants", "pants"}, {"slacks", "slacks"}};
static const noun t_shirts[] = {{"t-shirt", "t-shirts"}, {"tee", "tees"}};
static const noun pullovers[] = {{"pullover", "pullovers"}, {"sweater", "sweaters"}, {"jumper", "jumpers"}};
static const noun dresses[] = {{"dress", "dresses"}, {"gown", "gowns"}, {"frock", "frocks"}};
static const noun coats[] = {{"coat", "coats"}, {"jacket", "jackets"}};
static const noun sandals[] = {{"sandal", "sandals"}};
static const noun shirts[] = {{"shirt", "shirts"}, {"blouse", "blouses"}};
static const noun sneakers[] = {{"sneaker", "sneakers"}, {"trainer", "trainers"}};
static const noun bags[] = {{"bag", "bags"}, {"handbag", "handbags"}, {"purse", "purses"}};
static const noun boots[] = {{"boot", "boots"}, {"ankle boot", "ankle boots"}, {"bootie", "booties"}};

#define WORDS(list) \
    { list, (int)(sizeof list / sizeof list[0]) }
static const struct {
    const noun *words;
    int count;
} nouns[TH_GARMENT_COUNT] = {
    [TH_GARMENT_TSHIRT] = WORDS(t_shirts),    [TH_GARMENT_TROUSERS] = WORDS(trousers),
    [TH_GARMENT_PULLOVER] = WORDS(pullovers), [TH_GARMENT_DRESS] = WORDS(dresses),
    [TH_GARMENT_COAT] = WORDS(coats),         [TH_GARMENT_SANDAL] = WORDS(sandals),
    [TH_GARMENT_SHIRT] = WORDS(shirts),       [TH_GARMENT_SNEAKER] = WORDS(sneakers),
    [TH_GARMENT_BAG] = WORDS(bags),           [TH_GARMENT_BOOT] = WORDS(boots),
};

static const char *const colours[TH_COLOUR_COUNT] = {
    "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white", "grey",
};
static const char *const small_words[] = {"small", "small", "little", "tiny"};
static const char *const large_words[] = {"large", "large", "big", "huge"};
static const char *const dotted_words[] = {"dotted", "dotted", "spotted"};

/* One garment hangs, more of them hang, a photo shows them hanging. */
typedef struct {
    const char *one, *many, *participle;
} verb;
static const verb verbs[TH_POSE_COUNT][2] = {
    [TH_POSE_NONE] = {{"is", "are", ""}, {"is", "are", ""}},
    [TH_POSE_HANGS] = {{"hangs", "hang", "hanging"}, {"hangs", "hang", "hanging"}},
    [TH_POSE_LIES] = {{"lies", "lie", "lying"}, {"lies", "lie", "lying"}},
    [TH_POSE_STANDS] = {{"stands", "stand", "standing"}, {"stands", "stand", "standing"}},
    [TH_POSE_FLOATS] = {{"floats", "float", "floating"}, {"hovers", "hover", "hovering"}},
};

#define G(word, garment) \
    { word, TH_WORD_GARMENT, TH_GARMENT_##garment }
#define C(word, colour) \
    { word, TH_WORD_COLOUR, TH_COLOUR_##colour }
#define P(word, pose) \
    { word, TH_WORD_POSE, TH_POSE_##pose }
const th_scene_word th_scene_words[] = {
    G("t-shirt", TSHIRT),
    G("t-shirts", TSHIRT),
    G("tee", TSHIRT),
    G("tees", TSHIRT),
    G("trousers", TROUSERS),
    G("pants", TROUSERS),
    G("slacks", TROUSERS),
    G("pullover", PULLOVER),
    G("pullovers", PULLOVER),
    G("sweater", PULLOVER),
    G("sweaters", PULLOVER),
    G("jumper", PULLOVER),
    G("jumpers", PULLOVER),
    G("dress", DRESS),
    G("dresses", DRESS),
    G("gown", DRESS),
    G("gowns", DRESS),
    G("frock", DRESS),
    G("frocks", DRESS),
    G("coat", COAT),
    G("coats", COAT),
    G("jacket", COAT),
    G("jackets", COAT),
    G("sandal", SANDAL),
    G("sandals", SANDAL),
    G("shirt", SHIRT),
    G("shirts", SHIRT),
    G("blouse", SHIRT),
    G("blouses", SHIRT),
    G("sneaker", SNEAKER),
    G("sneakers", SNEAKER),
    G("trainer", SNEAKER),
    G("trainers", SNEAKER),
    G("bag", BAG),
    G("bags", BAG),
    G("handbag", BAG),
    G("handbags", BAG),
    G("purse", BAG),
    G("purses", BAG),
    G("boot", BOOT),
    G("boots", BOOT),
    G("ankle boot", BOOT),
    G("ankle boots", BOOT),
    G("bootie", BOOT),
    G("booties", BOOT),
    C("red", RED),
    C("orange", ORANGE),
    C("yellow", YELLOW),
    C("green", GREEN),
    C("blue", BLUE),
    C("purple", PURPLE),
    C("pink", PINK),
    C("brown", BROWN),
    C("black", BLACK),
    C("white", WHITE),
    C("grey", GREY),
    {"small", TH_WORD_SIZE, TH_SIZE_SMALL},
    {"little", TH_WORD_SIZE, TH_SIZE_SMALL},
    {"tiny", TH_WORD_SIZE, TH_SIZE_SMALL},
    {"large", TH_WORD_SIZE, TH_SIZE_LARGE},
    {"big", TH_WORD_SIZE, TH_SIZE_LARGE},
    {"huge", TH_WORD_SIZE, TH_SIZE_LARGE},
    {"striped", TH_WORD_PATTERN, TH_PATTERN_STRIPED},
    {"dotted", TH_WORD_PATTERN, TH_PATTERN_DOTTED},
    {"spotted", TH_WORD_PATTERN, TH_PATTERN_DOTTED},
    P("hangs", HANGS),
    P("hang", HANGS),
    P("hanging", HANGS),
    P("lies", LIES),
    P("lie", LIES),
    P("lying", LIES),
    P("stands", STANDS),
    P("stand", STANDS),
    P("standing", STANDS),
    P("floats", FLOATS),
    P("float", FLOATS),
    P("floating", FLOATS),
    P("hovers", FLOATS),
    P("hover", FLOATS),
    P("hovering", FLOATS),
    {"left", TH_WORD_RELATION, TH_RELATION_LEFT},
    {"right", TH_WORD_RELATION, TH_RELATION_RIGHT},
    {"above", TH_WORD_RELATION, TH_RELATION_ABOVE},
    {"below", TH_WORD_RELATION, TH_RELATION_BELOW},
    {"beneath", TH_WORD_RELATION, TH_RELATION_BELOW},
    {"plain", TH_WORD_BACKGROUND, TH_BACKGROUND_PLAIN},
    {"wooden", TH_WORD_BACKGROUND, TH_BACKGROUND_WOOD},
    {"brick", TH_WORD_BACKGROUND, TH_BACKGROUND_BRICK},
    {"grass", TH_WORD_BACKGROUND, TH_BACKGROUND_GRASS},
    {"tiled", TH_WORD_BACKGROUND, TH_BACKGROUND_TILES},
};
#undef G
#undef C
#undef P
const int th_scene_word_count = (int)(sizeof th_scene_words / sizeof th_scene_words[0]);

/* A caption being written: words go in with one space between them. */
typedef struct {
    char *text;
    size_t length;
    th_scene_info *info; /* which noun each garment got */
    bool full;           /* nothing is left out */
} writer;

static void say(writer *w, const char *words) {
    size_t n = strlen(words);
    if (!n || w->length + n + 2 > TH_SCENE_CAPTION_MAX) return;
    if (w->length) w->text[w->length++] = ' ';
    memcpy(w->text + w->length, words, n + 1);
    w->length += n;
}

/* Follows the last word without a space. */
static void join(writer *w, const char *mark) {
    size_t n = strlen(mark);
    if (w->length + n + 1 > TH_SCENE_CAPTION_MAX) return;
    memcpy(w->text + w->length, mark, n + 1);
    w->length += n;
}

/* Garments that one noun phrase names: one of them, or several that are alike in what is said. */
typedef struct {
    int members[TH_SCENE_GARMENTS_MAX], count;
    const noun *noun;
    const char *words[3]; /* its adjectives, "" for none */
    bool pair_of;         /* "a pair of red trousers" */
    th_pose pose;         /* of all members, or NONE */
} group;

static const char *pick(th_rng *r, const char *const *words, int count) {
    return words[th_rng_below(r, (uint32_t)count)];
}
#define PICK(r, words) pick(r, words, (int)(sizeof words / sizeof words[0]))

static bool alike(const th_scene_garment *a, const th_scene_garment *b, bool by_class) {
    if (a->garment != b->garment) return false;
    return by_class || (a->colour == b->colour && a->size == b->size && a->pattern == b->pattern);
}

/* Puts the garments into groups; returns how many. by_class: alike is what has one class. */
static int find_groups(const th_scene_info *info, th_rng *r, bool by_class, group groups[TH_SCENE_GARMENTS_MAX]) {
    int n = 0;
    for (int i = 0; i < info->count; i++) {
        const th_scene_garment *g = &info->garments[i];
        int k = 0;
        while (k < n && !alike(&info->garments[groups[k].members[0]], g, by_class)) k++;
        if (k == n) {
            const noun *word = &nouns[g->garment].words[th_rng_below(r, (uint32_t)nouns[g->garment].count)];
            groups[n++] = (group){.noun = word, .words = {"", "", ""}, .pose = g->pose};
            groups[k].pair_of = g->garment == TH_GARMENT_TROUSERS && th_scene_chance(r, 35);
        }
        if (groups[k].pose != g->pose) groups[k].pose = TH_POSE_NONE;
        groups[k].members[groups[k].count++] = i;
    }
    return n;
}

static void choose_adjectives(th_rng *r, const th_scene_garment *g, bool full, group *to) {
    const char *pattern = g->pattern == TH_PATTERN_STRIPED ? "striped" : PICK(r, dotted_words);
    const char *size = g->size == TH_SIZE_SMALL ? PICK(r, small_words) : PICK(r, large_words);
    bool pattern_first = th_scene_chance(r, 50), with_colour = th_scene_chance(r, 85);
    bool with_pattern = th_scene_chance(r, 75), with_size = th_scene_chance(r, 55);
    if (full) with_colour = with_pattern = with_size = true;
    if (g->pattern == TH_PATTERN_NONE || !with_pattern) pattern = "";
    if (g->size == TH_SIZE_MEDIUM || !with_size) size = "";
    const char *colour = with_colour ? colours[g->colour] : "";
    to->words[0] = size;
    to->words[1] = pattern_first ? pattern : colour;
    to->words[2] = pattern_first ? colour : pattern;
}

static bool is_plural(const group *g) { return g->count > 1 || (g->noun->one == g->noun->many && !g->pair_of); }

static const char *article(const char *word) { return strchr("aeiou", word[0]) ? "an" : "a"; }

/* "a small red dress", "two red dresses", "red trousers", "two pairs of red trousers". */
static void say_group(writer *w, const group *g, bool with_article) {
    static const char *const numbers[] = {"", "", "two", "three"};
    bool only_plural = strcmp(g->noun->one, g->noun->many) == 0;
    if (g->count > 1) {
        say(w, numbers[g->count]);
        if (only_plural) say(w, "pairs of");
    } else if (only_plural) {
        if (g->pair_of) say(w, with_article ? "a pair of" : "pair of");
    } else if (with_article) {
        const char *first = g->noun->one;
        for (int k = 2; k >= 0; k--)
            if (*g->words[k]) first = g->words[k];
        say(w, article(first));
    }
    for (int k = 0; k < 3; k++) say(w, g->words[k]);
    say(w, g->count > 1 ? g->noun->many : g->noun->one);
    for (int k = 0; k < g->count; k++) w->info->garments[g->members[k]].noun = g->noun->one;
}

/* "A", "A and B", "A, B and C". */
static void say_list(writer *w, const group *groups, int count, bool with_article) {
    for (int i = 0; i < count; i++) {
        if (i && i + 1 == count) say(w, "and");
        say_group(w, &groups[i], with_article);
        if (i + 2 < count) join(w, ",");
    }
}

/* "a striped blue wall" */
static void say_plane(writer *w, const char *kind, const char *colour, bool wall) {
    say(w, article(*kind ? kind : colour));
    say(w, kind), say(w, colour), say(w, wall ? "wall" : "background");
}

/* Of scenes without a garment: "a wooden floor", "a photo of a plain blue wall". */
static void tell_nothing(writer *w, th_rng *r, const th_scene_info *info) {
    static const char *const others[TH_BACKGROUND_COUNT] = {
        [TH_BACKGROUND_WOOD] = "a wooden floor",
        [TH_BACKGROUND_TILES] = "a tiled floor",
        [TH_BACKGROUND_GRASS] = "green grass",
        [TH_BACKGROUND_BRICK] = "a brick wall",
    };
    static const char *const media[] = {"a photo of", "a picture of", "an image of"};
    const char *medium = PICK(r, media);
    bool wall = th_scene_chance(r, 25), plain = th_scene_chance(r, 40);
    if (th_scene_chance(r, 30)) say(w, medium);
    if (others[info->background])
        say(w, others[info->background]);
    else
        say_plane(w,
                  info->background == TH_BACKGROUND_STRIPED ? "striped"
                  : plain                                   ? "plain"
                                                            : "",
                  colours[info->background_colour], wall);
}

/* Where the garments are said to be, with the preposition that suits their pose. */
static void say_background(writer *w, th_rng *r, const th_scene_info *info, th_pose pose) {
    bool aloft = pose == TH_POSE_HANGS || pose == TH_POSE_FLOATS,
         grounded = pose == TH_POSE_STANDS || pose == TH_POSE_LIES;
    const char *colour = info->background_colour < TH_COLOUR_COUNT ? colours[info->background_colour] : "";
    const char *before = th_scene_chance(r, 50) ? "in front of" : "against",
               *over = th_scene_chance(r, 50) ? "over" : "above";
    bool wall = th_scene_chance(r, 25) && !grounded, green = th_scene_chance(r, 40);
    bool plain = th_scene_chance(r, 20), with_colour = th_scene_chance(r, 85);
    switch (info->background) {
    case TH_BACKGROUND_WOOD: say(w, aloft ? over : "on"), say(w, "a wooden floor"); return;
    case TH_BACKGROUND_TILES: say(w, aloft ? over : "on"), say(w, "a tiled floor"); return;
    case TH_BACKGROUND_GRASS: say(w, aloft ? over : "on"), say(w, green ? "green grass" : "the grass"); return;
    case TH_BACKGROUND_BRICK: say(w, before), say(w, "a brick wall"); return;
    default: break;
    }
    const char *kind = info->background == TH_BACKGROUND_STRIPED ? "striped" : plain ? "plain" : "";
    if (!with_colour && *kind && !w->full) colour = "";
    say(w, wall || aloft ? before : "on");
    say_plane(w, kind, colour, wall);
}

static const char *verb_of(th_rng *r, const group *g) {
    const verb *v = &verbs[g->pose][th_rng_below(r, 2)];
    return is_plural(g) ? v->many : v->one;
}
static const char *participle_of(th_rng *r, const group *g) { return verbs[g->pose][th_rng_below(r, 2)].participle; }

/* "a photo of" for a third of the captions that begin with a noun phrase. */
static bool say_medium(writer *w, th_rng *r) {
    static const char *const media[] = {"a photo of", "a photo of", "a picture of", "an image of"};
    const char *medium = PICK(r, media);
    if (!th_scene_chance(r, 30)) return false;
    say(w, medium);
    return true;
}

/* How every member of a stands to every member of b; across rows of a larger scene the row decides. */
static th_relation relation_of(const th_scene_info *info, const group *a, const group *b) {
    th_relation all = TH_RELATION_NONE;
    for (int i = 0; i < a->count; i++)
        for (int j = 0; j < b->count; j++) {
            int p = a->members[i], q = b->members[j], rows = info->garments[q].row - info->garments[p].row;
            th_relation one = th_scene_relation(info, p, q);
            if (a->count + b->count > 2 && rows) one = rows > 0 ? TH_RELATION_ABOVE : TH_RELATION_BELOW;
            if (one == TH_RELATION_NONE || (all != TH_RELATION_NONE && one != all)) return TH_RELATION_NONE;
            all = one;
        }
    return all;
}

static void say_relation(writer *w, th_rng *r, th_relation relation) {
    static const char *const beside[] = {"next to", "next to", "beside"};
    static const char *const left[] = {"to the left of", "left of"}, *const right[] = {"to the right of", "right of"};
    static const char *const below[] = {"below", "below", "beneath"};
    const char *near = PICK(r, beside), *l = PICK(r, left), *t = PICK(r, right), *b = PICK(r, below);
    bool loose = th_scene_chance(r, 30);
    switch (relation) {
    case TH_RELATION_LEFT: say(w, loose ? near : l); break;
    case TH_RELATION_RIGHT: say(w, loose ? near : t); break;
    case TH_RELATION_ABOVE: say(w, "above"); break;
    case TH_RELATION_BELOW: say(w, b); break;
    case TH_RELATION_NONE: say(w, "and"); break;
    }
}

/* Nouns alone: "a dress", "a photo of two bags and a coat", "sneaker". */
static void tell_nouns(writer *w, th_rng *r, const th_scene_info *info) {
    group groups[TH_SCENE_GARMENTS_MAX];
    int n = find_groups(info, r, true, groups);
    bool medium = say_medium(w, r), bare = th_scene_chance(r, 25);
    say_list(w, groups, n, medium || !bare);
}

/* Two garments of a group that stand side by side. */
static bool side_by_side(const th_scene_info *info, const group *g) {
    if (g->count != 2) return false;
    th_relation relation = th_scene_relation(info, g->members[0], g->members[1]);
    return relation == TH_RELATION_LEFT || relation == TH_RELATION_RIGHT;
}

/* About one group: "a red dress hangs against a grey wall", "on a wooden floor lie two bags". */
static void tell_one(writer *w, th_rng *r, const th_scene_info *info, const group *g) {
    bool posed = g->pose != TH_POSE_NONE, with_background = th_scene_chance(r, 60), beside = th_scene_chance(r, 60);
    bool pair = beside && side_by_side(info, g);
    int form = (int)th_rng_below(r, w->full ? 82 : 100); /* from 82 on the pose is left out */
    if (w->full) with_background = true;
    if (form < 12) { /* the place first */
        say_background(w, r, info, posed ? g->pose : TH_POSE_NONE);
        say(w, posed ? "" : "there");
        say(w, verb_of(r, g));
        say_group(w, g, true);
        return;
    }
    if (form < 22) {
        say(w, is_plural(g) ? "there are" : "there is");
        say_group(w, g, true);
        if (posed) say(w, participle_of(r, g));
    } else if (form < 62 && posed) {
        say_group(w, g, true);
        say(w, verb_of(r, g));
    } else {
        say_medium(w, r);
        say_group(w, g, true);
        if (posed && form < 82) say(w, participle_of(r, g));
    }
    if (pair) say(w, "side by side");
    if (with_background) say_background(w, r, info, form < 82 ? g->pose : TH_POSE_NONE);
}

/* About two groups: "a red dress hangs to the left of two small bags on a grey background". */
static void tell_two(writer *w, th_rng *r, const th_scene_info *info, const group *a, const group *b) {
    int form = (int)th_rng_below(r, 100);
    bool with_background = th_scene_chance(r, 50) || w->full;
    th_relation relation = relation_of(info, a, b);
    th_pose said = TH_POSE_NONE;
    if (relation == TH_RELATION_NONE || form < 18) {
        group both[2] = {*a, *b};
        say_medium(w, r);
        say_list(w, both, 2, true);
    } else {
        bool with_verb = form < 65, medium = !with_verb && say_medium(w, r);
        if (!with_verb && !medium && form < 72) say(w, is_plural(a) ? "there are" : "there is");
        say_group(w, a, true);
        if (with_verb) {
            say(w, verb_of(r, a));
            said = a->pose;
        }
        say_relation(w, r, relation);
        say_group(w, b, true);
    }
    if (with_background) say_background(w, r, info, said == b->pose ? said : TH_POSE_NONE);
}

/* About three different garments: a list, the two of one row against the other, or the middle one of a row. */
static void tell_three(writer *w, th_rng *r, const th_scene_info *info, const group *g) {
    int form = (int)th_rng_below(r, 100), first_row = 0;
    bool with_background = th_scene_chance(r, 40) || w->full, swap = th_scene_chance(r, 40);
    for (int i = 0; i < 3; i++) first_row += info->garments[i].row == 0;
    if (form < 20 && !w->full) {
        int a = (int)th_rng_below(r, 2);
        tell_two(w, r, info, &g[swap ? a + 1 : a], &g[swap ? a : a + 1]);
        return;
    }
    say_medium(w, r);
    if (form < 50 || (first_row == 3 && form < 70)) {
        say_list(w, g, 3, true);
    } else if (first_row == 3) {
        say_group(w, &g[1], true);
        say(w, "between");
        say_group(w, &g[swap ? 2 : 0], true), say(w, "and"), say_group(w, &g[swap ? 0 : 2], true);
    } else {
        const group *upper = g, *lower = g + first_row;
        int lower_count = 3 - first_row;
        say_list(w, swap ? lower : upper, swap ? lower_count : first_row, true);
        say(w, swap ? "below" : "above");
        say_list(w, swap ? upper : lower, swap ? first_row : lower_count, true);
    }
    if (with_background) say_background(w, r, info, TH_POSE_NONE);
}

void th_scene_tell(th_scene_info *info, th_rng *r, float noun_share, bool full, char caption[TH_SCENE_CAPTION_MAX]) {
    writer w = {caption, 0, info, full};
    caption[0] = '\0';
    for (int i = 0; i < info->count; i++) info->garments[i].noun = NULL;
    if (!info->count) {
        tell_nothing(&w, r, info);
        return;
    }
    if (th_rng_f32(r) < noun_share) {
        tell_nouns(&w, r, info);
        return;
    }
    group groups[TH_SCENE_GARMENTS_MAX];
    int n = find_groups(info, r, false, groups);
    for (int k = 0; k < n; k++) choose_adjectives(r, &info->garments[groups[k].members[0]], full, &groups[k]);
    bool swap = th_scene_chance(r, 50);
    if (n == 1)
        tell_one(&w, r, info, &groups[0]);
    else if (n == 2)
        tell_two(&w, r, info, &groups[swap], &groups[!swap]);
    else
        tell_three(&w, r, info, groups);
}
