/* The text encoder: one of CLIP's towers, whose states after the final norm are all read. Parameters bear the names of
 * transformers' CLIPTextModel as it was until version 5. */
#include "model/text_encoder.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "graph/param.h"
#include "model/clip_tower.h"
#include "model/text_encoder_files.h"

struct th_text_encoder {
    th_text_encoder_config config;
    th_params *params, *added;                   /* added: NULL until there are tokens */
    th_param *tokens, *positions, *added_tokens; /* [vocab, width], [context, width], [count, width] */
    th_transformer layers;
    th_norm_layer final_norm;
};

void th_text_encoder_config_init(th_text_encoder_config *c) {
    *c = (th_text_encoder_config){
        .tower = {768, 12, 12, 3072, true, 1e-5f},
        .vocab_size = 49408,
        .context = 77,
        .bos_token_id = 49406,
        .eos_token_id = 49407,
        .pad_token_id = 1,
        .projection_dim = 768,
    };
}

static void make(th_maker *m, th_text_encoder *e) {
    const th_text_encoder_config *c = &e->config;
    th_transformer_config t = th_clip_tower_transformer(&c->tower, true);
    int64_t d = c->tower.width;
    e->tokens = th_make_param(m, TH_DESC(TH_F32, c->vocab_size, d), "text_model.embeddings.token_embedding.weight");
    e->positions = th_make_param(m, TH_DESC(TH_F32, c->context, d), "text_model.embeddings.position_embedding.weight");
    th_transformer_init(m, &e->layers, "text_model.encoder", &t);
    th_norm_init(m, &e->final_norm, "text_model.final_layer_norm", d, c->tower.eps);
}

th_status th_text_encoder_new(const th_text_encoder_config *config, th_text_encoder **out) {
    TH_TRY(th_text_encoder_check(config));
    th_text_encoder *e = th_alloc(1, sizeof *e);
    if (!e) return th_fail_memory();
    e->config = *config;
    e->params = th_params_new();
    th_maker m = {e->params, e->params ? TH_OK : th_fail_memory()};
    make(&m, e);
    if (m.status != TH_OK) return th_text_encoder_free(e), m.status;
    *out = e;
    return TH_OK;
}

void th_text_encoder_free(th_text_encoder *e) {
    if (!e) return;
    th_free(e->layers.blocks);
    th_params_free(e->added);
    th_params_free(e->params);
    th_free(e);
}

const th_text_encoder_config *th_text_encoder_get_config(const th_text_encoder *e) { return &e->config; }
th_params *th_text_encoder_params(const th_text_encoder *e) { return e->params; }

/* As OpenAI's CLIP starts. */
th_status th_text_encoder_randomize(th_text_encoder *e, uint64_t seed) {
    uint32_t which = 0;
    TH_TRY(th_init_normal(e->tokens, seed, which++, 0.02f));
    TH_TRY(th_init_normal(e->positions, seed, which++, 0.01f));
    TH_TRY(th_norm_randomize(&e->final_norm));
    return th_transformer_randomize(&e->layers, seed, &which);
}

/* --- tokens beside the table --- */

th_status th_text_encoder_add_tokens(th_text_encoder *e, int64_t count) {
    if (e->added) return th_fail(TH_E_BUG, "tokens are added to a text encoder once");
    if (count < 1 || count > INT32_MAX - e->config.vocab_size)
        return th_fail(TH_E_USAGE, "%lld tokens cannot be added to a text encoder", (long long)count);
    th_params *ps = th_params_new();
    if (!ps) return th_fail_memory();
    th_maker m = {ps, TH_OK};
    e->added_tokens = th_make_param(&m, TH_DESC(TH_F32, count, e->config.tower.width), "string_to_param");
    if (m.status == TH_OK) m.status = th_params_allocate(ps);
    if (m.status != TH_OK) return th_params_free(ps), m.status;
    e->added = ps;
    return TH_OK;
}

th_params *th_text_encoder_added(const th_text_encoder *e) { return e->added; }

th_status th_text_encoder_get_row(const th_text_encoder *e, int32_t id, float *out) {
    int64_t width = e->config.tower.width, vocab = e->config.vocab_size;
    int64_t added = e->added ? th_param_desc(e->added_tokens)->dim[0] : 0;
    if (id < 0 || id >= vocab + added)
        return th_fail(TH_E_USAGE, "token %d is outside the text encoder's vocabulary of %lld", (int)id,
                       (long long)(vocab + added));
    const th_param *p = id < vocab ? e->tokens : e->added_tokens;
    if (!p->value) return th_fail(TH_E_BUG, "%s: has no values", th_param_name(p));
    if (p->home.move) return th_fail(TH_E_BUG, "%s: is no table of rows any more", th_param_name(p));
    memcpy(out, p->value + (id < vocab ? id : id - vocab) * width, (size_t)width * sizeof *out);
    return TH_OK;
}

/* --- the graph --- */

static th_tensor *embed(th_graph *g, const th_text_encoder *e, th_tensor *ids) {
    th_tensor *table = th_use(g, e->tokens);
    if (!e->added) return th_take_rows(g, table, ids);
    th_tensor *own = th_take_rows_from(g, table, ids, 0);
    return th_add(g, own, th_take_rows_from(g, th_use(g, e->added_tokens), ids, e->config.vocab_size));
}

th_tensor *th_text_encoder_apply(th_graph *g, const th_text_encoder *e, th_tensor *ids) {
    const th_text_encoder_config *c = &e->config;
    const th_desc *d = th_tensor_desc(ids);
    char text[TH_DESC_TEXT];
    th_graph_push(g, "text");
    if (d->rank != 2 || d->dim[1] > c->context)
        th_graph_fail(g, TH_E_SHAPE, "ids %s, the text encoder takes [n, t] with t up to %lld", th_desc_text(d, text),
                      (long long)c->context);
    th_tensor *positions = th_slice(g, th_use(g, e->positions), 0, 0, d->dim[1]);
    th_tensor *x = th_transformer_apply(g, &e->layers, th_add(g, embed(g, e, ids), positions));
    x = th_norm_apply(g, &e->final_norm, x);
    th_graph_pop(g);
    return x;
}
