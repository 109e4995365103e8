/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The statistics file: what the keeper has counted, as JSON or, where the name
 * ends in .prom, as Prometheus text. One thread.
 */
#ifndef PAGODA_HANDLER_STATS_H
#define PAGODA_HANDLER_STATS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "handler/counters.h"
#include "handler/end.h"
#include "handler/machine.h"

struct stats {
	const char *source; /* borrowed: its path */
	uint64_t image_bytes;
	uint64_t connections; /* accepted */
	uint64_t running;
	uint64_t ends[END_COUNT];
	struct counters done; /* of machines that are over */
};

bool stats_is_prometheus(const char *path);

/* All of it, with the counters of machines added: a new reference, or NULL when out
 * of memory. */
json_t *stats_json(const struct stats *stats, const struct machine *machines) MUST_CHECK;

/* Replaces the file as a whole. machines: the list of those that are not over,
 * whose counters are added. -ENOMEM, or -errno of open(2), write(2), rename(2). */
int stats_write(const char *path, const struct stats *stats,
		const struct machine *machines) MUST_CHECK;

#endif
