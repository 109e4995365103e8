/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a command is, and what main hands to it.
 *
 * One table (main.c) names the commands; parsing and help come from its rows. A
 * command returns 0, a positive exit code where it has told everything itself
 * (check with findings), or -errno with words in fail_text(): main tells those
 * once, as a line or as JSON, and exits with the code of exit.h. One thread.
 */
#ifndef PAGODA_CLI_CLI_H
#define PAGODA_CLI_CLI_H

#include <stdbool.h>

#include "base/attributes.h"
#include "base/cleanup.h"
#include "base/options.h"
#include "base/progress.h"
#include "db/index.h"
#include "db/snapshot.h"
#include "db/store.h"

/* The parsed command line. Texts point into argv. */
struct cli {
	const char *store;
	bool json;
	bool quiet;
	bool verbose;
	bool bytes;
	bool help;
	bool version;
	/* what the job is called in messages: "import guest-a" */
	char operation[160];
	/* the operands, ended by NULL */
	char **operands;
	unsigned int noperands;
	/* the exit code of an error where its number does not say it, or 0: usage, or
	 * what another program exited with */
	int code;
	/* the options of the command that runs; all zero at the start */
	union {
		struct {
			const char *vmstate;
			const char *format;
			const char *from_dir;
			const char *parent;
			const char *codec;
			bool diff;
		} import;
		struct {
			bool diff;
		} export;
		struct {
			unsigned int read_percent;
			bool drop_damaged;
		} check;
		struct {
			bool dry_run;
		} rm;
		struct {
			bool dry_run;
		} gc;
		struct {
			const char *name;
			const char *codec;
		} copy;
		struct {
			const char *codec;
			bool dry_run;
		} repack;
		struct {
			const char *options;
			bool foreground;
		} mount;
	};
};

DEFINE_AUTO(struct progress *, progress_free)

#define OPERANDS_ANY 1000000U

struct command {
	const char *name;
	const char *operands;		  /* "NAME IMAGE" */
	const char *help;		  /* one line */
	const struct option_row *options; /* its own; NULL for none */
	unsigned int least;		  /* operands */
	unsigned int most;
	/* what follows the name is for another program and is not parsed here */
	bool passes_on;
	int (*run)(struct cli *cli);
};

/* Opens the store for a command and tells other processes what this one does.
 * Declare the store before the index: it is closed after it. */
int cli_open(const struct cli *cli, struct store **ret_store, struct index **ret_index) MUST_CHECK;

/* Finds a snapshot by its name and opens it. Of a draft that is open for writing elsewhere
 * one warning says that what is not flushed yet is missing, and who has it. */
int cli_open_snapshot(struct index *index, const char *name, struct snapshot **ret) MUST_CHECK;

/* Keeps the words and says that the command line is wrong; returns -EINVAL. */
int cli_usage(struct cli *cli, const char *format, ...) PRINTF_LIKE(2, 3);

/* store: */
int cmd_init(struct cli *cli);
int cmd_check(struct cli *cli);
int cmd_gc(struct cli *cli);
int cmd_copy(struct cli *cli);
int cmd_repack(struct cli *cli);
/* images: */
int cmd_import(struct cli *cli);
int cmd_export(struct cli *cli);
int cmd_diff(struct cli *cli);
/* snapshots: */
int cmd_ls(struct cli *cli);
int cmd_info(struct cli *cli);
int cmd_rename(struct cli *cli);
int cmd_note(struct cli *cli);
int cmd_rm(struct cli *cli);
/* drafts: */
int cmd_fork(struct cli *cli);
int cmd_seal(struct cli *cli);
/* views: */
int cmd_mount(struct cli *cli);
int cmd_umount(struct cli *cli);
int cmd_serve(struct cli *cli);

/* The rows of the commands that have options. */
extern const struct option_row cmd_check_options[];
extern const struct option_row cmd_copy_options[];
extern const struct option_row cmd_gc_options[];
extern const struct option_row cmd_import_options[];
extern const struct option_row cmd_export_options[];
extern const struct option_row cmd_repack_options[];
extern const struct option_row cmd_rm_options[];
extern const struct option_row cmd_mount_options[];

#endif
