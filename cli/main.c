/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pagoda: parse, run one command, tell how it ended.
 *
 * The options of all commands may stand before or behind the command's name.
 */
#include "config.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/descriptors.h"
#include "base/exit.h"
#include "base/fail.h"
#include "base/log.h"
#include "base/options.h"
#include "cli/cli.h"
#include "cli/output.h"

#define STORE_DEFAULT "/var/lib/pagoda"
#define ROWS_MOST 24

static const struct option_row common_options[] = {
	{"store", 's', OPTION_TEXT, offsetof(struct cli, store), "STORE",
	 "the store; else $PAGODA_STORE, else " STORE_DEFAULT, NULL},
	{"json", 0, OPTION_FLAG, offsetof(struct cli, json), NULL, "print one JSON document", NULL},
	{"quiet", 'q', OPTION_FLAG, offsetof(struct cli, quiet), NULL,
	 "no progress, and no result that only says it is done", NULL},
	{"verbose", 'v', OPTION_FLAG, offsetof(struct cli, verbose), NULL,
	 "say more on standard error", NULL},
	{"bytes", 0, OPTION_FLAG, offsetof(struct cli, bytes), NULL, "print sizes in bytes", NULL},
	{"help", 'h', OPTION_FLAG, offsetof(struct cli, help), NULL, "show help", NULL},
	{"version", 'V', OPTION_FLAG, offsetof(struct cli, version), NULL, "show the version",
	 NULL},
	{.name = ""},
};

static int cmd_help(struct cli *cli);

static const struct command commands[] = {
	{"init", "", "make a store", NULL, 0, 0, false, cmd_init},
	{"import", "NAME [IMAGE]", "add a memory image as a sealed snapshot", cmd_import_options, 1,
	 2, false, cmd_import},
	{"export", "NAME FILE", "write the image of a snapshot", cmd_export_options, 2, 2, false,
	 cmd_export},
	{"diff", "A B", "say which pages of two snapshots differ", NULL, 2, 2, false, cmd_diff},
	{"ls", "", "list the snapshots", NULL, 0, 0, false, cmd_ls},
	{"info", "NAME", "describe a snapshot", NULL, 1, 1, false, cmd_info},
	{"fork", "PARENT NAME", "make a writable draft on top of a sealed snapshot", NULL, 2, 2,
	 false, cmd_fork},
	{"seal", "NAME", "make a draft immutable", NULL, 1, 1, false, cmd_seal},
	{"rename", "FROM TO", "give a snapshot another name", NULL, 2, 2, false, cmd_rename},
	{"note", "NAME TEXT", "write a note to a snapshot", NULL, 2, 2, false, cmd_note},
	{"rm", "NAME", "remove a snapshot", cmd_rm_options, 1, 1, false, cmd_rm},
	{"copy", "NAME OTHER_STORE", "copy a snapshot into another store", cmd_copy_options, 2, 2,
	 false, cmd_copy},
	{"gc", "", "give back what no snapshot needs", cmd_gc_options, 0, 0, false, cmd_gc},
	{"repack", "NAME", "compress the pages of a layer anew", cmd_repack_options, 1, 1, false,
	 cmd_repack},
	{"check", "", "prove the store", cmd_check_options, 0, 0, false, cmd_check},
	{"mount", "DIR", "show the snapshots as files", cmd_mount_options, 1, 1, false, cmd_mount},
	{"umount", "DIR", "take the files away again", NULL, 1, 1, false, cmd_umount},
	{"serve", "OPTION... SNAPSHOT_DIR", "restore machines: runs pagoda-handler", NULL, 0,
	 OPERANDS_ANY, true, cmd_serve},
	{"help", "[COMMAND]", "show help", NULL, 0, 1, false, cmd_help},
};

static const struct command *command_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

