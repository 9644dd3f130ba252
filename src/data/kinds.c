/* The tables of what excludes what. */
#include "data/kinds.h"

#include <stdio.h>
#include <string.h>

#include "base/map.h"

/* Groups are parted by '|'; words of one group may hold together. A word in two groups may hold with either. '<' before
 * a group: its words may be replaced, but replace no others. '_' stands for a blank. */
typedef struct {
    int class;
    th_said_of said_of;
    const char *name, *groups;
} attribute_row;

#define ADJ TH_CLASS_ADJ
#define VERB TH_CLASS_VERB
#define NOUN TH_CLASS_NOUN
#define ANY TH_SAID_OF_ANY
#define LIVING TH_SAID_OF_LIVING
#define THINGS TH_SAID_OF_THINGS
#define OBJECT TH_SAID_WITH_OBJECT
#define ALONE TH_SAID_WITHOUT

static const attribute_row attributes[] = {
    {ADJ, ANY, "colour",
     "red crimson scarlet maroon burgundy|orange|yellow gold golden|green emerald olive turquoise teal|"
     "blue navy azure turquoise teal cyan|purple violet lavender lilac magenta|pink magenta|"
     "brown beige tan bronze|black|white beige ivory cream|grey gray silver|"
     "<colorful colourful multicolored multicoloured rainbow"},
    {ADJ, ANY, "colourfulness",
     "colorful colourful vibrant multicolored multicoloured|colorless monochrome monochromatic"},
    {ADJ, ANY, "size",
     "small little tiny mini miniature petite|large big huge giant enormous massive gigantic oversized vast immense"},
    {ADJ, ANY, "height", "tall|short"},
    {ADJ, ANY, "length", "long|short"},
    {ADJ, ANY, "level", "high|low"},
    {ADJ, ANY, "width", "wide broad|narrow"},
    {ADJ, ANY, "thickness", "thick|thin"},
    {ADJ, ANY, "depth", "deep|shallow"},
    {ADJ, LIVING, "age", "young teen teenage youthful|old elderly aged senior|<middle-aged|<adult grown-up"},
    {ADJ, THINGS, "age",
     "new modern contemporary futuristic|"
     "old ancient antique vintage retro historic historical medieval classic rustic traditional old-fashioned "
     "victorian prehistoric"},
    {ADJ, THINGS, "material",
     "wooden wood bamboo|metal metallic steel iron aluminum aluminium|plastic|glass crystal|stone marble granite|"
     "leather|paper cardboard|brick|tiled|concrete|ceramic porcelain clay|rubber|straw wicker"},
    {ADJ, THINGS, "cloth", "cotton|silk satin|denim|velvet|lace|leather|woolen woollen wool knitted|fur"},
    {ADJ, ANY, "pattern",
     "striped stripy|plaid checked checkered chequered tartan|floral flowery flowered|geometric|"
     "dotted spotted polka-dot|<patterned printed|plain solid"},
    {ADJ, THINGS, "shape", "round circular|square rectangular|triangular|oval|heart-shaped|hexagonal"},
    {ADJ, THINGS, "bend", "straight|curved winding bent crooked"},
    {ADJ, ANY, "temperature", "hot warm tropical|cold cool chilly freezing frozen icy frosty"},
    {ADJ, ANY, "weather", "sunny|cloudy overcast|rainy|snowy|foggy misty|stormy|<clear cloudless"},
    {ADJ, ANY, "wetness", "wet soaked damp|dry dried"},
    {ADJ, THINGS, "fullness", "empty vacant deserted abandoned|full crowded packed busy"},
    {ADJ, THINGS, "opening", "open|closed shut locked"},
    {ADJ, ANY, "cleanness", "clean spotless|dirty filthy muddy dusty grimy"},
    {ADJ, ANY, "order", "tidy neat|messy untidy cluttered"},
    {ADJ, LIVING, "mood",
     "happy smiling cheerful joyful laughing joyous|sad unhappy crying upset depressed lonely|angry furious|"
     "scared frightened terrified|<excited|<surprised shocked"},
    {ADJ, ANY, "calm", "calm peaceful tranquil serene quiet|stormy rough turbulent"},
    {ADJ, ANY, "looks", "beautiful pretty gorgeous attractive lovely handsome stunning cute adorable|ugly hideous"},
    {ADJ, ANY, "brightness", "bright|dark dim gloomy"},
    {ADJ, THINGS, "shade", "light pale|dark deep"},
    {ADJ, ANY, "surface", "smooth|rough"},
    {ADJ, THINGS, "gloss", "shiny glossy gleaming|matte dull rusty"},
    {ADJ, ANY, "hardness", "soft fluffy|hard"},
    {ADJ, LIVING, "build", "fat chubby overweight obese|thin skinny slim slender"},
    {ADJ, LIVING, "taming", "wild feral|tame domestic domesticated"},
    {ADJ, LIVING, "life", "alive living|dead"},
    {ADJ, LIVING, "waking", "sleeping asleep sleepy|awake playful playing running jumping"},
    {ADJ, LIVING, "sex", "male|female"},
    {ADJ, THINGS, "cooking", "raw uncooked|cooked fried baked grilled roasted boiled steamed"},
    {ADJ, THINGS, "freshness", "fresh|rotten stale moldy dried canned"},
    {ADJ, THINGS, "ripeness", "ripe|unripe"},
    {ADJ, THINGS, "taste", "sweet sugary|sour bitter|salty|spicy"},
    {ADJ, THINGS, "wholeness", "broken damaged cracked ruined destroyed|intact undamaged"},
    {ADJ, THINGS, "side", "left|right"},
    {ADJ, THINGS, "place", "indoor|outdoor"},
    {ADJ, THINGS, "part", "upper|lower"},
    {ADJ, THINGS, "compass", "northern north|southern south|eastern east|western west"},
    {ADJ, THINGS, "surroundings", "urban|rural"},
    {ADJ, THINGS, "use", "residential|commercial|industrial"},
    {ADJ, THINGS, "ground", "sandy|rocky|grassy|muddy|snowy"},
    {ADJ, THINGS, "power", "electric|acoustic|<digital|analog"},
    {ADJ, ANY, "health", "healthy|sick ill unhealthy"},
    {ADJ, ANY, "fun", "funny|serious"},
    {ADJ, ANY, "dealing", "military|civilian"},
    {ADJ, ANY, "skill", "professional|amateur"},
    {ADJ, THINGS, "count", "single|double"},
    {ADJ, THINGS, "decoration", "decorated ornate|plain bare"},
    {ADJ, ANY, "weight", "heavy|lightweight"},
    {ADJ, LIVING, "hair", "bald|hairy|<bearded"},
    {ADJ, LIVING, "hair colour", "blonde blond|brunette|redhead red-haired"},
    {ADJ, LIVING, "dress", "naked nude topless|dressed clothed"},
    {ADJ, THINGS, "flight", "parked stationary|moving speeding"},
    {ADJ, ANY, "nation",
     "american|british english|french|german|italian|spanish|mexican|brazilian|russian|chinese asian|japanese asian|"
     "indian asian|korean asian|thai asian|turkish|egyptian african|greek|dutch|swedish|australian|canadian"},

    {VERB, ALONE, "posture",
     "stand|sit perch|<graze|lie recline|rest sit lie|kneel|squat crouch|hang dangle|lean stand sit|float drift sail "
     "hover|fly soar hover|walk stroll stride march wander|hike trek walk climb|run jog sprint|jump leap hop|crawl|"
     "climb|swim|dance|ski|skate|surf|sleep nap doze lie sit|fall tumble|drive run sit|ride sit|bounce jump"},
    {VERB, ALONE, "face", "smile grin laugh|cry weep sob|frown scowl|yawn|<shout scream yell"},
    {VERB, ALONE, "activity",
     "<perform|<sing|<act|<pose|<play swim|<work|<wait|<speak talk chat|<look stare gaze watch|<celebrate cheer|"
     "<smile laugh|<stand|<walk|sleep nap doze|swim|fight|crawl|<kneel"},
    {VERB, ALONE, "arrival", "arrive come enter|leave depart"},
    {VERB, ALONE, "glow", "shine glow|fade"},
    {VERB, ALONE, "growth", "grow bloom blossom|wither die"},
    {VERB, OBJECT, "handling",
     "hold carry grip clutch|throw toss pitch|kick|push|pull drag|drop|wear|catch hold|bury|burn"},
    {VERB, OBJECT, "food", "eat|drink sip|cut chop slice|serve|cook bake fry|sell|throw"},
    {VERB, OBJECT, "text", "read|write|draw paint sketch|burn tear|sell"},
    {VERB, OBJECT, "animals", "ride|chase|feed|push|wash|kick|bite"},
    {VERB, OBJECT, "touch", "hug embrace cuddle kiss|hit punch|kick|push|chase|carry lift"},
    {VERB, OBJECT, "opening", "open|close shut"},
    {VERB, OBJECT, "making", "build construct make create|demolish destroy"},
    {VERB, OBJECT, "mending", "repair fix mend|break damage destroy"},
    {VERB, OBJECT, "trade", "buy purchase|sell|steal"},
    {VERB, OBJECT, "going", "enter|leave exit"},
    {VERB, OBJECT, "attending", "attend visit|leave miss"},
    {VERB, OBJECT, "play", "play|watch|<lose"},
    {VERB, OBJECT, "match", "win|lose"},
    {VERB, OBJECT, "lifting", "raise lift|lower drop"},
    {VERB, OBJECT, "loading", "load|unload"},
    {VERB, OBJECT, "filling", "fill|empty"},
    {VERB, OBJECT, "planting", "plant|pick harvest|burn"},
    {VERB, OBJECT, "driving", "drive ride|push|wash|repair fix|tow"},
    {VERB, OBJECT, "loving", "love like enjoy|hate"},
    {VERB, OBJECT, "crossing", "climb ascend|descend"},

    {NOUN, ANY, "garment",
     "t-shirt tee|shirt blouse|trouser trousers pant pants slack slacks jean jeans|pullover sweater jumper cardigan|"
     "dress gown frock|coat jacket overcoat|sandal|sneaker trainer|bag handbag purse|boot ankle_boot bootie"},
    {NOUN, ANY, "event",
     "wedding|funeral|concert gig|birthday|parade|picnic|exhibition|graduation|auction|marathon "
     "race|conference|carnival"},
    {NOUN, ANY, "season", "spring|summer|autumn fall|winter"},
    {NOUN, ANY, "daytime",
     "morning dawn sunrise day|noon day|afternoon day|evening dusk sunset|night midnight evening"},
    {NOUN, ANY, "weekday", "monday|tuesday|wednesday|thursday|friday|saturday|sunday"},
    {NOUN, ANY, "month", "january|february|april|june|july|august|september|october|november|december"},
    {NOUN, ANY, "sport",
     "football soccer|basketball|baseball|tennis|golf|cricket|hockey|volleyball|rugby football|boxing|badminton|"
     "table_tennis|polo|wrestling"},
};
#define ATTRIBUTES ((int)(sizeof attributes / sizeof *attributes))

