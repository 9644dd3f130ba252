/* Batches for CLIP: which samples they hold, how long their texts are, what is left out. */
#include "test.h"

#include <stdlib.h>

#include "base/file.h"
#include "base/memory.h"
#include "data/eda.h"
#include "data/subtext_parts.h"
#include "format/bpe_train.h"
#include "model/clip_graph.h"
#include "train/clip_fit.h"

#define ROOT "clip_fit_test"
#define SIDE 16

static int set_up(void **state) {
    (void)state;
    return th_remove_tree(ROOT) == TH_OK && th_make_dirs(ROOT) == TH_OK ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    return th_remove_tree(ROOT) == TH_OK ? 0 : -1;
}

/* A table of n pictures, p0.png and so on, with these captions. */
static void put_set(const char *const *captions, int n) {
    th_str table;
    th_str_init(&table, 1 << 20);
    th_str_puts(&table, "filepath\ttitle\n");
    for (int i = 0; i < n; i++) {
        char path[64];
        th_image im = {0};
        assert_ok(th_image_new(&im, SIDE, SIDE));
        memset(im.pixels, 7 * i, th_image_bytes(&im));
        snprintf(path, sizeof path, ROOT "/p%d.png", i);
        assert_ok(th_image_write(path, &im, 90));
        th_image_free(&im);
        th_str_printf(&table, "p%d.png\t%s\n", i, captions[i]);
    }
    assert_ok(th_file_write(ROOT "/pairs.tsv", th_str_text(&table), table.length));
    th_str_free(&table);
}

static th_dataset *open_set(th_captions captions, bool skip_bad) {
    th_dataset_params p;
    th_dataset *d;
    th_dataset_params_init(&p);
    p.captions = captions;
    p.skip_bad = skip_bad;
    assert_ok(th_dataset_open(ROOT "/pairs.tsv", &p, NULL, &d));
    return d;
}

/* A tiny model whose tokenizer knows bytes alone, so that a text's tokens are its letters. */
static th_clip_bundle make_bundle(int64_t context) {
    th_clip_bundle b = {0};
    th_bpe_trainer *t;
    th_bpe_train_params p;
    th_clip_config c;
    th_bpe_train_params_init(&p);
    p.vocab_size = 514;
    assert_ok(th_bpe_trainer_new(&t));
    assert_ok(th_bpe_trainer_add(t, "a", 1, 1));
    assert_ok(th_bpe_trainer_run(t, &p, NULL, &b.tokenizer));
    th_bpe_trainer_free(t);
    th_clip_config_init(&c);
    c.vision = c.text = (th_clip_tower){8, 2, 1, 16, true, 1e-5f};
    c.image_size = SIDE, c.patch_size = 8, c.projection = 8, c.context = context;
    c.vocab_size = th_tokenizer_size(b.tokenizer);
    c.bos_token_id = th_tokenizer_bos(b.tokenizer);
    c.eos_token_id = th_tokenizer_eos(b.tokenizer);
    c.pad_token_id = th_tokenizer_pad(b.tokenizer);
    assert_ok(th_clip_new(&c, &b.model));
    assert_ok(th_clip_randomize(b.model, 1));
    th_preprocess_params_init(&b.preprocess, SIDE);
    return b;
}

typedef struct {
    int positives, negatives;
} counts;

/* So many sub-texts for each caption: "ab" is true, `negative` and its like are not. */
static th_subtexts *make_subtexts(const counts *of, int n, const char *negative) {
    static const char *const numbers[] = {"0", "1", "2"};
    th_subtexts *s;
    th_arena *arena = th_arena_new();
    assert_ok(th_subtexts_new(n, &s));
    for (int i = 0; i < n; i++) {
        th_subtext items[8];
        int count = 0;
        while (count < of[i].positives) items[count++] = (th_subtext){.text = "ab"};
        for (int k = 0; k < of[i].negatives; k++)
            items[count++] = (th_subtext){.text = th_arena_printf(arena, "%s%s", negative, numbers[k]),
                                          .negative = true,
                                          .old_words = "a",
                                          .new_words = "b"};
        assert_ok(th_subtexts_put(s, i, TH_SOURCE_PARSED, items, count, arena));
    }
    assert_ok(th_subtexts_finish(s, "", &arena, 1, &(th_subtext_stats){0}));
    return s;
}

static const th_option options[] = {TH_OPT_F32("share", 0.5, "S, of a batch"), TH_OPT_INT("false-ones", 3, "M"),
                                    TH_OPT_END};

