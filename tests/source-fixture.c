/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tests/source-fixture.h"

#include <errno.h>
#include <sched.h>

#include "base/clock.h"
#include "base/fail.h"
#include "handler/source.h"

atomic_uint reads[PAGES];
atomic_bool hangs[PAGES];
atomic_size_t bad = PAGES;
atomic_bool lost;
atomic_uint read_ms;
void (*in_read)(size_t i);

int __real_source_read(const struct source *source, int fd, uint64_t off, uint64_t len, void *buf);
int __wrap_source_read(const struct source *source, int fd, uint64_t off, uint64_t len, void *buf);

int __wrap_source_read(const struct source *source, int fd, uint64_t off, uint64_t len, void *buf)
{
	uint64_t until = clock_monotonic_ns() + read_ms * NS_PER_MS;
	bool gone = lost;
	int r = __real_source_read(source, fd, off, len, buf);

	reads[off / P]++;
	if (in_read)
		in_read(off / P);
	if (off / P <= bad && bad < (off + len) / P)
		return fail_with(-EIO, "a page is bad");
	while (hangs[off / P] || clock_monotonic_ns() < until)
		sched_yield();
	return gone ? fail_with(-ENOTCONN, "the test says so") : r;
}

void read_wait(size_t i)
{
	while (reads[i] == 0)
		sched_yield();
}