/* Sex, age and family, then the words. */
static const char *const people[] = {
    "ma1 man guy gentleman lad",
    "fa1 woman lady",
    "mc1 boy schoolboy",
    "fc1 girl schoolgirl",
    "?c1 baby infant toddler newborn",
    "?c1 child kid",

    "ma2 father dad daddy",
    "fa2 mother mom mum mommy mama",
    "m?2 son brother nephew",
    "f?2 daughter sister niece",
    "ma2 grandfather grandpa uncle",
    "fa2 grandmother grandma granny aunt",
    "ma3 husband groom bridegroom",
    "fa3 wife bride",
    "m?4 king prince duke",
    "f?4 queen princess duchess",
    "ma6 businessman",
    "fa6 businesswoman",
    "m?7 male",
    "f?7 female",
};

/* Sets of which a thing may bear several names at once, or that the eye does not tell apart, or that stand in each
 * other so that seeing one is likely seeing the other. */
static const char *const lookalikes[] = {
    "sea ocean water bay gulf lagoon harbor harbour coast wave",
    "lake pond water pool reservoir lagoon",
    "river stream creek brook canal waterway water",
    "beach shore shoreline waterfront seafront coast seaside seashore sand coastline bank island",
    "city town village metropolis capital suburb community municipality",
    "hill mountain peak ridge summit slope cliff range hillside mountainside",
    ("path walk road street trail lane way highway motorway freeway alley track driveway avenue boulevard promenade "
     "walkway sidewalk pavement"),
    "ship boat vessel yacht ferry barge tanker sailboat craft canoe kayak",
    "car vehicle automobile taxi cab sedan convertible auto suv jeep",
    "truck lorry van pickup vehicle",
    "bike bicycle cycle motorcycle motorbike scooter",
    "plane airplane aeroplane jet aircraft airliner fighter bomber",
    "porch veranda patio terrace balcony deck courtyard",
    "cup mug glass teacup tumbler",
    "plate dish bowl tray platter saucer",
    "shirt blouse top t-shirt tee polo jersey",
    "pullover sweater jumper cardigan sweatshirt hoodie jersey",
    "coat jacket overcoat parka raincoat blazer cloak",
    "dress gown frock skirt robe outfit",
    "trouser pants jeans slacks legging",
    "sneaker trainer",
    "sandal slipper flip-flop",
    "bag handbag purse tote backpack satchel pouch suitcase luggage",
    "boot ankle_boot bootie",
    "hat cap helmet beanie bonnet",
    "suit tuxedo uniform costume outfit clothes clothing",
    "couch sofa settee loveseat",
    "chair seat armchair stool throne bench",
    "table desk counter",
    "forest wood woodland jungle tree grove",
    "field meadow grass lawn pasture grassland prairie",
    "garden park yard backyard courtyard lawn",
    "house home building cottage cabin villa mansion palace bungalow hut apartment residence farmhouse property",
    "tower skyscraper building castle palace fortress fort",
    "church cathedral basilica minster chapel temple mosque monastery abbey shrine",
    "shop store market supermarket mall boutique souk bazaar",
    "restaurant cafe bar pub diner cafeteria",
    "rock stone boulder pebble cliff",
    "flower blossom bloom petal rose tulip lily daisy orchid sunflower daffodil peony poppy wildflower plant",
    "plant tree bush shrub flower leaf",
    "sky cloud heaven",
    "rain storm thunderstorm",
    "snow ice frost",
    "soil earth ground dirt mud sand",
    "photo photograph picture image painting drawing illustration",
    "phone smartphone cellphone telephone mobile",
    "computer laptop notebook pc tablet monitor screen",
    "screen monitor display television tv",
    "crowd audience fan spectator people",
    "team squad crew club band group",
    "player athlete footballer sportsman competitor winger striker goalkeeper midfielder defender",
    "soldier troop officer army",
    "police policeman officer cop",
    "singer musician performer artist vocalist band rapper guitarist",
    "actor performer celebrity star comedian",
    "dancer performer ballerina",
    "model celebrity star actor artist",
    "doctor physician surgeon nurse",
    "student pupil schoolchild",
    "worker employee laborer staff",
    "tourist visitor traveler traveller hiker guest",
    "politician president minister leader official governor mayor senator",
    "businessman executive manager entrepreneur",
    "writer author novelist poet journalist",
    "painter artist",
    "farmer worker",
    "chef cook",
    "bride groom couple",
    "friend couple family",
    "stage theater theatre",
    "room bedroom living_room kitchen lounge interior space",
    "stadium arena pitch field court",
    "court field",
    "wall fence barrier",
    "fence railing",
    "window door glass",
    "door gate entrance doorway",
    "stair staircase step stairway",
    "bed mattress couch",
    "blanket sheet quilt towel",
    "rug carpet mat floor",
    "curtain blind drape",
    "lamp light lantern",
    "makeup make-up lipstick polish cosmetic",
    "necklace jewelry jewellery pendant chain",
    "ring jewelry jewellery band",
    "cake pastry dessert pie cupcake",
    "bread loaf toast bun",
    "meal dish food lunch dinner breakfast",
    "drink beverage cocktail juice",
    "fruit berry",
    "knife blade dagger",
    "gun rifle pistol weapon",
    "guitar instrument",
    "ball football basketball",
    "game match competition tournament",
    "race marathon competition",
    "party celebration festival event ceremony wedding",
    "face head portrait",
    "hand arm finger",
    "leg foot",
    "hair fur",
    "eye face",
    "box package carton container crate",
    "bottle jar flask container",
    "sign poster billboard banner",
    "book notebook magazine",
    "paper sheet page document letter",
    "letter alphabet word text",
    "heart love",
    "pattern design texture",
    "sunset sunrise",
    "dawn sunrise",
    "fire flame smoke",
    "christmas holiday winter",
    "statue sculpture monument",
    "fountain statue",
    "bridge overpass viaduct",
    "tunnel cave",
    "train locomotive tram subway metro",
    "bus coach",
    "horse pony stallion mare",
    "cow cattle bull calf ox",
    "dog puppy",
    "cat kitten",
    "bird pigeon seagull gull",
    "duck goose",
    "monkey ape",
    "lizard reptile",
    "insect bug beetle",
    "bee wasp",
    "crocodile alligator",
    "rabbit hare bunny",
    "mouse rat",
    "turtle tortoise",
};

