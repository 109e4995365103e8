/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands about drafts: fork, seal.
 */
#include "config.h"

#include <stdio.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "cli/cli.h"
#include "cli/output.h"
#include "db/fork.h"
#include "db/info.h"

int cmd_fork(struct cli *cli)
{
	AUTO(store_close_at) struct store *store = NULL;
	AUTO(index_close_at) struct index *index = NULL;
	const char *parent = cli->operands[0];
	const char *name = cli->operands[1];
	struct snapshot_row row;
	int r = cli_open(cli, &store, &index);

	if (r == 0)
		r = fork_snapshot(index, parent, name, &row);
	if (r < 0)
		return r;
	if (cli->json)
		return output_json("snapshot", info_json(&row));
	if (!cli->quiet)
		printf("%s is a draft on %s\n", name, parent);
	return 0;
}

int cmd_seal(struct cli *cli)
{
	AUTO(store_close_at) struct store *store = NULL;
	AUTO(index_close_at) struct index *index = NULL;
	struct snapshot_row row;
	char size[UNITS_TEXT_MAX];
	int r = cli_open(cli, &store, &index);

	if (r == 0)
		r = fork_seal(index, cli->operands[0], &row);
	if (r < 0)
		return r;
	if (cli->json)
		return output_json("snapshot", info_json(&row));
	if (!cli->quiet)
		printf("%s is sealed: its layer has %s of data over %s\n", row.name,
		       output_size(size, row.layer_data * PAGE_BYTES, cli->bytes), row.parent_name);
	return 0;
}
