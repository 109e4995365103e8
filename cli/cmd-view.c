/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands that start and stop the two daemons: mount, umount, serve.
 */
#include "config.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "cli/cli.h"
#include "cli/output.h"
#include "cli/program.h"
#include "cli/unmount.h"

#define PAGODAFS "pagodafs"
#define HANDLER "pagoda-handler"

const struct option_row cmd_mount_options[] = {
	{"options", 'o', OPTION_TEXT, offsetof(struct cli, mount.options), "OPTIONS",
	 "uid=,gid=,mode=,allow_other,ro,spin=: see pagodafs(8)", NULL},
	{"foreground", 'f', OPTION_FLAG, offsetof(struct cli, mount.foreground), NULL,
	 "become pagodafs rather than start it", NULL},
	{.name = ""},
};

/* Prints {"<key>": {"dir": dir}}, or nothing for people: no news is good news. */
static int print_dir(const struct cli *cli, const char *key, const char *dir)
{
	if (!cli->json)
		return 0;
	return output_json(key, json_pack("{s:o}", "dir", output_json_text(dir)));
}

/* What pagodafs said becomes our error, with an exit code of its own. */
static int fail_mount(struct cli *cli, int code, const char *said)
{
	const char *prefix = PAGODAFS ": ";

	if (strncmp(said, prefix, strlen(prefix)) == 0)
		said += strlen(prefix);
	cli->code = code;
	return fail_with(-EIO, "%s", said[0] ? said : PAGODAFS " failed and did not say why");
}

int cmd_mount(struct cli *cli)
{
	char said[FAIL_TEXT_MAX];
	const char *argv[8];
	size_t n = 0;
	int code;

	argv[n++] = PAGODAFS;
	if (cli->mount.options) {
		argv[n++] = "-o";
		argv[n++] = cli->mount.options;
	}
	if (cli->mount.foreground)
		argv[n++] = "--foreground";
	argv[n++] = "--";
	argv[n++] = cli->store;
	argv[n++] = cli->operands[0];
	argv[n] = NULL;
	if (cli->mount.foreground)
		return program_exec(PAGODAFS, (char *const *)argv);
	code = program_run(PAGODAFS, (char *const *)argv, cli->json ? said : NULL, sizeof(said));
	if (code > 0 && cli->json)
		return fail_mount(cli, code, said);
	return code ? code : print_dir(cli, "mounted", cli->operands[0]);
}

int cmd_umount(struct cli *cli)
{
	int r = unmount_view(cli->operands[0]);

	return r < 0 ? r : print_dir(cli, "unmounted", cli->operands[0]);
}

int cmd_serve(struct cli *cli)
{
	AUTO_FREE char **argv = calloc(cli->noperands + 2, sizeof(*argv));

	if (!argv)
		return fail_with(-ENOMEM, "out of memory");
	argv[0] = HANDLER;
	memcpy(argv + 1, cli->operands, cli->noperands * sizeof(*argv));
	return program_exec(HANDLER, argv);
}