static const char *const generic =
    " photo photograph picture image illustration portrait painting drawing view shot scene footage video film still "
    "sketch vector clipart icon silhouette animation render closeup close-up selfie snapshot background backdrop "
    "foreground texture pattern design style version example detail type kind sort part piece set group pair lot "
    "bunch number variety selection collection series range amount couple front back top bottom side left right "
    "middle center centre edge corner end rear inside outside thing stuff something person people human place area "
    "location way time day year week hour minute moment part member one other everything somebody someone artist "
    "person biological species instrument location country title name word text logo idea concept sense action style "
    "form shape color colour copy space look lot front stock attraction tourist industry profession character "
    "organization organisation structure event show item object article material product site person world life love "
    "fun work use use case fact art home exterior interior outline surface preparation string ";

/* Words for so much that a sister may fall under them, and what many people are besides. */
static const char *const wide =
    " plant animal pet cover covering vehicle device machine machinery equipment furniture creature organism food "
    "vegetable fruit tool container clothing clothes garment wear accessory element feature decoration ornament "
    "property facility shelter enclosure stuff being dish meal treat dinner lunch breakfast continent planet insect "
    "mammal reptile friend partner visitor guest student passenger traveler traveller fan spectator participant "
    "volunteer resident neighbor neighbour colleague customer citizen leader expert hero winner champion supporter "
    "contestant finalist owner user lover individual human adult teenager teen youngster member professional worker "
    "fellow follower companion parent relative native local model pedestrian crowd folk pupil viewer stranger "
    "enthusiast candidate host star celebrity pro head face body skin hair beard eyebrow eye nose mouth ear lip neck "
    "arm leg hand foot finger shoulder chest knee toe thumb tooth stomach back tail paw wing feather horn claw beak ";

