/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes of STORE/lock and of STORE/holders/PID:
 *
 *   0               the process lives (holders/PID only)
 *   1               the writer lock
 *   2               who collects garbage or repacks
 *   LEASES + id     the lease of snapshot id
 *   WRITES + id     the write lease of draft id
 *
 * A holder file whose byte 0 nobody locks is left over; the next process that opens
 * the store locks that byte itself and removes the file. Its maker, should it come
 * in between, finds the byte locked, or a file without a name, and takes another.
 */
#include "config.h"

#include "db/lock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fail.h"
#include "base/io.h"
#include "base/log.h"

#define BYTE_ALIVE 0
#define BYTE_WRITER 1
#define BYTE_COLLECTOR 2
#define BYTE_LEASES 4096
#define BYTE_WRITES (UINT64_C(1) << 62)
#define HOLDER_TRIES 16

struct lease {
	uint64_t byte;
	unsigned int count;
	bool exclusive;
};

struct locks {
	char *dir; /* owned */
	bool writable;
	int fd;		   /* STORE/lock */
	int holder_fd;	   /* STORE/holders/PID, -1 without */
	char *holder_path; /* owned, NULL without */
	pthread_mutex_t mutex;
	pthread_cond_t changed; /* a lease or the writer lock went; monotonic clock */
	bool writing;	      /* a thread has the writer lock or asks for it; protected by mutex */
	struct lease *leases; /* owned; protected by mutex */
	size_t nleases;	      /* protected by mutex */
	size_t room;	      /* protected by mutex */
};

/* 0, -EAGAIN where another holds it, or another -errno. */
static int byte_lock(int fd, short type, uint64_t byte)
{
	struct flock lock = {
		.l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)byte, .l_len = 1};

	if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
		return 0;
	return errno == EACCES ? -EAGAIN : -errno;
}

/* Would a lock of that type be in another's way? */
static bool byte_has_other(int fd, short type, uint64_t byte)
{
	struct flock lock = {
		.l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)byte, .l_len = 1};

	return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

static bool byte_is_locked(int fd, uint64_t byte)
{
	return byte_has_other(fd, F_RDLCK, byte);
}

