/* Makes a small CLIP with random values, saves it as a Hugging Face folder, loads that again, and compares two
 * pictures.
 *
 *     cc -std=c17 clip.c -o clip $(pkg-config --cflags --libs theriac)
 *     ./clip FOLDER
 */
#include <stdio.h>
#include <stdlib.h>

#include <theriac/clip.h>
#include <theriac/plan.h>

static void check(th_status s) {
    if (s == TH_OK) return;
    fprintf(stderr, "clip: %s\n", th_error_message());
    exit(th_status_exit(s));
}

static void make(const char *folder) {
    th_clip_config c;
    th_clip_config_init(&c); /* ViT-B/32; here is a much smaller one */
    c.vision.width = c.text.width = 64;
    c.vision.heads = c.text.heads = 4;
    c.vision.layers = c.text.layers = 2;
    c.vision.mlp = c.text.mlp = 256;
    c.image_size = 32;
    c.patch_size = 8;
    c.vocab_size = 512;
    c.bos_token_id = 510;
    c.eos_token_id = c.pad_token_id = 511;
    c.context = 16;
    c.projection = 32;
    th_clip *m;
    check(th_clip_new(&c, &m));
    check(th_clip_randomize(m, 1));
    check(th_clip_save(m, folder, "f16"));
    printf("%s: %lld parameters\n", folder, (long long)th_params_elements(th_clip_params(m)));
    th_clip_free(m);
}

/* Two pictures of noise, as a model sees them: normalised, channels last. */
static void paint(float *pixels, int64_t count) {
    uint32_t state = 1;
    for (int64_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u; /* Numerical Recipes' generator */
        pixels[i] = (float)(state >> 8) / 0x1p23f - 1;
    }
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "Usage: clip FOLDER\n");
        return 2;
    }
    make(argv[1]);
    th_clip *m;
    check(th_clip_load(argv[1], &m));
    const th_clip_config *c = th_clip_get_config(m);

    th_graph *g = th_graph_new();
    if (!g) check(TH_E_MEMORY);
    th_tensor *images = th_input(g, "images", TH_DESC(TH_F32, 2, c->image_size, c->image_size, 3));
    th_output(g, "rows", th_clip_embed_images(g, m, images));
    th_plan *plan;
    th_plan_params how;
    th_plan_params_init(&how);
    check(th_plan_new(g, &how, &plan));
    th_graph_free(g);

    check(th_plan_allocate(plan));
    paint(th_plan_input(plan, "images"), th_desc_count(th_plan_input_desc(plan, "images")));
    check(th_plan_run(plan, 0, 0));
    const float *rows = th_plan_output(plan, "rows"); /* [2, projection], of unit length */
    double similarity = 0;
    for (int64_t i = 0; i < c->projection; i++) similarity += (double)rows[i] * (double)rows[c->projection + i];
    printf("cosine similarity of the two pictures: %.4f\n", similarity);

    th_plan_free(plan);
    th_clip_free(m);
    return 0;
}