/* Words with too many meanings to be taken at their first, and what is in most pictures of a place. */
static const char *const common =
    " light air system unit line top board bar figure block strip panel layer point mark sign symbol square circle "
    "cross star natural opening edge bit sheet frame base stand game state medium section break story drive walk "
    "flight access entrance support development test complex spring match key link capital hometown quarter "
    "atmosphere presence architecture protein city town village country region area district zone territory "
    "neighborhood sky ground floor wall window door room building tree leaf branch grass water cloud sun shadow "
    "street road house nature landscape scenery horizon corner sand soil snow dirt rock stone land field hill sea "
    "ocean ";

static const char *const shows =
    " photo photograph picture image illustration portrait painting drawing view shot scene footage video film "
    "sketch vector clipart icon silhouette animation closeup close-up selfie snapshot set group pair lot bunch "
    "number variety selection collection series couple crowd team herd flock pack line row stack pile heap bowl "
    "plate cup glass bottle basket box bag slice piece bouquet dozen ";

static const char *const wishes =
    " want need like love imagine intend plan miss lack lose avoid dream hope expect seek wait search look ask "
    "demand prefer promise offer suggest consider describe discuss mention say tell think believe know forget "
    "remember inspire require celebrate promote announce await fear hate deny refuse reject resemble mean represent "
    "symbolize become replace prevent hope help ";

