/* scheduler_config.json: one table of fields for all samplers, with diffusers' defaults for what a file leaves out.
 * What a file asks for and no sampler here does is refused by name. */
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "diffusion/sampler.h"
#include "format/json.h"

#define CONFIG_MAX ((size_t)1 << 20)

typedef enum { INTEGER, REAL, FLAG, WORD } kind;

/* Words of an enumeration, in its order. */
static const char *const betas[] = {"linear", "scaled_linear", "squaredcos_cap_v2", NULL};
static const char *const predictions[] = {"epsilon", "v_prediction", "sample", NULL};
static const char *const spacings[] = {"leading", "trailing", "linspace", NULL};
static const char *const variances[] = {"fixed_small", "fixed_small_log", "fixed_large", NULL};
static const char *const solvers[] = {"midpoint", "heun", NULL};
static const char *const ends[] = {"zero", "sigma_min", NULL};

static const struct field {
    const char *name;
    kind kind;
    size_t offset;
    unsigned takes; /* 0: every sampler takes it */
    double least, most;
    const char *const *words;
} fields[] = {
#define AT(member) offsetof(th_scheduler_config, member)
    {"num_train_timesteps", INTEGER, AT(train_steps), 0, 1, TH_SCHEDULER_MOST_STEPS, NULL},
    {"beta_start", REAL, AT(beta_start), 0, 0, 1, NULL},
    {"beta_end", REAL, AT(beta_end), 0, 0, 1, NULL},
    {"beta_schedule", WORD, AT(betas), 0, 0, 0, betas},
    {"prediction_type", WORD, AT(prediction), 0, 0, 0, predictions},
    {"timestep_spacing", WORD, AT(spacing), 0, 0, 0, spacings},
    {"steps_offset", INTEGER, AT(steps_offset), 0, 0, TH_SCHEDULER_MOST_STEPS, NULL},
    {"rescale_betas_zero_snr", FLAG, AT(rescale_betas_zero_snr), TH_TAKES_ZERO_SNR, 0, 0, NULL},
    {"set_alpha_to_one", FLAG, AT(set_alpha_to_one), TH_TAKES_ALPHA_TO_ONE, 0, 0, NULL},
    {"skip_prk_steps", FLAG, AT(skip_prk_steps), TH_TAKES_SKIP_PRK, 0, 0, NULL},
    {"clip_sample", FLAG, AT(clip_sample), TH_TAKES_CLIP, 0, 0, NULL},
    {"clip_sample_range", REAL, AT(clip_sample_range), TH_TAKES_CLIP_RANGE, 0, 1e30, NULL},
    {"variance_type", WORD, AT(variance), TH_TAKES_VARIANCE, 0, 0, variances},
    {"solver_order", INTEGER, AT(solver_order), TH_TAKES_SOLVER, 1, 2, NULL},
    {"solver_type", WORD, AT(solver), TH_TAKES_SOLVER, 0, 0, solvers},
    {"lower_order_final", FLAG, AT(lower_order_final), TH_TAKES_SOLVER, 0, 0, NULL},
    {"euler_at_final", FLAG, AT(euler_at_final), TH_TAKES_SOLVER, 0, 0, NULL},
    {"lambda_min_clipped", REAL, AT(lambda_min_clipped), TH_TAKES_SOLVER, -HUGE_VAL, 1e30, NULL},
    {"use_karras_sigmas", FLAG, AT(karras_sigmas), TH_TAKES_SIGMAS, 0, 0, NULL},
    {"final_sigmas_type", WORD, AT(end), TH_TAKES_SIGMAS, 0, 0, ends},
#undef AT
};
enum { FIELDS = sizeof fields / sizeof *fields };

/* Fields that may stand in a file if they ask for nothing: with this word (NULL: with any value), or with null, false,
 * an empty list or as a name that begins with an underscore. */
static const struct {
    const char *name, *word;
} harmless[] = {
    {"algorithm_type", "dpmsolver++"},
    {"interpolation_type", "linear"},
    {"timestep_type", "discrete"},
    {"time_shift_type", NULL}, /* of use_dynamic_shifting */
    {"flow_shift", NULL},      /* of use_flow_sigmas */
    {"sample_max_value", NULL},
    {"dynamic_thresholding_ratio", NULL}, /* of thresholding */
    {"predict_x0", NULL},                 /* UniPC's */
    {"trained_betas", ""},
};

static bool is_nothing(const json_t *v) {
    return json_is_null(v) || json_is_false(v) || (json_is_array(v) && json_array_size(v) == 0);
}

static bool is_known(const char *key) {
    for (int i = 0; i < FIELDS; i++)
        if (!strcmp(fields[i].name, key)) return true;
    return false;
}

