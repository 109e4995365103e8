/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "handler/requests.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/fail.h"
#include "handler/json.h"
#include "handler/keeper-private.h"

#define SCHEMA_VERSION 1

static const char *const state_names[] = {
	[MACHINE_WAITING] = "waiting",	   [MACHINE_SERVED] = "served", [MACHINE_ENDING] = "ending",
	[MACHINE_LINGERING] = "lingering", [MACHINE_OVER] = "over",
};

/* Each answers with a new reference; NULL: out of memory, or, where *ret_err is
 * set, an error with text. */
typedef json_t *request_fn(struct keeper *keeper, struct machine *machine, int *ret_err);

static bool is_held_up(const struct machine *m)
{
	return m->state == MACHINE_SERVED && __atomic_load_n(&m->shared->held_up, __ATOMIC_RELAXED);
}

static json_t *status_answer(struct keeper *k, struct machine *machine, int *ret_err)
{
	uint64_t lost_ns = k->reopen.lost_ns;
	json_int_t held_up = 0;

	(void)machine;
	(void)ret_err;
	for (const struct machine *m = k->machines; m; m = m->next)
		held_up += is_held_up(m);
	return json_pack(
		"{s:s, s:s, s:I, s:s, s:o, s:b, s:b, s:I, s:I, s:I}", "version", PACKAGE_VERSION,
		"source", source_path(k->source), "image_bytes", (json_int_t)source_size(k->source),
		"source_state", lost_ns ? "lost" : "ready", "lost_ms",
		lost_ns ? json_integer((json_int_t)((clock_monotonic_ns() - lost_ns) / NS_PER_MS))
			: json_null(),
		"listening", k->listener != NULL, "stopping", k->stopping, "connections",
		(json_int_t)k->stats.connections, "running", (json_int_t)k->stats.running,
		"held_up", held_up);
}

static json_t *machine_json(const struct machine *m)
{
	return json_pack("{s:I, s:I, s:s, s:b, s:b, s:o}", "pid", (json_int_t)m->pid, "uid",
			 (json_int_t)m->uid, "state", state_names[m->state], "held_up",
			 is_held_up(m), "source_lost", m->lost, "worker",
			 m->worker > 0 ? json_integer((json_int_t)m->worker) : json_null());
}

static json_t *machines_answer(struct keeper *k, struct machine *machine, int *ret_err)
{
	json_t *array = json_array();

	(void)ret_err;
	for (const struct machine *m = machine ? machine : k->machines; m; m = m->next) {
		json_array_append_new(array, machine_json(m));
		if (m == machine)
			break;
	}
	return array;
}

static json_t *stats_answer(struct keeper *k, struct machine *machine, int *ret_err)
{
	(void)machine;
	(void)ret_err;
	return stats_json(&k->stats, k->machines);
}

static json_t *stop_answer(struct keeper *k, struct machine *machine, int *ret_err)
{
	if (!machine) {
		keeper_stop(k, false);
		return json_true();
	}
	keeper_stop_machine(k, machine);
	if (machine->state == MACHINE_WAITING)
		*ret_err =
			fail_with(-EINVAL, "process %d has sent no memory yet", (int)machine->pid);
	else if (machine->state == MACHINE_SERVED)
		*ret_err = fail_with(-EPERM, "process %d could not be killed: kill it by hand",
				     (int)machine->pid);
	return *ret_err ? NULL : json_true();
}

static json_t *drain_answer(struct keeper *k, struct machine *machine, int *ret_err)
{
	if (machine) {
		*ret_err = fail_with(-EINVAL, "drain is for all machines, not for one");
		return NULL;
	}
	keeper_stop(k, true);
	return json_true();
}

static const struct {
	const char *name;
	request_fn *answer;
} requests[] = {
	{"status", status_answer}, {"machines", machines_answer}, {"stats", stats_answer},
	{"stop", stop_answer},	   {"drain", drain_answer},
};

/* A process may have connected more than once: the one with its memory is meant. */
static struct machine *machine_find(struct keeper *k, json_int_t pid)
{
	struct machine *found = NULL;

	for (struct machine *m = k->machines; m; m = m->next) {
		if (m->pid != pid || m->state == MACHINE_OVER || m->state == MACHINE_LINGERING)
			continue;
		if (m->state != MACHINE_WAITING)
			return m;
		found = m;
	}
	return found;
}

/* The machine the request is about, NULL for all. */
static int machine_take(struct keeper *k, const json_t *request, struct machine **ret)
{
	const json_t *pid = json_object_get(request, "machine");

	*ret = NULL;
	if (!pid)
		return 0;
	if (!json_is_integer(pid))
		return fail_with(-EINVAL, "machine is the number of a process");
	*ret = machine_find(k, json_integer_value(pid));
	return *ret ? 0
		    : fail_with(-ESRCH, "no machine with process %" JSON_INTEGER_FORMAT,
				json_integer_value(pid));
}

/* NULL where it failed: *ret_err, or out of memory. */
static json_t *result_of(struct keeper *k, const json_t *request, int *ret_err)
{
	const char *name = json_string_value(json_object_get(request, "request"));
	struct machine *machine;

	if (!name) {
		*ret_err = fail_with(-EINVAL, "not an object with a \"request\"");
		return NULL;
	}
	*ret_err = machine_take(k, request, &machine);
	if (*ret_err < 0)
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(requests); i++)
		if (strcmp(requests[i].name, name) == 0)
			return requests[i].answer(k, machine, ret_err);
	*ret_err = fail_with(-EINVAL,
			     "unknown request; there are status, machines, stats, stop and drain");
	return NULL;
}

/* One line; its newline takes the place that json_dumps leaves to us. */
static char *line_of(const json_t *document)
{
	AUTO_FREE char *text = document ? json_dumps(document, JSON_COMPACT) : NULL;
	char *line;

	if (!text || asprintf(&line, "%s\n", text) < 0)
		return NULL;
	return line;
}

char *request_answer(void *arg, const char *line, size_t len)
{
	struct keeper *k = arg;
	json_error_t why;
	bool fits = len <= CONTROL_LINE_MOST;
	AUTO_JSON json_t *request =
		fits ? json_loadb(line, len, JSON_REJECT_DUPLICATES, &why) : NULL;
	AUTO_JSON json_t *document = NULL;
	json_t *result = NULL;
	int err = 0;

	if (request)
		result = result_of(k, request, &err);
	else if (!fits)
		err = fail_with(-EINVAL, "a request has at most %d bytes", CONTROL_LINE_MOST);
	else
		err = fail_with(-EINVAL, "not JSON: %s", why.text);
	if (!result)
		document = json_pack("{s:i, s:b, s:s}", "schema_version", SCHEMA_VERSION, "ok", 0,
				     "error", fail_text(err ? err : -ENOMEM));
	else
		document = json_pack("{s:i, s:b, s:o}", "schema_version", SCHEMA_VERSION, "ok", 1,
				     "result", result);
	return line_of(document);
}
