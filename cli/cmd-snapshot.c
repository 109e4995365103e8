/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands about what is written of snapshots: ls, info, rename, note, rm.
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/exit.h"
#include "base/fail.h"
#include "cli/cli.h"
#include "cli/output.h"
#include "db/catalog.h"
#include "db/gc.h"
#include "db/info.h"
#include "db/resolve.h"

#define CHILDREN_PRINTED 8

DEFINE_AUTO(struct table *, table_free)

static const struct table_column ls_columns[] = {
	{"NAME", false},   {"SIZE", true},     {"DATA", true},	{"STORED", true}, {"STATE", false},
	{"PARENT", false}, {"CREATED", false}, {"NOTE", false}, {"", false},
};

static void ls_add(struct table *table, const struct snapshot_row *row, bool exact)
{
	char text[UNITS_TEXT_MAX];

	table_add(table, row->name);
	table_add(table, output_size(text, row->size, exact));
	table_add(table, output_size(text, row->data_pages * PAGE_BYTES, exact));
	table_add(table, output_size(text, row->stored_bytes, exact));
	table_add(table, info_state_name(row->state));
	table_add(table, row->parent_name[0] ? row->parent_name : "-");
	table_add(table, units_format_time(text, row->created_ns));
	table_add(table, row->note);
}

/* What ls shows of a snapshot whose row is damaged: check says more. */
static json_t *damaged_json(uint64_t id)
{
	return json_pack("{s:n, s:I, s:s, s:o}", "name", "id", (json_int_t)id, "state", "damaged",
			 "error", output_json_text(fail_text(-EBADMSG)));
}

static void ls_add_damaged(struct table *table)
{
	static const char *const cells[] = {"?", "", "", "", "damaged", "", ""};

	for (size_t i = 0; i < ARRAY_SIZE(cells); i++)
		table_add(table, cells[i]);
	table_add(table, fail_text(-EBADMSG));
}

/* The next row behind row->id: 1, or EXIT_DAMAGE where its row is damaged; 0 at the
 * end. */
static int ls_next(struct index *index, struct snapshot_row *row)
{
	int r = catalog_next(index, row->id, row);

	if (r == -EBADMSG && row->id > 0)
		return EXIT_DAMAGE;
	return r == -ENOENT ? 0 : r < 0 ? r : 1;
}

static int ls_json(struct index *index)
{
	AUTO(json_decrefp) json_t *list = json_array();
	struct snapshot_row row = {0};
	int code = 0;
	int r;

	while ((r = ls_next(index, &row)) > 0) {
		code = r == EXIT_DAMAGE ? r : code;
		if (json_array_append_new(list, r == EXIT_DAMAGE ? damaged_json(row.id)
								 : info_json(&row)) < 0)
			return fail_with(-ENOMEM, "out of memory");
	}
	if (r == 0)
		r = output_json("snapshots", json_incref(list));
	return r < 0 ? r : code;
}

static int ls_table(struct index *index, bool exact)
{
	AUTO(table_free_at) struct table *table = table_new(ls_columns);
	struct snapshot_row row = {0};
	int code = 0;
	int r;

	if (!table)
		return fail_with(-ENOMEM, "out of memory");
	while ((r = ls_next(index, &row)) > 0) {
		code = r == EXIT_DAMAGE ? r : code;
		if (r == EXIT_DAMAGE)
			ls_add_damaged(table);
		else
			ls_add(table, &row, exact);
	}
	if (r == 0)
		r = table_print(table);
	return r < 0 ? r : code;
}

int cmd_ls(struct cli *cli)
{
	AUTO(store_close_at) struct store *store = NULL;
	AUTO(index_close_at) struct index *index = NULL;
	int r = cli_open(cli, &store, &index);

	if (r < 0)
		return r;
	return cli->json ? ls_json(index) : ls_table(index, cli->bytes);
}

static void info_line(const char *key, const char *value)
{
	printf("%-10s  ", key);
	output_text(value);
	putchar('\n');
}

/* "38570 pages (150.7 MiB)" */
static void info_pages(const char *key, uint64_t pages, uint64_t bytes, bool exact)
{
	char size[UNITS_TEXT_MAX];

	printf("%-10s  %" PRIu64 " pages (%s)\n", key, pages, output_size(size, bytes, exact));
}

static void info_digest(const struct snapshot_row *row)
{
	if (!row->has_digest)
		return;
	printf("%-10s  ", "digest");
	for (size_t i = 0; i < DIGEST_BYTES; i++)
		printf("%02x", row->digest[i]);
	putchar('\n');
}

