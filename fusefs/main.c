/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pagodafs: parse, open, run, close.
 *
 * The main thread mounts, waits for a signal or for the last thread, and takes
 * the mount away; it answers no request but the first.
 */
#include "config.h"

#include <errno.h>
#include <limits.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/exit.h"
#include "base/fail.h"
#include "base/log.h"
#include "base/options.h"
#include "db/draft.h"
#include "db/store.h"
#include "fusefs/daemon.h"
#include "fusefs/mount.h"
#include "fusefs/notifier.h"
#include "fusefs/ops.h"
#include "fusefs/settings.h"
#include "fusefs/storing.h"
#include "fusefs/threads.h"
#include "fusefs/view.h"

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif

struct request {
	struct settings settings;
	bool foreground;
	bool help;
	bool version;
	const char *store;   /* as given */
	const char *dir;     /* as given */
	char path[PATH_MAX]; /* of the store, absolute: a daemon leaves its directory */
};

static int parse_mount_options(void *target, const char *list)
{
	return settings_parse(&((struct request *)target)->settings, list);
}

static const struct option_row rows[] = {
	{"foreground", 'f', OPTION_FLAG, offsetof(struct request, foreground), NULL,
	 "stay in the foreground, messages on standard error", NULL},
	{"options", 'o', OPTION_CALL, 0, "OPTIONS",
	 "uid=,gid=,mode=,allow_other,ro,spin= and those of mount(8)", parse_mount_options},
	{"help", 'h', OPTION_FLAG, offsetof(struct request, help), NULL, "show this help", NULL},
	{"version", 'V', OPTION_FLAG, offsetof(struct request, version), NULL, "show the version",
	 NULL},
	{.name = ""},
};

static void show_help(FILE *out)
{
	fputs("usage: pagodafs [-f] [-o OPTIONS] STORE DIR\n\n"
	      "Shows the snapshots of a store as files below DIR.\n\n",
	      out);
	options_help(rows, out);
}

/* Logs why the mount failed; the exit code. A directory that is missing is not
 * a store that is missing. */
static int mount_failed(const struct request *request, int err)
{
	log_error("cannot mount %s on %s: %s", request->store, request->dir, fail_text(err));
	return err == -ENOENT ? EXIT_FAILED : (int)exit_code(err);
}

static int store_failed(const struct request *request, int err)
{
	log_error("cannot open the store %s: %s", request->store, fail_text(err));
	return (int)exit_code(err);
}

/* Everything a signal may ask of a daemon is read from a descriptor. */
static int block_signals(void)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	/* a file size limit is an error of write(2), not the end of a daemon */
	signal(SIGXFSZ, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? fail_with(-errno, "cannot make a signalfd: %s", strerror(errno)) : fd;
}

static void take_signals(int fd)
{
	struct signalfd_siginfo info;

	while (read(fd, &info, sizeof(info)) > 0)
		;
}

/* Until all threads have ended, or one could not go on. */
static int wait_for_end(struct threads *threads, struct mount *mount, int signals)
{
	struct pollfd fds[] = {
		{.fd = signals, .events = POLLIN},
		{.fd = threads_fd(threads), .events = POLLIN},
	};
	int error = 0;

	while (threads_running(threads, &error) > 0 && error == 0) {
		int r;

		r = poll(fds, ARRAY_SIZE(fds), -1);
		if (r < 0 && errno != EINTR)
			return fail_with(-errno, "cannot wait: %s", strerror(errno));
		if (r < 0 || !(fds[0].revents & POLLIN))
			continue;
		take_signals(signals);
		r = mount_detach(mount);
		if (r < 0)
			log_error("cannot unmount %s: %s", mount->point, fail_text(r));
	}
	return error;
}

/* Ends the process where threads may still run or wait: they end with it. What is
 * mounted is taken away first: left behind it would be dead. */
static NORETURN void leave(struct mount *mount, int code)
{
	if (mount->attached && mount_detach(mount) < 0)
		log_error("%s stays mounted and dead; umount it", mount->point);
	_exit(code);
}

static int end_of_view(struct threads *threads, struct mount *mount, int signals)
{
	int r = wait_for_end(threads, mount, signals);
	int dead;

	if (r < 0) {
		log_error("the view on %s ends: %s", mount->point, fail_text(r));
		leave(mount, EXIT_FAILED);
	}
	dead = mount_clear_dead(mount);
	if (dead < 0)
		log_error("%s stays mounted and dead: %s", mount->point, fail_text(dead));
	else if (dead)
		log_error("the view on %s ends: its connection was aborted", mount->point);
	return dead ? EXIT_FAILED : EXIT_DONE;
}

/* From the mount to the first answer. */
static int begin(const struct request *request, struct view *view, struct threads *threads,
		 struct mount *mount)
{
	int r = mount_attach(mount, request->path, &request->settings, &ops_table,
			     sizeof(ops_table), view);

