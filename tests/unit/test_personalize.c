/* Personalisation: prompts, pictures, losses, files, resuming, and that a subject is learnt. */
#include "personalize_fixture.h"

#include "base/file.h"
#include "format/safetensors.h"
#include "personalize/custom_file.h"
#include "personalize/embedding_file.h"
#include "personalize/lora_file.h"
#include "train/drawn.h"

#define ROOT "personalize_test"
enum { SIDE = 4, CONTEXT = 16, CHANNELS = 4 };

static int set_up(void **state) {
    (void)state;
    return th_remove_tree(ROOT) == TH_OK && th_make_dirs(ROOT) == TH_OK ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    return th_remove_tree(ROOT) == TH_OK ? 0 : -1;
}

static th_moments make_moments(const char *name, int64_t pictures, int64_t views) {
    return fixture_moments(name, SIDE, CHANNELS, pictures, views);
}

/* One personalisation of a fresh tiny model. */
typedef struct {
    th_sd sd;
    th_options *options;
    th_personal_params params;
    th_personal *p;
} trial;

static void begin(trial *t, const char *method, const char *const *words, const char *prompt) {
    *t = (trial){0};
    fixture_open(SIDE, CONTEXT, &t->sd);
    t->options = fixture_options(th_personalizer_find(method), words);
    th_personal_params_init(&t->params);
    t->params.prompt = prompt;
    t->params.train.steps = 4;
    t->params.train.schedule.lr = 1e-3;
    t->params.threads = 1;
}

static th_status open_trial(trial *t, const char *method) {
    return th_personal_new(&t->sd, th_personalizer_find(method), t->options, &t->params, &t->p);
}

static void end(trial *t) {
    th_personal_free(t->p);
    th_options_free(t->options);
    th_sd_free(&t->sd);
}

static const char *const none[] = {NULL};

/* ---- prompts */

static void new_words_are_found_in_texts(void **state) {
    (void)state;
    trial t;
    begin(&t, "textual-inversion", none, NULL);
    th_tokenizer_work *w;
    const int64_t rows[] = {2, 1};
    int32_t ids[CONTEXT];
    int64_t count;
    assert_ok(th_sd_add_words(&t.sd, (const char *const[]){"<my>", "<my>dog"}, rows, 2));
    assert_ok(th_tokenizer_work_new(t.sd.tokenizer, &w));
    assert_ok(th_sd_encode_text(&t.sd, w, "a <MY> b", ids, &count));
    assert_int_equal(count, 6);
    assert_int_equal(ids[0], th_tokenizer_bos(t.sd.tokenizer));
    assert_int_equal(ids[2], 514);
    assert_int_equal(ids[3], 515);
    assert_int_equal(ids[5], th_tokenizer_eos(t.sd.tokenizer));
    assert_int_equal(ids[6], th_tokenizer_pad(t.sd.tokenizer));
    assert_ok(th_sd_encode_text(&t.sd, w, "<my>dog", ids, &count)); /* the longest of those that begin there */
    assert_int_equal(count, 3);
    assert_int_equal(ids[1], 516);
    assert_ok(th_sd_encode_text(&t.sd, w, "aaaaaaaaaaaaaaaaaaaaaaaa <my>", ids, &count));
    assert_int_equal(ids[CONTEXT - 1], th_tokenizer_eos(t.sd.tokenizer));
    assert_true(count > CONTEXT);
    th_tokenizer_work_free(w);
    end(&t);
}

