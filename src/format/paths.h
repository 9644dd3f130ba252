/* Naming many files at once, as WebDataset users do: shards-{000..012}.tar, {train,extra}-?.tar. */
#ifndef TH_FORMAT_PATHS_H
#define TH_FORMAT_PATHS_H

#include "base/file.h"

#define TH_PATHS_MAX 1000000

/* The paths that a pattern stands for, in its order: {000..012} counts, up or down, with zeros in front if an end has
 * them; {a,b} lists; both may stand several times, not inside each other. What comes out with *, ? or [ is matched
 * against the files that exist, sorted by name; matching none is an error. A path without any of these is kept as it
 * is, and so is one that exists literally. Free with th_names_free. */
th_status th_paths_expand(const char *pattern, th_names *out);

#endif
