/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/descriptors.h"
#include "base/exit.h"
#include "base/fail.h"
#include "base/log.h"
#include "base/options.h"
#include "base/units.h"
#include "base/spin.h"
#include "handler/keeper.h"
#include "handler/uffd.h"

#define SOURCE_TIMEOUT_S 300
#define STACK_LEAST (256 << 10)

struct arguments {
	struct keeper_setup keeper;
	const char *listen;
	bool help;
	bool version;
};

/* One of two words. */
static int word_parse(const char *option, const char *value, const char *no, const char *yes,
		      bool *ret)
{
	if (strcmp(value, yes) != 0 && strcmp(value, no) != 0)
		return fail_with(-EINVAL, "--%s is %s or %s, not '%s'", option, no, yes, value);
	*ret = strcmp(value, yes) == 0;
	return 0;
}

static int on_failure_set(void *target, const char *value)
{
	struct arguments *args = target;

	return word_parse("on-failure", value, "kill", "freeze", &args->keeper.freeze);
}

static int on_stop_set(void *target, const char *value)
{
	struct arguments *args = target;

	return word_parse("on-stop", value, "kill", "drain", &args->keeper.stop_by_drain);
}

static int allow_uid_set(void *target, const char *value)
{
	struct arguments *args = target;

	return allow_parse(&args->keeper.allow, value);
}

static int source_timeout_set(void *target, const char *value)
{
	struct arguments *args = target;
	uint64_t seconds;

	if (units_parse_number(value, INT32_MAX, &seconds) < 0)
		return fail_with(-EINVAL, "--source-timeout: '%s' is no number of seconds", value);
	args->keeper.source_timeout_ns = seconds * NS_PER_SEC;
	return 0;
}

static int readahead_set(void *target, const char *value)
{
	struct arguments *args = target;

	return word_parse("readahead", value, "auto", "off", &args->keeper.no_readahead);
}

static int spin_set(void *target, const char *value)
{
	struct arguments *args = target;

	if (spin_parse(value, &args->keeper.spin_ns) < 0)
		return fail_with(-EINVAL, "--spin is " SPIN_WORDS ", not '%s'", value);
	return 0;
}

static int ready_fd_set(void *target, const char *value)
{
	struct arguments *args = target;
	uint64_t fd;

	if (units_parse_number(value, INT32_MAX, &fd) < 0 || fcntl((int)fd, F_GETFD) < 0)
		return fail_with(-EINVAL, "--ready-fd: '%s' is no open descriptor", value);
	args->keeper.ready_fd = (int)fd;
	return 0;
}

#define AT(field_) offsetof(struct arguments, field_)

static const struct option_row rows[] = {
	{"listen", 'l', OPTION_TEXT, AT(listen), "PATH", "socket that machines connect to", NULL},
	{"once", 0, OPTION_FLAG, AT(keeper.once), NULL, "serve one machine; exit with its outcome",
	 NULL},
	{"fill", 0, OPTION_FLAG, AT(keeper.fill), NULL,
	 "install the whole image, then let go of the machine", NULL},
	{"allow-uid", 0, OPTION_CALL, 0, "LIST", "users whose machines are served", allow_uid_set},
	{"on-failure", 0, OPTION_CALL, 0, "kill|freeze",
	 "what happens to a machine that cannot be served", on_failure_set},
	{"on-stop", 0, OPTION_CALL, 0, "kill|drain", "SIGTERM ends the machines, or waits for them",
	 on_stop_set},
	{"source-timeout", 0, OPTION_CALL, 0, "SECONDS",
	 "how long a page may take before --on-failure applies (300; 0: for ever)",
	 source_timeout_set},
	{"readahead", 0, OPTION_CALL, 0, "auto|off",
	 "install what will be touched next with what is (auto)", readahead_set},
	{"spin", 0, OPTION_CALL, 0, "auto|off|USEC",
	 "how long to look for the next fault before sleeping (auto)", spin_set},
	{"stats", 0, OPTION_TEXT, AT(keeper.stats), "FILE",
	 "counters: JSON, or Prometheus text in FILE.prom", NULL},
	{"control", 0, OPTION_TEXT, AT(keeper.control), "PATH",
	 "socket for requests: status, machines, stats, stop, drain", NULL},
	{"ready-fd", 0, OPTION_CALL, 0, "FD", "write a newline there when listening", ready_fd_set},
	{"help", 'h', OPTION_FLAG, AT(help), NULL, "print this", NULL},
	{"version", 0, OPTION_FLAG, AT(version), NULL, "print the version", NULL},
	{"", 0, OPTION_FLAG, 0, NULL, NULL, NULL},
};