static void wrong_words_and_prompts_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *method, *words[5], *prompt, *class_prompt, *message;
        th_status status;
    } cases[] = {
        {"dreambooth", {NULL}, NULL, NULL, "--instance-prompt is wanted", TH_E_USAGE},
        {"textual-inversion",
         {"word", "a", "initializer", "b"},
         NULL,
         NULL,
         "is a token of the model already",
         TH_E_INPUT},
        {"textual-inversion", {"word", "<a b>", "initializer", "b"}, NULL, NULL, "without spaces", TH_E_INPUT},
        {"textual-inversion",
         {"word", "<w>", "initializer", "b"},
         "no word",
         NULL,
         "lacks the new word <w>",
         TH_E_USAGE},
        {"textual-inversion", {"word", "<w>", "initializer", "b"}, NULL, "b", "keeps no class", TH_E_USAGE},
        {"custom-diffusion", {"initializer", "b"}, "a cat", NULL, "lacks the new word <new1>", TH_E_USAGE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        trial t;
        begin(&t, cases[i].method, cases[i].words, cases[i].prompt);
        t.params.class_prompt = cases[i].class_prompt;
        assert_fails(open_trial(&t, cases[i].method), cases[i].status, cases[i].message);
        end(&t);
    }
}

static void an_initializer_of_two_tokens_is_refused(void **state) {
    (void)state;
    trial t;
    begin(&t, "textual-inversion", (const char *const[]){"word", "<w>", "initializer", "bc", NULL}, NULL);
    assert_fails(open_trial(&t, "textual-inversion"), TH_E_INPUT, "'bc' is 2 tokens");
    end(&t);
}

static void templates_hold_the_word(void **state) {
    (void)state;
    trial t;
    static const char *const words[] = {"word", "<w>", "initializer", "b", "teaches", "style", NULL};
    begin(&t, "textual-inversion", words, NULL);
    assert_ok(open_trial(&t, "textual-inversion"));
    assert_true(t.p->subject_prompts > 8);
    for (int64_t i = 0; i < t.p->subject_prompts; i++) {
        assert_non_null(strstr(t.p->prompts[i], "<w>"));
        assert_non_null(strstr(t.p->prompts[i], "style")    ? ""
                        : strstr(t.p->prompts[i], "manner") ? ""
                                                            : strstr(t.p->prompts[i], "painted"));
    }
    end(&t);
}

static void long_prompts_are_counted(void **state) {
    (void)state;
    trial t;
    th_personal_cost c;
    begin(&t, "lora", none, "a very long sentence");
    assert_ok(open_trial(&t, "lora"));
    th_personal_get_cost(t.p, &c);
    assert_int_equal(c.cut, 1);
    end(&t);
}

static void the_identifier_is_told(void **state) {
    (void)state;
    trial t;
    char word[32];
    int64_t tokens;
    begin(&t, "lora", none, "a sks bag");
    t.params.class_prompt = "the bag";
    assert_ok(open_trial(&t, "lora"));
    assert_ok(th_personal_identifier(t.p, word, sizeof word, &tokens));
    assert_string_equal(word, "sks");
    assert_int_equal(tokens, 3); /* this tokenizer knows letters alone */
    end(&t);
}

static void wrong_sizes_name_the_multiple(void **state) {
    (void)state;
    trial t;
    begin(&t, "lora", none, "a");
    t.params.side = 10;
    assert_fails(open_trial(&t, "lora"), TH_E_USAGE, "multiples of 4");
    end(&t);
}

static void too_little_memory_is_foreseen(void **state) {
    (void)state;
    trial t;
    begin(&t, "dreambooth", none, "a");
    t.params.memory = 1000;
    assert_fails(open_trial(&t, "dreambooth"), TH_E_MEMORY, "");
    end(&t);
}

/* ---- pictures */

static void put_picture(const char *name, int width, int height) {
    th_image im = {0};
    assert_ok(th_image_new(&im, width, height));
    for (size_t i = 0; i < th_image_bytes(&im); i++) im.pixels[i] = (uint8_t)(i * 7 + i / 5);
    assert_ok(th_image_write(name, &im, 90));
    th_image_free(&im);
}