/* A loss that needs every part of the batch, and logs the mask's mean. */
static th_tensor *loss(th_clip_batch *b) {
    th_graph *g = b->g;
    th_tensor *images = th_slice(g, b->images, 0, 0, b->subset);
    th_tensor *pull = th_clip_match(g, images, b->positive_texts, b->scale);
    th_clip_log(b, "mask", th_mean_all(g, b->negative_mask));
    return th_add(g, th_clip_contrastive_loss(b), th_add(g, pull, th_mean_all(g, b->negative_texts)));
}

static const th_clip_method with_subtexts = {
    .name = "test",
    .options = options,
    .needs = TH_NEEDS_SUBTEXTS,
    .subset_option = "share",
    .negatives_option = "false-ones",
    .loss = loss,
};

static th_options *make_options(void) {
    th_options *o = th_options_new("test");
    assert_ok(th_options_add(o, "Test", options));
    return o;
}

static th_clip_fit_params settings(th_options *o, const th_subtexts *subtexts) {
    th_clip_fit_params p;
    th_clip_fit_params_init(&p);
    p.batch = 4;
    p.threads = 1;
    p.options = o;
    p.subtexts = subtexts;
    p.train.steps = 6;
    return p;
}

#define N 12
static const char *const captions[N] = {"aaa", "bbb", "ccc", "ddd", "eee", "fff",
                                        "ggg", "hhh", "iii", "jjj", "kkk", "lll"};

/* Whose place a bad picture's leaves to the next may have no sub-texts, or true ones only. */
static void bad_pictures_give_way_to_samples_with_subtexts(void **state) {
    (void)state;
    static const counts of[N] = {{1, 1}, {0, 0}, {1, 2}, {2, 0}, {1, 3}, {0, 0},
                                 {1, 1}, {0, 2}, {1, 1}, {0, 0}, {1, 1}, {0, 0}};
    put_set(captions, N);
    for (int i = 0; i < N; i += 4) { /* of six with sub-texts, three are bad */
        char path[64];
        snprintf(path, sizeof path, ROOT "/p%d.png", i);
        assert_ok(th_file_write(path, "no picture", 10));
    }
    th_clip_bundle b = make_bundle(16);
    th_dataset *d = open_set(TH_CAPTIONS_ALL, true);
    th_subtexts *s = make_subtexts(of, N, "abc");
    th_options *o = make_options();
    th_clip_fit_params p = settings(o, s);
    th_clip_fit *f;
    th_train_result r;
    assert_ok(th_clip_fit_new(&b, &with_subtexts, d, &p, NULL, &f));
    assert_ok(th_clip_fit_run(f, NULL, &r));
    assert_int_equal(r.steps, 6);
    assert_int_equal(th_dataset_skipped(d, NULL), 3);
    th_clip_fit_free(f);
    th_dataset_close(d);

    for (int i = 2; i < N; i += 4) { /* and now all */
        char path[64];
        snprintf(path, sizeof path, ROOT "/p%d.png", i);
        assert_ok(th_file_write(path, "no picture", 10));
    }
    d = open_set(TH_CAPTIONS_ALL, true);
    assert_ok(th_clip_fit_new(&b, &with_subtexts, d, &p, NULL, &f));
    assert_fails(th_clip_fit_run(f, NULL, &r), TH_E_INPUT, "no picture whose caption has sub-texts can be read");
    th_clip_fit_free(f);
    th_dataset_close(d);
    th_options_free(o);
    th_subtexts_free(s);
    th_clip_bundle_free(&b);
}

static int64_t length_of(const th_clip_bundle *b, const char *text) {
    th_tokenizer_work *w;
    const int32_t *ids;
    int64_t count;
    assert_ok(th_tokenizer_work_new(b->tokenizer, &w));
    assert_ok(th_tokenizer_ids(w, text, strlen(text), true, &ids, &count));
    th_tokenizer_work_free(w);
    return count;
}

static th_clip_fit_cost cost_of(th_clip_bundle *b, const th_clip_method *m, th_dataset *d,
                                const th_clip_fit_params *p) {
    th_clip_fit *f;
    th_clip_fit_cost cost;
    assert_ok(th_clip_fit_new(b, m, d, p, NULL, &f));
    th_clip_fit_get_cost(f, &cost);
    th_clip_fit_free(f);
    return cost;
}

