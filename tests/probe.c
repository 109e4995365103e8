/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tests/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

void die(const char *format, ...)
{
	va_list args;

	fprintf(stderr, "%s: ", program_invocation_short_name);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

void must(const char *what, long result)
{
	if (result < 0)
		die("%s: %s", what, strerror(errno));
}

int must_open(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0600);

	if (fd < 0)
		die("open %s: %s", path, strerror(errno));
	return fd;
}

uint64_t size_of(int fd)
{
	struct stat st;

	must("fstat", fstat(fd, &st));
	return (uint64_t)st.st_size;
}

void *must_map(int fd, size_t len, int protection, int flags)
{
	void *map = mmap(NULL, len, protection, flags, fd, 0);

	if (map == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	return map;
}

void expect_errno(const char *what, long result, int want)
{
	if (result >= 0)
		die("%s succeeded, not %s", what, strerrorname_np(want));
	if (errno != want)
		die("%s gives %s, not %s", what, strerrorname_np(errno), strerrorname_np(want));
}

void must_read(int fd, void *buf, size_t len, uint64_t off)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = pread(fd, (char *)buf + done, len - done, (off_t)(off + done));

		if (n <= 0)
			die("pread at %" PRIu64 ": %s", off + done, n ? strerror(errno) : "end");
		done += (size_t)n;
	}
}

void must_write(int fd, const void *buf, size_t len, uint64_t off)
{
	ssize_t n = pwrite(fd, buf, len, (off_t)off);

	if (n != (ssize_t)len)
		die("pwrite of %zu at %" PRIu64 " gives %zd: %s", len, off, n, strerror(errno));
}
