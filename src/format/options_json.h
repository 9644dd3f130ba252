/* Option sets and JSON: reading config files, writing the resolved values, the schema of a config file. */
#ifndef TH_FORMAT_OPTIONS_JSON_H
#define TH_FORMAT_OPTIONS_JSON_H

#include <jansson.h>

#include "base/option.h"

#define TH_CONFIG_MAX ((size_t)1 << 20)

/* Sets what a config file says: {"tau": 2.15, "memory": "2G", "image": ["a.png"]}. null leaves an option as it is where
 * its default is "not set", and "$schema" is passed over. In a run's run.json the member "options" is read. */
th_status th_options_load(th_options *o, const char *path);
/* The same from an object in memory; file is the name that errors carry. */
th_status th_options_load_json(th_options *o, const char *file, json_t *object);

/* The resolved values as a new object that th_options_load reads back; what is flag_only is left out. */
th_status th_options_json(const th_options *o, json_t **out);
/* A JSON Schema (draft 2020-12) of the config file, new. */
th_status th_options_schema(const th_options *o, json_t **out);

#endif
