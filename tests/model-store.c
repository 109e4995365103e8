/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tests/model.h"

extern char **environ;

/* Runs `pagoda -q -s STORE WORDS...`, NULL at the end, quietly; its exit code. */
static int pagoda(const char *first, ...)
{
	char *words[16] = {"pagoda", "-q", "-s", (char *)model.store, (char *)first};
	posix_spawn_file_actions_t actions;
	size_t n = 5;
	va_list args;
	pid_t pid;
	int status;

	va_start(args, first);
	while ((words[n] = va_arg(args, char *)))
		n++;
	va_end(args);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "model.err",
					 O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (posix_spawnp(&pid, "pagoda", &actions, NULL, words, environ) != 0 ||
	    waitpid(pid, &status, 0) != pid)
		fail("pagoda cannot be run");
	posix_spawn_file_actions_destroy(&actions);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void expect(int want, int code, const char *command)
{
	char words[512] = "";
	FILE *file;

	if (code == want)
		return;
	file = fopen("model.err", "r");
	if (file && !fgets(words, sizeof(words), file))
		words[0] = '\0';
	fail("pagoda %s ended with %d, not %d: %s", command, code, want, words);
}

void snap_path(const struct snap *snap, const char *file, char path[512])
{
	snprintf(path, 512, "%s/%s/%s", model.mount, snap->name, file);
}

struct snap *snap_pick(bool draft)
{
	struct snap *found[SNAPSHOTS_MAX];
	size_t n = 0;

	for (size_t i = 0; i < SNAPSHOTS_MAX; i++)
		if (model.snaps[i].name[0] && model.snaps[i].is_draft == draft)
			found[n++] = &model.snaps[i];
	return n > 0 ? found[pick(n)] : NULL;
}

/* A free place in the model, with a plain file that is all zeros; NULL: it is full. */
static struct snap *snap_new(size_t npages, struct snap *parent)
{
	char name[sizeof(parent->name)];

	for (size_t i = 0; i < SNAPSHOTS_MAX; i++) {
		struct snap *snap = &model.snaps[i];

		if (snap->name[0])
			continue;
		*snap = (struct snap){.npages = npages, .parent = parent, .fd = -1};
		snprintf(name, sizeof(name), "s%u", model.made++);
		snprintf(snap->plain, sizeof(snap->plain), "%s/%s.mem", model.plain, name);
		strcpy(snap->name, name);
		snap->plain_fd = open(snap->plain, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		if (snap->plain_fd < 0 ||
		    ftruncate(snap->plain_fd, (off_t)(npages * PAGE_BYTES)) < 0)
			fail("%s: %s", snap->plain, strerror(errno));
		snap->bytes = mmap(NULL, npages * PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
				   snap->plain_fd, 0);
		if (snap->bytes == MAP_FAILED)
			fail("mapping %s: %s", snap->plain, strerror(errno));
		return snap;
	}
	return NULL;
}

static void snap_free(struct snap *snap)
{
	draft_forget(snap);
	free(snap->synced);
	munmap(snap->bytes, snap->npages * PAGE_BYTES);
	close(snap->plain_fd);
	unlink(snap->plain);
	snap->name[0] = '\0';
}

bool store_import(void)
{
	static const size_t sizes[] = {1, 17, 64, 256, 300};
	struct snap *snap = snap_new(sizes[pick(ARRAY_SIZE(sizes))], NULL);

	if (!snap)
		return false;
	doing("import %s, %zu pages", snap->name, snap->npages);
	for (size_t pgno = 0; pgno < snap->npages; pgno++) {
		char page[PAGE_BYTES];

		fill_random(page);
		/* what is not written stays a hole of the image */
		if (!page_is_zero(page) || pick(2))
			memcpy(snap->bytes + pgno * PAGE_BYTES, page, PAGE_BYTES);
		snap->layer[pgno] = LAYER_HELD; /* a base has no absent pages */
	}
	expect(0, pagoda("import", snap->name, snap->plain, NULL), "import");
	compare_mem(snap);
	compare_diff(snap);
	return true;
}

/* The file of a diff: data where the layer holds a page, a hole where it does not. */
static void write_diff(const struct snap *snap, const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || ftruncate(fd, (off_t)(snap->npages * PAGE_BYTES)) < 0)
		fail("%s: %s", path, strerror(errno));
	for (size_t pgno = 0; pgno < snap->npages; pgno++)
		if (snap->layer[pgno] == LAYER_HELD &&
		    pwrite(fd, snap->bytes + pgno * PAGE_BYTES, PAGE_BYTES,
			   (off_t)(pgno * PAGE_BYTES)) != (ssize_t)PAGE_BYTES)
			fail("%s: %s", path, strerror(errno));
	close(fd);
}

/* Changes some pages of what is the parent's, and sees to the layer: of a diff every
 * page in it, else those that differ. */
static void change_some(struct snap *snap, bool diff)
{
	size_t changes = pick(1 + snap->npages / 3);

	memcpy(snap->bytes, snap->parent->bytes, snap->npages * PAGE_BYTES);
	for (size_t i = 0; i < changes; i++) {
		size_t pgno = pick(snap->npages);
		char *page = snap->bytes + pgno * PAGE_BYTES;
		char bytes[PAGE_BYTES];

		fill_random(bytes);
		if (pick(5) > 0) /* else it is in the diff and as before */
			memcpy(page, bytes, PAGE_BYTES);
		if (diff || memcmp(page, snap->parent->bytes + pgno * PAGE_BYTES, PAGE_BYTES) != 0)
			snap->layer[pgno] = LAYER_HELD;
		else
			snap->layer[pgno] = LAYER_ABSENT;
	}
}

bool store_import_layer(bool diff)
{
	struct snap *parent = snap_pick(false);
	struct snap *snap = parent ? snap_new(parent->npages, parent) : NULL;
	char path[300];

	if (!snap)
		return false;
	doing("import %s%s over %s", diff ? "the diff " : "", snap->name, parent->name);
	change_some(snap, diff);
	snprintf(path, sizeof(path), "%s/%s.diff", model.plain, snap->name);
	if (diff) {
		write_diff(snap, path);
		expect(0,
		       pagoda("import", snap->name, path, "--parent", parent->name, "--diff", NULL),
		       "import --diff");
		unlink(path);
	} else {
		expect(0, pagoda("import", snap->name, snap->plain, "--parent", parent->name, NULL),
		       "import --parent");
	}
	compare_mem(snap);
	compare_diff(snap);
	return true;
}

bool store_fork(void)
{
	struct snap *parent = snap_pick(false);
	struct snap *snap = parent ? snap_new(parent->npages, parent) : NULL;

	if (!snap)
		return false;
	doing("fork %s of %s", snap->name, parent->name);
	snap->is_draft = true;
	memcpy(snap->bytes, parent->bytes, snap->npages * PAGE_BYTES);
	snap->synced = malloc(snap->npages * PAGE_BYTES);
	draft_is_synced(snap);
	expect(0, pagoda("fork", parent->name, snap->name, NULL), "fork");
	compare_mem(snap);
	compare_diff(snap);
	return true;
}

bool store_seal(void)
{
	struct snap *snap = snap_pick(true);

	if (!snap)
		return false;
	doing("seal %s", snap->name);
	if (snap->fd >= 0 && pick(16) == 0) /* it waits 2 s for the handle to go */
		expect(5, pagoda("seal", snap->name, NULL), "seal of an open draft");
	draft_close_fd(snap);
	expect(0, pagoda("seal", snap->name, NULL), "seal");
	snap->is_draft = false;
	free(snap->synced);
	snap->synced = NULL;
	compare_mem(snap);
	compare_diff(snap);
	return true;
}

static bool has_child(const struct snap *snap)
{
	for (size_t i = 0; i < SNAPSHOTS_MAX; i++)
		if (model.snaps[i].name[0] && model.snaps[i].parent == snap)
			return true;
	return false;
}

bool store_remove(void)
{
	struct snap *snap = snap_pick(pick(2));
	char path[512];

	if (!snap)
		return false;
	doing("rm %s", snap->name);
	if (has_child(snap)) {
		expect(5, pagoda("rm", snap->name, NULL), "rm of a parent");
		return true;
	}
	if (snap->fd >= 0 && pick(16) == 0) /* it waits 2 s for the handle to go */
		expect(5, pagoda("rm", snap->name, NULL), "rm of an open draft");
	if (snap->is_draft)
		draft_close_fd(snap);
	expect(0, pagoda("rm", snap->name, NULL), "rm");
	snap_path(snap, "mem", path);
	if (open(path, O_RDONLY | O_CLOEXEC) >= 0 || errno != ENOENT)
		fail("%s is still there", path);
	snap_free(snap);
	return true;
}

bool store_gc(void)
{
	doing("gc");
	expect(0, pagoda("gc", NULL), "gc");
	compare_all();
	return true;
}

bool store_export(void)
{
	struct snap *snap = snap_pick(false);
	char path[300];
	char *found;
	int fd;

	if (!snap)
		return false;
	doing("export %s", snap->name);
	snprintf(path, sizeof(path), "%s/exported", model.plain);
	expect(0, pagoda("export", snap->name, path, NULL), "export");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	found = malloc(snap->npages * PAGE_BYTES);
	if (fd < 0 || lseek(fd, 0, SEEK_END) != (off_t)(snap->npages * PAGE_BYTES))
		fail("the export of %s has another size", snap->name);
	read_at(fd, found, snap->npages * PAGE_BYTES, 0, path);
	if (memcmp(found, snap->bytes, snap->npages * PAGE_BYTES) != 0)
		fail("the export of %s differs", snap->name);
	free(found);
	close(fd);
	unlink(path);
	return true;
}

bool store_check(void)
{
	doing("check");
	expect(0, pagoda("check", "--read-data", NULL), "check --read-data");
	return true;
}

void store_mount(void)
{
	expect(0, pagoda("mount", model.mount, NULL), "mount");
}

static void drafts_close(void)
{
	for (size_t i = 0; i < SNAPSHOTS_MAX; i++)
		if (model.snaps[i].name[0] && model.snaps[i].is_draft)
			draft_close_fd(&model.snaps[i]);
}

void store_remount(void)
{
	doing("umount and mount");
	drafts_close();
	expect(0, pagoda("umount", model.mount, NULL), "umount");
	store_mount();
	compare_all();
}

void store_kill(void)
{
	char text[32] = "";
	struct pollfd end = {.events = POLLIN};
	pid_t pid;

	doing("kill -9 of pagodafs");
	if (getxattr(model.mount, "user.pagoda.pid", text, sizeof(text) - 1) < 0)
		fail("%s is no view: %s", model.mount, strerror(errno));
	pid = (pid_t)atoi(text);
	end.fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (end.fd < 0 || kill(pid, SIGKILL) < 0 || poll(&end, 1, 20000) != 1)
		fail("pagodafs (pid %d) does not die: %s", (int)pid, strerror(errno));
	close(end.fd);
	store_mount();
	for (size_t i = 0; i < SNAPSHOTS_MAX; i++)
		if (model.snaps[i].name[0] && model.snaps[i].fd >= 0)
			draft_after_kill(&model.snaps[i]);
	compare_all();
}

void store_end(void)
{
	doing("the end");
	drafts_close();
	compare_all();
	store_check();
	doing("the end");
	expect(0, pagoda("umount", model.mount, NULL), "umount");
	for (size_t i = 0; i < SNAPSHOTS_MAX; i++)
		if (model.snaps[i].name[0])
			snap_free(&model.snaps[i]);
}
