/* TensorBoard's event files: scalars and pictures by step. A file is a sequence of records, each with checksums, so
 * that what a crash leaves half written is recognised and cut off when the run goes on. */
#ifndef TH_FORMAT_EVENTS_H
#define TH_FORMAT_EVENTS_H

#include "format/image.h"

typedef struct th_events th_events;

/* Opens the file for appending. TensorBoard wants "tfevents" in its name. wall_time is in seconds since 1970 and stands
 * in the header of a new file. Where the file exists, its records are kept up to the first that is damaged or of a step
 * after last_step: INT64_MAX keeps all, −1 starts anew. A file that is no event file is refused and left alone. */
th_status th_events_open(const char *path, double wall_time, int64_t last_step, th_events **out);

typedef struct {
    const char *tag; /* UTF-8; slashes group: "loss/train" */
    float value;
} th_event_scalar;
/* One record; on the disk when the call returns as far as the system goes. After a failed write the file ends with the
 * record before. */
th_status th_events_scalars(th_events *e, double wall_time, int64_t step, const th_event_scalar *scalars, int count);
/* As PNG. */
th_status th_events_image(th_events *e, double wall_time, int64_t step, const char *tag, const th_image *im);
th_status th_events_sync(th_events *e);
void th_events_close(th_events *e); /* NULL is allowed */

/* How many of the n bytes of an event file are its header and whole, undamaged records of steps up to last_step; 0 if
 * it does not begin as an event file does. */
size_t th_events_whole(const void *bytes, size_t n, int64_t last_step);

#endif
