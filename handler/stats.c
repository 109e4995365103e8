/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "handler/stats.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "handler/json.h"

#define SCHEMA_VERSION 1

bool stats_is_prometheus(const char *path)
{
	size_t len = strlen(path);

	return len >= 5 && strcmp(path + len - 5, ".prom") == 0;
}

static json_t *number(uint64_t value)
{
	return json_integer((json_int_t)value);
}

/* [{"up_to": 2^i, "count": n}, ...] */
static json_t *histogram_json(const uint64_t *buckets, size_t n)
{
	json_t *array = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(array,
				      json_pack("{sIsI}", "up_to", (json_int_t)(UINT64_C(1) << i),
						"count", (json_int_t)buckets[i]));
	return array;
}

static json_t *counters_json(const struct counters *counters)
{
	json_t *object = json_object();

	for (const struct counter_row *row = counter_rows; row->name; row++)
		json_object_set_new(object, row->name, number(counter_get(counters, row)));
	json_object_set_new(object, "read_sizes", histogram_json(counters->sizes, COUNTERS_SIZES));
	json_object_set_new(object, "latency_us",
			    histogram_json(counters->latencies, COUNTERS_LATENCIES));
	return object;
}

static json_t *ends_json(const struct stats *stats)
{
	json_t *object = json_object();

	for (int end = END_NONE + 1; end < END_COUNT; end++)
		json_object_set_new(object, end_name((enum end)end), number(stats->ends[end]));
	return object;
}

static json_t *running_json(const struct machine *machines)
{
	json_t *array = json_array();

	for (const struct machine *m = machines; m; m = m->next) {
		json_t *entry;

		if (m->state != MACHINE_SERVED)
			continue;
		entry = counters_json(&m->shared->counters);
		json_object_set_new(entry, "pid", number((uint64_t)m->pid));
		json_array_append_new(array, entry);
	}
	return array;
}

static struct counters totals_of(const struct stats *stats, const struct machine *machines)
{
	struct counters totals = stats->done;

	for (const struct machine *m = machines; m; m = m->next)
		if (m->shared)
			counters_merge(&totals, &m->shared->counters);
	return totals;
}

/* Parts that could not be made are NULL and make the whole NULL. */
json_t *stats_json(const struct stats *stats, const struct machine *machines)
{
	struct counters totals = totals_of(stats, machines);

	return json_pack("{sisssssIsIsIsososo}", "schema_version", SCHEMA_VERSION, "version",
			 PACKAGE_VERSION, "source", stats->source, "image_bytes",
			 (json_int_t)stats->image_bytes, "connections",
			 (json_int_t)stats->connections, "running", (json_int_t)stats->running,
			 "ends", ends_json(stats), "totals", counters_json(&totals), "machines",
			 running_json(machines));
}

static char *stats_text(const struct stats *stats, const struct machine *machines)
{
	AUTO_JSON json_t *root = stats_json(stats, machines);

	return root ? json_dumps(root, JSON_INDENT(2)) : NULL;
}

static void histogram_print(FILE *out, const char *name, const char *help, const uint64_t *buckets,
			    size_t n)
{
	uint64_t sum = 0;

	fprintf(out, "# HELP pagoda_handler_%s %s\n# TYPE pagoda_handler_%s histogram\n", name,
		help, name);
	for (size_t i = 0; i < n; i++) {
		sum += buckets[i];
		if (i + 1 < n)
			fprintf(out, "pagoda_handler_%s_bucket{le=\"%" PRIu64 "\"} %" PRIu64 "\n",
				name, UINT64_C(1) << i, sum);
	}
	fprintf(out, "pagoda_handler_%s_bucket{le=\"+Inf\"} %" PRIu64 "\n", name, sum);
	fprintf(out, "pagoda_handler_%s_count %" PRIu64 "\n", name, sum);
}

static char *stats_prometheus(const struct stats *stats, const struct machine *machines)
{
	struct counters totals = totals_of(stats, machines);
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return NULL;
	fprintf(out,
		"# HELP pagoda_handler_running machines being served\n"
		"# TYPE pagoda_handler_running gauge\npagoda_handler_running %" PRIu64 "\n",
		stats->running);
	fprintf(out, "# HELP pagoda_handler_ends_total machines that ended, by reason\n"
		     "# TYPE pagoda_handler_ends_total counter\n");
	for (int end = END_NONE + 1; end < END_COUNT; end++)
		fprintf(out, "pagoda_handler_ends_total{reason=\"%s\"} %" PRIu64 "\n",
			end_name((enum end)end), stats->ends[end]);
	for (const struct counter_row *row = counter_rows; row->name; row++)
		fprintf(out,
			"# HELP pagoda_handler_%s_total %s\n# TYPE pagoda_handler_%s_total "
			"counter\npagoda_handler_%s_total %" PRIu64 "\n",
			row->name, row->help, row->name, row->name, counter_get(&totals, row));
	histogram_print(out, "read_sizes", "messages of one read", totals.sizes, COUNTERS_SIZES);
	histogram_print(out, "latency_us", "microseconds from reading a fault to its page",
			totals.latencies, COUNTERS_LATENCIES);
	if (fclose(out) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

/* Not io_replace_file: a power cut may take statistics, and a sync could hold up
 * the keeper. */
static int file_replace(const char *path, const char *text)
{
	AUTO_FREE char *temporary = NULL;
	AUTO_CLOSE int fd = -1;
	int r;

	if (asprintf(&temporary, "%s.tmp", path) < 0) {
		temporary = NULL;
		return -ENOMEM;
	}
	fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	r = io_write_full(fd, text, strlen(text));
	if (r == 0 && rename(temporary, path) < 0)
		r = -errno;
	if (r < 0)
		unlink(temporary);
	return r;
}

int stats_write(const char *path, const struct stats *stats, const struct machine *machines)
{
	AUTO_FREE char *text = stats_is_prometheus(path) ? stats_prometheus(stats, machines)
							 : stats_text(stats, machines);

	return text ? file_replace(path, text) : -ENOMEM;
}
