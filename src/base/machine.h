/* What the machine is, as the system tells: for doctor, and for the record of a run; and its clock. */
#ifndef TH_BASE_MACHINE_H
#define TH_BASE_MACHINE_H

#include "base/status.h"

#define TH_FEATURES(X) \
    X(avx2)            \
    X(fma)             \
    X(avx512f)         \
    X(avx512_bf16)     \
    X(amx_bf16)

typedef struct {
    char cpu[128]; /* "AMD EPYC 9R14"; "unknown" */
#define TH_FEATURE_MEMBER(name) bool name;
    TH_FEATURES(TH_FEATURE_MEMBER)
#undef TH_FEATURE_MEMBER
    int cores, processors;     /* physical cores; processors that this process may use */
    int64_t memory, available; /* bytes: of the machine or of the control group that this runs in; of it not in use */
    bool limited;              /* the control group's limit is the smaller */
    int64_t disk;              /* bytes free in the current folder; −1: unknown */
} th_machine;

/* What cannot be found out stays 0, or as said above. */
void th_machine_look(th_machine *m);
/* The same from the text of /proc/cpuinfo: cpu, features, cores. */
void th_machine_read_cpu(th_machine *m, const char *cpuinfo);
/* Seconds from some moment on, by a clock that is never set: for measuring how long something takes. */
double th_seconds(void);

#endif