/* Of one picture's many captions a long one is drawn in some epoch, and not in the first. */
static void texts_are_as_long_as_any_epoch_needs(void **state) {
    (void)state;
    static const char *const some[4] = {"[\"a\", \"bb\", \"cc\", \"dd\", \"ee\", \"a long caption\"]", "bbb", "ccc",
                                        "ddd"};
    put_set(some, 4);
    th_clip_bundle b = make_bundle(32);
    th_dataset *d = open_set(TH_CAPTIONS_RANDOM, false);
    char room[TH_DATASET_ROOM];
    uint32_t epoch = 0;
    while (strcmp(th_dataset_caption(d, 0, &(th_moment){epoch, 0}, room), "a long caption") != 0) epoch++;
    assert_in_range(epoch, 1, 100);
    th_clip_fit_params p = settings(NULL, NULL);
    p.train.steps = epoch; /* one step an epoch: it is not reached yet */
    assert_int_equal(cost_of(&b, &th_clip_method_contrastive, d, &p).text_tokens, length_of(&b, "bbb"));
    p.train.steps = epoch + 1;
    assert_int_equal(cost_of(&b, &th_clip_method_contrastive, d, &p).text_tokens, length_of(&b, "a long caption"));
    p.epochs = epoch + 1, p.train.steps = 0;
    assert_int_equal(cost_of(&b, &th_clip_method_contrastive, d, &p).text_tokens, length_of(&b, "a long caption"));
    th_dataset_close(d);
    th_clip_bundle_free(&b);
}

static const char mask_key[] = "\"mask\":";

/* The mean of the masks in the first step of a run with texts of so many tokens. */
static double first_mask(th_clip_bundle *b, th_dataset *d, const th_clip_fit_params *p, int64_t tokens) {
    th_clip_fit_params q = *p;
    th_run_folder *run;
    th_clip_fit *f;
    th_train_result r;
    th_bytes metrics;
    assert_ok(th_remove_tree(ROOT "/run"));
    assert_ok(th_run_folder_open(&(th_run_folder_params){ROOT "/run", "test", p->options, NULL, false, NULL}, &run));
    q.text_tokens = tokens;
    assert_ok(th_clip_fit_new(b, &with_subtexts, d, &q, NULL, &f));
    th_clip_fit_set_run(f, run);
    assert_ok(th_clip_fit_run(f, NULL, &r));
    th_clip_fit_free(f);
    th_run_folder_close(run);
    assert_ok(th_file_read(ROOT "/run/metrics.jsonl", 1 << 20, &metrics));
    const char *at = strstr(metrics.data, mask_key);
    assert_non_null(at);
    double mask = strtod(at + strlen(mask_key), NULL);
    th_free(metrics.data);
    return mask;
}

/* A false text whose false word is cut off is a true one. */
static void false_subtexts_are_whole_or_left_out(void **state) {
    (void)state;
    counts of[N];
    for (int i = 0; i < N; i++) of[i] = (counts){1, 3};
    put_set(captions, N);
    th_clip_bundle b = make_bundle(32);
    th_dataset *d = open_set(TH_CAPTIONS_ALL, false);
    th_subtexts *s = make_subtexts(of, N, "abcdefgh");
    th_options *o = make_options();
    th_clip_fit_params p = settings(o, s);
    int64_t longest = length_of(&b, "abcdefgh0");
    assert_int_equal(cost_of(&b, &with_subtexts, d, &p).text_tokens, longest);
    assert_true(first_mask(&b, d, &p, 0) == 0);
    assert_true(first_mask(&b, d, &p, longest) == 0);
    assert_float_equal(first_mask(&b, d, &p, longest - 1), -1e9, 1);
    th_options_free(o);
    th_subtexts_free(s);
    th_dataset_close(d);
    th_clip_bundle_free(&b);
}

static th_tensor *loss_of_views(th_clip_batch *b) {
    return th_add(b->g, th_clip_contrastive_loss(b), th_clip_self_supervised_loss(b));
}

