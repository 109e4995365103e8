/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tests/vmm/state.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "base/io.h"

#define STATE_MAGIC "PAGODAVM"
#define STATE_VERSION 1

struct file {
	char magic[8];
	uint32_t version;
	uint32_t size;
	struct state state;
	uint64_t sum; /* of all bytes before it */
};

/* FNV-1a */
static uint64_t sum_of(const struct file *file)
{
	const unsigned char *bytes = (const unsigned char *)file;
	uint64_t sum = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < offsetof(struct file, sum); i++)
		sum = (sum ^ bytes[i]) * UINT64_C(0x100000001b3);
	return sum;
}

int state_write(const char *path, const struct state *state)
{
	struct file file = {.version = STATE_VERSION, .size = sizeof(file), .state = *state};
	AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int r;

	memcpy(file.magic, STATE_MAGIC, sizeof(file.magic));
	file.sum = sum_of(&file);
	if (fd < 0)
		return fail_with(-errno, "cannot open the vmstate %s: %s", path, strerror(errno));
	r = io_write_full(fd, &file, sizeof(file));
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	return r < 0 ? fail_with(r, "cannot write the vmstate %s: %s", path, strerror(-r)) : 0;
}

/* What is wrong with the file, of which so many bytes were read; NULL for nothing. */
static const char *fault_of(const struct file *file, size_t len)
{
	if (len < offsetof(struct file, state) ||
	    memcmp(file->magic, STATE_MAGIC, sizeof(file->magic)) != 0)
		return "it is not one of this VMM";
	if (file->version != STATE_VERSION)
		return "its version is another one";
	if (len != sizeof(*file) || file->size != sizeof(*file))
		return "its length is wrong";
	if (file->sum != sum_of(file))
		return "its checksum is wrong";
	return NULL;
}

int state_read(const char *path, struct state *ret)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	/* one byte more, to see a file that is too long */
	union {
		struct file file;
		char bytes[sizeof(struct file) + 1];
	} buf;
	const char *fault;
	ssize_t n;

	if (fd < 0)
		return fail_with(-errno, "cannot open the vmstate %s: %s", path, strerror(errno));
	n = io_read_full(fd, buf.bytes, sizeof(buf.bytes));
	if (n < 0)
		return fail_with((int)n, "cannot read the vmstate %s: %s", path, strerror((int)-n));
	fault = fault_of(&buf.file, (size_t)n);
	if (fault)
		return fail_with(-EINVAL, "refused the vmstate %s: %s", path, fault);
	*ret = buf.file.state;
	return 0;
}