static void pictures_have_as_many_views_as_chance_gives(void **state) {
    (void)state;
    static const struct {
        th_crop crop;
        bool flip;
        int64_t views[2]; /* of a square picture, of an oblong one */
    } cases[] = {
        {TH_CROP_RANDOM, false, {1, 3}},
        {TH_CROP_CENTER, false, {1, 1}},
        {TH_CROP_SQUASH, true, {2, 2}},
        {TH_CROP_RANDOM, true, {2, 3}},
    };
    th_sd sd = {0};
    th_dataset *d;
    fixture_open(SIDE, CONTEXT, &sd);
    assert_ok(th_make_dirs(ROOT "/views"));
    put_picture(ROOT "/views/1.png", 12, 12);
    put_picture(ROOT "/views/2.png", 30, 11);
    assert_ok(th_dataset_open(ROOT "/views", NULL, NULL, &d));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        th_view_params v = {.side = 2 * SIDE,
                            .crop = cases[i].crop,
                            .filter = TH_RESIZE_BILINEAR,
                            .flip = cases[i].flip,
                            .views = 3,
                            .seed = 1,
                            .threads = 1};
        th_moments m = {0};
        assert_ok(th_moments_make(d, 0, sd.vae, &v, NULL, &m));
        assert_int_equal(m.pictures, 2);
        assert_int_equal(m.first[1], cases[i].views[0]);
        assert_int_equal(m.entries, cases[i].views[0] + cases[i].views[1]);
        assert_int_equal(th_moments_size(&m), SIDE * SIDE * 2 * CHANNELS);
        th_moments_free(&m);
    }
    th_dataset_close(d);
    th_sd_free(&sd);
}

static void encoded_pictures_survive_a_file(void **state) {
    (void)state;
    th_moments m = make_moments("m", 3, 2), back = {0};
    const char *path = ROOT "/moments.safetensors";
    assert_ok(th_moments_save(&m, "key", path));
    assert_ok(th_moments_load(path, "key", SIDE, SIDE, 2 * CHANNELS, &back));
    assert_int_equal(back.entries, 6);
    assert_string_equal(back.vae, "a");
    assert_memory_equal(back.first, m.first, 4 * sizeof *m.first);
    assert_memory_equal(back.moments, m.moments, (size_t)(6 * th_moments_size(&m)) * sizeof *m.moments);
    th_moments_free(&back);
    assert_fails(th_moments_load(path, "other", SIDE, SIDE, 2 * CHANNELS, &back), TH_E_INPUT, "is of other pictures");
    assert_fails(th_moments_load(path, NULL, SIDE, 2 * SIDE, 2 * CHANNELS, &back), TH_E_INPUT, "wants [n, 4, 8, 8]");
    m.first[1] = 9; /* beyond the entries */
    assert_ok(th_moments_save(&m, "key", path));
    assert_fails(th_moments_load(path, "key", SIDE, SIDE, 2 * CHANNELS, &back), TH_E_INPUT, "'first' does not fit");
    th_moments_free(&m);
}

static void class_pictures_of_other_settings_give_way(void **state) {
    (void)state;
    const char *dir = ROOT "/class";
    const char *prompt = "a bag";
    th_drawn_params p = {
        .prompts = &prompt, .prompt_count = 1, .count = 3, .side = 8, .steps = 2, .batch = 1, .guidance = 7.5f};
    char key[TH_HASH_TEXT], other[TH_HASH_TEXT];
    int64_t count;
    th_drawn_key(&p, "weights", key);
    assert_ok(th_drawn_begin(&p, key, dir, &count));
    assert_int_equal(count, 0);
    put_picture(ROOT "/class/000000.png", 8, 8);
    put_picture(ROOT "/class/000002.png", 8, 8);
    assert_ok(th_drawn_begin(&p, key, dir, &count));
    assert_int_equal(count, 2);
    prompt = "a boot";
    th_drawn_key(&p, "weights", other);
    assert_string_not_equal(other, key);
    assert_ok(th_drawn_begin(&p, other, dir, &count));
    assert_int_equal(count, 0);
    assert_false(th_path_exists(ROOT "/class/000000.png"));
}

/* ---- the loss */

