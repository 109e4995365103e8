/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/run: measures rows and prints what came of it. Exits 0 whatever the figures
 * are, 3 where a byte was wrong, 1 where a row could not be run to its end.
 */
#include "config.h"

#include <errno.h>
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/exit.h"
#include "base/fail.h"
#include "base/log.h"
#include "base/options.h"
#include "bench/bench.h"
#include "bench/place.h"
#include "bench/report.h"

#define ROWS_MOST 32

struct arguments {
	const char *json;
	const char *plot;
	const char *dir;
	const char *images;
	uint64_t pairs;
	uint64_t made;
	uint64_t largest;
	bool once;
	bool list;
	bool help;
};

#define AT(field_) offsetof(struct arguments, field_)

static const struct option_row options[] = {
	{"json", 'j', OPTION_TEXT, AT(json), "FILE", "keep the figures as JSON, too", NULL},
	{"plot", 'p', OPTION_TEXT, AT(plot), "DIR", "draw each row as DIR/row-NAME.svg", NULL},
	{"pairs", 'n', OPTION_NUMBER, AT(pairs), "N", "runs of each side (7)", NULL},
	{"once", 0, OPTION_FLAG, AT(once), NULL, "one pair and no warm-up: to see that it works",
	 NULL},
	{"images", 0, OPTION_TEXT, AT(images), "DIR",
	 "guest images ($PAGODA_SHARED/images, ../shared/images)", NULL},
	{"made", 0, OPTION_SIZE, AT(made), "SIZE", "make an image of that size instead", NULL},
	{"largest", 0, OPTION_SIZE, AT(largest), "SIZE", "image of rows 18 and 19 (4G)", NULL},
	{"dir", 0, OPTION_TEXT, AT(dir), "DIR", "where to work ($TMPDIR, /tmp)", NULL},
	{"list", 0, OPTION_FLAG, AT(list), NULL, "name the rows and end", NULL},
	{"help", 'h', OPTION_FLAG, AT(help), NULL, "print this", NULL},
	{.name = ""},
};

static volatile sig_atomic_t stop;

static void stop_set(UNUSED int number)
{
	stop = 1;
}

