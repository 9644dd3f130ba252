/* Drawing pictures: beside diffusers' pipeline on the same folder, the same again, stopped, in tiles; prompts and
 * latents in files. */
#include "test.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "diffusion/generate.h"
#include "diffusion/latents_file.h"
#include "diffusion/prompts.h"
#include "format/json.h"
#include "format/safetensors.h"

#define FOLDER TH_TEST_DATA "/pipeline/sd"
#define DRAWN TH_TEST_DATA "/pipeline/drawn.safetensors"

static void load(th_sd *sd) { assert_ok(th_sd_load(FOLDER, NULL, sd)); }

static th_generate_params quick(void) {
    th_generate_params p;
    th_generate_params_init(&p);
    p.steps = 3, p.threads = 1;
    return p;
}

/* Everything that was drawn, one picture after the other. */
typedef struct {
    uint8_t *pixels;
    float *latents;
    size_t bytes;        /* of a picture */
    int64_t size, count; /* values of its latents; pictures so far */
    volatile sig_atomic_t *stop;
} album;

static th_status keep(void *user, const th_generated *picture) {
    album *a = user;
    a->bytes = th_image_bytes(picture->image);
    a->pixels = realloc(a->pixels, a->bytes * (size_t)(a->count + 1));
    a->latents = realloc(a->latents, (size_t)(a->size * (a->count + 1)) * sizeof *a->latents);
    assert_non_null(a->pixels);
    assert_non_null(a->latents);
    memcpy(a->pixels + a->bytes * (size_t)a->count, picture->image->pixels, a->bytes);
    memcpy(a->latents + a->size * a->count, picture->latents, (size_t)a->size * sizeof *a->latents);
    assert_int_equal(picture->index, a->count);
    a->count++;
    if (a->stop) *a->stop = 1;
    return TH_OK;
}

static void drop(album *a) {
    free(a->pixels);
    free(a->latents);
}

static album draw(th_sd *sd, const th_generate_params *p, const th_generate_request *r, int64_t n) {
    th_generator *g;
    album a = {0};
    int64_t h, w, c;
    assert_ok(th_generator_new(sd, p, &g));
    th_generator_latents(g, &h, &w, &c);
    a.size = h * w * c;
    assert_ok(th_generator_run(g, r, n, NULL, keep, &a));
    assert_int_equal(a.count, n);
    th_generator_free(g);
    return a;
}

static const th_generate_request some[] = {
    {.prompt = "a red boot on the beach", .negative = "blurry", .seed = 7},
    {.prompt = "Two dogs, sleeping!", .negative = "blurry", .seed = 8},
    {.prompt = "", .seed = 1ull << 40},
};
enum { SOME = sizeof some / sizeof *some };

/* --- beside diffusers --- */

typedef struct {
    th_generate_params p;
    th_latents noise; /* [2, h, w, 4] */
    float *latents;   /* [2, 4, h, w] */
    float *pixels;    /* [2, H, W, 3] */
} expected;

static float *values(const th_safetensors *file, const char *name, const char *part, const th_st_tensor **t) {
    char full[64];
    snprintf(full, sizeof full, "%s.%s", name, part);
    *t = th_safetensors_find(file, full);
    assert_non_null(*t);
    float *v = th_alloc((size_t)(*t)->count, sizeof *v);
    if ((*t)->dtype == TH_ST_U8)
        for (int64_t i = 0; i < (*t)->count; i++) v[i] = (float)((const uint8_t *)(*t)->data)[i];
    else
        assert_ok(th_st_to_f32(*t, 0, (*t)->count, v));
    return v;
}

static float *channels_last(const float *v, int64_t n, int64_t c, int64_t pixels) {
    float *out = th_alloc((size_t)(n * c * pixels), sizeof *out);
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < c; k++)
            for (int64_t p = 0; p < pixels; p++) out[(i * pixels + p) * c + k] = v[(i * c + k) * pixels + p];
    return out;
}