static th_status check_key(const th_json *j, const char *key, const json_t *v) {
    char shown[TH_SHOWN_MAX], what[TH_SHOWN_MAX + 64];
    if (key[0] == '_' || is_nothing(v) || is_known(key)) return TH_OK;
    const char *text = json_string_value(v), *word = "null or false";
    for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++) {
        if (strcmp(harmless[i].name, key)) continue;
        if (!harmless[i].word || (text && !strcmp(text, harmless[i].word))) return TH_OK;
        if (*harmless[i].word) word = harmless[i].word;
    }
    snprintf(what, sizeof what, "%s: nothing else is supported", word);
    return th_json_fail(j, th_shown(shown, key, strlen(key)), what);
}

static th_status check_keys(const th_json *j) {
    const char *key;
    json_t *v;
    json_object_foreach(j->root, key, v) TH_TRY(check_key(j, key, v));
    return TH_OK;
}

/* Enumerations have the size of an int. */
static void set_word(void *at, int word) { memcpy(at, &word, sizeof word); }
static int get_word(const void *at) {
    int word;
    memcpy(&word, at, sizeof word);
    return word;
}
_Static_assert(sizeof(th_betas) == sizeof(int), "an enumeration is stored as an int");

static th_status read_word(const th_json *j, const struct field *f, void *at) {
    char what[128] = "one of";
    const char *text = f->words[get_word(at)];
    TH_TRY(th_json_string(j, f->name, &text));
    for (int i = 0; f->words[i]; i++) {
        if (!strcmp(text, f->words[i])) return set_word(at, i), TH_OK;
        size_t n = strlen(what);
        snprintf(what + n, sizeof what - n, "%s \"%s\"", i ? "," : "", f->words[i]);
    }
    return th_json_fail(j, f->name, what);
}

static th_status read_field(const th_json *j, const struct field *f, void *at) {
    char what[64];
    switch (f->kind) {
    case INTEGER: return th_json_int(j, f->name, (int64_t)f->least, (int64_t)f->most, at);
    case FLAG: return th_json_bool(j, f->name, at);
    case WORD: return read_word(j, f, at);
    case REAL: break;
    }
    double v;
    memcpy(&v, at, sizeof v);
    TH_TRY(th_json_double(j, f->name, &v));
    snprintf(what, sizeof what, "between %g and %g", f->least, f->most);
    if (isnan(v) || v < f->least || v > f->most) return th_json_fail(j, f->name, what);
    memcpy(at, &v, sizeof v);
    return TH_OK;
}

static void defaults(th_scheduler_config *c, const th_scheduler_row *row) {
    *c = (th_scheduler_config){
        .row = row,
        .train_steps = 1000,
        .beta_start = 1e-4,
        .beta_end = 0.02,
        .set_alpha_to_one = true,
        .clip_sample = true,
        .clip_sample_range = 1,
        .solver_order = 2,
        .lower_order_final = true,
        .lambda_min_clipped = -HUGE_VAL,
    };
    if (row->defaults) row->defaults(c);
}

void th_scheduler_config_init(th_scheduler_config *c) {
    defaults(c, &th_scheduler_pndm);
    c->beta_start = 0.00085, c->beta_end = 0.012, c->betas = TH_BETAS_SCALED_LINEAR;
    c->steps_offset = 1, c->skip_prk_steps = true, c->clip_sample = false;
}

/* Of fields that are each right, but not together. */
static th_status check(const th_scheduler_config *c) {
    const char *name = c->row->class_name;
    if (c->prediction == TH_PREDICT_SAMPLE && !c->row->predicts_sample)
        return th_fail(TH_E_INPUT, "%s has no prediction_type 'sample'", name);
    if (c->rescale_betas_zero_snr && !(c->row->takes & TH_TAKES_ZERO_SNR))
        return th_fail(TH_E_INPUT, "%s has no rescale_betas_zero_snr", name);
    if (c->betas != TH_BETAS_COSINE && !(c->beta_start > 0 && c->beta_start < 1 && c->beta_end > 0 && c->beta_end < 1))
        return th_fail(TH_E_INPUT, "beta_start %g and beta_end %g should lie between 0 and 1", c->beta_start,
                       c->beta_end);
    return TH_OK;
}

th_status th_scheduler_become(th_scheduler_config *c, const th_scheduler_row *r) {
    th_scheduler_config d;
    if (r == c->row) return TH_OK;
    defaults(&d, r);
    static const size_t sizes[] = {
        [INTEGER] = sizeof(int64_t), [REAL] = sizeof(double), [FLAG] = sizeof(bool), [WORD] = sizeof(int)};
    for (int i = 0; i < FIELDS; i++)
        if (c->left_out & (uint32_t)1 << i)
            memcpy((char *)c + fields[i].offset, (char *)&d + fields[i].offset, sizes[fields[i].kind]);
    c->row = r;
    return check(c);
}

