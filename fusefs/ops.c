/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long the kernel may believe what it is told is in names.c.
 *
 * A fixed file opened for writing is direct_io on that handle: a shared map of
 * it would write into the pages that every other reader sees. Those pages are
 * kept all the same: without keep_cache the kernel would drop them at every open.
 * (It still drops them when such a handle is mapped privately; there is no flag
 * against that.)
 *
 * The kernel is never notified of anything from here: a notification from a request
 * handler can wait for that very request. notifier.c does it.
 */
#include "config.h"

#include "fusefs/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/fail.h"
#include "base/view-names.h"
#include "db/catalog.h"
#include "db/draft.h"
#include "fusefs/file.h"
#include "fusefs/listing.h"
#include "fusefs/names.h"
#include "fusefs/node.h"
#include "fusefs/reply.h"
#include "fusefs/storing.h"
#include "fusefs/threads.h"
#include "fusefs/view.h"

#define REQUESTS_MOST 64 /* readahead in flight */
#define XATTR_ROOM (SNAPSHOT_NAME_MAX + 1)

static struct view *view_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

static struct file *file_of(const struct fuse_file_info *fi)
{
	return (struct file *)(uintptr_t)fi->fh;
}

/* ---- the session ---- */

static void op_init(UNUSED void *data, struct fuse_conn_info *conn)
{
	conn->max_write = THREADS_REPLY_BYTES; /* decides the largest read, too */
	conn->max_background = REQUESTS_MOST;
	conn->congestion_threshold = REQUESTS_MOST * 3 / 4;
	/* AUTO_INVAL_DATA drops the page cache on any doubt. O_TRUNC as part of open
	 * makes the kernel's size 0 whatever is answered. Requests are small: splice
	 * costs more than it saves. */
	conn->want &= ~(unsigned int)(FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_ATOMIC_O_TRUNC |
				      FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE |
				      FUSE_CAP_SPLICE_MOVE);
}

static void op_statfs(fuse_req_t req, UNUSED fuse_ino_t ino)
{
	const char *store = store_path(view_of(req)->store);
	struct statvfs st;

	if (statvfs(store, &st) < 0) {
		reply_failure(req, "statfs", store, fail_with(-errno, "%s", strerror(errno)));
		return;
	}
	st.f_namemax = SNAPSHOT_NAME_MAX;
	fuse_reply_statfs(req, &st);
}

/* ---- names and attributes ---- */

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param entry;
	int r = names_find(view_of(req), threads_current()->index, parent, name, &entry);

	if (r < 0)
		reply_failure(req, "lookup", name, r);
	else
		fuse_reply_entry(req, &entry);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	reply_stat(req, threads_current()->index, ino, fi ? file_of(fi) : NULL);
}

/* Owner, mode and times are the mount's and the snapshot's, not the caller's. */
static void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
		       struct fuse_file_info *fi)
{
	enum node_kind kind = ino == NODE_ROOT ? NODE_DIR : node_kind(ino);
	struct view *view = view_of(req);
	struct file *file = fi ? file_of(fi) : NULL;
	uint64_t size = (uint64_t)attr->st_size;
	char text[REPLY_NODE_ROOM];
	int r;

	/* there are none to take away: see fusefs/agreement.h */
	to_set &= ~(FUSE_SET_ATTR_KILL_SUID | FUSE_SET_ATTR_KILL_SGID);
	if (kind == NODE_KINDS) {
		fuse_reply_err(req, ESTALE);
		return;
	}
	if (to_set == 0) { /* chown(2) with -1 and -1 */
		reply_stat(req, threads_current()->index, ino, file);
		return;
	}
	if (kind == NODE_DIR || to_set != FUSE_SET_ATTR_SIZE) {
		fuse_reply_err(req, EPERM);
		return;
	}
	if (node_type(kind)->is_drafted && !(file && file_is_fixed(file))) {
		storing_truncate(view->storing, req, ino, file, size);
		return;
	}
	if (file)
		r = file_truncate(file, size);
	else if (!node_type(kind)->is_replaceable)
		r = -EROFS;
	else if (!file_truncate_open(&view->files, ino, size, &r)) {
		storing_truncate(view->storing, req, ino, NULL, size);
		return;
	}
	if (r < 0)
		reply_failure(req, "truncation", reply_node(ino, text), r);
	else
		reply_stat(req, threads_current()->index, ino, file);
}

/* ---- extended attributes: how `pagoda umount` finds the daemon ---- */

static const char *xattr_value(struct view *view, const char *name, char text[XATTR_ROOM])
{
	if (strcmp(name, VIEW_XATTR_STORE) == 0)
		return store_path(view->store);
	if (strcmp(name, VIEW_XATTR_UNSTORED) == 0)
		return drafts_find_dirty(view->drafts, text) ? text : NULL;
	if (strcmp(name, VIEW_XATTR_PID) != 0)
		return NULL;
	snprintf(text, XATTR_ROOM, "%d", (int)getpid());
	return text;
}

