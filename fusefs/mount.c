/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "fusefs/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "base/io.h"
#include "base/mounts.h"
#include "base/view-names.h"
#include "fusefs/agreement.h"
#include "fusefs/fuse.h"

/* A view shows data: nothing in it is a program or a device, and its times do
 * not move. default_permissions leaves the mode check to the kernel. */
#define ALWAYS "subtype=" VIEW_SUBTYPE ",default_permissions,nodev,nosuid,noexec,noatime"
#define STACKED_MOST 64 /* mounts of ours at one place that are taken away */

/* What libfuse complained about last, instead of on standard error. */
static _Thread_local char complaint[256];

static void keep_complaint(UNUSED enum fuse_log_level level, const char *format, va_list args)
{
	vsnprintf(complaint, sizeof(complaint), format, args);
	complaint[strcspn(complaint, "\n")] = '\0';
}

/* Asks the file system itself: cached attributes outlive a dead daemon. */
static int probe(int fd)
{
	struct statx stx;

	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_TYPE, &stx) < 0)
		return -errno;
	return 0;
}

/* The absolute path of an O_PATH descriptor, without asking its file system. */
static int path_of(int fd, char path[PATH_MAX])
{
	char link[64];
	ssize_t len;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = readlink(link, path, PATH_MAX - 1);
	if (len < 0)
		return fail_with(-errno, "cannot read %s: %s", link, strerror(errno));
	path[len] = '\0';
	return 0;
}