static const char *const light =
    " be have do make take get go come look seem feature show see use base know call locate isolate include contain "
    "find give keep let become put set turn start begin try help mean need want like bring leave feel think say tell "
    "ask appear cover surround design create style relate associate inspire suit reveal offer provide ";

static const char *const fixed =
    " fake artificial toy mock false imaginary fictional former would-be alleged supposed potential possible future "
    "virtual stuffed miniature model same other own such first second third fourth fifth last next best worst better "
    "worse more most less least only main various different certain several many few whole entire total half double "
    "single multiple extra additional similar particular specific general special favorite favourite upcoming "
    "previous final original typical important available popular famous ready able due likely sure ";

static bool listed(const char *list, const char *word) {
    char key[TH_WORD_MAX + 2];
    if (!*word || strchr(word, ' ') || snprintf(key, sizeof key, " %s ", word) >= (int)sizeof key) return false;
    return strstr(list, key) != NULL;
}

bool th_kinds_generic(const char *lemma) { return listed(generic, lemma); }
bool th_kinds_wide(const char *lemma) { return listed(wide, lemma); }
bool th_kinds_common(const char *lemma) { return listed(common, lemma); }
bool th_kinds_shows(const char *lemma) { return listed(shows, lemma); }
bool th_kinds_wishes(const char *lemma) { return listed(wishes, lemma); }
bool th_kinds_light(const char *lemma) { return listed(light, lemma); }
bool th_kinds_fixed(const char *adjective) { return listed(fixed, adjective); }

