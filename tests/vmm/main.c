/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vmm: parse, open, run, close.
 *
 * A virtual machine small enough for tests: it runs only the guest it brings.
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/exit.h"
#include "base/fail.h"
#include "base/log.h"
#include "base/options.h"
#include "tests/vmm/command.h"
#include "tests/vmm/machine.h"
#include "tests/vmm/memory.h"

#define EXIT_SKIP 77 /* as automake's tests: KVM cannot be used */
#define COMMANDS_MOST 64

struct request {
	struct machine_config config;
	struct machine_source source;
	uint64_t beats;	    /* 0: no end */
	const char *verify; /* NULL: do not */
	bool help;
	size_t ncommands;
	struct command commands[COMMANDS_MOST];
};

DEFINE_AUTO(struct machine *, machine_close)

static int add_command(void *target, const char *text)
{
	struct request *request = target;
	int r;

	if (request->ncommands == COMMANDS_MOST)
		return fail_with(-EINVAL, "more than %d commands", COMMANDS_MOST);
	r = command_init(&request->commands[request->ncommands], text);
	if (r == 0)
		request->ncommands++;
	return r;
}

static const struct option_row run_rows[] = {
	{"memory", 'm', OPTION_SIZE, offsetof(struct request, config.memory_size), "SIZE",
	 "memory of the guest (64M)", NULL},
	{"split", 0, OPTION_SIZE, offsetof(struct request, config.split), "SIZE",
	 "what is beyond lies above 4 GiB, in a region of its own (3G)", NULL},
	{"seed", 0, OPTION_NUMBER, offsetof(struct request, config.disk.seed), "N",
	 "what the data is made from (1)", NULL},
	{"data", 0, OPTION_NUMBER, offsetof(struct request, config.disk.data_percent), "PERCENT",
	 "pages that hold data; the others are zero (60)", NULL},
	{"writes", 0, OPTION_NUMBER, offsetof(struct request, config.writes), "PAGES",
	 "pages that the guest writes in a beat (32)", NULL},
	{"beats", 'n', OPTION_NUMBER, offsetof(struct request, beats), "N",
	 "end after so many beats (never)", NULL},
	{"at", 0, OPTION_CALL, 0, "'BEAT COMMAND'",
	 "snapshot MEM VMSTATE, diff MEM VMSTATE or balloon PAGES", add_command},
	{"help", 'h', OPTION_FLAG, offsetof(struct request, help), NULL, "show this help", NULL},
	{.name = ""},
};

static const struct option_row restore_rows[] = {
	{"vmstate", 0, OPTION_TEXT, offsetof(struct request, source.vmstate), "FILE",
	 "state of the machine", NULL},
	{"mem-file", 0, OPTION_TEXT, offsetof(struct request, source.mem_file), "FILE",
	 "its memory, mapped privately", NULL},
	{"uffd", 0, OPTION_TEXT, offsetof(struct request, source.uffd_socket), "SOCKET",
	 "or the handler that has its memory", NULL},
	{"verify", 0, OPTION_TEXT, offsetof(struct request, verify), "IMAGE",
	 "at the end, compare all pages that were not written", NULL},
	{"beats", 'n', OPTION_NUMBER, offsetof(struct request, beats), "N",
	 "end after so many beats (never)", NULL},
	{"at", 0, OPTION_CALL, 0, "'BEAT COMMAND'", "as for run", add_command},
	{"help", 'h', OPTION_FLAG, offsetof(struct request, help), NULL, "show this help", NULL},
	{.name = ""},
};

static int check_run(const struct request *request)
{
	if (request->config.disk.data_percent > 100)
		return fail_with(-EINVAL, "--data wants 0 to 100");
	return 0;
}

static int check_restore(const struct request *request)
{
	if (!request->source.vmstate)
		return fail_with(-EINVAL, "--vmstate is missing");
	if (!request->source.mem_file == !request->source.uffd_socket)
		return fail_with(-EINVAL, "one of --mem-file and --uffd is wanted");
	return 0;
}

