/* What is asked of a guarded model before it may be published: that the class is still drawn from plain captions, and
 * that the released model does not draw the protected subject at the prompt that attackers train on. */
#ifndef TH_CLI_GUARD_GATES_H
#define TH_CLI_GUARD_GATES_H

#include "cli/guard/model.h"
#include "metric/interval.h"

extern const th_option th_guard_gate_options[];

#define TH_GUARD_LEAST_KEPT 0.9

/* Of one subject. Shares of pictures in which the judge, a CLIP model, finds the class' noun likelier than other nouns;
 * fidelity: mean cosine of features with the protected pictures. */
typedef struct {
    th_estimate captions, open_captions; /* drawn by captions of the class */
    th_estimate others, open_others;     /* the same with other identifiers */
    double kept, kept_others;            /* guarded over open; NaN where the open model has none */
    th_estimate leak, instances;         /* fidelity of what the guarded model draws at the training prompt, and of the
                                            class as the open model draws it */
    bool class_holds, leak_holds;
} th_guard_gate;

/* Draws by both models into the run's folder and judges. dir: the guarded model. */
th_status th_guard_check_gates(th_guard_job *j, const char *dir, th_guard_gate *gates);
/* The member "gates" of guard.json. */
json_t *th_guard_gates_json(const th_guard_job *j, const th_guard_gate *gates);
void th_guard_gates_print(th_guard_job *j, const th_guard_gate *gates);

#endif
