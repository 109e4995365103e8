/* SPDX-License-Identifier: Apache-2.0 */
/*
 * repack: the pages of a layer get another codec.
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
#include "db/repack.h"

const struct option_row cmd_repack_options[] = {
	{"codec", 0, OPTION_TEXT, offsetof(struct cli, repack.codec), "CODEC",
	 "lz4, which is read fastest, or zstd, which is smallest", NULL},
	{"dry-run", 'n', OPTION_FLAG, offsetof(struct cli, repack.dry_run), NULL,
	 "only say what would become of it", NULL},
	{.name = ""},
};

static int print_json(const struct cli *cli, const struct repack_report *report)
{
	return output_json("repacked",
			   json_pack("{s:s, s:s, s:b, s:I, s:I, s:I, s:I}", "name",
				     cli->operands[0], "codec", cli->repack.codec, "dry_run",
				     (int)cli->repack.dry_run, "pages", (json_int_t)report->pages,
				     "bytes_before", (json_int_t)report->before, "bytes_after",
				     (json_int_t)report->after, "packs_made",
				     (json_int_t)report->packs));
}

/* "guest-a: 38570 pages with zstd, 71.9 MiB became 48.6 MiB in 1 packs; 'pagoda gc' gives
 * the old space back" */
static void print_text(const struct cli *cli, const struct repack_report *report)
{
	bool dry = cli->repack.dry_run;
	char before[UNITS_TEXT_MAX];
	char after[UNITS_TEXT_MAX];

	if (report->pages == 0) {
		printf("%s: no page %s written anew with %s\n", cli->operands[0],
		       dry ? "would be" : "was", cli->repack.codec);
		return;
	}
	printf("%s: %" PRIu64 " pages with %s, %s %s %s in %" PRIu64 " packs%s\n", cli->operands[0],
	       report->pages, cli->repack.codec, output_size(before, report->before, cli->bytes),
	       dry ? "would become" : "became", output_size(after, report->after, cli->bytes),
	       report->packs, dry ? "" : "; 'pagoda gc' gives the old space back");
}

int cmd_repack(struct cli *cli)
{
	AUTO(store_close_at) struct store *store = NULL;
	AUTO(index_close_at) struct index *index = NULL;
	AUTO(progress_free_at) struct progress *progress = NULL;
	struct repack_request request = {.name = cli->operands[0], .dry_run = cli->repack.dry_run};
	struct repack_report report;
	int r;

	if (!cli->repack.codec)
		return cli_usage(cli, "wants --codec lz4 or --codec zstd");
	r = codec_find(cli->repack.codec, &request.codec);
	if (r == 0)
		r = cli_open(cli, &store, &index);
	if (r < 0)
		return r;
	progress = progress_new(cli->operation, cli->quiet);
	request.progress = progress;
	r = repack_snapshot(index, &request, &report);
	if (r < 0)
		return r;
	if (cli->json)
		return print_json(cli, &report);
	if (!cli->quiet || cli->repack.dry_run)
		print_text(cli, &report);
	return 0;
}
