/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows are fetched for many pages at once; pages whose blocks lie back to back in
 * one pack, which is how import lays them, are read with one pread.
 */
#include "config.h"

#include "db/pages.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "base/fail.h"
#include "base/io.h"
#include "db/pack-cache.h"
#include "db/pages-private.h"
#include "db/read-ahead.h"
#include "db/rows.h"
#include "db/store-private.h"

#define BATCH_PAGES 64

struct pages {
	struct index *index; /* borrowed */
	struct read_ahead ahead;
	struct page_row rows[BATCH_PAGES];
	char span[BATCH_PAGES * PAGE_BYTES];
};

int pages_open(struct index *index, struct pages **ret_pages)
{
	struct pages *pages = malloc(sizeof(*pages));

	if (!pages)
		return fail_with(-ENOMEM, "out of memory");
	pages->index = index;
	pages->ahead = (struct read_ahead){.pack = 0};
	*ret_pages = pages;
	return 0;
}

void pages_close(struct pages *pages)
{
	free(pages);
}

struct index *pages_index(const struct pages *pages)
{
	return pages->index;
}

/* Tells of the wait for the disk, if it takes one. */
static ssize_t pread_telling(struct index *index, int fd, void *buf, size_t len, uint64_t off)
{
	struct iovec part = {.iov_base = buf, .iov_len = len};

	if (index_tells_waits(index)) {
		if (preadv2(fd, &part, 1, (off_t)off, RWF_NOWAIT) == (ssize_t)len)
			return (ssize_t)len;
		index_waits(index);
	}
	return io_pread_full(fd, buf, len, off);
}

static int pack_use(struct index *index, uint32_t pack, struct pack_handle *ret)
{
	const struct store *store = index_store(index);

	if (pack_cache_find(store, pack, ret))
		return 0;
	index_waits(index);
	return pack_cache_get(store, pack, ret);
}

static int pread_exactly(struct pages *pages, uint32_t pack, uint64_t off, void *buf, size_t len)
{
	struct pack_handle handle;
	ssize_t n;
	int r = pack_use(pages->index, pack, &handle);

	if (r < 0)
		return r;
	read_ahead_follow(&pages->ahead, handle.fd, pack, off, len);
	n = pread_telling(pages->index, handle.fd, buf, len, off);
	pack_cache_put(index_store(pages->index), &handle);
	if (n < 0)
		return fail_with((int)n, "pack %" PRIu32 ": reading %zu bytes at %" PRIu64 ": %s",
				 pack, len, off, strerror((int)-n));
	if ((size_t)n < len)
		return fail_with(-EBADMSG, "pack %" PRIu32 " is cut short at byte %" PRIu64, pack,
				 off + (uint64_t)n);
	return 0;
}

int pages_load(struct pages *pages, const struct page_row *row, void *plain)
{
	char packed[PAGE_BYTES];
	int r = pread_exactly(pages, row->pack, row->offset, packed, row->length);

	if (r < 0)
		return r;
	r = page_decode(row->codec, packed, row->length, row->hash, plain);
	return r < 0 ? fail_prefix(r, "pack %" PRIu32 " at byte %" PRIu64, row->pack, row->offset)
		     : 0;
}

bool pages_holds(struct pages *pages, const struct page_row *row, const void *plain)
{
	char packed[PAGE_BYTES];

	return pread_exactly(pages, row->pack, row->offset, packed, row->length) == 0 &&
	       page_block_holds(row, packed, plain);
}

/* How many of the rows lie back to back from the first on; *ret_bytes in all. */
static size_t span_find(const struct page_row *rows, size_t count, size_t *ret_bytes)
{
	uint64_t end = rows[0].offset + rows[0].length;
	size_t n = 1;

	while (n < count && rows[n].pack == rows[0].pack && rows[n].offset == end)
		end += rows[n++].length;
	*ret_bytes = (size_t)(end - rows[0].offset);
	return n;
}