/* What is mounted and made is taken away all the same. */
static void stop_on_signals(void)
{
	struct sigaction action = {.sa_handler = stop_set, .sa_flags = SA_RESTART};

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static void list_print(void)
{
	for (const struct row *row = rows; row->name; row++)
		printf("%-4s %s; against: %s%s\n", row->name, row->what, row->against,
		       row->run ? "" : " (not built)");
}

/* The programs under test lie one directory above this one. */
static int programs_find(struct bench *bench)
{
	char self[PATH_MAX] = "";
	const char *above;
	int r;

	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		return fail_with(-errno, "cannot tell where I am: %s", strerror(errno));
	above = dirname(dirname(self));
	r = place_path(bench->pagoda, above, "pagoda");
	return r < 0 ? r : place_path(bench->handler, above, "pagoda-handler");
}

static const char *images_find(const struct arguments *args, char path[PATH_MAX])
{
	const char *shared = getenv("PAGODA_SHARED");

	if (args->made)
		return NULL;
	if (args->images)
		return args->images;
	snprintf(path, PATH_MAX, "%s/images", shared ? shared : TOP_SRCDIR "/../shared");
	return path;
}

static int begin(const struct arguments *args, struct bench *bench)
{
	const char *parent = args->dir ? args->dir : getenv("TMPDIR");
	char images[PATH_MAX];
	int r = programs_find(bench);

	if (r == 0)
		r = place_make(parent ? parent : "/tmp", bench->dir);
	if (r < 0)
		return r;
	bench->measuring.stop = &stop;
	bench->measuring.once = args->once;
	bench->measuring.pairs = args->once ? 1 : args->pairs;
	bench->largest = args->largest;
	return image_find(images_find(args, images), args->made ? args->made : 256 * MIB,
			  bench->dir, &bench->image, &bench->later);
}

static void end(struct bench *bench)
{
	int r = bench->has_view ? bench_unmount(bench, bench->view) : 0;

	if (r < 0)
		log_warning("%s stays mounted, and %s is left: %s", bench->view, bench->dir,
			    fail_text(r));
	else if (bench->dir[0])
		place_remove(bench->dir);
	image_free(&bench->image);
	image_free(&bench->later);
	measuring_done(&bench->measuring);
}

static int row_run(struct bench *bench, const struct row *row)
{
	char dir[PATH_MAX];
	int r = bench_row_path(bench, dir, "");

	if (r == 0 && mkdir(dir, 0700) < 0)
		r = fail_with(-errno, "cannot make %s: %s", dir, strerror(errno));
	bench->measuring.row = row->name;
	if (r == 0)
		r = row->run(bench);
	place_remove(dir);
	return r;
}

/* Runs all of them, the others also when one fails. Returns the worst: a wrong byte. */
static int rows_run(struct bench *bench, const struct row *const *chosen, size_t n,
		    const char *plot)
{
	int worst = 0;

	report_begin(bench, stdout);
	for (size_t i = 0; i < n && !stop; i++) {
		int r = chosen[i]->run ? row_run(bench, chosen[i]) : 0;

		report_row(bench, chosen[i], r < 0 ? fail_text(r) : NULL, stdout);
		if (r < 0 && worst != -EBADMSG)
			worst = r;
		if (plot && r == 0)
			r = plot_row(bench, chosen[i], plot);
		if (r < 0 && worst == 0)
			worst = r;
	}
	if (stop && worst == 0) /* between two rows, or before the first */
		worst = fail_with(-EINTR, "stopped by a signal");
	return worst;
}

static const struct row *row_find(const char *name)
{
	for (const struct row *row = rows; row->name; row++)
		if (strcmp(row->name, name) == 0)
			return row;
	return NULL;
}

/* The rows named in argv, or all. Returns how many; -EINVAL. */
static int rows_choose(char **names, int n, const struct row *chosen[ROWS_MOST])
{
	int found = 0;

	if (n > ROWS_MOST)
		return fail_with(-EINVAL, "more than %d rows are named", ROWS_MOST);
	for (const struct row *row = rows; n == 0 && row->name; row++)
		chosen[found++] = row;
	for (int i = 0; i < n; i++) {
		chosen[found] = row_find(names[i]);
		if (!chosen[found++])
			return fail_with(-EINVAL, "there is no row '%s'; see --list", names[i]);
	}
	return found;
}

static int run(const struct arguments *args, const struct row *const *chosen, size_t n)
{
	struct bench bench = {.has_view = false};
	int r = begin(args, &bench);

	if (r == 0)
		r = rows_run(&bench, chosen, n, args->plot);
	if (r < 0)
		log_error("%s", fail_text(r));
	if (args->json && bench.measuring.row) {
		int written = report_json(&bench, chosen, n, args->json);

		if (written < 0)
			log_error("%s", fail_text(written));
		r = r < 0 ? r : written;
	}
	end(&bench);
	return (int)exit_code(r);
}

int main(int argc, char **argv)
{
	struct arguments args = {.pairs = 7, .largest = 4 * GIB};
	const struct row *chosen[ROWS_MOST];
	int operand;
	int n;

	log_init("bench", LOG_LEVEL_INFO);
	stop_on_signals();
	operand = options_parse(options, &args, argc, argv, true);
	n = operand < 0 ? operand : rows_choose(argv + operand, argc - operand, chosen);
	if (n == 0 || (n > 0 && args.pairs == 0))
		n = fail_with(-EINVAL, "--pairs: at least 1");
	if (n < 0) {
		log_error("%s", fail_text(n));
		return EXIT_USAGE;
	}
	if (args.help) {
		printf("usage: bench/run [OPTION...] [ROW...]\n\n");
		options_help(options, stdout);
		return EXIT_DONE;
	}
	if (args.list) {
		list_print();
		return EXIT_DONE;
	}
	return run(&args, chosen, (size_t)n);
}
