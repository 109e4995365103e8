/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/work make|import|read N: does one thing N times, for a counter of instructions.
 *
 *   make    makes the file "image" of N pages
 *   import  imports it
 *   read    imports it and reads N single pages at random
 *
 * Whoever counts takes the difference between two N, so that starting and ending do not
 * matter. Everything is the same in each run; files are in the working directory.
 */
#include "config.h"

#include <err.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/attributes.h"
#include "base/cleanup.h"
#include "base/fail.h"
#include "base/units.h"
#include "bench/image.h"
#include "db/import.h"
#include "db/snapshot.h"
#include "db/store.h"

#define SEED 5

static void must(int r)
{
	if (r < 0)
		errx(1, "%s", fail_text(r));
}

static struct snapshot_row import(struct store *store)
{
	struct import_request request = {.name = "work", .image = "image"};
	struct snapshot_row row;
	AUTO_CLOSE int fd = open("image", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		err(1, "image");
	request.image_fd = fd;
	must(import_image(store, &request, &row));
	return row;
}

static void work_make(UNUSED struct store *store, uint64_t n)
{
	must(image_make("image", SEED, n * PAGE));
}

static void work_import(struct store *store, uint64_t n)
{
	struct snapshot_row row = import(store);

	if (row.size != n * PAGE)
		errx(1, "the image has not %llu pages", (unsigned long long)n);
}

static void work_read(struct store *store, uint64_t n)
{
	struct snapshot_row row = import(store);
	uint64_t state = SEED;
	uint64_t pgno = 0;
	struct index *index;
	struct pages *pages;
	struct snapshot *snapshot;
	unsigned char page[PAGE];
	unsigned char want[PAGE];

	must(index_open(store, &index));
	must(pages_open(index, &pages));
	must(snapshot_open(index, row.id, &snapshot));
	for (uint64_t i = 0; i < n; i++) {
		pgno = image_random(&state) % (row.size / PAGE);
		must(snapshot_read(snapshot, pages, MAP_MEM, pgno * PAGE, page, PAGE));
	}
	/* the last one stands for all: making a page costs more than reading it */
	image_make_page(SEED, pgno, want);
	if (memcmp(page, want, PAGE) != 0)
		errx(3, "page %llu is wrong", (unsigned long long)pgno);
	snapshot_close(snapshot);
	pages_close(pages);
	index_close(index);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(struct store *, uint64_t);
	} works[] = {{"make", work_make}, {"import", work_import}, {"read", work_read}};
	struct store *store;
	uint64_t n;

	if (argc != 3 || units_parse_number(argv[2], UINT32_MAX, &n) < 0 || n == 0)
		errx(2, "usage: bench/work make|import|read N");
	for (size_t i = 0; i < ARRAY_SIZE(works); i++) {
		if (strcmp(argv[1], works[i].name) != 0)
			continue;
		store = NULL;
		if (works[i].run != work_make) {
			must(store_init("store"));
			must(store_open("store", &store));
		}
		works[i].run(store, n);
		if (store)
			store_close(store);
		return 0;
	}
	errx(2, "no such work: %s", argv[1]);
}