static th_status read_class(const th_json *j, const th_scheduler_row **row) {
    char shown[TH_SHOWN_MAX];
    const char *name = NULL;
    TH_TRY(th_json_require(j, "_class_name"));
    TH_TRY(th_json_string(j, "_class_name", &name));
    *row = th_scheduler_find(name);
    if (*row && !strcmp((*row)->class_name, name)) return TH_OK;
    th_str known;
    th_str_init(&known, TH_MESSAGE_MAX);
    for (int64_t i = 0; th_scheduler_at(i); i++)
        th_str_printf(&known, "%s%s", i ? ", " : "", th_scheduler_at(i)->class_name);
    th_status s = th_fail(TH_E_INPUT, "%s: the scheduler '%s' is not supported; these are: %s", j->file,
                          th_shown(shown, name, strlen(name)), th_str_text(&known));
    th_str_free(&known);
    return s;
}

static th_status read_fields(const th_json *j, th_scheduler_config *c) {
    const th_scheduler_row *row = NULL;
    TH_TRY(read_class(j, &row));
    defaults(c, row);
    TH_TRY(check_keys(j));
    for (int i = 0; i < FIELDS; i++) {
        TH_TRY(read_field(j, &fields[i], (char *)c + fields[i].offset));
        if (!th_json_has(j, fields[i].name)) c->left_out |= (uint32_t)1 << i;
    }
    return th_fail_in(check(c), "%s", j->file);
}

/* Python writes an infinity that JSON does not have: DPM-Solver's lambda_min_clipped is one. Outside of strings
 * -Infinity becomes the least double, in as many letters. */
static void replace_infinity(char *text, size_t n) {
    static const char infinity[] = "-Infinity", least[] = "-1.79e308";
    const size_t m = sizeof infinity - 1;
    bool quoted = false;
    for (size_t i = 0; i < n; i++) {
        if (quoted && text[i] == '\\')
            i++;
        else if (text[i] == '"')
            quoted = !quoted;
        else if (!quoted && n - i >= m && !memcmp(text + i, infinity, m))
            memcpy(text + i, least, m);
    }
}

th_status th_scheduler_parse_config(const char *name, const char *text, size_t length, th_scheduler_config *c) {
    th_json j = {0};
    char *copy = th_strndup(text, length);
    if (!copy) return th_fail_memory();
    size_t kept = strlen(copy); /* less where the text holds a NUL, which the parser is to find */
    if (kept == length) replace_infinity(copy, length);
    th_status s = th_json_parse(name, kept == length ? copy : text, length, &j);
    if (s == TH_OK) s = read_fields(&j, c);
    th_json_free(&j);
    th_free(copy);
    return s;
}

th_status th_scheduler_read_config(const char *dir, th_scheduler_config *c) {
    char path[TH_PATH_MAX];
    th_bytes text;
    TH_TRY(th_path_join(path, dir, "scheduler_config.json"));
    TH_TRY(th_file_read(path, CONFIG_MAX, &text));
    th_status s = th_scheduler_parse_config(path, text.data, text.length, c);
    th_free(text.data);
    return s;
}

static json_t *field_json(const struct field *f, const void *at) {
    double real;
    int64_t integer;
    switch (f->kind) {
    case INTEGER: return memcpy(&integer, at, sizeof integer), json_integer(integer);
    case FLAG: return json_boolean(*(const bool *)at);
    case WORD: return json_string(f->words[get_word(at)]);
    case REAL: break;
    }
    memcpy(&real, at, sizeof real);
    return json_real(real);
}

th_status th_scheduler_write_config(const th_scheduler_config *c, const char *dir) {
    char path[TH_PATH_MAX];
    TH_TRY(th_path_join(path, dir, "scheduler_config.json"));
    json_t *j = json_pack("{s:s, s:s}", "_class_name", c->row->class_name, "_diffusers_version", "0.35.0");
    int bad = !j;
    for (int i = 0; i < FIELDS; i++) {
        const struct field *f = &fields[i];
        const void *at = (const char *)c + f->offset;
        if (f->takes && !(f->takes & c->row->takes)) continue;
        if (c->left_out & (uint32_t)1 << i) continue;
        if (f->offset == offsetof(th_scheduler_config, lambda_min_clipped) && c->lambda_min_clipped < -1e300) continue;
        bad |= json_object_set_new(j, f->name, field_json(f, at));
    }
    th_status s = bad ? th_fail_memory() : th_json_write(path, j);
    json_decref(j);
    return s;
}
