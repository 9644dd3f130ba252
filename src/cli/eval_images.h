/* What a measurement of pictures found, as tables for people and as JSON. */
#ifndef TH_CLI_EVAL_IMAGES_H
#define TH_CLI_EVAL_IMAGES_H

#include "cli/verb.h"
#include "metric/image_eval.h"

void th_cli_image_eval_print(th_cli *cli, const th_image_eval_params *p, const th_image_eval *r);
json_t *th_cli_image_eval_json(const th_image_eval_params *p, const th_image_eval *r);

#endif
