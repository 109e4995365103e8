/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands about a store as a whole: init, check.
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/random.h>

#include "base/cleanup.h"
#include "base/exit.h"
#include "base/fail.h"
#include "cli/cli.h"
#include "cli/output.h"
#include "db/check.h"
#include "db/info.h"

int cmd_init(struct cli *cli)
{
	AUTO(store_close_at) struct store *store = NULL;
	char uuid[INFO_UUID_BYTES];
	int r = store_init(cli->store);

	if (r == 0)
		r = store_open(cli->store, &store);
	if (r < 0)
		return r == -ENOENT ? fail_with(-EINVAL, "%s", fail_text(r)) : r;
	info_format_uuid(uuid, store_uuid(store));
	if (cli->json)
		return output_json("store", json_pack("{s:o, s:s}", "path",
						      output_json_text(cli->store), "uuid", uuid));
	if (!cli->quiet) {
		fputs("made a store at ", stdout);
		output_text(cli->store);
		putchar('\n');
	}
	return 0;
}

static int set_read_data(void *target, const char *value)
{
	struct cli *cli = target;
	uint64_t percent = 100;

	if (value && (units_parse_number(value, 100, &percent) < 0 || percent == 0))
		return fail_with(-EINVAL, "--read-data wants a percentage from 1 to 100, not '%s'",
				 value);
	cli->check.read_percent = (unsigned int)percent;
	return 0;
}

const struct option_row cmd_check_options[] = {
	{"read-data", 0, OPTION_CALL, 0, "[PERCENT]",
	 "read and prove the pages too: all, or a sample", set_read_data},
	{.name = ""},
};

/* Where findings go: printed as they come, or kept for the document. */
struct findings {
	bool json;
	json_t *list;
};

static void found(void *context, const char *snapshot, const char *what)
{
	struct findings *findings = context;
	json_t *finding;

	if (!findings->json) {
		output_text(snapshot);
		fputs(snapshot[0] ? ": " : "", stdout);
		output_text(what);
		putchar('\n');
		return;
	}
	finding = json_pack("{s:o, s:o}", "snapshot",
			    snapshot[0] ? output_json_text(snapshot) : json_null(), "text",
			    output_json_text(what));
	/* a list that lost one for want of memory is noticed by its length */
	(void)!json_array_append_new(findings->list, finding);
}

static int print_json(const struct check_report *report, const struct check_request *request,
		      json_t *list)
{
	if (json_array_size(list) != report->findings)
		return fail_with(-ENOMEM, "out of memory");
	return output_json("check",
			   json_pack("{s:I, s:I, s:I, s:I, s:i, s:I, s:O}", "snapshots",
				     (json_int_t)report->snapshots, "packs",
				     (json_int_t)report->packs, "pages", (json_int_t)report->pages,
				     "pages_read", (json_int_t)report->pages_read, "read_percent",
				     (int)request->read_percent, "seed", (json_int_t)request->seed,
				     "findings", list));
}

static void print_summary(const struct check_report *report)
{
	printf("snapshots: %" PRIu64 ", packs: %" PRIu64 ", pages: %" PRIu64 ", read: %" PRIu64
	       ", findings: %" PRIu64 "\n",
	       report->snapshots, report->packs, report->pages, report->pages_read,
	       report->findings);
}

int cmd_check(struct cli *cli)
{
	AUTO(store_close_at) struct store *store = NULL;
	AUTO(index_close_at) struct index *index = NULL;
	AUTO(progress_free_at) struct progress *progress = progress_new(cli->operation, cli->quiet);
	AUTO(json_decrefp) json_t *list = json_array();
	struct findings findings = {.json = cli->json, .list = list};
	struct check_request request = {.read_percent = cli->check.read_percent,
					.progress = progress,
					.found = found,
					.context = &findings};
	struct check_report report;
	uint32_t seed;
	int r = list ? cli_open(cli, &store, &index) : fail_with(-ENOMEM, "out of memory");

	if (r < 0)
		return r;
	if (getrandom(&seed, sizeof(seed), 0) == sizeof(seed))
		request.seed = seed;
	r = check_store(index, &request, &report);
	if (r < 0)
		return r;
	if (cli->json)
		r = print_json(&report, &request, list);
	else if (!cli->quiet)
		print_summary(&report);
	return r < 0 || report.findings == 0 ? r : EXIT_DAMAGE;
}
