/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory of some MiB that will be used throughout: in huge pages, where the kernel has
 * some. First touches of it, 4 KiB at a time, can cost more than what is then done
 * there. What is only used in parts is not for this: a huge page counts whole.
 */
#ifndef PAGODA_BASE_BIG_H
#define PAGODA_BASE_BIG_H

#include <stddef.h>

/* Zeroed; NULL when out of memory. */
void *big_new(size_t size);

/* size as it was given to big_new. */
void big_free(void *memory, size_t size);

#endif