/* Words that EDA puts in are as long as they are. */
static void views_are_measured(void **state) {
    (void)state;
    static const char *const some[4] = {"a dog", "the big dress", "old shoes", "a boat"};
    static const th_clip_method with_views = {.name = "test", .needs = TH_NEEDS_VIEWS, .loss = loss_of_views};
    th_eda_params params;
    th_eda *eda;
    th_eda_params_init(&params);
    if (th_eda_open(&params, &eda) != TH_OK) skip_because("wordnet-base is missing");
    put_set(some, 4);
    th_clip_bundle b = make_bundle(64);
    th_dataset *d = open_set(TH_CAPTIONS_ALL, false);
    th_clip_fit_params p = settings(NULL, NULL);
    p.train.seed = 3;
    p.train.steps = 7; /* one an epoch */
    int64_t longest = 0;
    th_str view;
    th_str_init(&view, 1 << 20);
    for (uint32_t epoch = 0; epoch < 7; epoch++)
        for (int i = 0; i < 4; i++) {
            th_rng r = th_rng_at(3, TH_RNG_TEXT, epoch, (uint64_t)i);
            assert_ok(th_eda_apply(eda, some[i], &r, &view));
            int64_t n = length_of(&b, th_str_text(&view));
            if (n > longest) longest = n;
        }
    assert_true(longest > length_of(&b, "the big dress") + 4);
    assert_int_equal(cost_of(&b, &with_views, d, &p).text_tokens, longest);
    th_str_free(&view);
    th_eda_close(eda);
    th_dataset_close(d);
    th_clip_bundle_free(&b);
}

static void the_cost_tells_steps_from_batches(void **state) {
    (void)state;
    put_set(captions, N);
    th_clip_bundle b = make_bundle(16);
    th_dataset *d = open_set(TH_CAPTIONS_ALL, false);
    th_clip_fit_params p = settings(NULL, NULL);
    p.batch = 2;
    p.train.accumulate = 4;
    p.train.steps = 0;
    p.epochs = 2;
    th_clip_fit_cost cost = cost_of(&b, &th_clip_method_contrastive, d, &p);
    assert_int_equal(cost.steps, 3); /* of 12 batches */
    assert_int_equal(cost.steps_an_epoch, 2);
    assert_int_equal(cost.batches_a_step, 4);
    assert_int_equal(cost.pairs_a_step, 8);
    th_dataset_close(d);
    th_clip_bundle_free(&b);
}

static th_status no_evaluation(void *user, int64_t step, th_metric *metrics, int max, int *count) {
    (void)user, (void)step, (void)metrics, (void)max;
    *count = 0;
    return TH_OK;
}

/* An evaluation's embedder stands beside the training's plan. */
static void evaluations_are_counted_in_the_memory(void **state) {
    (void)state;
    put_set(captions, N);
    th_clip_bundle b = make_bundle(16);
    th_dataset *d = open_set(TH_CAPTIONS_ALL, false);
    th_clip_fit_params p = settings(NULL, NULL);
    th_clip_embedder_params e;
    th_clip_embedder *embedder;
    th_clip_fit *f;
    size_t bytes, before;
    static float images[SIDE * SIDE * 3], row[8];
    static int32_t ids[16];
    th_clip_embedder_params_init(&e);
    e.threads = 1;
    assert_ok(th_clip_embedder_bytes(b.model, &e, &bytes));
    before = th_bytes_in_use();
    assert_ok(th_clip_embedder_new(b.model, &e, &embedder));
    assert_ok(th_clip_embedder_images(embedder, images, 1, row));
    assert_ok(th_clip_embedder_texts(embedder, ids, 1, row));
    assert_in_range(th_bytes_in_use() - before, bytes, bytes + (1 << 20));
    th_clip_embedder_free(embedder);

    size_t without = cost_of(&b, &th_clip_method_contrastive, d, &p).bytes;
    p.evaluate = no_evaluation;
    size_t with = cost_of(&b, &th_clip_method_contrastive, d, &p).bytes, pictures = 64 * sizeof images;
    assert_in_range(with - without, bytes + pictures, bytes + 8 * pictures);
    p.memory = with - without; /* nothing is left for the training */
    assert_fails(th_clip_fit_new(&b, &th_clip_method_contrastive, d, &p, NULL, &f), TH_E_MEMORY, "the budget is");
    th_dataset_close(d);
    th_clip_bundle_free(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(bad_pictures_give_way_to_samples_with_subtexts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(texts_are_as_long_as_any_epoch_needs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(false_subtexts_are_whole_or_left_out, set_up, tear_down),
        cmocka_unit_test_setup_teardown(views_are_measured, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_cost_tells_steps_from_batches, set_up, tear_down),
        cmocka_unit_test_setup_teardown(evaluations_are_counted_in_the_memory, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("train: CLIP's batches", tests, NULL, NULL);
}
