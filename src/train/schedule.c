/* Warm-up, then cosine (Loshchilov and Hutter 2017), a line, or nothing. */
#include "train/schedule.h"

#include <math.h>
#include <string.h>

bool th_schedule_parse(const char *name, th_schedule_kind *out) {
    static const char *const names[] = {"cosine", "linear", "constant"};
    for (int i = 0; i < 3; i++)
        if (!strcmp(name, names[i])) return *out = (th_schedule_kind)i, true;
    return false;
}

double th_schedule_at(const th_schedule *s, int64_t step) {
    if (step < s->warmup) return s->lr * (double)(step + 1) / (double)s->warmup;
    if (s->kind == TH_CONSTANT) return s->lr;
    int64_t rest = s->steps - s->warmup;
    double t = rest > 0 ? (double)(step - s->warmup) / (double)rest : 1.0;
    if (t > 1.0) t = 1.0;
    double high = s->kind == TH_COSINE ? 0.5 * (1.0 + cos(3.14159265358979323846 * t)) : 1.0 - t;
    return s->end + (s->lr - s->end) * high;
}
