/* The demonstration of a guarded text-to-image model: DreamBooth on the protected pictures and on those of a subject of
 * the same class that is not protected, by the open model and by the guarded one; what the four draw, held against the
 * pictures by a judge.
 *
 * OUT/guard/open/, OUT/guard/guarded/   what each draws: class/, before/ (anybody personalises it, at the prompt of the
 *                                       training), protected/, unprotected/ (after that) */
#ifndef TH_CLI_DEMO_GUARD_H
#define TH_CLI_DEMO_GUARD_H

#include "base/memory.h"
#include "cli/demo/demo.h"
#include "report/page.h"

typedef enum { TH_DEMO_IS_OPEN, TH_DEMO_IS_GUARDED, TH_DEMO_SDS } th_demo_sd;
typedef enum { TH_DEMO_PROTECTED, TH_DEMO_UNPROTECTED, TH_DEMO_SUBJECTS } th_demo_subject;
enum { TH_DEMO_CONTEXTS = 8, TH_DEMO_MOST_CONTROLS = 16 };

/* A gate as guard.json has it; NaN for what was not measured. */
typedef struct {
    th_estimate captions, open_captions, others, open_others, leak, instances;
    bool class_holds, leak_holds;
} th_demo_gates;

/* What guard.json says of the protected pictures. */
typedef struct {
    const char *name, *class, *mode, *method;
    const char *target;    /* noun; NULL: the protective output is nothing that has one */
    const char *what;      /* "sks bag" */
    const char *prompt;    /* "a photo of sks bag", that attackers train on */
    const char *plain;     /* "a photo of a bag" */
    const char *retention; /* "trajectory", "mirror and flat" */
    int64_t steps, texts;
    double lr;
    bool checked; /* the gates were */
    th_demo_gates gates;
    int64_t known; /* of the demonstration's prompts: that the guard was trained on */
} th_demo_card;

/* Pictures of one kind, with what the judge makes of them. */
typedef struct {
    th_dataset *set;
    int64_t count;
    const char *name;  /* of a real subject: the set as people gave it */
    float *rows;       /* [count, width]: unit features */
    float *likeness;   /* [count]: mean cosine with the pictures of the subject that it is held against */
    bool *protective;  /* [count]: shows the protective output */
    th_estimate own;   /* fidelity to that subject, */
    th_estimate other; /* and to the other one that is most like it: the control */
    th_estimate shown; /* share of the protective output; NaN: cannot be judged */
} th_demo_look;

struct th_demo_guard {
    th_arena *arena;
    const char *dirs[TH_DEMO_SDS], *judge;
    th_demo_card card;
    const char *prompts[TH_DEMO_CONTEXTS]; /* drawn after personalising, in turn */
    int64_t side, steps, draw, class_pictures;
    double lr;
    th_demo_look real[TH_DEMO_SUBJECTS], controls[TH_DEMO_MOST_CONTROLS];
    int64_t control_count;
    /* Drawn: of the class and at the prompt before personalising, which are held against the protected subject; and
     * after it, against its own. */
    th_demo_look plain[TH_DEMO_SDS], before[TH_DEMO_SDS], cells[TH_DEMO_SDS][TH_DEMO_SUBJECTS];
    double seconds;
};

extern const th_option th_demo_guard_options[];
/* Whether a folder that nobody named is not there; why: of TH_MESSAGE_MAX bytes. */
bool th_demo_guard_missing(const th_demo_job *j, char *why);
/* What can be said before any work; g is to be freed also after an error. */
th_status th_demo_guard_open(const th_demo_job *j, th_demo_guard *g);
th_status th_demo_guard_run(const th_demo_job *j, th_demo_guard *g);
void th_demo_guard_free(th_demo_guard *g); /* a zeroed one is allowed */
th_status th_demo_guard_print(th_cli *cli, const th_demo_guard *g);
/* NULL when out of memory. */
json_t *th_demo_guard_json(const th_demo_guard *g);

/* --- demo/guard_card.c --- */

/* Reads guard.json, and finds the subject in it whose pictures the protected ones are. */
th_status th_demo_card_read(const th_demo_job *j, th_demo_guard *g);

/* --- demo/guard_cells.c --- */

/* A scene for the subject, {} for its name, and the same without it. */
typedef struct {
    const char *with, *instead;
} th_demo_context;
extern const th_demo_context th_demo_contexts[TH_DEMO_CONTEXTS];
/* Draws everything. */
th_status th_demo_guard_draw(const th_demo_job *j, th_demo_guard *g);

/* --- demo/guard_judge.c --- */

th_status th_demo_guard_judge(const th_demo_job *j, th_demo_guard *g);

/* --- demo/guard_report.c --- */

/* Adds the section to the page. */
th_status th_demo_guard_add(th_page *page, const th_demo_guard *g);
/* Likeness and protective output of everything drawn; brief: without intervals. NULL when out of memory. */
th_table *th_demo_guard_table(const th_demo_guard *g, bool brief);

#endif
