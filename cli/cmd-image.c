/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands that move whole images: import, export.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "base/io.h"
#include "cli/cli.h"
#include "cli/output.h"
#include "cli/pair.h"
#include "db/attachment.h"
#include "db/catalog.h"
#include "db/export.h"
#include "db/import.h"
#include "db/info.h"
#include "db/pages.h"
#include "db/snapshot.h"

#define READ_STEP (UINT64_C(1) << 20)

const struct option_row cmd_import_options[] = {
	{"vmstate", 0, OPTION_TEXT, offsetof(struct cli, import.vmstate), "FILE",
	 "the machine state that goes with it, kept as it is", NULL},
	{"format", 0, OPTION_TEXT, offsetof(struct cli, import.format), "FORMAT",
	 "of the image: raw", NULL},
	{"from-dir", 0, OPTION_TEXT, offsetof(struct cli, import.from_dir), "DIR",
	 "take memory and machine state from what a VMM wrote", NULL},
	{"parent", 0, OPTION_TEXT, offsetof(struct cli, import.parent), "PARENT",
	 "keep only the pages that differ from that snapshot", NULL},
	{"diff", 0, OPTION_FLAG, offsetof(struct cli, import.diff), NULL,
	 "IMAGE is a diff over the parent: a hole is unchanged, zeros are data", NULL},
	{"codec", 0, OPTION_TEXT, offsetof(struct cli, import.codec), "CODEC",
	 "of pages new to the store: lz4 (default), or zstd: smaller, slower to read", NULL},
	{.name = ""},
};

/* What there is to import; the paths are borrowed. */
struct input {
	const char *image;
	const char *vmstate; /* NULL for none */
	struct pair pair;    /* what they point into with --from-dir */
};

/* A file the user named and that cannot be had is refused input: -ENOENT is for
 * snapshots and stores. */
static int fail_file(const char *path, int err)
{
	bool named_wrong = err == -ENOENT || err == -ENOTDIR || err == -EISDIR;

	return fail_with(named_wrong ? -EINVAL : err, "%s: %s", path, strerror(-err));
}

/* Opens path, or standard input for "-", for reading. Returns the descriptor. */
static int open_input(const char *path)
{
	struct stat st;
	AUTO_CLOSE int fd = -1;

	if (strcmp(path, "-") == 0)
		fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	else
		fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return fail_file(path, -errno);
	if (S_ISDIR(st.st_mode))
		return fail_with(-EINVAL, "%s is a directory: --from-dir takes one", path);
	return TAKE_FD(fd);
}

static int grow(char **data, size_t *room)
{
	size_t more = *room ? 2 * *room : READ_STEP;
	char *bigger = realloc(*data, more);

	if (!bigger)
		return fail_with(-ENOMEM, "out of memory");
	*data = bigger;
	*room = more;
	return 0;
}

/* Reads a whole file of at most ATTACHMENT_BYTES_MAX; the caller frees *ret_data. */
static int read_attachment(const char *path, void **ret_data, size_t *ret_len)
{
	AUTO_CLOSE int fd = open_input(path);
	AUTO_FREE char *data = NULL;
	size_t room = 0;
	size_t len = 0;
	int r = fd;

	while (r >= 0 && len == room && len <= ATTACHMENT_BYTES_MAX) {
		ssize_t n;

		r = grow(&data, &room);
		if (r < 0)
			break;
		n = io_read_full(fd, data + len, room - len);
		if (n < 0)
			return fail_file(path, (int)n);
		len += (size_t)n;
	}
	if (r < 0)
		return r;
	if (len > ATTACHMENT_BYTES_MAX)
		return fail_with(-EFBIG,
				 "%s is larger than the %" PRIu64 " MiB kept of a machine state",
				 path, ATTACHMENT_BYTES_MAX >> 20);
	*ret_data = TAKE_PTR(data);
	*ret_len = len;
	return 0;
}

/* All of a file would be read, also what somebody has read of it already, as a header. */
static int check_at_begin(int fd)
{
	if (lseek(fd, 0, SEEK_CUR) <= 0) /* a pipe cannot tell, and has no need to */
		return 0;
	return fail_with(-EINVAL, "standard input is a file that is not at its beginning: give "
				  "the rest of it through a pipe");
}

/* What the command line says is to be imported. */
static int find_input(struct cli *cli, struct input *input)
{
	const char *format = cli->import.format;
	bool has_image = cli->noperands == 2;
	int r;

	if (format && strcmp(format, "raw") != 0)
		return cli_usage(cli, "--format wants raw, not '%s'", format);
	if (has_image == (cli->import.from_dir != NULL))
		return cli_usage(cli, "wants either IMAGE or --from-dir DIR");
	if (cli->import.diff && !cli->import.parent)
		return cli_usage(cli, "--diff wants the --parent it is a diff over");
	if (cli->import.from_dir && cli->import.vmstate)
		return cli_usage(cli, "--from-dir brings its own machine state, without --vmstate");
	if (has_image) {
		input->image = cli->operands[1];
		input->vmstate = cli->import.vmstate;
		if (input->vmstate && strcmp(input->image, "-") == 0 &&
		    strcmp(input->vmstate, "-") == 0)
			return cli_usage(cli,
					 "standard input is either the image or the machine state");
		return 0;
	}
	r = pair_find(cli->import.from_dir, &input->pair);
	input->image = input->pair.memory;
	input->vmstate = input->pair.state;
	return r;
}

