/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "bench/touch.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fail.h"
#include "bench/measure.h"
#include "bench/process.h"
#include "tests/client-memory.h"

/* As far as it is needed, the shuffle of Fisher and Yates. */
static void shuffle(const struct touch *t, uint64_t *order, size_t pages)
{
	uint64_t state = t->seed;

	for (size_t i = 0; i < t->count; i++) {
		size_t other = i + image_random(&state) % (pages - i);
		uint64_t page = order[i];

		order[i] = order[other];
		order[other] = page;
	}
}

/* Which pages, in which order. NULL when out of memory. */
static uint64_t *order_new(const struct touch *t, size_t pages)
{
	uint64_t *order = malloc(pages * sizeof(order[0]));

	for (size_t i = 0; order && i < pages; i++) {
		order[i] = i;
		if (t->order == TOUCH_BACKWARD && i < t->count)
			order[i] = t->count - 1 - i;
		else if (t->order == TOUCH_TWO)
			order[i] = i / 2 + i % 2 * (pages / 2);
	}
	if (order && t->order == TOUCH_RANDOM)
		shuffle(t, order, pages);
	return order;
}

static int page_compare(const struct touch *t, uint64_t pgno, const unsigned char *page)
{
	unsigned char made[PAGE];
	const unsigned char *want = made;

	if (t->image->bytes)
		want = t->image->bytes + pgno * PAGE;
	else
		image_make_page(t->made_seed, pgno, made);
	if (memcmp(page, want, PAGE) == 0)
		return 0;
	return fail_with(-EBADMSG, "page %" PRIu64 " of the machine holds wrong bytes", pgno);
}

/* A handler that fills ends when it has let go of the memory. */
static int handler_wait(const struct touch *t)
{
	AUTO_CLOSE int fd = (int)syscall(SYS_pidfd_open, t->handler, 0);
	struct pollfd pollfd = {.fd = fd, .events = POLLIN};

	if (fd < 0 || poll(&pollfd, 1, -1) < 0)
		return fail_with(-errno, "cannot wait for the handler: %s", strerror(errno));
	return 0;
}

static int touch_all(const struct touch *t, const struct memory *memory, const uint64_t *order,
		     double *took_us, struct touched *ret)
{
	static const struct handover_setup base = {.generation = "1.12", .send = "uffd"};
	struct handover_setup setup = base;
	uint64_t begun = clock_monotonic_ns();
	uint64_t last;
	int conn;
	int r = 0;

	setup.socket = t->socket;
	conn = memory_hand_over(memory, &setup);
	if (t->order == TOUCH_NONE)
		r = handler_wait(t);
	last = clock_monotonic_ns();
	ret->seconds = (double)(last - begun) / (double)NS_PER_SEC;
	for (size_t i = 0; t->order != TOUCH_NONE && i < t->count; i++) {
		uint64_t now;

		(void)*(volatile unsigned char *)memory_page(memory, order[i]);
		now = clock_monotonic_ns();
		took_us[i] = (double)(now - last) / (double)NS_PER_US;
		last = now;
	}
	if (t->order != TOUCH_NONE)
		ret->seconds = (double)(last - begun) / (double)NS_PER_SEC;
	for (size_t i = 0; r == 0 && i < t->count; i++)
		r = page_compare(t, order[i], memory_page(memory, order[i]));
	/* while we are alive, so is the worker */
	ret->worker_bytes = process_child_memory(t->handler);
	close(conn);
	return r;
}

int touch_run(const void *argument, void *ret_touched)
{
	const struct touch *t = argument;
	const struct memory_setup setup = {.size = t->image->size, .regions = 1};
	struct touched *ret = ret_touched;
	AUTO_FREE double *took_us = calloc(t->count, sizeof(double));
	AUTO_FREE uint64_t *order = order_new(t, t->image->size / PAGE);
	struct memory memory;
	int r;

	if (!took_us || !order)
		return fail_with(-ENOMEM, "out of memory");
	memory_map(&memory, &setup);
	r = touch_all(t, &memory, order, took_us, ret);
	memory_done(&memory);
	if (r < 0 || t->order == TOUCH_NONE)
		return r;
	ret->p50_us = measure_quantile(took_us, t->count, 0.5);
	ret->p99_us = measure_quantile(took_us, t->count, 0.99);
	return 0;
}
