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
#include "db/damage.h"
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
	{"drop-damaged", 0, OPTION_FLAG, offsetof(struct cli, check.drop_damaged), NULL,
	 "remove what is found damaged, so that the rest is whole", NULL},
	{.name = ""},
};

/* Where findings go: printed as they come, or kept for the document. */
struct findings {
	bool json;
	json_t *list;
	json_t *dropped;
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

/* Takes list and, unless NULL, dropped. */
static int print_json(const struct check_report *report, const struct check_request *request,
		      json_t *list, json_t *dropped)
{
	json_t *document;

	if (json_array_size(list) != report->findings) {
		json_decref(dropped);
		return fail_with(-ENOMEM, "out of memory");
	}
	document = json_pack(
		"{s:I, s:I, s:I, s:I, s:i, s:I, s:O}", "snapshots", (json_int_t)report->snapshots,
		"packs", (json_int_t)report->packs, "pages", (json_int_t)report->pages,
		"pages_read", (json_int_t)report->pages_read, "read_percent",
		(int)request->read_percent, "seed", (json_int_t)request->seed, "findings", list);
	if (dropped && json_object_set_new(document, "dropped", dropped) < 0) {
		json_decref(document);
		return fail_with(-ENOMEM, "out of memory");
	}
	return output_json("check", document);
}

static void print_summary(const struct check_report *report)
{
	printf("snapshots: %" PRIu64 ", packs: %" PRIu64 ", pages: %" PRIu64 ", read: %" PRIu64
	       ", findings: %" PRIu64 "\n",
	       report->snapshots, report->packs, report->pages, report->pages_read,
	       report->findings);
}

static void dropped(void *context, const char *snapshot, const char *attachment)
{
	struct findings *findings = context;
	json_t *item;

	if (!findings->json) {
		fputs("dropped ", stdout);
		if (attachment[0])
			printf("the %s of ", attachment);
		output_text(snapshot);
		putchar('\n');
		return;
	}
	item = json_pack("{s:o, s:o}", "snapshot", output_json_text(snapshot), "attachment",
			 attachment[0] ? json_string(attachment) : json_null());
	(void)!json_array_append_new(findings->dropped, item);
}

/* Drops what was found; *ret becomes what is told of it as JSON, NULL without. */
static int drop(struct index *index, struct damage *damage, struct findings *findings, json_t **ret)
{
	struct damage_report report = {.dropped = dropped, .context = findings};
	int r = damage_drop(index, damage, &report);

	if (r < 0)
		return r;
	if (findings->json)
		*ret = json_pack("{s:I, s:I, s:I, s:O}", "pages", (json_int_t)report.pages, "packs",
				 (json_int_t)report.packs, "bytes", (json_int_t)report.bytes,
				 "items", findings->dropped);
	else
		printf("dropped: %" PRIu64 " snapshots, %" PRIu64 " attachments, %" PRIu64
		       " pages, %" PRIu64 " packs\n",
		       report.snapshots, report.attachments, report.pages, report.packs);
	return 0;
}

static int check_and_drop(struct cli *cli, struct index *index, struct check_request *request,
			  struct findings *findings)
{
	AUTO(damage_free_at) struct damage *damage = NULL;
	struct check_report report;
	json_t *told = NULL;
	int r = cli->check.drop_damaged ? damage_new(&damage) : 0;

	request->damage = damage;
	if (r == 0)
		r = check_store(index, request, &report);
	if (r == 0 && !cli->json && !cli->quiet)
		print_summary(&report);
	if (r == 0 && damage && report.findings > 0)
		r = drop(index, damage, findings, &told);
	if (r == 0 && cli->json)
		r = print_json(&report, request, findings->list, told);
	return r < 0 || report.findings == 0 ? r : EXIT_DAMAGE;
}

int cmd_check(struct cli *cli)
{
	AUTO(store_close_at) struct store *store = NULL;
	AUTO(index_close_at) struct index *index = NULL;
	AUTO(progress_free_at) struct progress *progress = progress_new(cli->operation, cli->quiet);
	AUTO(json_decrefp) json_t *list = json_array();
	AUTO(json_decrefp) json_t *items = json_array();
	struct findings findings = {.json = cli->json, .list = list, .dropped = items};
	struct check_request request = {.read_percent = cli->check.read_percent,
					.progress = progress,
					.found = found,
					.context = &findings};
	uint32_t seed;
	int r = list && items ? cli_open(cli, &store, &index) : fail_with(-ENOMEM, "out of memory");

	if (r < 0)
		return r;
	if (getrandom(&seed, sizeof(seed), 0) == sizeof(seed))
		request.seed = seed;
	return check_and_drop(cli, index, &request, &findings);
}
