/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "bench/null-fuse.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "base/io.h"
#include "fusefs/fuse.h"
#include "fusefs/mount.h"
#include "fusefs/ops.h"
#include "fusefs/settings.h"

#define THREADS 4 /* as pagodafs has */
#define INODE 2
#define FOR_EVER 86400.0

static const struct image *image_of(fuse_req_t req)
{
	return ((const struct null_fuse *)fuse_req_userdata(req))->image;
}

static void attributes(fuse_req_t req, fuse_ino_t ino, struct stat *ret)
{
	*ret = (struct stat){.st_ino = ino, .st_nlink = 1, .st_uid = getuid(), .st_gid = getgid()};
	ret->st_mode = ino == INODE ? S_IFREG | 0640 : S_IFDIR | 0700;
	if (ino == INODE) {
		ret->st_size = (off_t)image_of(req)->size;
		ret->st_blocks = ret->st_size / 512;
	}
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param entry = {
		.ino = INODE, .attr_timeout = FOR_EVER, .entry_timeout = FOR_EVER};

	if (parent != FUSE_ROOT_ID || strcmp(name, "mem") != 0) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	attributes(req, INODE, &entry.attr);
	fuse_reply_entry(req, &entry);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, UNUSED struct fuse_file_info *fi)
{
	struct stat st;

	attributes(req, ino, &st);
	fuse_reply_attr(req, &st, FOR_EVER);
}

static void op_open(fuse_req_t req, UNUSED fuse_ino_t ino, struct fuse_file_info *fi)
{
	fi->keep_cache = 1;
	fuse_reply_open(req, fi);
}

static void op_release(fuse_req_t req, UNUSED fuse_ino_t ino, UNUSED struct fuse_file_info *fi)
{
	fuse_reply_err(req, 0);
}

static void op_read(fuse_req_t req, UNUSED fuse_ino_t ino, size_t size, off_t at,
		    UNUSED struct fuse_file_info *fi)
{
	const struct image *image = image_of(req);
	uint64_t off = MIN((uint64_t)at, image->size);

	fuse_reply_buf(req, (const char *)image->bytes + off, MIN(size, image->size - off));
}

static void op_write(fuse_req_t req, UNUSED fuse_ino_t ino, const char *bytes, size_t size,
		     off_t at, UNUSED struct fuse_file_info *fi)
{
	const struct image *image = image_of(req);
	uint64_t off = MIN((uint64_t)at, image->size);

	size = MIN(size, image->size - off);
	memcpy(image->bytes + off, bytes, size);
	fuse_reply_write(req, size);
}

static int serve_one(struct fuse_session *session, struct fuse_buf *request)
{
	int r;

	do {
		r = fuse_session_receive_buf(session, request);
	} while (r == -EINTR || r == -EAGAIN);
	if (r > 0)
		fuse_session_process_buf(session, request);
	return r;
}

static void *thread_main(void *session)
{
	struct fuse_buf request = {.mem = NULL};

	while (serve_one(session, &request) > 0)
		;
	free(request.mem);
	return NULL;
}

static int threads_run(struct fuse_session *session, int ready_fd)
{
	pthread_t threads[THREADS];

	for (size_t i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, thread_main, session) != 0)
			return fail_with(-EAGAIN, "cannot start a thread");
	if (io_write_full(ready_fd, "\n", 1) < 0)
		return fail_with(-EIO, "nobody waits for null-fuse");
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	return 0;
}

int null_fuse_serve(const void *argument, int ready_fd)
{
	const struct fuse_lowlevel_ops ops = {
		.init = ops_table.init, /* the same agreement with the kernel */
		.lookup = op_lookup,
		.getattr = op_getattr,
		.open = op_open,
		.release = op_release,
		.read = op_read,
		.write = op_write,
	};
	const struct null_fuse *setup = argument;
	struct settings settings;
	struct mount mount;
	struct fuse_buf request = {.mem = NULL};
	int r = mount_open(setup->dir, &mount);

	settings_init(&settings);
	if (r == 0)
		r = mount_attach(&mount, "null-fuse", &settings, &ops, sizeof(ops), (void *)setup);
	if (r == 0)
		r = serve_one(mount.session, &request) > 0 ? 0 : -EIO;
	free(request.mem);
	if (r == 0) {
		mount_tune(&mount);
		r = threads_run(mount.session, ready_fd);
	}
	mount_done(&mount);
	return r;
}