static void the_class_counts_by_its_weight(void **state) {
    (void)state;
    trial t;
    th_moments subject = make_moments("s", 3, 1), class = make_moments("c", 5, 1);
    double of_subject, of_class;
    begin(&t, "dreambooth", none, "a b");
    t.params.class_prompt = "a";
    t.params.batch = 2;
    t.params.prior_weight = 0.25f;
    assert_ok(open_trial(&t, "dreambooth"));
    assert_ok(th_personal_measure(t.p, &subject, &class, 1, &of_subject, &of_class));
    double loss = (double)*(const float *)th_plan_output(t.p->plan, "loss");
    assert_true(of_subject > 0 && of_class > 0);
    assert_true(fabs(loss - (of_subject + 0.25 * of_class)) < 1e-5 * loss);
    end(&t);
    th_moments_free(&subject);
    th_moments_free(&class);
}

/* ---- training */

static float *copy_of(const th_params *ps, int64_t *bytes) {
    float *v = malloc((size_t)th_params_elements(ps) * sizeof *v), *at = v;
    assert_non_null(v);
    for (int64_t i = 0; i < th_params_count(ps); i++) {
        assert_ok(th_param_get(th_params_at(ps, i), at));
        at += th_desc_count(th_param_desc(th_params_at(ps, i)));
    }
    *bytes = (at - v) * (int64_t)sizeof *v;
    return v;
}

static bool same(const th_params *ps, const float *was) {
    int64_t bytes;
    float *is = copy_of(ps, &bytes);
    bool equal = !memcmp(is, was, (size_t)bytes);
    free(is);
    return equal;
}

static void what_is_not_trained_keeps_its_bits(void **state) {
    (void)state;
    static const struct {
        const char *method, *words[5], *prompt;
        bool unet, text;
    } cases[] = {
        {"dreambooth", {NULL}, "a b", true, false},
        {"dreambooth", {"train-text-encoder", "true"}, "a b", true, true},
        {"lora", {NULL}, "a b", false, false},
        {"textual-inversion", {"word", "<w>", "initializer", "b"}, NULL, false, false},
        {"custom-diffusion", {"initializer", "b"}, "a <new1>", true, false},
    };
    th_moments subject = make_moments("s", 3, 2);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        trial t;
        th_train_result r;
        int64_t bytes;
        begin(&t, cases[i].method, cases[i].words, cases[i].prompt);
        float *unet = copy_of(th_unet_params(t.sd.unet), &bytes);
        float *text = copy_of(th_text_encoder_params(t.sd.text), &bytes);
        assert_ok(open_trial(&t, cases[i].method));
        assert_ok(th_personal_run(t.p, &subject, NULL, NULL, NULL, &r));
        assert_int_equal(r.steps, 4);
        assert_int_equal(same(th_unet_params(t.sd.unet), unet), !cases[i].unet);
        assert_int_equal(same(th_text_encoder_params(t.sd.text), text), !cases[i].text);
        free(unet);
        free(text);
        end(&t);
    }
    th_moments_free(&subject);
}

static void custom_diffusion_trains_keys_and_values_alone(void **state) {
    (void)state;
    trial t;
    begin(&t, "custom-diffusion", (const char *const[]){"initializer", "b", NULL}, "a <new1>");
    assert_ok(open_trial(&t, "custom-diffusion"));
    const th_params *ps = th_unet_params(t.sd.unet);
    int trained = 0;
    for (int64_t i = 0; i < th_params_count(ps); i++) {
        const char *name = th_param_name(th_params_at(ps, i));
        bool cross = fixture_ends(name, "attn2.to_k.weight") || fixture_ends(name, "attn2.to_v.weight");
        assert_int_equal(th_param_trainable(th_params_at(ps, i)), cross);
        trained += cross;
    }
    assert_int_equal(trained, 2 * 4); /* one attention down, one in the middle, two up */
    end(&t);
}

