/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "db/reader.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/fail.h"
#include "db/store.h"

static int read_pending(const struct overlay *pending, uint64_t pgno, uint64_t count, char *buf)
{
	for (uint64_t i = 0; i < count; i++) {
		const void *plain;

		if (!pending || overlay_find(pending, pgno + i, &plain) != OVERLAY_DATA)
			return fail_with(-EBADMSG, "page %" PRIu64 " is pending and not there",
					 pgno + i);
		memcpy(buf + i * PAGE_BYTES, plain, PAGE_BYTES);
	}
	return 0;
}

/* count pages of one run. */
static int read_run(struct run run, const struct overlay *pending, struct pages *pages,
		    uint64_t pgno, uint64_t count, char *buf)
{
	uint64_t first = run.page + (pgno - run.first);
	uint64_t bad;
	int r;

	if (run.kind == RUN_PENDING)
		return read_pending(pending, pgno, count, buf);
	if (run.kind != RUN_DATA) {
		memset(buf, 0, count * PAGE_BYTES);
		return 0;
	}
	r = pages_read(pages, first, count, buf, &bad);
	return r < 0 ? fail_prefix(r, "page %" PRIu64, pgno + (bad - first)) : 0;
}

int reader_read(const struct map *map, const struct overlay *pending, struct pages *pages,
		uint64_t pgno, uint64_t count, char *buf)
{
	int r = 0;

	for (size_t i = map_find(map, pgno); r == 0 && count > 0; i++) {
		uint64_t n = MIN(count, map_run_end(map, i) - pgno);

		r = read_run(map_run(map, i), pending, pages, pgno, n, buf);
		pgno += n;
		count -= n;
		buf += n * PAGE_BYTES;
	}
	return r;
}
