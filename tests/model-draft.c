/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each operation is done to mem of the view and to the plain file. A page that was
 * written belongs to the layer; one that equals what is below it may or may not.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/model.h"

void draft_open_fd(struct snap *snap)
{
	char path[512];

	if (snap->fd >= 0)
		return;
	snap_path(snap, "mem", path);
	snap->fd = open(path, O_RDWR | O_CLOEXEC);
	if (snap->fd < 0)
		fail("open %s for writing: %s", path, strerror(errno));
}

void draft_forget(struct snap *snap)
{
	while (snap->versions) {
		struct version *next = snap->versions->next;

		free(snap->versions);
		snap->versions = next;
	}
}

/* All of it is durable now. */
void draft_is_synced(struct snap *snap)
{
	draft_forget(snap);
	memcpy(snap->synced, snap->bytes, snap->npages * PAGE_BYTES);
	memcpy(snap->synced_layer, snap->layer, sizeof(snap->layer));
	snap->dirty = false;
}

void draft_close_fd(struct snap *snap)
{
	if (snap->fd < 0)
		return;
	if (close(snap->fd) < 0)
		fail("close of %s: %s", snap->name, strerror(errno));
	snap->fd = -1;
	draft_is_synced(snap);
}

/* The pages from off on, len bytes, have been written. */
static void note_written(struct snap *snap, size_t off, size_t len)
{
	if (len == 0)
		return;
	for (size_t pgno = off / PAGE_BYTES; pgno <= (off + len - 1) / PAGE_BYTES; pgno++) {
		struct version *version = malloc(sizeof(*version));
		const char *page = snap->bytes + pgno * PAGE_BYTES;
		bool equal = memcmp(page, snap->parent->bytes + pgno * PAGE_BYTES, PAGE_BYTES) == 0;

		version->pgno = pgno;
		version->next = snap->versions;
		memcpy(version->bytes, page, PAGE_BYTES);
		snap->versions = version;
		snap->layer[pgno] = equal ? LAYER_EITHER : LAYER_HELD;
	}
	snap->dirty = true;
}

static struct snap *pick_draft(size_t *off, size_t *len)
{
	struct snap *snap = snap_pick(true);
	size_t size;
	size_t most;

	if (!snap)
		return NULL;
	draft_open_fd(snap);
	size = snap->npages * PAGE_BYTES;
	most = pick(4) ? 3 * PAGE_BYTES : size;
	*off = pick(size);
	if (pick(2)) /* as a VMM writes */
		*off -= *off % PAGE_BYTES;
	*len = 1 + pick(MIN(most, size - *off));
	if (pick(2))
		*len = MIN(size - *off, (*len + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES);
	return snap;
}

/* Bytes to write: new ones, or what is below, so that nothing changes. */
static void make_bytes(const struct snap *snap, char *to, size_t off, size_t len)
{
	char page[PAGE_BYTES];
	bool old = pick(6) == 0;

	for (size_t at = 0; at < len; at += PAGE_BYTES) {
		fill_random(page);
		memcpy(to + at, old ? snap->parent->bytes + off + at : page,
		       MIN(PAGE_BYTES, len - at));
	}
}

/* Half of the time what was done is made durable. */
static void maybe_sync(struct snap *snap)
{
	if (pick(2))
		return;
	if ((pick(2) ? fsync(snap->fd) : fdatasync(snap->fd)) < 0)
		fail("fsync of %s: %s", snap->name, strerror(errno));
	draft_is_synced(snap);
}

bool draft_write_some(void)
{
	size_t off;
	size_t len;
	struct snap *snap = pick_draft(&off, &len);
	char *bytes;
	ssize_t n;

	if (!snap)
		return false;
	doing("write %zu bytes at %zu of %s", len, off, snap->name);
	bytes = malloc(len);
	make_bytes(snap, bytes, off, len);
	for (size_t done = 0; done < len; done += (size_t)n) {
		n = pwrite(snap->fd, bytes + done, len - done, (off_t)(off + done));
		if (n <= 0)
			fail("write: %s", strerror(errno));
	}
	if (pwrite(snap->plain_fd, bytes, len, (off_t)off) != (ssize_t)len)
		fail("write to %s: %s", snap->plain, strerror(errno));
	free(bytes);
	note_written(snap, off, len);
	maybe_sync(snap);
	compare_mem(snap);
	compare_diff(snap);
	return true;
}

bool draft_map_write(void)
{
	size_t off;
	size_t len;
	struct snap *snap = pick_draft(&off, &len);
	size_t size;
	char *map;

	if (!snap)
		return false;
	doing("write %zu bytes at %zu of %s through a map", len, off, snap->name);
	size = snap->npages * PAGE_BYTES;
	map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, snap->fd, 0);
	if (map == MAP_FAILED)
		fail("mmap: %s", strerror(errno));
	make_bytes(snap, map + off, off, len);
	memcpy(snap->bytes + off, map + off, len); /* the plain file's map */
	if (msync(map, size, MS_SYNC) < 0)
		fail("msync: %s", strerror(errno));
	munmap(map, size);
	note_written(snap, off, len);
	draft_is_synced(snap); /* msync waits for fsync */
	compare_mem(snap);
	compare_diff(snap);
	return true;
}