static void read_expected(const th_safetensors *file, const char *name, expected *e) {
    th_json note = {0};
    const char *text = th_safetensors_metadata(file, name), *scheduler = NULL;
    double guidance = 0, rescale = 0;
    const th_st_tensor *t;
    assert_non_null(text);
    th_generate_params_init(&e->p);
    assert_ok(th_json_parse(name, text, strlen(text), &note));
    assert_ok(th_json_int(&note, "steps", 1, 100, &e->p.steps));
    assert_ok(th_json_double(&note, "guidance", &guidance));
    assert_ok(th_json_double(&note, "rescale", &rescale));
    assert_ok(th_json_string(&note, "scheduler", &scheduler));
    e->p.guidance = (float)guidance, e->p.rescale = (float)rescale;
    e->p.scheduler = th_scheduler_find(scheduler);
    assert_non_null(e->p.scheduler);
    e->p.batch = 2, e->p.threads = 1;
    float *noise = values(file, name, "noise", &t), *latents = values(file, name, "latents", &t);
    e->noise = (th_latents){.n = 2, .c = 4, .h = t->shape[2], .w = t->shape[3]};
    e->noise.values = channels_last(noise, 2, 4, e->noise.h * e->noise.w);
    e->latents = channels_last(latents, 2, 4, e->noise.h * e->noise.w);
    e->pixels = values(file, name, "pixels", &t);
    e->p.height = t->shape[1], e->p.width = t->shape[2];
    th_free(noise);
    th_free(latents);
    th_json_free(&note);
}

static void compare(const char *name, const expected *e, const album *a) {
    double largest = 0, worst = 0;
    int off = 0;
    for (int64_t i = 0; i < 2 * a->size; i++) {
        largest = fmax(largest, fabs((double)e->latents[i]));
        worst = fmax(worst, fabs((double)e->latents[i] - (double)a->latents[i]));
    }
    for (size_t i = 0; i < 2 * a->bytes; i++) {
        int d = abs((int)e->pixels[i] - (int)a->pixels[i]);
        if (d > off) off = d;
    }
    if (getenv("TH_SHOW")) print_message("%s: latents off by %.1e of %.1f, pixels by %d\n", name, worst, largest, off);
    if (!(worst <= 1e-4 * largest)) fail_msg("%s: latents are off by %g, the largest is %g", name, worst, largest);
    if (off > 2) fail_msg("%s: a pixel is off by %d of 255", name, off);
}

static void pictures_are_those_of_diffusers(void **state) {
    (void)state;
    static const char *const names[] = {"ddim", "plain", "rescaled", "euler"};
    th_safetensors *file;
    th_sd sd;
    load(&sd);
    assert_ok(th_safetensors_open(DRAWN, NULL, &file));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        expected e;
        read_expected(file, names[i], &e);
        int64_t size = e.noise.h * e.noise.w * e.noise.c;
        th_generate_request r[2] = {some[0], some[1]};
        for (int k = 0; k < 2; k++) r[k].noise = e.noise.values + k * size;
        album a = draw(&sd, &e.p, r, 2);
        assert_int_equal(a.bytes, e.p.width * e.p.height * 3);
        compare(names[i], &e, &a);
        drop(&a);
        th_latents_free(&e.noise);
        th_free(e.latents);
        th_free(e.pixels);
    }
    th_safetensors_close(file);
    th_sd_free(&sd);
}

/* --- the same again --- */

static void a_seed_draws_the_same_bytes(void **state) {
    (void)state;
    th_sd sd;
    load(&sd);
    for (int64_t i = 0; th_scheduler_at(i); i++) {
        th_generate_params p = quick();
        p.scheduler = th_scheduler_at(i);
        album a = draw(&sd, &p, some, SOME), b = draw(&sd, &p, some, SOME);
        assert_memory_equal(a.pixels, b.pixels, a.bytes * SOME);
        assert_memory_equal(a.latents, b.latents, (size_t)(a.size * SOME) * sizeof(float));
        assert_memory_not_equal(a.latents, a.latents + a.size, (size_t)a.size * sizeof(float));
        drop(&a);
        drop(&b);
    }
    th_sd_free(&sd);
}

/* To the bit on this tiny model; a large one may take other kernels for other batches. */
static void a_picture_does_not_depend_on_its_batch(void **state) {
    (void)state;
    th_sd sd;
    load(&sd);
    th_generate_params p = quick();
    p.scheduler = th_scheduler_find("ddpm"); /* adds noise of each picture's own */
    album alone = draw(&sd, &p, some, SOME);
    for (p.batch = 2; p.batch <= 4; p.batch++) {
        album together = draw(&sd, &p, some, SOME);
        for (int64_t i = 0; i < alone.size * SOME; i++)
            if (!(fabsf(alone.latents[i] - together.latents[i]) <= 1e-5f * (1 + fabsf(alone.latents[i]))))
                fail_msg("batch %d, value %d: %.9g alone, %.9g together", (int)p.batch, (int)i,
                         (double)alone.latents[i], (double)together.latents[i]);
        if (getenv("TH_SHOW"))
            print_message("batch %d: %s\n", (int)p.batch,
                          memcmp(alone.latents, together.latents, (size_t)(alone.size * SOME) * sizeof(float))
                              ? "other bits"
                              : "the same bits");
        drop(&together);
    }
    drop(&alone);
    th_sd_free(&sd);
}

