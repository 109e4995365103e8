/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

static ssize_t read_full(int fd, void *buf, size_t len, uint64_t off, bool at)
{
	size_t done = 0;

	while (done < len) {
		char *to = (char *)buf + done;
		ssize_t n = at ? pread(fd, to, len - done, (off_t)(off + done))
			       : read(fd, to, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

ssize_t io_read_full(int fd, void *buf, size_t len)
{
	return read_full(fd, buf, len, 0, false);
}

ssize_t io_pread_full(int fd, void *buf, size_t len, uint64_t off)
{
	return read_full(fd, buf, len, off, true);
}

static int write_full(int fd, const void *buf, size_t len, uint64_t off, bool at)
{
	size_t done = 0;

	while (done < len) {
		const char *from = (const char *)buf + done;
		ssize_t n = at ? pwrite(fd, from, len - done, (off_t)(off + done))
			       : write(fd, from, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO; /* no file promises this; it must not spin */
		done += (size_t)n;
	}
	return 0;
}

int io_write_full(int fd, const void *buf, size_t len)
{
	return write_full(fd, buf, len, 0, false);
}

int io_pwrite_full(int fd, const void *buf, size_t len, uint64_t off)
{
	return write_full(fd, buf, len, off, true);
}

int io_sync_dir(const char *path)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || fsync(fd) < 0)
		return -errno;
	return 0;
}

int io_parent(const char *path, char dir[PATH_MAX])
{
	const char *slash = strrchr(path, '/');
	size_t len = slash ? (size_t)(slash - path) : 0;

	if (!slash || slash == path) {
		strcpy(dir, slash ? "/" : ".");
		return 0;
	}
	if (len >= PATH_MAX)
		return -ENAMETOOLONG;
	memcpy(dir, path, len);
	dir[len] = '\0';
	return 0;
}

int io_sync_parent(const char *path)
{
	char dir[PATH_MAX];
	int r = io_parent(path, dir);

	return r < 0 ? r : io_sync_dir(dir);
}

void io_own_like(int fd, const char *path)
{
	struct stat st;

	if (geteuid() == 0 && stat(path, &st) == 0)
		(void)!fchown(fd, st.st_uid, st.st_gid);
}

int io_replace_file(const char *path, const void *buf, size_t len, unsigned int mode)
{
	char tmp[PATH_MAX];
	AUTO_CLOSE int fd = -1;
	int r;

	if ((size_t)snprintf(tmp, sizeof(tmp), "%s.tmp", path) >= sizeof(tmp))
		return -ENAMETOOLONG;
	fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, mode);
	if (fd < 0)
		return -errno;
	io_own_like(fd, path);
	r = io_write_full(fd, buf, len);
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	if (r == 0 && rename(tmp, path) < 0)
		r = -errno;
	if (r < 0) {
		unlink(tmp);
		return r;
	}
	return io_sync_parent(path);
}
