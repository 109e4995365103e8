/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text of a hand-over: Firecracker's JSON array of regions.
 *
 *   [{"base_host_virt_addr": A, "size": N, "offset": O,
 *     "page_size": P, "page_size_kib": P}, ...]
 *
 * page_size came with release 1.12; 1.7 to 1.11 send page_size_kib, whose value
 * is bytes whatever its name says; older ones neither, and mean 4096. Keys that
 * we do not know are ignored, since releases and forks add some. Anything else
 * that is not exactly this is refused.
 *
 * Pure functions over bytes from a stranger. Any thread.
 */
#ifndef PAGODA_HANDLER_HANDOVER_H
#define PAGODA_HANDLER_HANDOVER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attributes.h"
#include "handler/regions.h"

#define HANDOVER_TEXT_MOST (64 * 1024) /* bytes */

/* Where in a text that arrives in pieces we are; all zero at the start. */
struct handover_scan {
	size_t depth; /* brackets open */
	bool begun;
	bool in_string;
	bool escaped;
};

/* Looks at the next len bytes. True: nothing that may follow could be a part of
 * the text (it has closed its outermost bracket, or it never was an array). */
bool handover_scan(struct handover_scan *scan, const char *bytes, size_t len);

/* Reads the text, len bytes, into *ret_regions, which is not checked yet
 * (regions_check). -EINVAL with fail_with() text, -ENOMEM; then *ret_regions
 * holds nothing of use. */
int handover_parse(const char *text, size_t len, struct regions *ret_regions) MUST_CHECK;

#endif