bool draft_punch(bool zero_range)
{
	size_t off;
	size_t len;
	struct snap *snap = pick_draft(&off, &len);
	int mode = (zero_range ? FALLOC_FL_ZERO_RANGE : FALLOC_FL_PUNCH_HOLE) | FALLOC_FL_KEEP_SIZE;

	if (!snap)
		return false;
	doing("%s %zu bytes at %zu of %s", zero_range ? "zero" : "punch", len, off, snap->name);
	if (fallocate(snap->fd, mode, (off_t)off, (off_t)len) < 0)
		fail("fallocate: %s", strerror(errno));
	/* not every filesystem of plain files can do both */
	memset(snap->bytes + off, 0, len);
	note_written(snap, off, len);
	maybe_sync(snap);
	compare_mem(snap);
	compare_diff(snap);
	return true;
}

bool draft_truncate(void)
{
	struct snap *snap = snap_pick(true);
	size_t size;

	if (!snap)
		return false;
	size = snap->npages * PAGE_BYTES;
	draft_open_fd(snap);
	if (pick(3) == 0) {
		doing("truncate %s to 0", snap->name);
		if (ftruncate(snap->fd, 0) < 0)
			fail("ftruncate to 0: %s", strerror(errno));
		memset(snap->bytes, 0, size);
		note_written(snap, 0, size);
	} else {
		doing("truncate %s to its size, and to another", snap->name);
		if (ftruncate(snap->fd, (off_t)size) < 0)
			fail("ftruncate to the same size: %s", strerror(errno));
		if (ftruncate(snap->fd, (off_t)(size + PAGE_BYTES)) == 0 || errno != EPERM)
			fail("ftruncate to another size is not EPERM");
	}
	maybe_sync(snap);
	compare_mem(snap);
	compare_diff(snap);
	return true;
}

bool draft_sync(void)
{
	struct snap *snap = snap_pick(true);

	if (!snap || snap->fd < 0)
		return false;
	doing("fsync of %s", snap->name);
	if (fsync(snap->fd) < 0)
		fail("fsync: %s", strerror(errno));
	draft_is_synced(snap);
	compare_mem(snap);
	compare_diff(snap);
	return true;
}

bool draft_let_go(void)
{
	struct snap *snap = snap_pick(true);

	if (!snap || snap->fd < 0)
		return false;
	doing("close of %s", snap->name);
	draft_close_fd(snap);
	compare_mem(snap);
	compare_diff(snap);
	return true;
}

static bool was_version(const struct snap *snap, size_t pgno, const char *page)
{
	for (const struct version *version = snap->versions; version; version = version->next)
		if (version->pgno == pgno && memcmp(version->bytes, page, PAGE_BYTES) == 0)
			return true;
	return false;
}

static bool was_written(const struct snap *snap, size_t pgno)
{
	for (const struct version *version = snap->versions; version; version = version->next)
		if (version->pgno == pgno)
			return true;
	return false;
}

/* Each page is as last synced, or as it was at some moment since: never mixed. What it
 * is now is what it stays. */
void draft_after_kill(struct snap *snap)
{
	char path[512];
	char *found = malloc(snap->npages * PAGE_BYTES);
	int fd;

	close(snap->fd); /* of a mount that is gone: what it says is of no interest */
	snap->fd = -1;
	snap_path(snap, "mem", path);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		fail("open %s after a kill: %s", path, strerror(errno));
	read_at(fd, found, snap->npages * PAGE_BYTES, 0, path);
	close(fd);
	for (size_t pgno = 0; pgno < snap->npages; pgno++) {
		size_t at = pgno * PAGE_BYTES;
		bool as_synced = memcmp(found + at, snap->synced + at, PAGE_BYTES) == 0;

		if (!as_synced && !was_version(snap, pgno, found + at))
			fail("%s: page %zu is after a kill what it never was", snap->name, pgno);
		if (!was_written(snap, pgno))
			continue;
		snap->layer[pgno] = snap->synced_layer[pgno];
		if (snap->layer[pgno] == LAYER_ABSENT || !as_synced)
			snap->layer[pgno] = LAYER_EITHER;
		if (memcmp(found + at, snap->parent->bytes + at, PAGE_BYTES) != 0)
			snap->layer[pgno] = LAYER_HELD;
		else if (snap->layer[pgno] == LAYER_HELD)
			snap->layer[pgno] = LAYER_EITHER;
	}
	memcpy(snap->bytes, found, snap->npages * PAGE_BYTES);
	free(found);
	draft_is_synced(snap);
}
