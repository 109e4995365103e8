/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "db/pack.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fail.h"
#include "base/io.h"
#include "db/read-ahead.h"
#include "db/store-private.h"

#define BUFFER_BYTES (256U << 10)

static const char magic[8] = {'P', 'A', 'G', 'O', 'D', 'A', 'P', 'K'};

struct pack_header {
	char magic[8];
	uint32_t version;
	uint32_t header_bytes;
	uint8_t uuid[STORE_UUID_BYTES];
	uint64_t number;
	uint8_t zero[24];
};
_Static_assert(sizeof(struct pack_header) == PACK_HEADER_BYTES, "as documented");

struct pack_writer {
	uint32_t number;
	int fd;
	uint64_t written; /* bytes in the file */
	uint64_t synced;  /* of those, durable */
	size_t used;	  /* bytes in the buffer, to come after written */
	bool broken;	  /* a sync failed: nobody knows what of it is durable */
	struct pack_header header;
	char buffer[BUFFER_BYTES];
};

void pack_path(const struct store *store, uint32_t number, char *path)
{
	snprintf(path, PATH_MAX, "%s/packs/%" PRIu32 ".pack", store->path, number);
}

static struct pack_header header_make(const struct store *store, uint32_t number)
{
	struct pack_header header = {.version = htole32(1),
				     .header_bytes = htole32(PACK_HEADER_BYTES),
				     .number = htole64(number)};

	memcpy(header.magic, magic, sizeof(magic));
	memcpy(header.uuid, store->uuid, STORE_UUID_BYTES);
	return header;
}

int pack_open(const struct store *store, uint32_t number, int *ret_fd)
{
	struct pack_header wanted = header_make(store, number);
	struct pack_header found;
	struct stat st;
	char path[PATH_MAX];
	AUTO_CLOSE int fd = -1;
	ssize_t n;

	pack_path(store, number, path);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK); /* it may be a FIFO */
	if (fd < 0)
		return fail_with(-errno, "pack %" PRIu32 ": %s", number, strerror(errno));
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return fail_with(-EBADMSG, "pack %" PRIu32 " is not a file", number);
	read_ahead_own(fd); /* before the first read, which would leave a mark to go on at */
	n = io_pread_full(fd, &found, sizeof(found), 0);
	if (n < 0)
		return fail_with((int)n, "pack %" PRIu32 ": %s", number, strerror((int)-n));
	if (n != sizeof(found) || memcmp(&found, &wanted, sizeof(found)) != 0)
		return fail_with(-EBADMSG, "pack %" PRIu32 ": its header is not that of this pack",
				 number);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* The lock tells who collects garbage that this pack is still being written. */
static int lock_whole(int fd)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};

	return fcntl(fd, F_OFD_SETLK, &lock) < 0 ? -errno : 0;
}

int pack_writer_open(const struct store *store, uint32_t number, struct pack_writer **ret)
{
	struct pack_header header = header_make(store, number);
	AUTO(pack_writer_close_at) struct pack_writer *writer = malloc(sizeof(*writer));
	char path[PATH_MAX];
	char packs[PATH_MAX];
	int r;

	if (!writer)
		return fail_with(-ENOMEM, "out of memory");
	writer->number = number;
	writer->fd = -1;
	writer->written = writer->synced = writer->used = 0;
	writer->broken = false;
	writer->header = header;
	pack_path(store, number, path);
	snprintf(packs, sizeof(packs), "%.*s", (int)(strrchr(path, '/') - path), path);
	writer->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (writer->fd < 0) /* ENOENT: the directory packs is missing */
		return fail_with(errno == ENOENT ? -EBADMSG : -errno, "making pack %" PRIu32 ": %s",
				 number, strerror(errno));
	io_own_like(writer->fd, store->path);
	r = lock_whole(writer->fd);
	if (r == 0)
		r = io_sync_dir(packs);
	if (r < 0)
		return fail_with(r, "making pack %" PRIu32 ": %s", number, strerror(-r));
	memcpy(writer->buffer, &header, sizeof(header));
	writer->used = sizeof(header);
	*ret = TAKE_PTR(writer);
	return 0;
}

void pack_writer_close(struct pack_writer *writer)
{
	if (!writer)
		return;
	if (writer->fd >= 0)
		close(writer->fd);
	free(writer);
}

uint32_t pack_writer_number(const struct pack_writer *writer)
{
	return writer->number;
}

uint64_t pack_writer_size(const struct pack_writer *writer)
{
	return writer->written + writer->used;
}

static int flush(struct pack_writer *writer)
{
	int r = io_pwrite_full(writer->fd, writer->buffer, writer->used, writer->written);

	if (r < 0)
		return fail_with(r, "writing pack %" PRIu32 ": %s", writer->number, strerror(-r));
	writer->written += writer->used;
	writer->used = 0;
	return 0;
}

int pack_writer_append(struct pack_writer *writer, const void *block, size_t len)
{
	if (writer->used + len > BUFFER_BYTES) {
		int r = flush(writer);

		if (r < 0)
			return r;
	}
	memcpy(writer->buffer + writer->used, block, len);
	writer->used += len;
	return 0;
}

int pack_writer_read(struct pack_writer *writer, uint64_t off, void *buf, size_t len)
{
	ssize_t n;

	if (off >= writer->written) { /* blocks are never split between the two */
		memcpy(buf, writer->buffer + (off - writer->written), len);
		return 0;
	}
	n = io_pread_full(writer->fd, buf, len, off);
	if (n < 0 || (size_t)n != len)
		return fail_with(n < 0 ? (int)n : -EIO, "reading pack %" PRIu32 " back: %s",
				 writer->number, n < 0 ? strerror((int)-n) : "it is cut short");
	return 0;
}

int pack_writer_flush(struct pack_writer *writer, uint64_t *ret_written)
{
	int r = writer->used > 0 ? flush(writer) : 0;

	if (r == 0)
		*ret_written = writer->written;
	return r;
}

int pack_writer_sync_flushed(struct pack_writer *writer, uint64_t written)
{
	if (writer->broken)
		return fail_with(-EIO, "pack %" PRIu32 " could not be synced before",
				 writer->number);
	if (writer->synced >= written)
		return 0;
	if (fdatasync(writer->fd) < 0) {
		int r = fail_with(-errno, "syncing pack %" PRIu32 ": %s", writer->number,
				  strerror(errno));

		writer->broken = true;
		return r;
	}
	writer->synced = written;
	return 0;
}

int pack_writer_sync(struct pack_writer *writer)
{
	uint64_t written = 0;
	int r;

	/* nothing is added to a pack that is broken */
	if (writer->broken)
		return pack_writer_sync_flushed(writer, 0);
	r = pack_writer_flush(writer, &written);
	return r < 0 ? r : pack_writer_sync_flushed(writer, written);
}

void pack_writer_truncate(struct pack_writer *writer)
{
	/* a failure leaves garbage behind, which is written over or goes with the pack */
	(void)!ftruncate(writer->fd, (off_t)writer->synced);
	writer->written = writer->synced;
	writer->used = 0;
	if (writer->written == 0) { /* its header too: a pack that goes on begins with it */
		memcpy(writer->buffer, &writer->header, sizeof(writer->header));
		writer->used = sizeof(writer->header);
	}
}

bool pack_writer_is_broken(const struct pack_writer *writer)
{
	return writer->broken;
}
