/* scheduler_config.json: what is accepted becomes a sampler or is refused; a sampler's times lie within the training,
 * and its steps touch no memory but their own. */
#include <math.h>
#include <stdlib.h>

#include "base/memory.h"
#include "diffusion/scheduler.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void sample(const th_scheduler_config *c, int64_t steps) {
    th_sampler *s;
    float x[3] = {1, -2, 0.5f}, seen[3], output[3] = {0.5f, 0, -1}, noise[3] = {1, -1, 0};
    if (th_sampler_new(c, steps, &s) != TH_OK) return;
    for (int64_t i = 0; i < th_sampler_calls(s); i++) {
        float t = th_sampler_time(s, i);
        if (!(t >= 0 && t <= (float)(c->train_steps - 1))) abort();
        th_sampler_input(s, i, x, 3, seen);
        if (th_sampler_step(s, i, output, noise, 3, x) != TH_OK) abort();
    }
    th_sampler_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    size_t before = th_bytes_in_use();
    th_scheduler_config c, other;
    if (th_scheduler_parse_config("fuzz.json", (const char *)data, size, &c) == TH_OK) {
        sample(&c, 1 + (int64_t)size % 30);
        for (int64_t i = 0; th_scheduler_at(i); i++) {
            other = c;
            if (th_scheduler_become(&other, th_scheduler_at(i)) == TH_OK) sample(&other, 5);
        }
    }
    if (th_bytes_in_use() != before) abort();
    return 0;
}
