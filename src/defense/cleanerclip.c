/* CleanerCLIP ("TA-Cleaner", arXiv 2409.17601): on top of CleanCLIP, a subset S of each epoch's samples is tied to
 * fine-grained texts. Images are pulled to a true part P_i of their caption and pushed from parts N_i^m in which one
 * adjective, noun or verb was replaced. The paper's equations were not at hand; this form, built from its description,
 * is docs/methods/cleanerclip.md's: i2t = −mean_i log e^{s⟨I_i,P_i⟩} / (Σ_{j∈S} e^{s⟨I_i,P_j⟩} + Σ_m e^{s⟨I_i,N_i^m⟩})
 *   t2i = −mean_i log e^{s⟨P_i,I_i⟩} / Σ_{j∈S} e^{s⟨P_i,I_j⟩}
 *   L = L_CLIP + λ_self L_SS + λ ½ (i2t + t2i) */
#include "defense/defense.h"
#include "graph/graph.h"

static const th_option options[] = {
    TH_OPT_F32("self-weight", 1.0, "weight of CleanCLIP's self-supervised part", TH_AT_LEAST(0)),
    TH_OPT_F32("subtext-weight", 1.0, "λ: weight of the sub-text part", TH_AT_LEAST(0)),
    TH_OPT_F32("subset", 0.2, "K: share of the samples drawn for sub-texts in each epoch", TH_ABOVE(0), TH_AT_MOST(1)),
    TH_OPT_INT("negatives", 3, "false sub-texts a sample", TH_WITHIN(1, 16)),
    TH_OPT_CHOICE("subtexts", "both|positives|negatives", "both", "which sub-texts count: the ablations"),
    TH_OPT_END,
};

enum { BOTH, POSITIVES, NEGATIVES };

/* ⟨I_i, N_i^m⟩ as [S, M]: each row has false texts of its own. */
static th_tensor *own_negatives(th_clip_batch *b, th_tensor *images) {
    int64_t s = b->subset, m = b->negatives, d = th_tensor_desc(images)->dim[1];
    th_tensor *n = th_reshape(b->g, b->negative_texts, TH_DESC(TH_F32, s, m, d));
    th_tensor *i = th_reshape(b->g, images, TH_DESC(TH_F32, s, 1, d));
    return th_reshape(b->g, th_matmul(b->g, i, n, false, true), TH_DESC(TH_F32, s, m));
}

/* With `negatives` alone, the other rows' true parts leave the denominator, [⟨I_i,P_i⟩ | negatives], label 0; t2i,
 * which has nothing but those, goes. */
static th_tensor *against_negatives_only(th_clip_batch *b, th_tensor *images, th_tensor *negatives) {
    th_graph *g = b->g;
    int64_t s = b->subset;
    th_tensor *own = th_sum(g, th_mul(g, images, b->positive_texts), 2u);
    th_tensor *logits = th_concat(g, 1, 2, (th_tensor *[]){th_mul(g, own, b->scale), negatives});
    int32_t *zero = th_alloc((size_t)s, sizeof *zero);
    if (!zero) return th_graph_fail(g, TH_E_MEMORY, "out of memory");
    th_tensor *labels = th_constant(g, TH_DESC(TH_I32, s), zero);
    th_free(zero);
    return th_mean_all(g, th_softmax_cross_entropy(g, logits, labels));
}

static th_tensor *subtext_loss(th_clip_batch *b) {
    th_graph *g = b->g;
    int64_t which = th_get_choice(b->options, "subtexts");
    th_tensor *images = th_slice(g, b->images, 0, 0, b->subset);
    th_tensor *negatives = th_add(g, th_mul(g, own_negatives(b, images), b->scale), b->negative_mask);
    if (which == NEGATIVES) return th_scale(g, against_negatives_only(b, images, negatives), 0.5f);
    th_tensor *to_text = th_mul(g, th_matmul(g, images, b->positive_texts, false, true), b->scale);
    th_tensor *with = which == BOTH ? th_concat(g, 1, 2, (th_tensor *[]){to_text, negatives}) : to_text;
    th_tensor *sum = th_add(g, th_clip_diagonal(g, with), th_clip_match(g, b->positive_texts, images, b->scale));
    return th_scale(g, sum, 0.5f);
}

static th_tensor *loss(th_clip_batch *b) {
    th_graph *g = b->g;
    th_tensor *contrastive = th_clip_contrastive(g, b->images, b->texts, b->scale);
    th_clip_log(b, "loss_clip", contrastive);
    th_tensor *self = th_scale(g, th_clip_self_supervised_loss(b), th_get_f32(b->options, "self-weight"));
    th_graph_precise(g, true);
    th_tensor *sub = subtext_loss(b);
    th_graph_precise(g, false);
    th_clip_log(b, "loss_subtext", sub);
    return th_add(g, th_add(g, contrastive, self), th_scale(g, sub, th_get_f32(b->options, "subtext-weight")));
}

const th_clip_method th_defense_cleanerclip = {
    .name = "cleanerclip",
    .summary = "CleanerCLIP: CleanCLIP with counterfactual sub-texts",
    .options = options,
    .needs = TH_NEEDS_VIEWS | TH_NEEDS_SUBTEXTS,
    .subset_option = "subset",
    .negatives_option = "negatives",
    .loss = loss,
};
