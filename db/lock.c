/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes of STORE/lock:
 *
 *   1               the writer lock
 *   2               who collects garbage or repacks
 *   LEASES + id     the lease of snapshot id
 *   WRITES + id     the write lease of draft id
 *
 * Each is locked in the file of this process, too: db/holder.h.
 */
#include "config.h"

#include "db/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fail.h"
#include "db/byte-lock.h"

#define BYTE_WRITER 1
#define BYTE_COLLECTOR 2
#define BYTE_LEASES 4096
#define BYTE_WRITES (UINT64_C(1) << 62)

struct lease {
	uint64_t byte;
	unsigned int count;
	bool exclusive;
};

struct locks {
	char *dir; /* owned */
	bool writable;
	int fd; /* STORE/lock */
	struct holder holder;
	pthread_mutex_t mutex;
	pthread_cond_t changed; /* a lease or the writer lock went; monotonic clock */
	bool writing;	      /* a thread has the writer lock or asks for it; protected by mutex */
	struct lease *leases; /* owned; protected by mutex */
	size_t nleases;	      /* protected by mutex */
	size_t room;	      /* protected by mutex */
};

int locks_open(const char *dir, bool writable, struct locks **ret)
{
	AUTO(locks_close_at) struct locks *locks = calloc(1, sizeof(*locks));
	AUTO_FREE char *path = NULL;
	pthread_condattr_t attr;

	if (!locks)
		return fail_with(-ENOMEM, "out of memory");
	locks->fd = locks->holder.fd = -1;
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
		holder_open(&locks->holder, locks->dir);
	*ret = TAKE_PTR(locks);
	return 0;
}

void locks_close(struct locks *locks)
{
	if (!locks)
		return;
	holder_close(&locks->holder);
	if (locks->fd >= 0)
		close(locks->fd);
	pthread_cond_destroy(&locks->changed);
	pthread_mutex_destroy(&locks->mutex);
	free(locks->leases);
	free(locks->dir);
	free(locks);
}

void locks_set_command(struct locks *locks, const char *command)
{
	holder_set_command(&locks->holder, command);
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
	char text[HOLDER_TEXT_MAX];
	int r;

	if (!locks->writable)
		return fail_with(-EROFS, "the store cannot be written by this user or here");
	if (writer_enter(locks, deadline) < 0)
		return fail_with(-EBUSY, "another thread writes to the store for %d s",
				 LOCK_WRITER_WAIT_MS / 1000);
	r = byte_lock_until(locks->fd, F_WRLCK, BYTE_WRITER, deadline);
	if (r == 0) {
		holder_mark(&locks->holder, F_WRLCK, BYTE_WRITER);
		return 0;
	}
	writer_leave(locks);
	if (r == -EAGAIN)
		return fail_with(-EBUSY, "%s writes to the store for %d s: try again later",
				 holder_find(locks->dir, BYTE_WRITER, text, sizeof(text)),
				 LOCK_WRITER_WAIT_MS / 1000);
	return fail_with(r, "lock of the store: %s", strerror(-r));
}

void locks_drop_writer(struct locks *locks)
{
	holder_mark(&locks->holder, F_UNLCK, BYTE_WRITER);
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
	holder_mark(&locks->holder, F_UNLCK, lease->byte);
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
	holder_mark(&locks->holder, F_WRLCK, byte);
	return 0;
}

static int lease_take(struct locks *locks, uint64_t byte, bool exclusive, unsigned int wait_ms)
{
	uint64_t deadline = clock_monotonic_ns() + wait_ms * NS_PER_MS;
	char text[HOLDER_TEXT_MAX];
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
				 holder_find(locks->dir, byte, text, sizeof(text)));
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
	char text[HOLDER_TEXT_MAX];
	int r;

	if (!locks->writable)
		return fail_with(-EROFS, "the store cannot be written by this user or here");
	r = byte_lock(locks->fd, F_WRLCK, BYTE_COLLECTOR);
	if (r == -EAGAIN)
		return fail_with(-EBUSY, "one gc or repack runs at a time, and %s does so already",
				 holder_find(locks->dir, BYTE_COLLECTOR, text, sizeof(text)));
	if (r < 0)
		return fail_with(r, "lock of the store: %s", strerror(-r));
	holder_mark(&locks->holder, F_WRLCK, BYTE_COLLECTOR);
	return 0;
}

void locks_drop_collector(struct locks *locks)
{
	holder_mark(&locks->holder, F_UNLCK, BYTE_COLLECTOR);
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

bool locks_find_writer(struct locks *locks, uint64_t id, char text[HOLDER_TEXT_MAX])
{
	const char *who;

	/* a damaged id may lie beyond what can be locked: nobody writes that */
	if (id > INT64_MAX - BYTE_WRITES || !byte_is_locked(locks->fd, BYTE_WRITES + id))
		return false;
	who = holder_find(locks->dir, BYTE_WRITES + id, text, HOLDER_TEXT_MAX);
	if (who != text)
		snprintf(text, HOLDER_TEXT_MAX, "%s", who);
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
