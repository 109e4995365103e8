/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "bench/place.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fail.h"

#define DESCRIPTORS 32
#define STAYS_MOST 64 /* pages of a file that may stay: who reads along brings some back */

int place_make(const char *parent, char ret[PATH_MAX])
{
	if (snprintf(ret, PATH_MAX, "%s/pagoda-bench.XXXXXX", parent) >= PATH_MAX)
		return fail_with(-ENAMETOOLONG, "%s: the path is too long", parent);
	if (!mkdtemp(ret))
		return fail_with(-errno, "cannot make a directory in %s: %s", parent,
				 strerror(errno));
	return 0;
}

static int remove_one(const char *path, UNUSED const struct stat *st, UNUSED int type,
		      UNUSED struct FTW *at)
{
	(void)remove(path);
	return 0;
}

void place_remove(const char *path)
{
	(void)nftw(path, remove_one, DESCRIPTORS, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

int place_path(char ret[PATH_MAX], const char *dir, const char *name)
{
	if (snprintf(ret, PATH_MAX, "%s/%s", dir, name) >= PATH_MAX)
		return fail_with(-ENAMETOOLONG, "%s/%s: the path is too long", dir, name);
	return 0;
}

/* nftw() knows no argument. */
static struct {
	uint64_t bytes;
	uint64_t disk;
	int error;
} walk;

static int add_bytes(UNUSED const char *path, const struct stat *st, int type,
		     UNUSED struct FTW *at)
{
	if (type == FTW_F) {
		walk.bytes += (uint64_t)st->st_size;
		walk.disk += (uint64_t)st->st_blocks * 512;
	}
	return 0;
}

int place_bytes(const char *path, uint64_t *ret_bytes, uint64_t *ret_disk)
{
	walk.bytes = walk.disk = 0;
	if (nftw(path, add_bytes, DESCRIPTORS, FTW_PHYS | FTW_MOUNT) < 0)
		return fail_with(-errno, "cannot measure %s: %s", path, strerror(errno));
	*ret_bytes = walk.bytes;
	if (ret_disk)
		*ret_disk = walk.disk;
	return 0;
}

/* How many pages of the file are in the page cache, or -errno. */
static ssize_t resident(int fd, size_t len)
{
	size_t pages = (len + 4095) / 4096;
	AUTO_FREE unsigned char *there = calloc(1, pages);
	void *map = there ? mmap(NULL, len, PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;
	ssize_t n = 0;
	int r;

	if (map == MAP_FAILED)
		return -errno;
	r = mincore(map, len, there) < 0 ? -errno : 0;
	munmap(map, len);
	for (size_t i = 0; i < pages; i++)
		n += there[i] & 1;
	return r < 0 ? r : n;
}

static int evict_one(const char *path, const struct stat *st, int type, UNUSED struct FTW *at)
{
	AUTO_CLOSE int fd = -1;
	ssize_t left;

	if (type != FTW_F || st->st_size == 0)
		return 0;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		walk.error = fail_with(-errno, "cannot open %s: %s", path, strerror(errno));
		return 1;
	}
	/* a read-only descriptor of a view has nothing to write back */
	(void)fdatasync(fd);
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	left = resident(fd, (size_t)st->st_size);
	if (left <= STAYS_MOST)
		return 0;
	/* pages that other processors have in hand stay the first time */
	sync();
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	left = resident(fd, (size_t)st->st_size);
	if (left > STAYS_MOST)
		walk.error =
			fail_with(-EBUSY, "%zd pages of %s stay in the page cache", left, path);
	return walk.error != 0;
}

int place_evict(const char *path)
{
	walk.error = 0;
	if (nftw(path, evict_one, DESCRIPTORS, FTW_PHYS | FTW_MOUNT) < 0)
		return fail_with(-errno, "cannot go through %s: %s", path, strerror(errno));
	return walk.error;
}

int place_warm(const char *path)
{
	static char buffer[1 << 20];
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return fail_with(-errno, "cannot open %s: %s", path, strerror(errno));
	do {
		n = read(fd, buffer, sizeof(buffer));
	} while (n > 0);
	return n < 0 ? fail_with(-errno, "cannot read %s: %s", path, strerror(errno)) : 0;
}

int place_pin(int cpu)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	cpu_set_t set;

	CPU_ZERO(&set);
	for (int i = 0; i < cpus; i++)
		if (cpu == ANYWHERE || cpu == i)
			CPU_SET((unsigned int)i, &set);
	if (sched_setaffinity(0, sizeof(set), &set) < 0)
		return fail_with(-errno, "cannot run on processor %d: %s", cpu, strerror(errno));
	return 0;
}

unsigned int place_read_ahead_kb(const char *path)
{
	unsigned int kb = 0;
	char name[128];
	struct stat st;
	FILE *in;

	if (stat(path, &st) < 0)
		return 0;
	snprintf(name, sizeof(name), "/sys/class/bdi/%u:%u/read_ahead_kb", major(st.st_dev),
		 minor(st.st_dev));
	in = fopen(name, "re");
	if (!in)
		return 0;
	if (fscanf(in, "%u", &kb) != 1)
		kb = 0;
	fclose(in);
	return kb;
}
