/* Options of a personalisation, over the tiny Stable Diffusion. */
#ifndef TH_PERSONALIZE_FIXTURE_H
#define TH_PERSONALIZE_FIXTURE_H

#include "personalize/personalize_parts.h"
#include "sd_fixture.h"

/* A method's options, as given in words: "rank", "2", …, NULL. */
static inline th_options *fixture_options(const th_personalizer *m, const char *const *words) {
    th_options *o = th_options_new(m->name);
    assert_non_null(o);
    assert_ok(th_options_add(o, m->name, m->options));
    for (; *words; words += 2) assert_ok(th_options_set_text(o, TH_FROM_FLAG, NULL, words[0], words[1]));
    return o;
}

#endif