static int run_fusermount(const char *point)
{
	char *argv[] = {(char *)"fusermount3", (char *)"-u",  (char *)"-z",
			(char *)"--",	       (char *)point, NULL};
	posix_spawnattr_t attr;
	sigset_t none;
	int status;
	pid_t pid;
	int err;

	sigemptyset(&none);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
	err = posix_spawnp(&pid, argv[0], NULL, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
	if (err)
		return fail_with(-err, "cannot run fusermount3: %s", strerror(err));
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return fail_with(-errno, "lost fusermount3: %s", strerror(errno));
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return fail_with(-EPERM, "fusermount3 could not unmount %s", point);
	return 0;
}

static int unmount_lazily(const char *point)
{
	if (umount2(point, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
		return 0;
	if (errno != EPERM)
		return fail_with(-errno, "cannot unmount %s: %s", point, strerror(errno));
	return run_fusermount(point);
}

/* Looks at what is at the mount point: 0 if it is free, 1 if a dead view was
 * taken away and the directory must be opened again, -EBUSY for a live one. */
static int clear_stale(const struct mount *mount)
{
	struct mounts_entry entry;
	int r = mounts_find(mount->point, &entry);

	if (r == -ENOENT)
		return 0;
	if (r < 0 || strcmp(entry.type, VIEW_TYPE) != 0)
		return r;
	if (probe(mount->fd) != -ENOTCONN)
		return fail_with(-EBUSY, "a view is mounted there; pagoda umount %s takes it away",
				 mount->point);
	r = unmount_lazily(mount->point);
	return r < 0 ? fail_prefix(r, "a view of a dead daemon is in the way") : 1;
}

/* Opens dir itself, never what a link of that name points to. */
static int open_point(const char *dir, struct mount *mount)
{
	AUTO_FREE char *name = strdup(dir);
	size_t len = strlen(dir);

	if (!name)
		return fail_with(-ENOMEM, "out of memory");
	/* "link/" would be followed in spite of O_NOFOLLOW */
	while (len > 1 && name[len - 1] == '/')
		name[--len] = '\0';
	if (mount->fd >= 0)
		close(mount->fd);
	mount->fd = open(name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (mount->fd < 0)
		return fail_with(-errno, "%s", strerror(errno));
	return path_of(mount->fd, mount->point);
}

static int check_is_dir(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return fail_with(-errno, "%s", strerror(errno));
	if (S_ISLNK(st.st_mode))
		return fail_with(-EINVAL, "it is a symbolic link; name the directory itself");
	if (!S_ISDIR(st.st_mode))
		return fail_with(-EINVAL, "it is not a directory");
	return 0;
}

int mount_open(const char *dir, struct mount *ret)
{
	int r;

	*ret = (struct mount){.fd = -1};
	for (int i = 0; i < STACKED_MOST; i++) {
		r = open_point(dir, ret);
		if (r == 0)
			r = clear_stale(ret);
		if (r <= 0)
			break;
	}
	if (r > 0)
		return fail_with(-EBUSY, "more than %d dead views lie there", STACKED_MOST);
	return r < 0 ? r : check_is_dir(ret->fd);
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Is directory fd the directory outer, or below it? 0, 1 or -errno. Goes up by
 * "..", so that it does not matter by which mount either is reached. */
static int is_inside(int fd, const struct stat *outer)
{
	AUTO_CLOSE int at = openat(fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	if (at < 0 || fstat(at, &st) < 0)
		return fail_with(-errno, "%s", strerror(errno));
	while (!same_file(&st, outer)) {
		AUTO_CLOSE int up = openat(at, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
		struct stat above;
		int swap;

		if (up < 0 || fstat(up, &above) < 0)
			return fail_with(-errno, "%s", strerror(errno));
		if (same_file(&above, &st))
			return 0;
		st = above;
		swap = at;
		at = up;
		up = swap;
	}
	return 1;
}

int mount_check_store(const struct mount *mount, const char *store)
{
	AUTO_CLOSE int fd = open(store, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct stat store_st;
	struct stat point_st;
	int r;

	if (fd < 0 || fstat(fd, &store_st) < 0 || fstat(mount->fd, &point_st) < 0)
		return fail_with(-errno, "%s", strerror(errno));
	r = is_inside(mount->fd, &store_st);
	if (r > 0)
		return fail_with(-EINVAL, "it is inside the store; choose a directory elsewhere");
	if (r == 0)
		r = is_inside(fd, &point_st);
	if (r > 0)
		return fail_with(-EINVAL,
				 "the store is inside it and would be covered by its own view; "
				 "choose another directory");
	return r;
}

/* The value of libfuse's -o; the caller frees it. */
static char *mount_options(const char *store, const struct settings *settings)
{
	AUTO_FREE char *source = NULL;
	char *options = NULL;

	if (asprintf(&source, "fsname=%s", store) < 0) {
		source = NULL;
		return NULL;
	}
	if (fuse_opt_add_opt(&options, ALWAYS) < 0 ||
	    fuse_opt_add_opt_escaped(&options, source) < 0 ||
	    (settings->allow_other && fuse_opt_add_opt(&options, "allow_other") < 0) ||
	    (settings->read_only && fuse_opt_add_opt(&options, "ro") < 0)) {
		free(options);
		return NULL;
	}
	return options;
}

static int session_mount(struct mount *mount)
{
	char by_fd[64];

	/* root mounts on the very directory that was looked at, whatever its path
	 * leads to by now; for others fusermount3 goes by the path */
	snprintf(by_fd, sizeof(by_fd), "/proc/self/fd/%d", mount->fd);
	if (fuse_session_mount(mount->session, geteuid() == 0 ? by_fd : mount->point) == 0)
		return 0;
	return fail_with(-EIO, "%s", complaint[0] ? complaint : "fusermount3 did not mount it");
}

int mount_attach(struct mount *mount, const char *store, const struct settings *settings,
		 const struct fuse_lowlevel_ops *operations, size_t operations_size, void *data)
{
	AUTO_FREE char *options = mount_options(store, settings);
	char *argv[] = {(char *)"pagodafs", (char *)"-o", options, NULL};
	struct fuse_args args = FUSE_ARGS_INIT(3, argv);
	struct mounts_entry entry;
	int r;

	if (!options)
		return fail_with(-ENOMEM, "out of memory");
	fuse_set_log_func(keep_complaint);
	mount->session = fuse_session_new(&args, operations, operations_size, data);
	fuse_opt_free_args(&args);
	if (!mount->session)
		return fail_with(-EIO, "libfuse made no session: %s", complaint);
	r = session_mount(mount);
	if (r == 0)
		r = agreement_extend(mount->session);
	if (r < 0)
		return r;
	mount->attached = true;
	/* the directory may have been renamed since it was opened */
	r = path_of(mount->fd, mount->point);
	if (r == 0)
		r = mounts_find(mount->point, &entry);
	close(TAKE_FD(mount->fd)); /* it would keep the file system below busy */
	if (r < 0 || strcmp(entry.type, VIEW_TYPE) != 0)
		return fail_with(r < 0 ? r : -EIO, "the mount is not in the mount table");
	mount->major = entry.major;
	mount->minor = entry.minor;
	return 0;
}

void mount_tune(const struct mount *mount)
{
	static const struct {
		const char *file;
		const char *value;
	} limits[] = {
		{"read_ahead_kb", "1024"}, /* FUSE's own 128 KiB halves the rate */
		{"strict_limit", "0"},	   /* else shared maps are throttled at */
		{"max_ratio", "100"},	   /* one percent of the dirty pages */
	};

	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		char path[128];
		AUTO_CLOSE int fd = -1;

		snprintf(path, sizeof(path), "/sys/class/bdi/%u:%u/%s", mount->major, mount->minor,
			 limits[i].file);
		fd = open(path, O_WRONLY | O_CLOEXEC);
		if (fd >= 0) /* only faster: a kernel that refuses is none the worse */
			(void)!io_write_full(fd, limits[i].value, strlen(limits[i].value));
	}
}

static int detach_one(const struct mount *mount, const struct mounts_entry *entry)
{
	struct mounts_entry top;
	int r = mounts_find(entry->point, &top);

	if (r < 0)
		return r;
	if (top.major != mount->major || top.minor != mount->minor)
		return fail_with(-EBUSY, "something else is mounted over %s", entry->point);
	return unmount_lazily(entry->point);
}

/* While the connection lives, so does the file system, and its device number is
 * nobody else's. */
static bool is_connected(const struct mount *mount)
{
	struct pollfd fd = {.fd = fuse_session_fd(mount->session)};

	return poll(&fd, 1, 0) >= 0 && !(fd.revents & POLLERR);
}

int mount_detach(struct mount *mount)
{
	struct mounts_entry entry;
	int r = 0;

	/* more than one where it was bound to other places too */
	for (int i = 0; i < STACKED_MOST && r == 0 && is_connected(mount); i++) {
		r = mounts_find_device(mount->major, mount->minor, &entry);
		if (r == 0)
			r = detach_one(mount, &entry);
	}
	return r == -ENOENT ? 0 : r;
}

int mount_clear_dead(struct mount *mount)
{
	struct mounts_entry entry;
	int r = 0;
	int i;

	for (i = 0; i < STACKED_MOST && r == 0; i++) {
		AUTO_CLOSE int fd = -1;

		r = mounts_find_device(mount->major, mount->minor, &entry);
		if (r < 0)
			break;
		/* a new file system may have the number by now: it would answer */
		fd = open(entry.point, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0 || probe(fd) != -ENOTCONN)
			break;
		r = detach_one(mount, &entry);
	}
	if (r < 0 && r != -ENOENT)
		return r;
	return i > 0;
}

void mount_done(struct mount *mount)
{
	if (mount->session) {
		/* the connection is gone, so this unmounts nothing and only frees */
		fuse_session_unmount(mount->session);
		fuse_session_destroy(mount->session);
	}
	if (mount->fd >= 0)
		close(mount->fd);
}
