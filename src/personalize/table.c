/* The table of personalisations. */
#include <string.h>

#include "personalize/personalize.h"

extern const th_personalizer th_personalizer_dreambooth, th_personalizer_lora, th_personalizer_textual_inversion,
    th_personalizer_custom_diffusion;

const th_personalizer *const th_personalizers[] = {
    &th_personalizer_dreambooth,
    &th_personalizer_lora,
    &th_personalizer_textual_inversion,
    &th_personalizer_custom_diffusion,
    NULL,
};

const th_personalizer *th_personalizer_find(const char *name) {
    for (int i = 0; th_personalizers[i]; i++)
        if (!strcmp(th_personalizers[i]->name, name)) return th_personalizers[i];
    return NULL;
}