/* Trains with checkpoints, ending this call early after so many steps; 0: at the end. */
static void train_in_folder(trial *t, const th_moments *m, const char *dir, bool resume, int64_t stop_after) {
    static const char *const may_differ[] = {NULL};
    th_run_folder_params folder = {dir, "personalize lora", t->options, NULL, resume, may_differ};
    th_run_folder *run;
    th_train_result r;
    assert_ok(th_run_folder_open(&folder, &run));
    t->p->p.train.resume = resume;
    t->p->p.train.stop_after = stop_after;
    th_status s = th_personal_run(t->p, m, NULL, run, NULL, &r);
    assert_int_equal(s, stop_after ? TH_E_INTERRUPTED : TH_OK);
    th_run_folder_close(run);
}

static void resuming_gives_the_same_bits(void **state) {
    (void)state;
    static const char *const methods[] = {"lora", "textual-inversion"};
    static const char *const words[] = {"word", "<w>", "initializer", "b", NULL};
    th_moments subject = make_moments("s", 3, 2);
    for (int k = 0; k < 2; k++) {
        float *whole = NULL;
        int64_t bytes;
        for (int part = 0; part < 3; part++) { /* the whole; up to a stop; from there on */
            trial t;
            char dir[64];
            begin(&t, methods[k], k ? words : none, k ? NULL : "a b");
            assert_ok(open_trial(&t, methods[k]));
            snprintf(dir, sizeof dir, ROOT "/run-%d-%d", k, part > 0);
            train_in_folder(&t, &subject, dir, part == 2, part == 1 ? 2 : 0);
            if (part == 0) whole = copy_of(t.p->trained, &bytes);
            if (part == 1) assert_false(same(t.p->trained, whole));
            if (part == 2) assert_true(same(t.p->trained, whole));
            end(&t);
        }
        free(whole);
    }
    th_moments_free(&subject);
}

/* Pictures that differ little from each other, and much from others': all channels lie around `level`. */
static th_moments make_flat(const char *name, int64_t pictures, float level) {
    th_moments m = make_moments(name, pictures, 1);
    for (int64_t i = 0; i < m.entries * th_moments_size(&m); i++)
        if (i % (2 * CHANNELS) < CHANNELS) m.moments[i] = level + 0.2f * m.moments[i];
    return m;
}

/* One fit of this model; losses before and after of the subject and the class. */
static void fit(th_sd *sd, const char *method, const th_personal_params *params, const th_moments *subject,
                const th_moments *class, double before[2], double after[2]) {
    th_options *o = fixture_options(th_personalizer_find(method), none);
    th_train_result r;
    th_personal *p;
    assert_ok(th_personal_new(sd, th_personalizer_find(method), o, params, &p));
    assert_ok(th_personal_measure(p, subject, class, 24, &before[0], &before[1]));
    assert_ok(th_personal_run(p, subject, class, NULL, NULL, &r));
    assert_ok(th_personal_measure(p, subject, class, 24, &after[0], &after[1]));
    th_personal_free(p);
    th_options_free(o);
}

/* A model that knows the class is taught a subject. */
static void learn(const char *method, float weight, double lr, double before[2], double after[2]) {
    th_moments subject = make_flat("subject", 2, 12), class = make_flat("class", 6, -12);
    double ignored[2];
    th_sd sd = {0};
    th_personal_params p;
    fixture_open(SIDE, CONTEXT, &sd);
    th_personal_params_init(&p);
    p.prompt = "a";
    p.train.steps = 400;
    p.train.schedule.lr = 3e-3;
    p.threads = 1;
    fit(&sd, "dreambooth", &p, &class, NULL, ignored, ignored);
    p.prompt = "a b";
    p.class_prompt = "a";
    p.prior_weight = weight;
    p.train.steps = 100;
    p.train.schedule.lr = lr;
    fit(&sd, method, &p, &subject, &class, before, after);
    print_message("%s, class weight %g: subject %.3f → %.3f, class %.3f → %.3f\n", method, (double)weight, before[0],
                  after[0], before[1], after[1]);
    th_sd_free(&sd);
    th_moments_free(&subject);
    th_moments_free(&class);
}