/* Marks the byte in our own holder file too, for others to find. */
static void holder_mark(const struct locks *locks, short type, uint64_t byte)
{
	if (locks->holder_fd >= 0)
		(void)!byte_lock(locks->holder_fd, type, byte);
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

static int holder_write(const struct locks *locks, const char *command)
{
	char text[LOCK_HOLDER_MAX];
	int n = snprintf(text, sizeof(text), "pid %ld\nstart %" PRIu64 "\ncommand %.300s\n",
			 (long)getpid(), process_start(), command);

	if (ftruncate(locks->holder_fd, 0) < 0)
		return -errno;
	return io_pwrite_full(locks->holder_fd, text, (size_t)n, 0);
}

/* One try with one name: 0, or -EAGAIN where another process has that file. */
static int holder_try(struct locks *locks, int number)
{
	struct stat st;
	char *path;
	AUTO_FREE char *owned = NULL;
	AUTO_CLOSE int fd = -1;
	int r;

	if (asprintf(&path, number ? "%s/holders/%ld-%d" : "%s/holders/%ld", locks->dir,
		     (long)getpid(), number) < 0)
		return fail_with(-ENOMEM, "out of memory");
	owned = path;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return fail_with(-errno, "%s: %s", path, strerror(errno));
	io_own_like(fd, locks->dir);
	r = byte_lock(fd, F_WRLCK, BYTE_ALIVE);
	if (r < 0)
		return r;
	if (fstat(fd, &st) < 0 || st.st_nlink == 0)
		return -EAGAIN;
	locks->holder_fd = TAKE_FD(fd);
	locks->holder_path = TAKE_PTR(owned);
	return 0;
}

/* Removes the files that killed processes left. */
static void holders_sweep(const struct locks *locks)
{
	char path[PATH_MAX];
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/holders", locks->dir);
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

/* A name is for messages only: on a full disk the process goes on without. */
static void holder_open(struct locks *locks)
{
	char path[PATH_MAX];
	int r = -EAGAIN;

	snprintf(path, sizeof(path), "%s/holders", locks->dir);
	/* it is empty at rest, and copies of a store may lack it */
	if (mkdir(path, 0700) == 0) {
		AUTO_CLOSE int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (fd >= 0)
			io_own_like(fd, locks->dir);
	}
	holders_sweep(locks);
	for (int number = 0; r == -EAGAIN && number < HOLDER_TRIES; number++)
		r = holder_try(locks, number);
	if (r == 0)
		r = holder_write(locks, program_invocation_short_name);
	if (r < 0)
		log_debug("this process will be busy without a name: %s", fail_text(r));
}

int locks_open(const char *dir, bool writable, struct locks **ret)
{
	AUTO(locks_close_at) struct locks *locks = calloc(1, sizeof(*locks));
	AUTO_FREE char *path = NULL;
	pthread_condattr_t attr;

	if (!locks)
		return fail_with(-ENOMEM, "out of memory");
	locks->fd = locks->holder_fd = -1;
	locks->writable = writable;
	pthread_mutex_init(&locks->mutex, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&locks->changed, &attr);
	pthread_condattr_destroy(&attr);
	locks->dir = strdup(dir);
	if (!locks->dir)
		return fail_with(-ENOMEM, "out of memory");
	if (asprintf(&path, "%s/lock", dir) < 0) {
		path = NULL;
		return fail_with(-ENOMEM, "out of memory");
	}
	locks->fd =
		open(path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (locks->fd < 0)
		return fail_with(errno == ENOENT ? -EBADMSG : -errno, "%s: %s", path,
				 strerror(errno));
	if (writable)
		holder_open(locks);
	*ret = TAKE_PTR(locks);
	return 0;
}

void locks_close(struct locks *locks)
{
	if (!locks)
		return;
	/* the name goes before the lock: nobody then meets an unlocked file */
	if (locks->holder_path)
		unlink(locks->holder_path);
	if (locks->holder_fd >= 0)
		close(locks->holder_fd);
	if (locks->fd >= 0)
		close(locks->fd);
	pthread_cond_destroy(&locks->changed);
	pthread_mutex_destroy(&locks->mutex);
	free(locks->holder_path);
	free(locks->leases);
	free(locks->dir);
	free(locks);
}

void locks_set_command(struct locks *locks, const char *command)
{
	if (locks->holder_fd >= 0)
		(void)!holder_write(locks, command);
}

/* Fills text with "COMMAND (pid N)" if that holder file's process lives and holds
 * the byte. */
static bool holder_describe(int dirfd, const char *name, uint64_t byte, char *text, size_t room)
{
	char buffer[LOCK_HOLDER_MAX + 1];
	AUTO_CLOSE int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t n;
	char *command;

	if (fd < 0 || !byte_is_locked(fd, BYTE_ALIVE) || !byte_is_locked(fd, byte))
		return false;
	n = io_pread_full(fd, buffer, LOCK_HOLDER_MAX, 0);
	buffer[MAX(n, 0)] = '\0';
	command = strstr(buffer, "\ncommand ");
	if (!command)
		return false;
	command += strlen("\ncommand ");
	command[strcspn(command, "\n")] = '\0';
	snprintf(text, room, "%s (pid %.20s)", command, name);
	return true;
}

/* Who holds the byte: a text for a message. */
static const char *holder_find(const struct locks *locks, uint64_t byte, char *text, size_t room)
{
	char path[PATH_MAX];
	struct dirent *entry;
	DIR *dir;
	bool found = false;

	snprintf(path, sizeof(path), "%s/holders", locks->dir);
	dir = opendir(path);
	while (dir && !found && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			found = holder_describe(dirfd(dir), entry->d_name, byte, text, room);
	if (dir)
		closedir(dir);
	return found ? text : "a process that left no name";
}

/* Tries until the deadline, in steps that grow to 20 ms. */
static int byte_lock_until(int fd, short type, uint64_t byte, uint64_t deadline_ns)
{
	struct timespec pause = {.tv_nsec = NS_PER_MS};
	int r;

	while ((r = byte_lock(fd, type, byte)) == -EAGAIN && clock_monotonic_ns() < deadline_ns) {
		nanosleep(&pause, NULL);
		pause.tv_nsec = MIN(2 * pause.tv_nsec, (long)(20 * NS_PER_MS));
	}
	return r;
}

static struct timespec to_timespec(uint64_t ns)
{
	return (struct timespec){.tv_sec = (time_t)(ns / NS_PER_SEC),
				 .tv_nsec = (long)(ns % NS_PER_SEC)};
}

/* Keeps the threads of this process apart. -EAGAIN at the deadline. */
static int writer_enter(struct locks *locks, uint64_t deadline_ns)
{
	struct timespec until = to_timespec(deadline_ns);
	int r = 0;

	pthread_mutex_lock(&locks->mutex);
	while (locks->writing && r == 0)
		r = pthread_cond_timedwait(&locks->changed, &locks->mutex, &until);
	if (r == 0)
		locks->writing = true;
	pthread_mutex_unlock(&locks->mutex);
	return r == 0 ? 0 : -EAGAIN;
}

static void writer_leave(struct locks *locks)
{
	pthread_mutex_lock(&locks->mutex);
	locks->writing = false;
	pthread_cond_broadcast(&locks->changed);
	pthread_mutex_unlock(&locks->mutex);
}

int locks_take_writer(struct locks *locks)
{
	uint64_t deadline = clock_monotonic_ns() + LOCK_WRITER_WAIT_MS * NS_PER_MS;
	char text[LOCK_HOLDER_MAX];
	int r;

	if (!locks->writable)
		return fail_with(-EROFS, "the store cannot be written by this user or here");
	if (writer_enter(locks, deadline) < 0)
		return fail_with(-EBUSY, "another thread writes to the store for %d s",
				 LOCK_WRITER_WAIT_MS / 1000);
	r = byte_lock_until(locks->fd, F_WRLCK, BYTE_WRITER, deadline);
	if (r == 0) {
		holder_mark(locks, F_WRLCK, BYTE_WRITER);
		return 0;
	}
	writer_leave(locks);
	if (r == -EAGAIN)
		return fail_with(-EBUSY, "%s writes to the store for %d s: try again later",
				 holder_find(locks, BYTE_WRITER, text, sizeof(text)),
				 LOCK_WRITER_WAIT_MS / 1000);
	return fail_with(r, "lock of the store: %s", strerror(-r));
}

void locks_drop_writer(struct locks *locks)
{
	holder_mark(locks, F_UNLCK, BYTE_WRITER);
	(void)!byte_lock(locks->fd, F_UNLCK, BYTE_WRITER);
	writer_leave(locks);
}

/* Called with the mutex held. */
static struct lease *lease_find(struct locks *locks, uint64_t byte)
{
	for (size_t i = 0; i < locks->nleases; i++)
		if (locks->leases[i].byte == byte)
			return &locks->leases[i];
	return NULL;
}

/* Called with the mutex held. NULL when out of memory. */
static struct lease *lease_add(struct locks *locks, uint64_t byte)
{
	if (locks->nleases == locks->room) {
		size_t room = locks->room ? 2 * locks->room : 16;
		struct lease *leases = reallocarray(locks->leases, room, sizeof(*leases));

		if (!leases)
			return NULL;
		locks->leases = leases;
		locks->room = room;
	}
	locks->leases[locks->nleases] = (struct lease){.byte = byte};
	return &locks->leases[locks->nleases++];
}

/* Called with the mutex held: the process lets the byte go. */
static void lease_remove(struct locks *locks, struct lease *lease)
{
	holder_mark(locks, F_UNLCK, lease->byte);
	(void)!byte_lock(locks->fd, F_UNLCK, lease->byte);
	*lease = locks->leases[--locks->nleases];
	pthread_cond_broadcast(&locks->changed);
}

/* One try, with the mutex held: 0 or -EAGAIN or another -errno. */
static int lease_try(struct locks *locks, uint64_t byte, bool exclusive)
{
	struct lease *lease = lease_find(locks, byte);
	int r;

	if (lease && (exclusive || lease->exclusive))
		return -EAGAIN;
	if (lease) {
		lease->count++;
		return 0;
	}
	lease = lease_add(locks, byte);
	if (!lease)
		return fail_with(-ENOMEM, "out of memory");
	r = byte_lock(locks->fd, exclusive ? F_WRLCK : F_RDLCK, byte);
	if (r < 0) {
		locks->nleases--;
		return r;
	}
	lease->count = 1;
	lease->exclusive = exclusive;
	holder_mark(locks, F_WRLCK, byte);
	return 0;
}

static int lease_take(struct locks *locks, uint64_t byte, bool exclusive, unsigned int wait_ms)
{
	uint64_t deadline = clock_monotonic_ns() + wait_ms * NS_PER_MS;
	char text[LOCK_HOLDER_MAX];
	int r;

	pthread_mutex_lock(&locks->mutex);
	while ((r = lease_try(locks, byte, exclusive)) == -EAGAIN) {
		uint64_t now = clock_monotonic_ns();
		struct timespec until = to_timespec(MIN(deadline, now + 10 * NS_PER_MS));

		if (now >= deadline)
			break;
		/* another process cannot wake us: look again every 10 ms */
		pthread_cond_timedwait(&locks->changed, &locks->mutex, &until);
	}
	pthread_mutex_unlock(&locks->mutex);
	if (r == -EAGAIN)
		return fail_with(-EBUSY, "%s by %s",
				 byte < BYTE_WRITES ? "in use" : "open for writing",
				 holder_find(locks, byte, text, sizeof(text)));
	return r;
}

int locks_take_lease(struct locks *locks, uint64_t id)
{
	return lease_take(locks, BYTE_LEASES + id, false, LOCK_LEASE_WAIT_MS);
}

int locks_take_exclusive(struct locks *locks, uint64_t id, unsigned int wait_ms)
{
	if (!locks->writable)
		return fail_with(-EROFS, "the store cannot be written by this user or here");
	return lease_take(locks, BYTE_LEASES + id, true, wait_ms);
}

bool locks_is_leased_by_others(struct locks *locks, uint64_t id)
{
	/* a damaged id may lie beyond what can be locked: then nobody can say */
	return id > INT64_MAX - BYTE_LEASES || byte_has_other(locks->fd, F_WRLCK, BYTE_LEASES + id);
}

bool locks_is_leased(struct locks *locks, uint64_t id)
{
	bool ours;

	pthread_mutex_lock(&locks->mutex);
	ours = lease_find(locks, BYTE_LEASES + id) != NULL;
	pthread_mutex_unlock(&locks->mutex);
	return ours || locks_is_leased_by_others(locks, id);
}

int locks_take_collector(struct locks *locks)
{
	char text[LOCK_HOLDER_MAX];
	int r;

	if (!locks->writable)
		return fail_with(-EROFS, "the store cannot be written by this user or here");
	r = byte_lock(locks->fd, F_WRLCK, BYTE_COLLECTOR);
	if (r == -EAGAIN)
		return fail_with(-EBUSY, "one gc or repack runs at a time, and %s does so already",
				 holder_find(locks, BYTE_COLLECTOR, text, sizeof(text)));
	if (r < 0)
		return fail_with(r, "lock of the store: %s", strerror(-r));
	holder_mark(locks, F_WRLCK, BYTE_COLLECTOR);
	return 0;
}

void locks_drop_collector(struct locks *locks)
{
	holder_mark(locks, F_UNLCK, BYTE_COLLECTOR);
	(void)!byte_lock(locks->fd, F_UNLCK, BYTE_COLLECTOR);
}

static bool lease_drop(struct locks *locks, uint64_t byte)
{
	struct lease *lease;
	bool others;

	pthread_mutex_lock(&locks->mutex);
	lease = lease_find(locks, byte);
	if (lease && --lease->count == 0)
		lease_remove(locks, lease);
	others = locks->nleases > 0;
	pthread_mutex_unlock(&locks->mutex);
	return others;
}

bool locks_drop_lease(struct locks *locks, uint64_t id)
{
	return lease_drop(locks, BYTE_LEASES + id);
}

int locks_take_write(struct locks *locks, uint64_t id, unsigned int wait_ms)
{
	if (!locks->writable)
		return fail_with(-EROFS, "the store cannot be written by this user or here");
	return lease_take(locks, BYTE_WRITES + id, true, wait_ms);
}

void locks_drop_write(struct locks *locks, uint64_t id)
{
	lease_drop(locks, BYTE_WRITES + id);
}

bool locks_find_writer(struct locks *locks, uint64_t id, char text[LOCK_HOLDER_MAX])
{
	const char *who;

	/* a damaged id may lie beyond what can be locked: nobody writes that */
	if (id > INT64_MAX - BYTE_WRITES || !byte_is_locked(locks->fd, BYTE_WRITES + id))
		return false;
	who = holder_find(locks, BYTE_WRITES + id, text, LOCK_HOLDER_MAX);
	if (who != text)
		snprintf(text, LOCK_HOLDER_MAX, "%s", who);
	return true;
}

unsigned int locks_count_leases(struct locks *locks, uint64_t id)
{
	const struct lease *lease;
	unsigned int count;

	pthread_mutex_lock(&locks->mutex);
	lease = lease_find(locks, BYTE_LEASES + id);
	count = lease ? lease->count : 0;
	pthread_mutex_unlock(&locks->mutex);
	return count;
}
