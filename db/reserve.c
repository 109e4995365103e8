/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "db/reserve.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/log.h"

/* It is not made of the last space there is. */
#define ROOM_TIMES 2

static int reserve_open(const char *store_path, int flags)
{
	char path[PATH_MAX + 16];

	snprintf(path, sizeof(path), "%s/reserve", store_path);
	return open(path, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
}

static bool is_whole(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && (uint64_t)st.st_blocks * 512 >= RESERVE_BYTES;
}

void reserve_make(const char *store_path)
{
	struct statvfs fs;
	AUTO_CLOSE int fd = -1;
	int error;

	if (statvfs(store_path, &fs) < 0 ||
	    (uint64_t)fs.f_bavail * fs.f_frsize < UINT64_C(1) * ROOM_TIMES * RESERVE_BYTES)
		return;
	fd = reserve_open(store_path, O_RDWR | O_CREAT);
	if (fd < 0 || is_whole(fd))
		return;
	io_own_like(fd, store_path);
	error = posix_fallocate(fd, 0, RESERVE_BYTES);
	if (error)
		log_debug("the store's reserve of space: %s", strerror(error));
}

bool reserve_release(const char *store_path)
{
	AUTO_CLOSE int fd = reserve_open(store_path, O_RDWR);
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_blocks > 0 &&
	       ftruncate(fd, 0) == 0;
}
