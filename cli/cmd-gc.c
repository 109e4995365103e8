/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gc: what no snapshot needs goes.
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "cli/cli.h"
#include "cli/output.h"
#include "db/gc.h"

const struct option_row cmd_gc_options[] = {
	{"dry-run", 'n', OPTION_FLAG, offsetof(struct cli, gc.dry_run), NULL,
	 "only say what would be given back", NULL},
	{.name = ""},
};

static int print_json(const struct gc_report *report, bool dry_run)
{
	return output_json("collected",
			   json_pack("{s:b, s:I, s:I, s:I, s:I, s:I}", "dry_run", (int)dry_run,
				     "pages", (json_int_t)report->pages, "packs",
				     (json_int_t)report->packs, "packs_rewritten",
				     (json_int_t)report->rewritten, "packs_made",
				     (json_int_t)report->made, "bytes", (json_int_t)report->bytes));
}

static void print_text(const struct cli *cli, const struct gc_report *report)
{
	char size[UNITS_TEXT_MAX];

	printf("%s %s: %" PRIu64 " pages and %" PRIu64 " packs, of which %" PRIu64
	       " %s rewritten as %" PRIu64 "\n",
	       cli->gc.dry_run ? "would give back" : "gave back",
	       output_size(size, report->bytes, cli->bytes), report->pages, report->packs,
	       report->rewritten, cli->gc.dry_run ? "would be" : "were", report->made);
}

int cmd_gc(struct cli *cli)
{
	AUTO(store_close_at) struct store *store = NULL;
	AUTO(index_close_at) struct index *index = NULL;
	AUTO(progress_free_at) struct progress *progress = progress_new(cli->operation, cli->quiet);
	struct gc_request request = {.dry_run = cli->gc.dry_run, .progress = progress};
	struct gc_report report;
	int r = cli_open(cli, &store, &index);

	if (r == 0)
		r = gc_run(index, &request, &report);
	if (r < 0)
		return r;
	if (cli->json)
		return print_json(&report, cli->gc.dry_run);
	if (!cli->quiet || cli->gc.dry_run)
		print_text(cli, &report);
	return 0;
}