static void info_print(const struct snapshot_row *row, bool exact)
{
	uint64_t zero = row->size / PAGE_BYTES - row->data_pages;
	uint64_t shared = row->layer_data - row->stored_pages;
	uint64_t layer = row->layer_data + row->layer_zero;
	char text[UNITS_TEXT_MAX];

	info_line("name", row->name);
	info_line("state", info_state_name(row->state));
	if (row->parent_name[0])
		info_line("parent", row->parent_name);
	info_line("created", units_format_time(text, row->created_ns));
	if (row->note[0])
		info_line("note", row->note);
	info_line("size", output_size(text, row->size, exact));
	info_pages("data", row->data_pages, row->data_pages * PAGE_BYTES, exact);
	info_pages("zero", zero, zero * PAGE_BYTES, exact);
	if (row->parent_name[0])
		info_pages("layer", layer, layer * PAGE_BYTES, exact);
	info_pages("stored", row->stored_pages, row->stored_bytes, exact);
	info_pages("shared", shared, shared * PAGE_BYTES, exact);
	if (row->has_vmstate)
		info_line("vmstate", output_size(text, row->vmstate_bytes, exact));
	info_digest(row);
}

/* "layers      3" where it has a parent, and "children    tuesday, wednesday" where it is
 * one. */
static int info_family(struct index *index, const struct snapshot_row *row)
{
	struct catalog_child child = {0};
	size_t layers;
	size_t n = 0;
	int r = resolve_depth(index, row, &layers);

	if (r == 0 && layers > 1)
		printf("%-10s  %zu\n", "layers", layers);
	if (r < 0 && r != -EBADMSG) /* damage is for check to tell */
		return r;
	while ((r = catalog_next_child(index, row->id, child.id, &child)) == 0) {
		if (n < CHILDREN_PRINTED)
			printf("%s%s", n == 0 ? "children    " : ", ", child.name);
		n++;
	}
	if (n > CHILDREN_PRINTED)
		printf(" and %zu more", n - CHILDREN_PRINTED);
	if (n > 0)
		putchar('\n');
	return r == -ENOENT ? 0 : r;
}

int cmd_info(struct cli *cli)
{
	AUTO(store_close_at) struct store *store = NULL;
	AUTO(index_close_at) struct index *index = NULL;
	struct snapshot_row row;
	json_t *info = NULL;
	int r = cli_open(cli, &store, &index);

	if (r == 0)
		r = catalog_find(index, cli->operands[0], &row);
	if (r < 0)
		return r;
	if (cli->json) {
		r = info_json_family(index, &row, &info);
		return r < 0 ? r : output_json("snapshot", info);
	}
	info_print(&row, cli->bytes);
	return info_family(index, &row);
}

int cmd_rename(struct cli *cli)
{
	AUTO(store_close_at) struct store *store = NULL;
	AUTO(index_close_at) struct index *index = NULL;
	const char *from = cli->operands[0];
	const char *to = cli->operands[1];
	int r = cli_open(cli, &store, &index);

	if (r == 0)
		r = catalog_rename(index, from, to);
	if (r < 0)
		return r;
	if (cli->json)
		return output_json("renamed", json_pack("{s:s, s:s}", "from", from, "to", to));
	if (!cli->quiet)
		printf("%s is now %s\n", from, to);
	return 0;
}

int cmd_note(struct cli *cli)
{
	AUTO(store_close_at) struct store *store = NULL;
	AUTO(index_close_at) struct index *index = NULL;
	const char *name = cli->operands[0];
	const char *note = cli->operands[1];
	int r = cli_open(cli, &store, &index);

	if (r == 0)
		r = catalog_note(index, name, note);
	if (r < 0)
		return r;
	if (cli->json)
		return output_json("noted", json_pack("{s:s, s:s}", "name", name, "note", note));
	if (!cli->quiet)
		printf("%s %s\n", note[0] ? "wrote the note of" : "took away the note of", name);
	return 0;
}

const struct option_row cmd_rm_options[] = {
	{"dry-run", 'n', OPTION_FLAG, offsetof(struct cli, rm.dry_run), NULL,
	 "only say what would be removed", NULL},
	{.name = ""},
};

/* What a removal would free, beyond what is garbage already. */
static int rm_dry_run(struct cli *cli, struct index *index)
{
	const char *name = cli->operands[0];
	char size[UNITS_TEXT_MAX];
	struct snapshot_row row;
	uint64_t bytes;
	int r = catalog_find(index, name, &row);

	if (r == 0)
		r = catalog_remove(index, name, true);
	if (r == 0)
		r = gc_would_free(index, row.id, &bytes);
	if (r < 0)
		return r;
	if (cli->json)
		return output_json("removed", json_pack("{s:s, s:b, s:I}", "name", name, "dry_run",
							1, "bytes", (json_int_t)bytes));
	printf("would remove %s: with 'pagoda gc' behind it that gives back %s\n", name,
	       output_size(size, bytes, cli->bytes));
	return 0;
}

int cmd_rm(struct cli *cli)
{
	AUTO(store_close_at) struct store *store = NULL;
	AUTO(index_close_at) struct index *index = NULL;
	const char *name = cli->operands[0];
	int r = cli_open(cli, &store, &index);

	if (r == 0 && cli->rm.dry_run)
		return rm_dry_run(cli, index);
	if (r == 0)
		r = catalog_remove(index, name, false);
	if (r < 0)
		return r;
	if (cli->json)
		return output_json("removed", json_pack("{s:s, s:b}", "name", name, "dry_run", 0));
	if (!cli->quiet)
		printf("removed %s\n", name);
	return 0;
}
