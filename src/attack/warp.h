/* Elastic warps from a small grid of offsets. */
#ifndef TH_ATTACK_WARP_H
#define TH_ATTACK_WARP_H

#include "format/image.h"

/* grid: [2, k, k], offsets along x, then along y; k ≥ 1. They are scaled up to the picture's size by bicubic
 * interpolation (a = −0.75, the corners of both on one another), and each pixel is taken from where it lies plus
 * strength · offset / side, with the picture reaching from −1 to 1; places outside are clamped to its border, places
 * between pixels are bilinear. What PyTorch's interpolate and grid_sample do, both with align_corners=True. */
th_status th_warp(const float *grid, int32_t k, float strength, th_image *im);

#endif