	if (r == 0)
		r = threads_greet(mount->session);
	if (r < 0)
		return r;
	mount_tune(mount);
	r = notifier_start(mount->session, view, &view->notifier);
	if (r == 0)
		r = storing_start(view->storing, view);
	return r < 0 ? r : threads_start(threads, mount->session);
}

static int check_place(const struct request *request, struct mount *mount)
{
	int r = mount_open(request->dir, mount);

	return r < 0 ? r : mount_check_store(mount, request->path);
}

static int run_view(const struct request *request, struct store *store, struct mount *mount,
		    int ready_fd)
{
	AUTO(threads_close_at) struct threads *threads = NULL;
	AUTO(storing_close_at) struct storing *storing = NULL;
	struct drafts *drafts = NULL;
	struct view view = {
		.store = store,
		.settings = request->settings,
		.since_ns = clock_wall_ns(),
		.files = FILE_TABLE_INIT,
		.said = REPEAT_INIT,
	};
	char holder[PATH_MAX + 32];
	AUTO_CLOSE int signals = -1;
	int code;
	int r;

	snprintf(holder, sizeof(holder), "pagodafs on %s", mount->point);
	store_set_holder(store, holder);
	r = threads_open(store, request->settings.spin, &threads);
	if (r == 0)
		r = storing_new(store, &storing);
	if (r == 0)
		r = drafts_new(store, &drafts);
	if (r < 0)
		return store_failed(request, r);
	view.storing = storing;
	view.drafts = view.files.drafts = drafts;
	signals = block_signals();
	r = signals < 0 ? signals : begin(request, &view, threads, mount);
	if (r < 0)
		leave(mount, mount_failed(request, r));
	if (ready_fd >= 0)
		daemon_ready(ready_fd);
	code = end_of_view(threads, mount, signals);
	notifier_stop(view.notifier);
	storing_close(TAKE_PTR(storing));
	notifier_close(view.notifier);
	file_close_all(&view.files);
	r = drafts_free(drafts);
	if (r < 0) {
		log_error("the view on %s: %s", mount->point, fail_text(r));
		code = EXIT_FAILED;
	}
	return code;
}

static int run(const struct request *request, int ready_fd)
{
	AUTO(store_close_at) struct store *store = NULL;
	struct mount mount;
	int code;
	int r = store_open(request->path, &store);

	if (r < 0)
		return store_failed(request, r);
	r = check_place(request, &mount);
	/* a relative DIR is known by its path now */
	if (r == 0 && chdir("/") < 0)
		r = fail_with(-errno, "cannot leave the directory: %s", strerror(errno));
	code = r < 0 ? mount_failed(request, r) : run_view(request, store, &mount, ready_fd);
	mount_done(&mount);
	return code;
}

/* What maps are made from is megabytes, once, and goes back to the system when it is
 * freed. Left alone, glibc would keep the likes of it in every thread's heap, since it
 * has seen one freed. */
static void settle_memory(void)
{
#ifdef __GLIBC__
	mallopt(M_MMAP_THRESHOLD, 128 << 10);
#endif
}

/* 0 to go on, else the exit code + 1. */
static int parse(int argc, char **argv, struct request *request)
{
	int first;

	*request = (struct request){0};
	settings_init(&request->settings);
	/* mount.fuse3(8) puts its options behind the operands */
	first = options_parse(rows, request, argc, argv, 1);
	if (first < 0) {
		log_error("%s; see pagodafs --help", fail_text(first));
		return EXIT_USAGE + 1;
	}
	if (request->help || request->version) {
		if (request->help)
			show_help(stdout);
		else
			puts("pagodafs " PACKAGE_VERSION);
		return EXIT_DONE + 1;
	}
	if (argc - first != 2) {
		log_error("a store and a directory are wanted; see pagodafs --help");
		return EXIT_USAGE + 1;
	}
	request->store = argv[first];
	request->dir = argv[first + 1];
	return 0;
}

int main(int argc, char **argv)
{
	struct request request;
	int ready_fd = -1;
	int r;

	daemon_own_descriptors();
	signal(SIGCHLD, SIG_DFL); /* ignored, as it may be inherited, no child can be waited for */
	log_init("pagodafs", LOG_LEVEL_INFO);
	r = parse(argc, argv, &request);
	if (r > 0)
		return r - 1;
	if (!realpath(request.store, request.path))
		return store_failed(&request, -errno);
	if (!request.foreground) {
		ready_fd = daemon_start();
		if (ready_fd < 0)
			return mount_failed(&request, ready_fd);
	}
	/* who writes pages back for others must not wait for that itself; needs a
	 * capability, and without it is only slower under memory pressure */
	prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
	settle_memory();
	return run(&request, ready_fd);
}