/* size 0 asks for the length only. */
static void reply_xattr(fuse_req_t req, const char *data, size_t len, size_t size)
{
	if (size == 0)
		fuse_reply_xattr(req, len);
	else if (size < len)
		fuse_reply_err(req, ERANGE);
	else
		fuse_reply_buf(req, data, len);
}

static void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	char text[XATTR_ROOM];
	const char *value = ino == NODE_ROOT ? xattr_value(view_of(req), name, text) : NULL;

	if (!value)
		fuse_reply_err(req, ENODATA);
	else
		reply_xattr(req, value, strlen(value), size);
}

static void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	static const char names[] = VIEW_XATTR_PID "\0" VIEW_XATTR_STORE;

	reply_xattr(req, names, ino == NODE_ROOT ? sizeof(names) : 0, size);
}

/* ---- directories ---- */

static void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st;
	char text[REPLY_NODE_ROOM];
	double timeout;
	int r = names_stat(view_of(req), threads_current()->index, ino, &st, &timeout);

	/* implemented, so that the kernel does not cache listings on its own */
	if (r < 0)
		reply_failure(req, "opening", reply_node(ino, text), r);
	else
		fuse_reply_open(req, fi);
}

static void op_releasedir(fuse_req_t req, UNUSED fuse_ino_t ino, UNUSED struct fuse_file_info *fi)
{
	fuse_reply_err(req, 0);
}

static void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		       UNUSED struct fuse_file_info *fi)
{
	struct worker *worker = threads_current();
	struct listing listing = {
		.req = req, .data = worker->reply, .room = MIN(size, THREADS_REPLY_BYTES)};
	char text[REPLY_NODE_ROOM];
	int r = ino == NODE_ROOT ? listing_root(&listing, worker->index, (uint64_t)off)
				 : listing_snapshot(&listing, worker->index, ino, (uint64_t)off);

	if (r == 0 && listing.left_out < 0)
		reply_log(view_of(req), "listing", reply_node(ino, text),
			  fail_with(listing.left_out, "%s", listing.why));
	/* what was listed before an error is worth an answer; the error comes again */
	if (r < 0 && listing.used == 0)
		reply_failure(req, "listing", reply_node(ino, text), r);
	else
		fuse_reply_buf(req, listing.data, listing.used);
}

/* ---- files ---- */

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	bool for_writing = (fi->flags & O_ACCMODE) != O_RDONLY;
	struct view *view = view_of(req);
	struct file *file = NULL;
	int r = file_open(&view->files, threads_current()->index, ino, for_writing, false, &file);

	if (r == -EAGAIN)
		storing_open(view->storing, req, ino, fi);
	else
		storing_opened(view->storing, req, ino, fi, r, file);
}

/* Answered before it is done: nobody waits for it, and it would count against
 * the requests of the read-ahead. */
static void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct view *view = view_of(req);
	struct file *file = file_of(fi);

	fuse_reply_err(req, 0);
	storing_release(view->storing, ino, file);
}

/* The whole range up to the end of the file, or EIO: a short answer inside it
 * would be SIGBUS, or zeros, for who has it mapped. */
static void op_read(fuse_req_t req, UNUSED fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi)
{
	struct worker *worker = threads_current();
	struct file *file = file_of(fi);
	size_t len;
	int r;

	if (size > THREADS_REPLY_BYTES) {
		fuse_reply_err(req, EINVAL);
		return;
	}
	r = file_read(file, worker->pages, (uint64_t)off, worker->reply, size, &len);
	if (r == 0) {
		fuse_reply_buf(req, worker->reply, len);
		return;
	}
	reply_log(view_of(req), "read", file_name(file), r);
	fuse_reply_err(req, EIO);
}

static void op_write(fuse_req_t req, UNUSED fuse_ino_t ino, const char *data, size_t size,
		     off_t off, struct fuse_file_info *fi)
{
	struct file *file = file_of(fi);
	bool append = fi->flags & O_APPEND;
	size_t len = 0;
	int r = file_write(file, threads_current()->pages, (uint64_t)off, append, data, size, &len);

	if (r == -EAGAIN)
		storing_write(view_of(req)->storing, req, file, (uint64_t)off, append, data, size);
	else if (r < 0)
		storing_write_failed(view_of(req)->storing, req, file, (uint64_t)off, size, r);
	else
		fuse_reply_write(req, len);
}

static void op_flush(fuse_req_t req, UNUSED fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct file *file = file_of(fi);

	if (file_change(file) == CONTENT_WRITTEN)
		storing_store(view_of(req)->storing, req, file);
	else
		fuse_reply_err(req, 0);
}