/* Reads n pages of one span; *ret_done of them are valid. */
static int span_read(struct pages *pages, const struct page_row *rows, size_t n, size_t bytes,
		     char *buf, size_t *ret_done)
{
	int r = pread_exactly(pages, rows[0].pack, rows[0].offset, pages->span, bytes);

	*ret_done = 0;
	if (r < 0 && n == 1)
		return r;
	for (size_t i = 0; i < n; i++) {
		char *plain = buf + i * PAGE_BYTES;

		if (r < 0) { /* the span is cut short: page by page tells where */
			int one = pages_load(pages, &rows[i], plain);

			if (one < 0)
				return one;
		} else {
			const char *packed = pages->span + (rows[i].offset - rows[0].offset);
			int one = page_decode(rows[i].codec, packed, rows[i].length, rows[i].hash,
					      plain);

			if (one < 0)
				return fail_prefix(one, "pack %" PRIu32 " at byte %" PRIu64,
						   rows[i].pack, rows[i].offset);
		}
		(*ret_done)++;
	}
	return 0;
}

/* Reads the first span of the rows, which are those of count ids from id on. */
static int span_read_first(struct pages *pages, const struct page_row *rows, uint64_t id,
			   size_t count, char *buf, size_t *ret_done)
{
	size_t bytes;
	size_t n = 0;

	*ret_done = 0;
	while (n < count && rows[n].length > 0)
		n++;
	if (n == 0)
		return fail_with(-EBADMSG, "page row %" PRIu64 " is missing or is not one", id);
	n = span_find(rows, n, &bytes);
	return span_read(pages, rows, n, bytes, buf, ret_done);
}

/* The same, and once more with fresh rows where a pack is not there: its pages
 * were moved to another since the rows were read. */
static int batch_read(struct pages *pages, struct page_row *rows, uint64_t id, size_t count,
		      char *buf, size_t *ret_done)
{
	int r = span_read_first(pages, rows, id, count, buf, ret_done);

	if (r != -ENOENT)
		return r;
	r = rows_get(pages->index, id, count, true, rows);
	if (r == 0)
		r = span_read_first(pages, rows, id, count, buf, ret_done);
	return r == -ENOENT ? fail_with(-EBADMSG, "%s", fail_text(r)) : r;
}

int pages_read(struct pages *pages, uint64_t first, size_t count, void *buf, uint64_t *ret_bad)
{
	char *to = buf;

	while (count > 0) {
		size_t batch = MIN(count, (size_t)BATCH_PAGES);
		size_t used = 0;
		int r = rows_get(pages->index, first, batch, false, pages->rows);

		while (r == 0 && used < batch) {
			size_t done;

			r = batch_read(pages, pages->rows + used, first + used, batch - used,
				       to + used * PAGE_BYTES, &done);
			used += done;
		}
		if (r < 0) {
			*ret_bad = first + used;
			return r;
		}
		first += batch;
		to += batch * PAGE_BYTES;
		count -= batch;
	}
	return 0;
}

/* The pages of one span; where it cannot be read, each by itself. -ENOENT where the pack
 * is gone. */
static int span_compare(struct pages *pages, const struct page_row *rows, size_t n, size_t bytes,
			const char *plain, bool *same)
{
	int r = pread_exactly(pages, rows[0].pack, rows[0].offset, pages->span, bytes);

	for (size_t i = 0; r != -ENOENT && i < n; i++) {
		const char *packed = pages->span + (rows[i].offset - rows[0].offset);
		const char *page = plain + i * PAGE_BYTES;

		same[i] = r == 0 ? page_block_holds(&rows[i], packed, page)
				 : pages_holds(pages, &rows[i], page);
	}
	return r;
}

int pages_compare(struct pages *pages, uint64_t first, struct page_row *rows, size_t count,
		  const void *plain, bool *same)
{
	bool fresh = false;
	size_t n;

	memset(same, 0, count * sizeof(*same));
	for (size_t i = 0; i < count; i += n) {
		size_t bytes;
		int r;

		n = 1;
		if (rows[i].length == 0)
			continue;
		while (i + n < count && n < BATCH_PAGES && rows[i + n].length > 0)
			n++;
		n = span_find(&rows[i], n, &bytes);
		r = span_compare(pages, &rows[i], n, bytes, (const char *)plain + i * PAGE_BYTES,
				 &same[i]);
		if (r != -ENOENT || fresh)
			continue;
		r = rows_get(pages->index, first + i, count - i, true, &rows[i]);
		if (r < 0)
			return r;
		fresh = true;
		n = 0;
	}
	return 0;
}
