/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A figure of row 1: what machines cost that have been served and rest. The handler looks
 * for the next fault as --spin=auto does while they touch their memory, and then must not.
 */
#include "config.h"

#include <errno.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fail.h"
#include "bench/bench.h"
#include "bench/place.h"
#include "bench/process.h"
#include "tests/client-memory.h"

#define MACHINES 64
#define TOUCHES 256 /* of each, at least; as many as the image has */
#define SETTLE_US 2000000
#define LOOK_US 5000000
#define LOOK_ONCE_US 200000 /* where it is only to be seen that it works */

struct idle {
	const struct bench *bench;
	const char *socket;
	pid_t handler;
};

struct idled {
	double percent; /* of one processor */
};

static int machines_start(const struct idle *idle)
{
	const struct memory_setup setup = {.size = idle->bench->image.size, .regions = 1};
	const struct handover_setup handover = {
		.socket = idle->socket, .generation = "1.12", .send = "uffd"};
	size_t pages = setup.size / PAGE;

	for (int i = 0; i < MACHINES; i++) {
		struct memory memory;

		memory_map(&memory, &setup);
		(void)memory_hand_over(&memory, &handover); /* ends with the process */
		for (size_t n = 0; n < TOUCHES; n++) {
			size_t page = n * (pages / TOUCHES + 1) % pages;
			const unsigned char *want = idle->bench->image.bytes + page * PAGE;

			if (*(volatile unsigned char *)memory_page(&memory, page) != want[0])
				return fail_with(-EBADMSG, "a machine holds a wrong byte");
		}
	}
	return 0;
}

static int idle_run(const void *argument, void *ret_idled)
{
	const struct idle *idle = argument;
	struct idled *ret = ret_idled;
	bool once = idle->bench->measuring.once;
	uint64_t time_ns;
	uint64_t since;
	int r = machines_start(idle);

	if (r < 0)
		return r;
	usleep(once ? LOOK_ONCE_US : SETTLE_US);
	since = clock_monotonic_ns();
	time_ns = process_time(idle->handler);
	usleep(once ? LOOK_ONCE_US : LOOK_US);
	time_ns = process_time(idle->handler) - time_ns;
	ret->percent = 100 * (double)time_ns / (double)(clock_monotonic_ns() - since);
	return 0;
}

int row_fault_idle(struct bench *bench)
{
	struct comparison c = {
		.a = {.name = "keeper and workers"},
		.ngoals = 1,
		.goals = {{"64 idle machines, of one processor", "%", RATIO_NONE, 0.5, 0}},
	};
	struct idle idle = {.bench = bench};
	struct idled idled;
	struct sample sample;
	char socket[PATH_MAX];
	char log[PATH_MAX];
	int r = bench_row_path(bench, socket, "socket");

	if (r == 0)
		r = bench_row_path(bench, log, "log");
	if (r == 0)
		r = bench_handler(bench, socket, bench->mem, log, ANYWHERE, SERVE_MANY,
				  &idle.handler);
	if (r < 0)
		return r;
	idle.socket = socket;
	r = process_call(idle_run, &idle, ANYWHERE, &idled, sizeof(idled));
	process_stop(idle.handler);
	if (r < 0) {
		bench_log_show(log);
		return r;
	}
	sample = (struct sample){{idled.percent}};
	return measure_once(&bench->measuring, &c, &sample, NULL);
}