static int open_run(const struct request *request, struct machine **ret)
{
	return machine_boot(ret, &request->config, STDOUT_FILENO);
}

static int open_restore(const struct request *request, struct machine **ret)
{
	return machine_restore(ret, &request->source, STDOUT_FILENO);
}

static const struct mode {
	const char *name;
	const char *help;
	const struct option_row *rows;
	int (*check)(const struct request *request);
	int (*open)(const struct request *request, struct machine **ret);
} modes[] = {
	{"run", "boots the guest", run_rows, check_run, open_run},
	{"restore", "goes on with a machine from its snapshot", restore_rows, check_restore,
	 open_restore},
};

static const struct mode *find_mode(const char *name)
{
	for (size_t i = 0; name && i < ARRAY_SIZE(modes); i++)
		if (strcmp(modes[i].name, name) == 0)
			return &modes[i];
	return NULL;
}

static void show_help(FILE *out)
{
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		fprintf(out, "%svmm %s [OPTION...]: %s\n", i == 0 ? "" : "\n", modes[i].name,
			modes[i].help);
		options_help(modes[i].rows, out);
	}
}

static int run_commands(const struct request *request, struct machine *machine, uint64_t beat)
{
	for (size_t i = 0; i < request->ncommands; i++) {
		int r = 0;

		if (request->commands[i].beat == beat)
			r = command_run(&request->commands[i], machine);
		if (r < 0)
			return r;
	}
	return 0;
}

static int verify(const struct request *request, struct machine *machine)
{
	struct image_counts counts;
	int r = machine_verify(machine, request->verify, &counts);

	if (r < 0)
		return r;
	printf("VERIFIED same %" PRIu64 " written %" PRIu64 " removed %" PRIu64 "\n", counts.same,
	       counts.written, counts.removed);
	return 0;
}

static int run(const struct request *request, struct machine *machine)
{
	for (uint64_t beat = 1; request->beats == 0 || beat <= request->beats; beat++) {
		int r = machine_run_beat(machine);

		if (r == 0)
			r = run_commands(request, machine, beat);
		if (r < 0)
			return r;
	}
	return request->verify ? verify(request, machine) : 0;
}

static int open_and_run(const struct mode *mode, const struct request *request)
{
	AUTO(machine_close_at) struct machine *machine = NULL;
	int r = mode->open(request, &machine);

	return r < 0 ? r : run(request, machine);
}

/* 0, or -EINVAL with words. */
static int parse(const struct mode *mode, struct request *request, int argc, char **argv)
{
	int first = options_parse(mode->rows, request, argc, argv, true);

	if (first < 0 || request->help)
		return first;
	if (first < argc)
		return fail_with(-EINVAL, "unexpected '%s'", argv[first]);
	return mode->check(request);
}

static void request_done_at(struct request *request)
{
	for (size_t i = 0; i < request->ncommands; i++)
		command_done(&request->commands[i]);
}

int main(int argc, char **argv)
{
	AUTO(request_done_at)
	struct request request = {
		.config = {.memory_size = UINT64_C(64) << 20,
			   .split = MEMORY_SPLIT_MOST,
			   .writes = 32,
			   .disk = {.seed = 1, .data_percent = 60}},
	};
	const struct mode *mode = find_mode(argc > 1 ? argv[1] : NULL);
	int r;

	log_init("vmm", LOG_LEVEL_INFO);
	if (!mode) {
		show_help(stderr);
		return EXIT_USAGE;
	}
	r = parse(mode, &request, argc - 1, argv + 1);
	if (r < 0) {
		log_error("%s", fail_text(r));
		return EXIT_USAGE;
	}
	if (request.help) {
		show_help(stdout);
		return EXIT_DONE;
	}
	r = open_and_run(mode, &request);
	if (r < 0)
		log_error("%s", fail_text(r));
	return r == -ENOTSUP ? EXIT_SKIP : (int)exit_code(r);
}