static void changed_weights_are_seen(void **state) {
    (void)state;
    th_sd sd;
    th_generator *g;
    load(&sd);
    th_generate_params p = quick();
    album a = {.size = 8 * 8 * 4}, b = {.size = 8 * 8 * 4};
    float bias[4] = {0.5f, -0.5f, 0, 0};
    assert_ok(th_generator_new(&sd, &p, &g));
    assert_ok(th_generator_run(g, some, 1, NULL, keep, &a));
    assert_ok(th_param_set(th_params_find(th_unet_params(sd.unet), "conv_out.bias"), bias));
    assert_ok(th_generator_run(g, some, 1, NULL, keep, &b));
    assert_memory_not_equal(a.latents, b.latents, (size_t)a.size * sizeof(float));
    th_generator_free(g);
    drop(&a);
    drop(&b);
    th_sd_free(&sd);
}

static void without_guidance_the_negative_prompt_does_not_matter(void **state) {
    (void)state;
    th_sd sd;
    load(&sd);
    th_generate_params p = quick();
    th_generate_request with = some[0], without = some[0];
    without.negative = NULL;
    p.guidance = 1;
    album a = draw(&sd, &p, &with, 1), b = draw(&sd, &p, &without, 1);
    assert_memory_equal(a.latents, b.latents, (size_t)a.size * sizeof(float));
    drop(&a);
    drop(&b);
    th_sd_free(&sd);
}

/* --- stopping, refusing, memory --- */

static void stopped_finished_pictures_are_handed_over(void **state) {
    (void)state;
    th_sd sd;
    th_generator *g;
    volatile sig_atomic_t stop = 0;
    th_watch watch = {.stop = &stop};
    album a = {.size = 8 * 8 * 4, .stop = &stop};
    load(&sd);
    th_generate_params p = quick();
    assert_ok(th_generator_new(&sd, &p, &g));
    assert_int_equal(th_generator_run(g, some, SOME, &watch, keep, &a), TH_E_INTERRUPTED);
    assert_int_equal(a.count, 1);
    th_generator_free(g);
    drop(&a);
    th_sd_free(&sd);
}

static th_status refuse(void *user, const th_generated *picture) {
    (void)user, (void)picture;
    return th_fail(TH_E_DISK, "no room");
}

static void what_the_caller_refuses_ends_the_run(void **state) {
    (void)state;
    th_sd sd;
    th_generator *g;
    load(&sd);
    th_generate_params p = quick();
    assert_ok(th_generator_new(&sd, &p, &g));
    assert_fails(th_generator_run(g, some, SOME, NULL, refuse, NULL), TH_E_DISK, "no room");
    assert_ok(th_generator_run(g, some, 0, NULL, refuse, NULL));
    th_generator_free(g);
    th_sd_free(&sd);
}

static void sizes_that_do_not_fit_name_the_multiple(void **state) {
    (void)state;
    th_sd sd;
    th_generator *g;
    load(&sd);
    th_generate_params p = quick();
    p.width = 18;
    assert_fails(th_generator_new(&sd, &p, &g), TH_E_USAGE, "multiples of 4");
    p.width = 1 << 20;
    assert_fails(th_generator_new(&sd, &p, &g), TH_E_USAGE, "up to 16384");
    p = quick();
    p.steps = 2000;
    assert_fails(th_generator_new(&sd, &p, &g), TH_E_USAGE, "2000 steps");
    p = quick();
    p.batch = 0;
    assert_fails(th_generator_new(&sd, &p, &g), TH_E_USAGE, "batch");
    p = quick();
    p.rescale = 2;
    assert_fails(th_generator_new(&sd, &p, &g), TH_E_USAGE, "between 0 and 1");
    p = quick();
    p.guidance = NAN;
    assert_fails(th_generator_new(&sd, &p, &g), TH_E_USAGE, "guidance");
    p = quick();
    p.memory = 1000;
    assert_fails(th_generator_new(&sd, &p, &g), TH_E_MEMORY, "tiles");
    th_sd_free(&sd);
}