static void a_subject_is_learnt_and_its_class_kept(void **state) {
    (void)state;
    double before[2], with[2], without[2];
    learn("dreambooth", 0, 2e-3, before, without);
    learn("dreambooth", 1, 2e-3, before, with);
    assert_true(without[0] < 0.8 * before[0]);
    assert_true(with[0] < 0.8 * before[0]);
    assert_true(without[1] > before[1]);
    assert_true(with[1] < 0.9 * without[1]);
}

static void low_rank_additions_learn_too(void **state) {
    (void)state;
    double before[2], after[2];
    learn("lora", 1, 1e-2, before, after);
    assert_true(after[0] < 0.95 * before[0]);
}

/* ---- files */

static void low_rank_additions_survive_a_file(void **state) {
    (void)state;
    th_sd a = {0}, b = {0}, c = {0};
    th_lora_params p = {.rank = 2, .alpha = 3, .seed = 5};
    int64_t bytes;
    fixture_open(SIDE, CONTEXT, &a);
    fixture_open(SIDE, CONTEXT, &b);
    fixture_open(SIDE, CONTEXT, &c);
    assert_ok(th_unet_add_lora(a.unet, &p));
    fixture_fill_all(th_unet_lora(a.unet));
    assert_ok(th_lora_save(a.unet, 3, ROOT "/lora", "f32"));
    assert_ok(th_lora_load(ROOT "/lora", 1, b.unet));
    float *was = copy_of(th_unet_lora(a.unet), &bytes);
    assert_true(same(th_unet_lora(b.unet), was));
    assert_fails(th_lora_load(ROOT "/lora", 1, b.unet), TH_E_USAGE, "already");
    free(was);
    th_sd_free(&a);
    th_sd_free(&b);
    th_sd_free(&c);
}

/* A file with one tensor of this name and shape. */
static void put_tensor(const char *path, const char *name, int64_t rows, int64_t columns) {
    th_safetensors_writer *w;
    float zero[64] = {0};
    assert_ok(th_safetensors_writer_new(path, 0, &w));
    th_safetensors_declare(w, name, TH_ST_F32, 2, (const int64_t[]){rows, columns});
    assert_ok(th_safetensors_begin(w));
    assert_non_null(th_safetensors_next(w));
    th_safetensors_add_f32(w, zero, rows * columns);
    assert_ok(th_safetensors_commit(w));
}

static void foreign_additions_are_refused_by_name(void **state) {
    (void)state;
    static const struct {
        const char *name;
        int64_t rows, columns;
        const char *message;
    } cases[] = {
        {"text_encoder.x.lora_A.weight", 2, 8, "'text_encoder.x.lora_A.weight' is none of the UNet's additions"},
        {"lora_unet_down.alpha", 2, 8, "'lora_unet_down.alpha' is none"},
        {"unet.x.lora_B.weight", 8, 2, "holds no low-rank additions"},
        {"unet.x.attn1.to_q.lora_A.weight", 2, 8, "is for a place that the model does not have"},
        {"unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q.lora_A.weight", 2, 8,
         "is [2, 8], [2, 16] is wanted"},
    };
    const char *path = ROOT "/foreign.safetensors";
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        th_sd sd = {0};
        fixture_open(SIDE, CONTEXT, &sd);
        put_tensor(path, cases[i].name, cases[i].rows, cases[i].columns);
        assert_fails(th_lora_load(path, 1, sd.unet), TH_E_INPUT, cases[i].message);
        th_sd_free(&sd);
    }
}