static void op_fsync(fuse_req_t req, UNUSED fuse_ino_t ino, UNUSED int datasync,
		     struct fuse_file_info *fi)
{
	struct file *file = file_of(fi);

	if (file_change(file) != CONTENT_STORED)
		storing_store(view_of(req)->storing, req, file);
	else
		fuse_reply_err(req, 0);
}

static void op_lseek(fuse_req_t req, UNUSED fuse_ino_t ino, off_t off, int whence,
		     struct fuse_file_info *fi)
{
	struct file *file = file_of(fi);
	uint64_t to;
	int r;

	if (whence != SEEK_DATA && whence != SEEK_HOLE) {
		fuse_reply_err(req, EINVAL);
		return;
	}
	r = file_seek(file, off, whence == SEEK_DATA, &to);
	if (r < 0)
		reply_failure(req, "seek", file_name(file), r);
	else
		fuse_reply_lseek(req, (off_t)to);
}

/* Both make zeros of a range and leave the size. ZERO_RANGE without KEEP_SIZE may ask
 * for more bytes, which mem cannot have. */
static bool fallocate_zeroes(int mode, off_t off, off_t len, struct file *file)
{
	if (mode == (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE) ||
	    mode == (FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE))
		return true;
	return mode == FALLOC_FL_ZERO_RANGE && (uint64_t)off + (uint64_t)len <= file_size(file);
}

static void op_fallocate(fuse_req_t req, UNUSED fuse_ino_t ino, int mode, off_t off, off_t len,
			 struct fuse_file_info *fi)
{
	struct file *file = file_of(fi);
	int r;

	if (file_is_fixed(file))
		r = -EROFS;
	else if (!fallocate_zeroes(mode, off, len, file))
		r = -EOPNOTSUPP;
	else
		r = file_zero(file, threads_current()->pages, (uint64_t)off, (uint64_t)len);
	if (r == -EAGAIN)
		storing_zero(view_of(req)->storing, req, file, (uint64_t)off, (uint64_t)len);
	else if (r < 0)
		reply_failure(req, "fallocate", file_name(file), r);
	else
		fuse_reply_err(req, 0);
}

/* ---- names are made and taken away by pagoda(1), not here ---- */

static void op_create(fuse_req_t req, UNUSED fuse_ino_t parent, UNUSED const char *name,
		      UNUSED mode_t mode, UNUSED struct fuse_file_info *fi)
{
	fuse_reply_err(req, EPERM);
}

static void op_mknod(fuse_req_t req, UNUSED fuse_ino_t parent, UNUSED const char *name,
		     UNUSED mode_t mode, UNUSED dev_t rdev)
{
	fuse_reply_err(req, EPERM);
}

static void op_mkdir(fuse_req_t req, UNUSED fuse_ino_t parent, UNUSED const char *name,
		     UNUSED mode_t mode)
{
	fuse_reply_err(req, EPERM);
}

/* unlink and rmdir */
static void op_remove(fuse_req_t req, UNUSED fuse_ino_t parent, UNUSED const char *name)
{
	fuse_reply_err(req, EPERM);
}

static void op_symlink(fuse_req_t req, UNUSED const char *target, UNUSED fuse_ino_t parent,
		       UNUSED const char *name)
{
	fuse_reply_err(req, EPERM);
}

static void op_rename(fuse_req_t req, UNUSED fuse_ino_t parent, UNUSED const char *name,
		      UNUSED fuse_ino_t to_parent, UNUSED const char *to_name,
		      UNUSED unsigned int flags)
{
	fuse_reply_err(req, EPERM);
}

static void op_link(fuse_req_t req, UNUSED fuse_ino_t ino, UNUSED fuse_ino_t to_parent,
		    UNUSED const char *to_name)
{
	fuse_reply_err(req, EPERM);
}

const struct fuse_lowlevel_ops ops_table = {
	.init = op_init,
	.statfs = op_statfs,
	.lookup = op_lookup,
	.getattr = op_getattr,
	.setattr = op_setattr,
	.getxattr = op_getxattr,
	.listxattr = op_listxattr,
	.opendir = op_opendir,
	.readdir = op_readdir,
	.releasedir = op_releasedir,
	.open = op_open,
	.read = op_read,
	.write = op_write,
	.flush = op_flush,
	.fsync = op_fsync,
	.release = op_release,
	.lseek = op_lseek,
	.fallocate = op_fallocate,
	.create = op_create,
	.mknod = op_mknod,
	.mkdir = op_mkdir,
	.unlink = op_remove,
	.rmdir = op_remove,
	.symlink = op_symlink,
	.rename = op_rename,
	.link = op_link,
};
