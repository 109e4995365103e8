/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command that compares two snapshots: diff.
 *
 * There may be as many ranges as pages: as text they are printed as they are found, as
 * JSON they wait in a file without a name until it is known that the comparison has
 * come to its end, since an error would have to be the only document.
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "cli/cli.h"
#include "cli/output.h"
#include "db/compare.h"
#include "db/info.h"
#include "db/pages.h"
#include "db/snapshot.h"

DEFINE_AUTO(FILE *, fclose)

static const char *const kind_names[] = {
	[RUN_ABSENT] = "absent",
	[RUN_ZERO] = "zero",
	[RUN_DATA] = "data",
};

/* "000000190000-000000192000 data zero", like a line of the file maps */
static int print_range(void *context, const struct compare_range *range)
{
	(void)context;
	printf("%012" PRIx64 "-%012" PRIx64 " %s %s\n", range->first * PAGE_BYTES,
	       (range->first + range->count) * PAGE_BYTES, kind_names[range->a],
	       kind_names[range->b]);
	return 0;
}

static int spool_range(void *context, const struct compare_range *range)
{
	FILE *spool = context;
	bool first = ftell(spool) == 0;

	if (fprintf(spool,
		    "%s\n      {\"start\": %" PRIu64 ", \"end\": %" PRIu64
		    ", \"a\": \"%s\", \"b\": \"%s\"}",
		    first ? "" : ",", range->first * PAGE_BYTES,
		    (range->first + range->count) * PAGE_BYTES, kind_names[range->a],
		    kind_names[range->b]) < 0)
		return fail_with(-errno, "a file for the ranges: %s", strerror(errno));
	return 0;
}

static int print_spool(FILE *spool)
{
	char buffer[BUFSIZ];
	size_t n;

	if (fflush(spool) != 0)
		return fail_with(-errno, "a file for the ranges: %s", strerror(errno));
	rewind(spool);
	while ((n = fread(buffer, 1, sizeof(buffer), spool)) > 0)
		fwrite(buffer, 1, n, stdout);
	return ferror(spool) ? fail_with(-EIO, "a file for the ranges cannot be read") : 0;
}

/* By hand: a tree of all ranges would be hundreds of times as large as their text. */
static int print_json(const struct snapshot_row *a, const struct snapshot_row *b,
		      const struct compare_totals *totals, FILE *spool)
{
	int r;

	printf("{\n  \"schema_version\": %d,\n  \"diff\": {\n", JSON_SCHEMA_VERSION);
	printf("    \"a\": \"%s\",\n    \"b\": \"%s\",\n", a->name, b->name);
	printf("    \"a_size\": %" PRIu64 ",\n    \"b_size\": %" PRIu64 ",\n", a->size, b->size);
	printf("    \"changed_pages\": %" PRIu64 ",\n    \"filled_pages\": %" PRIu64 ",\n",
	       totals->changed, totals->filled);
	printf("    \"zeroed_pages\": %" PRIu64 ",\n    \"beyond_pages\": %" PRIu64 ",\n",
	       totals->zeroed, totals->beyond);
	printf("    \"ranges\": [");
	r = print_spool(spool);
	printf("%s]\n  }\n}\n", totals->ranges > 0 ? "\n    " : "");
	return r;
}

static void print_totals(const struct cli *cli, const struct compare_totals *totals)
{
	uint64_t pages = totals->changed + totals->filled + totals->zeroed + totals->beyond;
	char size[UNITS_TEXT_MAX];

	if (pages == 0) {
		printf("no page differs\n");
		return;
	}
	printf("%" PRIu64 " pages (%s) differ: %" PRIu64 " changed, %" PRIu64 " filled, %" PRIu64
	       " zeroed",
	       pages, output_size(size, pages * PAGE_BYTES, cli->bytes), totals->changed,
	       totals->filled, totals->zeroed);
	if (totals->beyond > 0)
		printf(", %" PRIu64 " behind the end of the smaller one", totals->beyond);
	putchar('\n');
}

int cmd_diff(struct cli *cli)
{
	AUTO(store_close_at) struct store *store = NULL;
	AUTO(index_close_at) struct index *index = NULL;
	AUTO(pages_close_at) struct pages *pages = NULL;
	AUTO(snapshot_close_at) struct snapshot *a = NULL;
	AUTO(snapshot_close_at) struct snapshot *b = NULL;
	AUTO(progress_free_at) struct progress *progress = NULL;
	AUTO(fclose_at) FILE *spool = NULL;
	struct compare_totals totals;
	int r = cli_open(cli, &store, &index);

	if (r == 0 && cli->json)
		spool = tmpfile();
	if (r == 0 && cli->json && !spool)
		r = fail_with(-errno, "a file for the ranges: %s", strerror(errno));
	if (r == 0)
		r = cli_open_snapshot(index, cli->operands[0], &a);
	if (r == 0)
		r = cli_open_snapshot(index, cli->operands[1], &b);
	if (r == 0)
		r = pages_open(index, &pages);
	if (r < 0)
		return r;
	progress = progress_new(cli->operation, cli->quiet);
	r = compare_snapshots(index, pages, a, b, spool ? spool_range : print_range, spool,
			      progress, &totals);
	if (r < 0)
		return r;
	if (spool)
		return print_json(snapshot_row(a), snapshot_row(b), &totals, spool);
	if (!cli->quiet)
		print_totals(cli, &totals);
	return 0;
}
