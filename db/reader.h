/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes behind a map. Private to db/.
 */
#ifndef PAGODA_DB_READER_H
#define PAGODA_DB_READER_H

#include <stdint.h>

#include "base/attributes.h"
#include "db/map.h"
#include "db/overlay.h"
#include "db/pages.h"

/* Reads count whole pages from pgno on, inside the image, into buf. pending has the
 * pages of RUN_PENDING; NULL where the map has none. Errors of pages_read; the words
 * name the guest page. */
int reader_read(const struct map *map, const struct overlay *pending, struct pages *pages,
		uint64_t pgno, uint64_t count, char *buf) MUST_CHECK;

#endif
