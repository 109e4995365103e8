/* SPDX-License-Identifier: Apache-2.0 */
/*
 * STORE/holders/PID, bytes of it locked:
 *
 *   0               the process lives
 *   any other       it holds that byte of STORE/lock
 *
 * A file whose byte 0 nobody locks is left over; the next process that opens the store
 * locks that byte itself and removes the file. Its maker, should it come in between,
 * finds the byte locked, or a file without a name, and takes another.
 */
#include "config.h"

#include "db/holder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "base/io.h"
#include "base/log.h"
#include "db/byte-lock.h"

#define BYTE_ALIVE 0
#define HOLDER_TRIES 16

void holder_mark(const struct holder *holder, short type, uint64_t byte)
{
	if (holder->fd >= 0)
		(void)!byte_lock(holder->fd, type, byte);
}

/* The start of a process in clock ticks since boot: with the pid it names a
 * process for good. 0 where /proc does not say. */
static uint64_t process_start(void)
{
	char text[1024];
	AUTO_CLOSE int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : io_read_full(fd, text, sizeof(text) - 1);
	char *at;
	uint64_t start = 0;

	if (n <= 0)
		return 0;
	text[n] = '\0';
	at = strrchr(text, ')'); /* field 2 may hold blanks; start is field 22 */
	for (int field = 2; at && field < 22; field++)
		at = strchr(at + 1, ' ');
	if (at)
		start = strtoull(at, NULL, 10);
	return start;
}

static int holder_write(const struct holder *holder, const char *command)
{
	char text[HOLDER_TEXT_MAX];
	int n = snprintf(text, sizeof(text), "pid %ld\nstart %" PRIu64 "\ncommand %.300s\n",
			 (long)getpid(), process_start(), command);

	if (ftruncate(holder->fd, 0) < 0)
		return -errno;
	return io_pwrite_full(holder->fd, text, (size_t)n, 0);
}

/* One try with one name: 0, or -EAGAIN where another process has that file. */
static int holder_try(struct holder *holder, int number)
{
	struct stat st;
	char *path;
	AUTO_FREE char *owned = NULL;
	AUTO_CLOSE int fd = -1;
	int r;

	if (asprintf(&path, number ? "%s/holders/%ld-%d" : "%s/holders/%ld", holder->dir,
		     (long)getpid(), number) < 0)
		return fail_with(-ENOMEM, "out of memory");
	owned = path;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return fail_with(-errno, "%s: %s", path, strerror(errno));
	io_own_like(fd, holder->dir);
	r = byte_lock(fd, F_WRLCK, BYTE_ALIVE);
	if (r < 0)
		return r;
	if (fstat(fd, &st) < 0 || st.st_nlink == 0)
		return -EAGAIN;
	holder->fd = TAKE_FD(fd);
	holder->path = TAKE_PTR(owned);
	return 0;
}

/* Removes the files that killed processes left. */
static void holders_sweep(const struct holder *holder)
{
	char path[PATH_MAX];
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/holders", holder->dir);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		AUTO_CLOSE int fd = -1;

		if (entry->d_name[0] != '.')
			fd = openat(dirfd(dir), entry->d_name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
		/* with the lock: who has just made it and asks for it takes another name */
		if (fd >= 0 && byte_lock(fd, F_WRLCK, BYTE_ALIVE) == 0)
			unlinkat(dirfd(dir), entry->d_name, 0);
	}
	if (dir)
		closedir(dir);
}

void holder_open(struct holder *holder, const char *dir)
{
	char path[PATH_MAX];
	int r = -EAGAIN;

	*holder = (struct holder){.dir = dir, .fd = -1};
	snprintf(path, sizeof(path), "%s/holders", dir);
	/* it is empty at rest, and copies of a store may lack it */
	if (mkdir(path, 0700) == 0) {
		AUTO_CLOSE int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (fd >= 0)
			io_own_like(fd, holder->dir);
	}
	holders_sweep(holder);
	for (int number = 0; r == -EAGAIN && number < HOLDER_TRIES; number++)
		r = holder_try(holder, number);
	if (r == 0)
		r = holder_write(holder, program_invocation_short_name);
	if (r < 0)
		log_debug("this process will be busy without a name: %s", fail_text(r));
}

void holder_close(struct holder *holder)
{
	/* the name goes before the lock: nobody then meets an unlocked file */
	if (holder->path)
		unlink(holder->path);
	if (holder->fd >= 0)
		close(holder->fd);
	free(holder->path);
}

void holder_set_command(const struct holder *holder, const char *command)
{
	if (holder->fd >= 0)
		(void)!holder_write(holder, command);
}

/* Fills text with "COMMAND (pid N)" if that holder file's process lives and holds
 * the byte. */
static bool holder_describe(int dirfd, const char *name, uint64_t byte, char *text, size_t room)
{
	char buffer[HOLDER_TEXT_MAX + 1];
	AUTO_CLOSE int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t n;
	char *command;

	if (fd < 0 || !byte_is_locked(fd, BYTE_ALIVE) || !byte_is_locked(fd, byte))
		return false;
	n = io_pread_full(fd, buffer, HOLDER_TEXT_MAX, 0);
	buffer[MAX(n, 0)] = '\0';
	command = strstr(buffer, "\ncommand ");
	if (!command)
		return false;
	command += strlen("\ncommand ");
	command[strcspn(command, "\n")] = '\0';
	snprintf(text, room, "%s (pid %.20s)", command, name);
	return true;
}

const char *holder_find(const char *store, uint64_t byte, char *text, size_t room)
{
	char path[PATH_MAX];
	struct dirent *entry;
	DIR *dir;
	bool found = false;

	snprintf(path, sizeof(path), "%s/holders", store);
	dir = opendir(path);
	while (dir && !found && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			found = holder_describe(dirfd(dir), entry->d_name, byte, text, room);
	if (dir)
		closedir(dir);
	return found ? text : "a process that left no name";
}
