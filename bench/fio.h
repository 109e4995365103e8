/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fio, where it is installed: a second opinion on random reads, from a program that
 * is not ours.
 */
#ifndef PAGODA_BENCH_FIO_H
#define PAGODA_BENCH_FIO_H

#include <stddef.h>

#include "base/attributes.h"

/* Reads count pages of 4 KiB of the file at random, none twice, not in the page cache
 * before. work is a directory for its report. *ret_per_second: reads a second. -errno
 * with words. */
int fio_random_reads(const char *path, size_t count, const char *work,
		     double *ret_per_second) MUST_CHECK;

#endif