static void help_print(void)
{
	printf("usage: pagoda-handler --listen PATH [OPTION...] SOURCE\n\n"
	       "Restores machines from SOURCE, the directory of a snapshot in a mounted view\n"
	       "or a raw memory file, by serving the page faults of their userfaultfd.\n\n");
	options_help(rows, stdout);
}

/* Each error is one line, told here once. */
static int report(enum exit_code code, int err)
{
	log_error("%s", fail_text(err));
	return (int)code;
}

static enum exit_code source_code(int err)
{
	return err == -ENOTDIR ? EXIT_MISSING : exit_code(err);
}

/* A path that is no socket's is wrong usage; a directory that is missing is no
 * missing snapshot. */
static enum exit_code listener_code(int err)
{
	if (err == -ENAMETOOLONG)
		return EXIT_USAGE;
	return err == -ENOENT ? EXIT_FAILED : exit_code(err);
}

static int outcome_code(enum end end)
{
	if (end_is_good(end))
		return EXIT_DONE;
	return end == END_HANDOVER_REFUSED ? EXIT_REFUSED : EXIT_FAILED;
}

/* What overflows the stack is the end of keeper and workers at once, and machines that kept
 * no userfaultfd of their own would read zeros. */
static int check_stack(void)
{
	char has[UNITS_TEXT_MAX];
	char least[UNITS_TEXT_MAX];
	struct rlimit limit;

	if (getrlimit(RLIMIT_STACK, &limit) < 0 || limit.rlim_cur >= STACK_LEAST)
		return 0;
	return fail_with(-EINVAL, "a stack of %s is too small: give it %s, as with ulimit -s",
			 units_format_size(has, limit.rlim_cur),
			 units_format_size(least, STACK_LEAST));
}

static int serve(const struct arguments *args, const char *path)
{
	AUTO_SOURCE struct source *source = NULL;
	AUTO_LISTENER struct listener *listener = NULL;
	enum end end;
	int r = check_stack();

	if (r == 0)
		r = uffd_check_proc();
	if (r < 0)
		return report(EXIT_FAILED, r);
	r = source_open(path, &source);
	if (r < 0)
		return report(source_code(r), r);
	r = listener_open(args->listen, &listener);
	if (r < 0)
		return report(listener_code(r), r);
	r = keeper_run(&args->keeper, TAKE_PTR(listener), source, &end);
	if (r < 0) /* its control socket is the likely one */
		return report(listener_code(r), r);
	return outcome_code(end);
}

int main(int argc, char **argv)
{
	struct arguments args = {
		.keeper = {.ready_fd = -1,
			   .source_timeout_ns = SOURCE_TIMEOUT_S * NS_PER_SEC,
			   .spin_ns = SPIN_AUTO},
	};
	int operand;

	descriptors_fill();
	log_init("pagoda-handler", LOG_LEVEL_INFO);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, SIG_DFL); /* ignored, as it may be inherited, no child can be waited for */
	allow_default(&args.keeper.allow);
	operand = options_parse(rows, &args, argc, argv, false);
	if (operand < 0)
		return report(EXIT_USAGE, operand);
	if (args.help) {
		help_print();
		return EXIT_DONE;
	}
	if (args.version) {
		printf("pagoda-handler %s\n", PACKAGE_VERSION);
		return EXIT_DONE;
	}
	if (!args.listen || argc - operand != 1) {
		log_error("usage: pagoda-handler --listen PATH [OPTION...] SOURCE; see --help");
		return EXIT_USAGE;
	}
	return serve(&args, argv[operand]);
}