/* --- the tables, unpacked --- */

typedef struct {
    const char *word;
    int class;
    th_value value;
    int64_t next; /* the same word's next value, or −1 */
} value_row;

typedef struct {
    int set;
    int64_t next;
} set_row;

struct th_kinds {
    th_arena *arena;
    value_row *values;
    int64_t value_count, value_capacity;
    set_row *sets;
    int64_t set_count, set_capacity;
    th_map *by_word[TH_CLASS_COUNT]; /* word → first of its rows in values */
    th_map *person, *lookalike;      /* word → packed th_person; word → first of its rows in sets */
};

/* Cuts the next word off a list; false at its end. */
static bool next_word(const char **list, char out[TH_WORD_MAX]) {
    while (**list == ' ') (*list)++;
    size_t n = strcspn(*list, " |");
    if (n == 0 || n >= TH_WORD_MAX) return false;
    for (size_t i = 0; i < n; i++) out[i] = (*list)[i] == '_' ? ' ' : (*list)[i];
    out[n] = '\0';
    *list += n;
    return true;
}

static th_status add_value(th_kinds *k, int class, const char *word, th_value v) {
    if (!th_grow(k->values, k->value_count, k->value_capacity)) return th_fail_memory();
    value_row row = {th_arena_strdup(k->arena, word), class, v, th_map_get(k->by_word[class], word, strlen(word), -1)};
    if (!row.word) return th_fail_memory();
    TH_TRY(th_map_set(k->by_word[class], word, strlen(word), k->value_count));
    k->values[k->value_count++] = row;
    return TH_OK;
}

static th_status add_attribute(th_kinds *k, int a) {
    const char *p = attributes[a].groups;
    char word[TH_WORD_MAX];
    for (int group = 0; *p; group++) {
        bool source_only = *p == '<';
        if (source_only) p++;
        while (next_word(&p, word))
            TH_TRY(add_value(k, attributes[a].class, word, (th_value){a, group, attributes[a].said_of, source_only}));
        if (*p == '|') p++;
    }
    return TH_OK;
}

