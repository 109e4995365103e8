/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "bench/fio.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>

#include "base/fail.h"
#include "bench/place.h"
#include "bench/process.h"

static int report_read(const char *path, double *ret_per_second)
{
	json_error_t error;
	json_t *report = json_load_file(path, 0, &error);
	double per_second = 0;
	int r = 0;

	if (!report)
		return fail_with(-EIO, "the report of fio: %s", error.text);
	if (json_unpack(report, "{s:[{s:{s:F}}]}", "jobs", "read", "iops", &per_second) < 0 ||
	    per_second <= 0)
		r = fail_with(-EIO, "the report of fio names no reads");
	json_decref(report);
	if (r == 0)
		*ret_per_second = per_second;
	return r;
}

int fio_random_reads(const char *path, size_t count, const char *work, double *ret_per_second)
{
	char filename[PATH_MAX + 16];
	char output[PATH_MAX + 16];
	char report[PATH_MAX];
	char io_size[48];
	const char *const argv[] = {
		"fio",	   "--name=reads", "--readonly",     "--rw=randread",
		"--bs=4k", "--randseed=1", "--invalidate=1", "--output-format=json",
		io_size,   output,	   filename,	     NULL};
	int r = place_path(report, work, "fio.json");

	if (r < 0)
		return r;
	snprintf(filename, sizeof(filename), "--filename=%s", path);
	snprintf(output, sizeof(output), "--output=%s", report);
	snprintf(io_size, sizeof(io_size), "--io_size=%zuk", count * 4);
	r = process_run(argv, ANYWHERE, NULL);
	return r < 0 ? r : report_read(report, ret_per_second);
}
