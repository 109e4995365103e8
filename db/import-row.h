/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The row of a snapshot that is being imported. Each inside a write transaction.
 */
#ifndef PAGODA_DB_IMPORT_ROW_H
#define PAGODA_DB_IMPORT_ROW_H

#include <stdint.h>

#include "base/attributes.h"
#include "db/appender.h"
#include "db/index.h"
#include "db/layer.h"

/* In state importing; parent 0: none. size is 0 where it is not known yet. */
int import_row_insert(struct index *index, const char *name, uint64_t size,
		      uint64_t parent) MUST_CHECK;

/* Its size, digests and counts; it is sealed. */
int import_row_seal(struct index *index, uint64_t id, const struct appender_totals *totals,
		    const struct layer_sums *sums) MUST_CHECK;

#endif
