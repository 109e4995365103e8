/* SPDX-License-Identifier: Apache-2.0 */
/*
 * copy: a snapshot and the layers it needs, into another store.
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
#include "db/copy.h"
#include "db/info.h"

const struct option_row cmd_copy_options[] = {
	{"name", 0, OPTION_TEXT, offsetof(struct cli, copy.name), "NAME", "what it is called there",
	 NULL},
	{"codec", 0, OPTION_TEXT, offsetof(struct cli, copy.codec), "CODEC",
	 "of pages new to that store: lz4 (default) or zstd", NULL},
	{.name = ""},
};

static int other_open(const struct cli *cli, struct store **ret_store, struct index **ret_index)
{
	struct cli other = *cli;

	other.store = cli->operands[1];
	return cli_open(&other, ret_store, ret_index);
}

static int print_json(const struct cli *cli, struct index *other, const struct copy_report *report,
		      const struct snapshot_row *row)
{
	json_t *info;
	int r = info_json_family(other, row, &info);

	return r < 0 ? r
		     : output_json("copied",
				   json_pack("{s:o, s:I, s:I, s:I, s:I, s:o}", "store",
					     output_json_text(cli->operands[1]), "layers_copied",
					     (json_int_t)report->layers, "layers_reused",
					     (json_int_t)report->reused, "stored_pages",
					     (json_int_t)report->stored_pages, "stored_bytes",
					     (json_int_t)report->stored_bytes, "snapshot", info));
}

static void print_text(const struct cli *cli, const struct copy_report *report,
		       const struct snapshot_row *row)
{
	char size[UNITS_TEXT_MAX];

	printf("copied %s to ", cli->operands[0]);
	output_text(cli->operands[1]);
	printf(" as %s: %" PRIu64 " layers, %" PRIu64 " more were there, %s new to it\n", row->name,
	       report->layers, report->reused, output_size(size, report->stored_bytes, cli->bytes));
}

int cmd_copy(struct cli *cli)
{
	AUTO(store_close_at) struct store *store = NULL;
	AUTO(index_close_at) struct index *index = NULL;
	AUTO(store_close_at) struct store *other_store = NULL;
	AUTO(index_close_at) struct index *other = NULL;
	AUTO(progress_free_at) struct progress *progress = progress_new(cli->operation, cli->quiet);
	struct copy_request request = {
		.name = cli->operands[0], .new_name = cli->copy.name, .progress = progress};
	struct copy_report report;
	struct snapshot_row row;
	int r = cli->copy.codec ? codec_find(cli->copy.codec, &request.codec) : 0;

	if (r == 0)
		r = cli_open(cli, &store, &index);
	if (r == 0)
		r = other_open(cli, &other_store, &other);
	if (r == 0)
		r = copy_snapshot(index, other, &request, &report, &row);
	if (r < 0)
		return r;
	if (cli->json)
		return print_json(cli, other, &report, &row);
	if (!cli->quiet)
		print_text(cli, &report, &row);
	return 0;
}