static void learnt_words_survive_a_file(void **state) {
    (void)state;
    th_sd a = {0}, b = {0};
    const int64_t rows[] = {2, 1};
    fixture_open(SIDE, CONTEXT, &a);
    fixture_open(SIDE, CONTEXT, &b);
    assert_ok(th_sd_add_words(&a, (const char *const[]){"<x>", "<y>"}, rows, 2));
    fixture_fill(th_params_at(th_text_encoder_added(a.text), 0), "embedding");
    assert_ok(th_embedding_save(&a, 0, ROOT "/x/learned_embeds.safetensors"));
    assert_ok(th_embedding_save(&a, 1, ROOT "/y.safetensors"));
    assert_ok(th_embeddings_load((const char *const[]){ROOT "/x", ROOT "/y.safetensors"}, 2, &b));
    int64_t bytes;
    float *was = copy_of(th_text_encoder_added(a.text), &bytes);
    assert_true(same(th_text_encoder_added(b.text), was));
    assert_string_equal(b.words[1].text, "<y>");
    free(was);
    th_sd_free(&a);
    th_sd_free(&b);
    fixture_open(SIDE, CONTEXT, &b);
    put_tensor(ROOT "/wide.safetensors", "<z>", 1, 9);
    assert_fails(th_embeddings_load((const char *const[]){ROOT "/wide.safetensors"}, 1, &b), TH_E_INPUT,
                 "the word's rows are [1, 9], the model's text encoder wants [rows, 8]");
    th_sd_free(&b);
}

static void keys_and_values_survive_a_file(void **state) {
    (void)state;
    th_sd a = {0}, b = {0};
    th_safetensors *f;
    int64_t bytes;
    fixture_open(SIDE, CONTEXT, &a);
    fixture_open(SIDE, CONTEXT, &b);
    float *was = copy_of(th_unet_params(a.unet), &bytes);
    assert_ok(th_custom_save(a.unet, ROOT "/custom", "f32"));
    assert_ok(th_safetensors_open(ROOT "/custom/" TH_CUSTOM_FILE, NULL, &f));
    assert_int_equal(th_safetensors_count(f), 3 * 4);
    const th_st_tensor *stays = th_safetensors_find(f, "mid_block.attentions.0.transformer_blocks.0.attn1.processor");
    assert_non_null(stays);
    assert_int_equal(stays->count, 0);
    th_safetensors_close(f);
    for (int64_t i = 0; i < th_params_count(th_unet_params(b.unet)); i++)
        if (th_custom_has(th_param_name(th_params_at(th_unet_params(b.unet), i))))
            fixture_fill(th_params_at(th_unet_params(b.unet), i), "another");
    assert_false(same(th_unet_params(b.unet), was));
    assert_ok(th_custom_load(ROOT "/custom", b.unet));
    assert_true(same(th_unet_params(b.unet), was));
    put_tensor(ROOT "/odd.safetensors", "x.attn2.processor.to_k_custom_diffusion.weight", 2, 2);
    assert_fails(th_custom_load(ROOT "/odd.safetensors", b.unet), TH_E_INPUT, "is no projection");
    free(was);
    th_sd_free(&a);
    th_sd_free(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_words_are_found_in_texts),
        cmocka_unit_test(wrong_words_and_prompts_are_refused),
        cmocka_unit_test(an_initializer_of_two_tokens_is_refused),
        cmocka_unit_test(templates_hold_the_word),
        cmocka_unit_test(long_prompts_are_counted),
        cmocka_unit_test(the_identifier_is_told),
        cmocka_unit_test(wrong_sizes_name_the_multiple),
        cmocka_unit_test(too_little_memory_is_foreseen),
        cmocka_unit_test(pictures_have_as_many_views_as_chance_gives),
        cmocka_unit_test(encoded_pictures_survive_a_file),
        cmocka_unit_test(class_pictures_of_other_settings_give_way),
        cmocka_unit_test(the_class_counts_by_its_weight),
        cmocka_unit_test(what_is_not_trained_keeps_its_bits),
        cmocka_unit_test(custom_diffusion_trains_keys_and_values_alone),
        cmocka_unit_test(resuming_gives_the_same_bits),
        cmocka_unit_test(a_subject_is_learnt_and_its_class_kept),
        cmocka_unit_test(low_rank_additions_learn_too),
        cmocka_unit_test(low_rank_additions_survive_a_file),
        cmocka_unit_test(foreign_additions_are_refused_by_name),
        cmocka_unit_test(learnt_words_survive_a_file),
        cmocka_unit_test(keys_and_values_survive_a_file),
    };
    return cmocka_run_group_tests_name("personalize", tests, set_up, tear_down);
}