static void an_output_that_is_no_number_is_said(void **state) {
    (void)state;
    th_sd sd;
    th_generator *g;
    load(&sd);
    th_generate_params p = quick();
    float bias[4] = {NAN, 0, 0, 0};
    assert_ok(th_param_set(th_params_find(th_unet_params(sd.unet), "conv_out.bias"), bias));
    assert_ok(th_generator_new(&sd, &p, &g));
    assert_fails(th_generator_run(g, some, SOME, NULL, refuse, NULL), TH_E_INPUT, "not finite at call 1");
    th_generator_free(g);
    th_sd_free(&sd);
}

static void tiles_give_a_picture_of_the_same_size(void **state) {
    (void)state;
    th_sd sd;
    load(&sd);
    th_generate_params p = quick();
    p.width = p.height = 48;
    album a = draw(&sd, &p, some, 1);
    p.tiles = true;
    album b = draw(&sd, &p, some, 1);
    assert_int_equal(a.bytes, b.bytes);
    assert_memory_equal(a.latents, b.latents, (size_t)a.size * sizeof(float));
    drop(&a);
    drop(&b);
    th_sd_free(&sd);
}

static void the_plan_tells_runs_and_memory(void **state) {
    (void)state;
    th_sd sd;
    th_generator *g;
    th_generate_cost one, many;
    load(&sd);
    th_generate_params p = quick();
    p.batch = 2, p.steps = 10; /* PNDM calls once more */
    assert_ok(th_generator_new(&sd, &p, &g));
    assert_ok(th_generator_get_cost(g, 1, 2, &one));
    assert_ok(th_generator_get_cost(g, 7, 20, &many));
    assert_int_equal(one.step_runs, 11);
    assert_int_equal(many.step_runs, 4 * 11);
    assert_int_equal(many.decode_runs, 7);
    assert_int_equal(many.text_runs, 5);
    assert_true(one.step.flops > 1e6 && one.bytes > 100000 && many.bytes > one.bytes);
    th_ceilings c = {.threads = 1, .flops_per_second = 1e9, .bytes_per_second = 1e9};
    assert_true(th_generate_seconds(&many, &c, 1) > 3 * th_generate_seconds(&one, &c, 1));
    th_generator_free(g);
    th_sd_free(&sd);
}

static void the_text_encoder_goes_when_it_is_done(void **state) {
    (void)state;
    th_sd sd;
    load(&sd);
    th_generate_params p = quick();
    size_t before = th_bytes_in_use();
    p.release_text = true;
    album a = draw(&sd, &p, some, SOME);
    assert_true(th_bytes_in_use() < before);
    drop(&a);
    th_sd_free(&sd);
}

static void noise_is_normal_and_of_its_seed(void **state) {
    (void)state;
    enum { COUNT = 20001 };
    static float a[COUNT], b[COUNT];
    double sum = 0, squares = 0;
    th_generate_noise(3, COUNT, a);
    th_generate_noise(3, COUNT - 2, b);
    assert_memory_equal(a, b, (COUNT - 2) * sizeof *a);
    for (int i = 0; i < COUNT; i++) sum += (double)a[i], squares += (double)a[i] * (double)a[i];
    assert_true(fabs(sum / COUNT) < 0.03 && fabs(squares / COUNT - 1) < 0.04);
    th_generate_noise(4, COUNT, b);
    assert_memory_not_equal(a, b, sizeof a);
}

/* Of the thousands of allocations some are tried, from the first to the last. */
static void failed_allocations_leave_nothing(void **state) {
    (void)state;
    th_sd sd;
    load(&sd);
    th_generate_params p = quick();
    p.steps = 1;
    album first = draw(&sd, &p, some, 1); /* parameters' copies stay with the model */
    drop(&first);
    size_t before = th_bytes_in_use();
    th_status s = TH_E_MEMORY;
    for (int64_t n = 1; s != TH_OK; n += 1 + n / 3) {
        th_generator *g;
        album a = {.size = 8 * 8 * 4};
        th_alloc_fail_at(n, false);
        s = th_generator_new(&sd, &p, &g);
        if (s == TH_OK) s = th_generator_run(g, some, 1, NULL, keep, &a);
        th_alloc_fail_at(0, false);
        th_generator_free(g);
        drop(&a);
        if (s != TH_OK) assert_int_equal(s, TH_E_MEMORY);
        assert_true(th_bytes_in_use() <= before);
    }
    th_sd_free(&sd);
}

/* --- files --- */

static void write_text(const char *path, const char *text) { assert_ok(th_file_write(path, text, strlen(text))); }

