/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text of a working set: which pages a machine touches first, in order.
 *
 *	pagoda-workingset 1 page_size=4096
 *	0 16 r
 *	4096 1 w
 *
 * After the first line one run a line: first page, count of pages, read or
 * written. Every line ends with a newline, so that a text cut short is noticed.
 * Pure.
 */
#ifndef PAGODA_FUSEFS_WORKINGSET_H
#define PAGODA_FUSEFS_WORKINGSET_H

#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"

/* Is text (len bytes, of any content) a working set of an image of npages pages?
 * The empty text is one. -EINVAL with words that name the line. */
int workingset_check(const char *text, size_t len, uint64_t npages) MUST_CHECK;

#endif