static th_status add_people(th_kinds *k, const char *line) {
    const char *p = line + 3;
    char word[TH_WORD_MAX];
    int64_t packed = line[0] | line[1] << 8 | (line[2] - '0') << 16;
    while (next_word(&p, word)) TH_TRY(th_map_set(k->person, word, strlen(word), packed));
    return TH_OK;
}

static th_status add_lookalikes(th_kinds *k, int set) {
    const char *p = lookalikes[set];
    char word[TH_WORD_MAX];
    while (next_word(&p, word)) {
        if (!th_grow(k->sets, k->set_count, k->set_capacity)) return th_fail_memory();
        k->sets[k->set_count] = (set_row){set, th_map_get(k->lookalike, word, strlen(word), -1)};
        TH_TRY(th_map_set(k->lookalike, word, strlen(word), k->set_count++));
    }
    return TH_OK;
}

static th_status fill(th_kinds *k) {
    for (int a = 0; a < ATTRIBUTES; a++) TH_TRY(add_attribute(k, a));
    for (size_t i = 0; i < sizeof people / sizeof *people; i++) TH_TRY(add_people(k, people[i]));
    for (size_t i = 0; i < sizeof lookalikes / sizeof *lookalikes; i++) TH_TRY(add_lookalikes(k, (int)i));
    return TH_OK;
}

th_status th_kinds_open(th_kinds **out) {
    th_kinds *k = th_alloc(1, sizeof *k);
    if (!k) return th_fail_memory();
    k->arena = th_arena_new();
    k->person = th_map_new();
    k->lookalike = th_map_new();
    bool made = k->arena && k->person && k->lookalike;
    for (int c = 0; c < TH_CLASS_COUNT; c++) made &= (k->by_word[c] = th_map_new()) != NULL;
    th_status status = made ? fill(k) : th_fail_memory();
    if (status != TH_OK) return th_kinds_close(k), status;
    *out = k;
    return TH_OK;
}

void th_kinds_close(th_kinds *k) {
    if (!k) return;
    for (int c = 0; c < TH_CLASS_COUNT; c++) th_map_free(k->by_word[c]);
    th_map_free(k->person);
    th_map_free(k->lookalike);
    th_free(k->values);
    th_free(k->sets);
    th_arena_free(k->arena);
    th_free(k);
}

int th_kinds_values(const th_kinds *k, int class, const char *word, th_value *out, int max) {
    int n = 0;
    for (int64_t i = th_map_get(k->by_word[class], word, strlen(word), -1); i >= 0 && n < max; i = k->values[i].next)
        out[n++] = k->values[i].value;
    return n;
}

const char *th_kinds_attribute(int attribute) {
    return attribute >= 0 && attribute < ATTRIBUTES ? attributes[attribute].name : "";
}

const char *th_kinds_next(const th_kinds *k, int class, int attribute, int64_t *at, th_value *value) {
    while (*at < k->value_count) {
        const value_row *row = &k->values[(*at)++];
        if (row->class == class && row->value.attribute == attribute) return *value = row->value, row->word;
    }
    return NULL;
}

th_person th_kinds_person(const th_kinds *k, const char *lemma) {
    int64_t packed = th_map_get(k->person, lemma, strlen(lemma), 0);
    if (!packed) return (th_person){'?', '?', 0};
    return (th_person){(char)(packed & 255), (char)(packed >> 8 & 255), (int)(packed >> 16)};
}

bool th_person_same(th_person a, th_person b) {
    bool sexes = a.sex == '?' || b.sex == '?' || a.sex == b.sex;
    bool ages = a.age == '?' || b.age == '?' || a.age == b.age;
    return sexes && ages;
}

bool th_kinds_lookalike(const th_kinds *k, const char *a, const char *b) {
    for (int64_t i = th_map_get(k->lookalike, a, strlen(a), -1); i >= 0; i = k->sets[i].next)
        for (int64_t j = th_map_get(k->lookalike, b, strlen(b), -1); j >= 0; j = k->sets[j].next)
            if (k->sets[i].set == k->sets[j].set) return true;
    return false;
}
