/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "base/progress.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "base/units.h"

#define BAR_CELLS 24
#define FIRST_DRAW_NS NS_PER_SEC
#define DRAW_EVERY_NS (NS_PER_SEC / 10)

struct progress {
	const char *what; /* borrowed */
	bool draws;
	bool drawn;	       /* protected by lock */
	uint64_t next_draw_ns; /* protected by lock */
	uint64_t started_ns;
	_Atomic uint64_t total;
	_Atomic uint64_t done;
	struct sigaction former;
	pthread_mutex_t lock; /* taken only with trylock: drawing never waits */
};

static volatile sig_atomic_t asked;

static void on_usr1(int signal_number)
{
	(void)signal_number;
	asked = 1;
}

struct progress *progress_new(const char *what, bool quiet)
{
	struct sigaction action = {.sa_handler = on_usr1, .sa_flags = SA_RESTART};
	struct progress *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->what = what;
	p->draws = !quiet && isatty(STDERR_FILENO);
	p->started_ns = clock_monotonic_ns();
	p->next_draw_ns = p->started_ns + FIRST_DRAW_NS;
	pthread_mutex_init(&p->lock, NULL);
	sigaction(SIGUSR1, &action, &p->former);
	return p;
}

void progress_set_total(struct progress *p, uint64_t bytes)
{
	if (p)
		atomic_store(&p->total, bytes);
}

/* "312.0 MiB of 1.0 GiB, 410.2 MiB/s, 2 s left" */
static void describe(const struct progress *p, uint64_t now, char *text, size_t room)
{
	uint64_t done = atomic_load(&p->done);
	uint64_t total = atomic_load(&p->total);
	double seconds = (double)(now - p->started_ns) / (double)NS_PER_SEC;
	double rate = seconds > 0 ? (double)done / seconds : 0;
	char done_text[UNITS_TEXT_MAX];
	char total_text[UNITS_TEXT_MAX];
	char rate_text[UNITS_TEXT_MAX];

	units_format_size(done_text, done);
	units_format_size(rate_text, (uint64_t)rate);
	if (total == 0 || rate <= 0)
		snprintf(text, room, "%s, %s/s", done_text, rate_text);
	else
		snprintf(text, room, "%s of %s, %s/s, %.0f s left", done_text,
			 units_format_size(total_text, total), rate_text,
			 done < total ? (double)(total - done) / rate : 0);
}

static void draw_bar(const struct progress *p, uint64_t now)
{
	uint64_t done = atomic_load(&p->done);
	uint64_t total = atomic_load(&p->total);
	char bar[BAR_CELLS + 1];
	char text[160];
	char line[256];
	size_t full = 0;
	int n;

	if (total > 0)
		full = done >= total ? BAR_CELLS
				     : (size_t)((double)done / (double)total * BAR_CELLS);
	memset(bar, '#', full);
	memset(bar + full, '.', BAR_CELLS - full);
	bar[BAR_CELLS] = '\0';
	describe(p, now, text, sizeof(text));
	n = snprintf(line, sizeof(line), "\r\033[K%s [%s] %s", p->what, bar, text);
	(void)!io_write_full(STDERR_FILENO, line, MIN((size_t)n, sizeof(line) - 1));
}

void progress_add(struct progress *p, uint64_t bytes)
{
	uint64_t now;

	if (!p)
		return;
	atomic_fetch_add(&p->done, bytes);
	if ((!p->draws && !asked) || pthread_mutex_trylock(&p->lock) != 0)
		return;
	now = clock_monotonic_ns();
	if (asked) {
		char text[160];

		asked = 0;
		describe(p, now, text, sizeof(text));
		log_at(LOG_LEVEL_ERROR, "%s: %s", p->what, text);
	}
	if (p->draws && now >= p->next_draw_ns) {
		draw_bar(p, now);
		p->drawn = true;
		p->next_draw_ns = now + DRAW_EVERY_NS;
	}
	pthread_mutex_unlock(&p->lock);
}

void progress_free(struct progress *p)
{
	static const char clear_line[] = "\r\033[K";

	if (!p)
		return;
	if (p->drawn)
		(void)!io_write_full(STDERR_FILENO, clear_line, sizeof(clear_line) - 1);
	sigaction(SIGUSR1, &p->former, NULL);
	pthread_mutex_destroy(&p->lock);
	free(p);
}