int cli_usage(struct cli *cli, const char *format, ...)
{
	char words[FAIL_TEXT_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(words, sizeof(words), format, args);
	va_end(args);
	cli->code = EXIT_USAGE;
	return fail_with(-EINVAL, "%s", words);
}

int cli_open(const struct cli *cli, struct store **ret_store, struct index **ret_index)
{
	struct store *store;
	char holder[sizeof(cli->operation) + 8];
	int r = store_open(cli->store, &store);

	if (r < 0)
		return r;
	snprintf(holder, sizeof(holder), "pagoda %s", cli->operation);
	store_set_holder(store, holder);
	r = index_open(store, ret_index);
	if (r < 0) {
		store_close(store);
		return r;
	}
	*ret_store = store;
	return 0;
}

int cli_open_snapshot(struct index *index, const char *name, struct snapshot **ret)
{
	char writer[SNAPSHOT_WRITER_MAX];
	struct snapshot_row row;
	int r = catalog_find(index, name, &row);

	if (r < 0)
		return r;
	if (snapshot_has_writer(index, &row, writer))
		log_warning("'%s' is a draft open for writing by %s: what that has not flushed yet "
			    "is left out; close or fsync it first",
			    name, writer);
	return snapshot_open(index, row.id, ret);
}

static void help_overview(FILE *out)
{
	fputs("usage: pagoda [-s STORE] [--json] [-q | -v] COMMAND [ARGUMENTS]\n\n"
	      "Keeps memory snapshots of virtual machines, shows them as files and\n"
	      "restores machines from them.\n\nCommands:\n",
	      out);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(out, "  %-28s %s\n", commands[i].name, commands[i].help);
	fputs("\nOptions of every command:\n", out);
	options_help(common_options, out);
	fputs("\n'pagoda help COMMAND' shows what a command takes; pagoda(1) has it all.\n", out);
}

static void help_command(const struct command *command, FILE *out)
{
	fprintf(out, "usage: pagoda %s%s%s%s\n\nDoes: %s.\n", command->name,
		command->options ? " [OPTION...]" : "", command->operands[0] ? " " : "",
		command->operands, command->help);
	if (command->passes_on)
		fputs("\n'pagoda-handler --help' lists its options.\n", out);
	if (command->options) {
		fputs("\nOptions:\n", out);
		options_help(command->options, out);
	}
	fputs("\n'pagoda help' lists the options of every command.\n", out);
}

/* Help on the command, or on all where it is NULL. */
static int help_print(const struct cli *cli, const struct command *command)
{
	char *text = NULL;
	size_t len;
	int r = 0;
	FILE *out = cli->json ? open_memstream(&text, &len) : stdout;

	if (!out)
		return fail_with(-ENOMEM, "out of memory");
	if (command)
		help_command(command, out);
	else
		help_overview(out);
	if (cli->json) {
		fclose(out);
		r = output_json("help", text ? json_string(text) : NULL);
		free(text);
	}
	return r;
}

static int cmd_help(struct cli *cli)
{
	const struct command *command = NULL;

	if (cli->noperands > 0) {
		command = command_find(cli->operands[0]);
		if (!command)
			return cli_usage(cli, "no command '%s': 'pagoda help' lists them",
					 cli->operands[0]);
	}
	return help_print(cli, command);
}

static int version_print(const struct cli *cli)
{
	if (cli->json)
		return output_json("version", json_string(PACKAGE_VERSION));
	puts("pagoda " PACKAGE_VERSION);
	return 0;
}

/* The rows of the command, if any, and those of every command. */
static void rows_join(const struct command *command, struct option_row rows[ROWS_MOST])
{
	size_t n = 0;

	for (const struct option_row *row = command->options; row && row->name[0]; row++)
		rows[n++] = *row;
	for (const struct option_row *row = common_options; row->name[0]; row++)
		rows[n++] = *row;
	rows[n] = (struct option_row){.name = ""};
}

/* Parses what follows the command's name (argv[0]) into cli. */
static int parse_command(struct cli *cli, const struct command *command, int argc, char **argv)
{
	struct option_row rows[ROWS_MOST];
	int first = 1;

	if (command->passes_on) {
		cli->help = argc > 1 && strcmp(argv[1], "--help") == 0;
	} else {
		rows_join(command, rows);
		first = options_parse(rows, cli, argc, argv, true);
		if (first < 0)
			return cli_usage(cli, "%s: 'pagoda help %s' shows what it takes",
					 fail_text(first), command->name);
	}
	cli->operands = argv + first;
	cli->noperands = (unsigned int)(argc - first);
	if (cli->help || cli->version)
		return 0;
	if (cli->noperands < command->least || cli->noperands > command->most)
		return cli_usage(cli, "wants %s: 'pagoda help %s' shows what it takes",
				 command->operands[0] ? command->operands : "no operand",
				 command->name);
	if (cli->noperands > 0 && !command->passes_on)
		snprintf(cli->operation, sizeof(cli->operation), "%s %s", command->name,
			 cli->operands[0]);
	return 0;
}

static void defaults_set(struct cli *cli)
{
	if (!cli->store)
		cli->store = getenv("PAGODA_STORE");
	if (!cli->store || !cli->store[0])
		cli->store = STORE_DEFAULT;
	if (cli->verbose)
		log_init("pagoda", LOG_LEVEL_DEBUG);
	else if (cli->quiet)
		log_init("pagoda", LOG_LEVEL_WARNING);
}

static int run(struct cli *cli, int argc, char **argv)
{
	const struct command *command = NULL;
	int first = options_parse(common_options, cli, argc, argv, false);
	int r;

	if (first < 0)
		return cli_usage(cli, "%s: 'pagoda help' lists them", fail_text(first));
	if (first < argc) {
		command = command_find(argv[first]);
		if (!command)
			return cli_usage(cli, "no command '%s': 'pagoda help' lists them",
					 argv[first]);
		snprintf(cli->operation, sizeof(cli->operation), "%s", command->name);
		r = parse_command(cli, command, argc - first, argv + first);
		if (r < 0)
			return r;
	}
	/* -s "$UNSET" must not fall upon the store of the system */
	if (cli->store && !cli->store[0])
		return cli_usage(cli, "--store wants a directory, not an empty name");
	if (cli->quiet && cli->verbose)
		return cli_usage(cli, "--quiet and --verbose do not go together");
	if (cli->version)
		return version_print(cli);
	if (cli->help)
		return help_print(cli, command);
	if (!command)
		return cli_usage(cli, "wants a command: 'pagoda help' lists them");
	defaults_set(cli);
	return command->run(cli);
}

/* Whether errors are told as JSON even though parsing has failed before --json. */
static bool asks_for_json(int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--json") == 0)
			return true;
	return false;
}

/* Tells the error once: as the result where JSON was asked for, else as a line. */
static void tell(const struct cli *cli, int code, int err)
{
	char text[FAIL_TEXT_MAX + sizeof(cli->operation)];
	json_t *error;

	snprintf(text, sizeof(text), "%s%s%s", cli->operation, cli->operation[0] ? ": " : "",
		 fail_text(err));
	if (cli->json) {
		error = json_pack("{s:i, s:o}", "code", code, "text", output_json_text(text));
		if (output_json("error", error) == 0)
			return;
	}
	log_error("%s", text);
}

int main(int argc, char **argv)
{
	struct cli cli = {0};
	int code;
	int r;

	descriptors_fill();
	/* a closed pipe and a file size limit are errors of write(2), to be told */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	signal(SIGCHLD, SIG_DFL); /* ignored, as it may be inherited, no child can be waited for */
	log_init("pagoda", LOG_LEVEL_INFO);
	cli.json = asks_for_json(argc, argv);
	r = run(&cli, argc, argv);
	code = r > 0 ? r : (int)exit_code(r);
	if (r < 0 && cli.code)
		code = cli.code;
	if (r < 0)
		tell(&cli, code, r);
	r = output_finish();
	if (r < 0) {
		const char *but = code ? ": " : ": it is done, but ";

		log_error("%s%s%s", cli.operation, cli.operation[0] ? but : "", fail_text(r));
		code = code ? code : (int)exit_code(r);
	}
	return code;
}