/* "guest-a: 256.0 MiB, 38570 pages stored (71.9 MiB), 1820 shared, 25145 zero"; over a
 * parent "guest-b: 256.0 MiB over guest-a, ..., 34560 unchanged" */
static void print_imported(const struct snapshot_row *row, bool exact)
{
	uint64_t layer = row->layer_data + row->layer_zero;
	char size[UNITS_TEXT_MAX];
	char stored[UNITS_TEXT_MAX];

	printf("%s: %s%s%s, %" PRIu64 " pages stored (%s), %" PRIu64 " shared, %" PRIu64 " zero",
	       row->name, output_size(size, row->size, exact), row->parent ? " over " : "",
	       row->parent_name, row->stored_pages, output_size(stored, row->stored_bytes, exact),
	       row->layer_data - row->stored_pages, row->layer_zero);
	if (row->parent)
		printf(", %" PRIu64 " unchanged", row->size / PAGE_BYTES - layer);
	putchar('\n');
}

int cmd_import(struct cli *cli)
{
	AUTO(store_close_at) struct store *store = NULL;
	AUTO(index_close_at) struct index *index = NULL;
	AUTO(progress_free_at) struct progress *progress = NULL;
	AUTO_FREE void *vmstate = NULL;
	AUTO_CLOSE int fd = -1;
	struct input input;
	struct import_request request = {.name = cli->operands[0],
					 .parent = cli->import.parent,
					 .is_diff = cli->import.diff};
	struct snapshot_row row;
	int r = find_input(cli, &input);

	if (r == 0)
		r = catalog_check_name(request.name);
	if (r == 0 && cli->import.codec)
		r = codec_find(cli->import.codec, &request.codec);
	if (r == 0)
		r = cli_open(cli, &store, &index);
	if (r == 0 && input.vmstate)
		r = read_attachment(input.vmstate, &vmstate, &request.vmstate_len);
	if (r < 0)
		return r;
	fd = open_input(input.image);
	if (fd < 0)
		return fd;
	r = strcmp(input.image, "-") == 0 ? check_at_begin(fd) : 0;
	if (r < 0)
		return r;
	progress = progress_new(cli->operation, cli->quiet);
	request.image_fd = fd;
	request.image = strcmp(input.image, "-") == 0 ? "standard input" : input.image;
	request.vmstate = vmstate;
	request.progress = progress;
	r = import_image(store, &request, &row);
	if (r < 0)
		return r;
	if (cli->json)
		return output_json("snapshot", info_json(&row));
	if (!cli->quiet)
		print_imported(&row, cli->bytes);
	return 0;
}

const struct option_row cmd_export_options[] = {
	{"diff", 0, OPTION_FLAG, offsetof(struct cli, export.diff), NULL,
	 "this layer alone: what it does not have is a hole, zero pages are data", NULL},
	{.name = ""},
};

static int print_exported(const struct cli *cli, const struct snapshot_row *row, const char *path)
{
	char size[UNITS_TEXT_MAX];

	if (cli->json)
		return output_json("exported",
				   json_pack("{s:s, s:o, s:I, s:b}", "name", row->name, "file",
					     output_json_text(path), "size", (json_int_t)row->size,
					     "diff", (int)cli->export.diff));
	if (cli->quiet || strcmp(path, "-") == 0)
		return 0;
	printf("%s: %s%s to ", row->name, cli->export.diff ? "a diff of " : "",
	       output_size(size, row->size, cli->bytes));
	output_text(path);
	putchar('\n');
	return 0;
}

/* What takes the name of index.db or of a pack is the end of the store. What is wrong with
 * path besides, who writes it finds. */
static int check_outside(const struct store *store, const char *path)
{
	static const char *const inside[] = {"", "/packs", "/holders"};
	char dir[PATH_MAX];
	struct stat to;

	if (strcmp(path, "-") == 0 || io_parent(path, dir) < 0 || stat(dir, &to) < 0)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(inside); i++) {
		char name[PATH_MAX];
		struct stat st;
		int n = snprintf(name, sizeof(name), "%s%s", store_path(store), inside[i]);

		if (n < (int)sizeof(name) && stat(name, &st) == 0 && st.st_dev == to.st_dev &&
		    st.st_ino == to.st_ino)
			return fail_with(-EINVAL, "%s is inside the store: give a file elsewhere",
					 path);
	}
	return 0;
}

int cmd_export(struct cli *cli)
{
	AUTO(store_close_at) struct store *store = NULL;
	AUTO(index_close_at) struct index *index = NULL;
	AUTO(pages_close_at) struct pages *pages = NULL;
	AUTO(snapshot_close_at) struct snapshot *snapshot = NULL;
	AUTO(progress_free_at) struct progress *progress = NULL;
	const char *path = cli->operands[1];
	int r;

	if (cli->json && strcmp(path, "-") == 0)
		return cli_usage(cli, "--json and an image do not go to standard output together");
	r = cli_open(cli, &store, &index);
	if (r == 0)
		r = check_outside(store, path);
	if (r == 0)
		r = cli_open_snapshot(index, cli->operands[0], &snapshot);
	if (r == 0)
		r = pages_open(index, &pages);
	if (r < 0)
		return r;
	progress = progress_new(cli->operation, cli->quiet);
	r = export_image(snapshot, pages, cli->export.diff ? MAP_DIFF : MAP_MEM, path, progress);
	if (r == -ENOENT || r == -ENOTDIR || r == -EISDIR)
		return fail_with(-EINVAL, "%s", fail_text(r));
	return r < 0 ? r : print_exported(cli, snapshot_row(snapshot), path);
}
