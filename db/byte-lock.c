/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "db/byte-lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <time.h>

#include "base/attributes.h"
#include "base/clock.h"

int byte_lock(int fd, short type, uint64_t byte)
{
	struct flock lock = {
		.l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)byte, .l_len = 1};

	if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
		return 0;
	return errno == EACCES ? -EAGAIN : -errno;
}

bool byte_has_other(int fd, short type, uint64_t byte)
{
	struct flock lock = {
		.l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)byte, .l_len = 1};

	return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

bool byte_is_locked(int fd, uint64_t byte)
{
	return byte_has_other(fd, F_RDLCK, byte);
}

int byte_lock_until(int fd, short type, uint64_t byte, uint64_t deadline_ns)
{
	struct timespec pause = {.tv_nsec = NS_PER_MS};
	int r;

	while ((r = byte_lock(fd, type, byte)) == -EAGAIN && clock_monotonic_ns() < deadline_ns) {
		nanosleep(&pause, NULL);
		pause.tv_nsec = MIN(2 * pause.tv_nsec, (long)(20 * NS_PER_MS));
	}
	return r;
}
