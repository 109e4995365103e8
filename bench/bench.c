/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "bench/bench.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fail.h"
#include "bench/place.h"
#include "bench/process.h"

int bench_row_path(const struct bench *bench, char ret[PATH_MAX], const char *name)
{
	char row[PATH_MAX];
	int r = place_path(row, bench->dir, "row");

	return r < 0 ? r : place_path(ret, row, name);
}

int bench_init(const struct bench *bench, const char *store)
{
	const char *const argv[] = {bench->pagoda, "-s", store, "init", NULL};

	return process_run(argv, ANYWHERE, NULL);
}

int bench_import(const struct bench *bench, const char *store, const char *name, const char *image,
		 const char *parent, double *ret_seconds)
{
	const char *const argv[] = {bench->pagoda, "-q", "-s",	store,
				    "import",	   name, image, parent ? "--parent" : NULL,
				    parent,	   NULL};

	return process_run(argv, ANYWHERE, ret_seconds);
}

int bench_mount(const struct bench *bench, const char *store, const char *dir, int cpu)
{
	const char *const argv[] = {bench->pagoda, "-s", store, "mount", dir, NULL};

	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return fail_with(-errno, "cannot make %s: %s", dir, strerror(errno));
	return process_run(argv, cpu, NULL);
}

int bench_unmount(const struct bench *bench, const char *dir)
{
	const char *const argv[] = {bench->pagoda, "umount", dir, NULL};

	return process_run(argv, ANYWHERE, NULL);
}

int bench_view(struct bench *bench)
{
	int r;

	if (bench->has_view)
		return 0;
	r = place_path(bench->store, bench->dir, "store");
	if (r == 0)
		r = place_path(bench->view, bench->dir, "view");
	if (r == 0)
		r = place_path(bench->mem, bench->view, "a/mem");
	if (r == 0)
		r = bench_init(bench, bench->store);
	if (r == 0)
		r = bench_import(bench, bench->store, "a", bench->image.path, NULL, NULL);
	if (r == 0)
		r = bench_mount(bench, bench->store, bench->view, ANYWHERE);
	bench->has_view = r == 0;
	return r;
}

int bench_handler(const struct bench *bench, const char *socket, const char *source,
		  const char *log, int cpu, enum serving serving, pid_t *ret)
{
	static const char *const options[][2] = {
		[SERVE_ONE] = {"--once", "--on-failure=kill"},
		[SERVE_ONE_AND_FILL] = {"--once", "--fill"},
		[SERVE_ONE_AS_TOUCHED] = {"--once", "--readahead=off"},
		[SERVE_MANY] = {"--on-stop=kill", "--on-failure=kill"},
	};
	const char *argv[] = {bench->handler,	   "--listen",		socket, "--ready-fd", "",
			      options[serving][0], options[serving][1], source, NULL};

	return process_serve_program(argv, 4, log, cpu, ret);
}

void bench_log_show(const char *log)
{
	FILE *in = fopen(log, "re");
	char line[512];

	while (in && fgets(line, sizeof(line), in))
		fputs(line, stderr);
	if (in)
		fclose(in);
}