static void prompts_come_from_lines_and_tables(void **state) {
    (void)state;
    th_prompts p;
    write_text("p.txt", "\xef\xbb\xbf"
                        "a boot\r\n\n  \na coat, red\nlast");
    assert_ok(th_prompts_read("p.txt", "prompt", &p));
    assert_int_equal(p.count, 3);
    assert_string_equal(p.items[0], "a boot");
    assert_string_equal(p.items[2], "last");
    assert_int_equal(p.sheet.rows, 0);
    th_prompts_free(&p);
    write_text("p.tsv", "colour\ttext\nred\ta red boot\nblue\t\"a \"\"blue\"\" boot\"\n");
    assert_ok(th_prompts_read("p.tsv", "text", &p));
    assert_int_equal(p.count, 2);
    assert_string_equal(p.items[1], "a \"blue\" boot");
    th_prompts_free(&p);
    assert_fails(th_prompts_read("p.tsv", "prompt", &p), TH_E_INPUT, "p.tsv");
    write_text("p.txt", "\n \n");
    assert_fails(th_prompts_read("p.txt", "prompt", &p), TH_E_INPUT, "holds no prompt");
    write_text("p.tsv", "prompt\n");
    assert_fails(th_prompts_read("p.tsv", "prompt", &p), TH_E_INPUT, "holds no prompt");
    assert_ok(th_file_write("p.txt", "a\0b", 3));
    assert_fails(th_prompts_read("p.txt", "prompt", &p), TH_E_INPUT, "NUL");
    assert_fails(th_prompts_read("nowhere.txt", "prompt", &p), TH_E_IO, "nowhere.txt");
    unlink("p.txt");
    unlink("p.tsv");
}

static void the_words_that_are_cut_are_named(void **state) {
    (void)state;
    th_sd sd;
    th_str cut;
    load(&sd);
    th_str_init(&cut, 4096);
    assert_ok(th_prompt_cut(&sd, "a cat", &cut));
    assert_ok(th_prompt_cut(&sd, "", &cut));
    assert_string_equal(th_str_text(&cut), "");
    assert_ok(th_prompt_cut(&sd, "a a a a a a a a a a a a a a  last words", &cut)); /* 14 tokens fit between the ends */
    assert_string_equal(th_str_text(&cut), "last words");
    th_str_free(&cut);
    th_sd_free(&sd);
}

static void latents_come_back_from_their_file(void **state) {
    (void)state;
    float v[2 * 3 * 2 * 4];
    th_latents a = {.n = 2, .h = 3, .w = 2, .c = 4, .values = v}, b;
    const th_st_tensor *t;
    th_safetensors *file;
    for (int i = 0; i < 48; i++) v[i] = (float)i;
    assert_ok(th_latents_write("l.safetensors", &a));
    assert_ok(th_latents_read("l.safetensors", &b));
    assert_int_equal(b.n, 2);
    assert_int_equal(b.h, 3);
    assert_int_equal(b.w, 2);
    assert_int_equal(b.c, 4);
    assert_memory_equal(b.values, v, sizeof v);
    th_latents_free(&b);
    assert_ok(th_safetensors_open("l.safetensors", NULL, &file)); /* channels come first in the file */
    assert_ok(th_safetensors_want(file, "latents", 4, (const int64_t[]){2, 4, 3, 2}, &t));
    assert_true(((const float *)t->data)[1] == 4.0f);
    th_safetensors_close(file);
    assert_fails(th_latents_read(DRAWN, &b), TH_E_INPUT, "'latents' is missing");
    unlink("l.safetensors");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pictures_are_those_of_diffusers),
        cmocka_unit_test(a_seed_draws_the_same_bytes),
        cmocka_unit_test(a_picture_does_not_depend_on_its_batch),
        cmocka_unit_test(changed_weights_are_seen),
        cmocka_unit_test(without_guidance_the_negative_prompt_does_not_matter),
        cmocka_unit_test(stopped_finished_pictures_are_handed_over),
        cmocka_unit_test(what_the_caller_refuses_ends_the_run),
        cmocka_unit_test(sizes_that_do_not_fit_name_the_multiple),
        cmocka_unit_test(an_output_that_is_no_number_is_said),
        cmocka_unit_test(tiles_give_a_picture_of_the_same_size),
        cmocka_unit_test(the_plan_tells_runs_and_memory),
        cmocka_unit_test(the_text_encoder_goes_when_it_is_done),
        cmocka_unit_test(failed_allocations_leave_nothing),
        cmocka_unit_test(noise_is_normal_and_of_its_seed),
        cmocka_unit_test(prompts_come_from_lines_and_tables),
        cmocka_unit_test(the_words_that_are_cut_are_named),
        cmocka_unit_test(latents_come_back_from_their_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
