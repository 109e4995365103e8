/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "fusefs/draft-file.h"

#include <errno.h>
#include <string.h>

#include "base/fail.h"
#include "db/draft-vmstate.h"

uint64_t draft_file_size(const struct draft_file *file)
{
	return file->which == DRAFT_MEM ? draft_size(file->draft) : draft_vmstate_size(file->draft);
}

int draft_file_read(const struct draft_file *file, struct pages *pages, uint64_t off, void *buf,
		    size_t len, size_t *ret_len)
{
	uint64_t size = draft_file_size(file);
	int r = 0;

	len = off < size ? (size_t)MIN((uint64_t)len, size - off) : 0;
	if (file->which == DRAFT_VMSTATE)
		len = draft_vmstate_read(file->draft, off, buf, len);
	else if (len > 0)
		r = draft_read(file->draft, pages, off, buf, len);
	if (r == 0)
		*ret_len = len;
	return r;
}

int draft_file_seek(const struct draft_file *file, uint64_t off, bool data, uint64_t *ret_off)
{
	uint64_t size = draft_file_size(file);

	if (off >= size)
		return -ENXIO;
	if (file->which == DRAFT_MEM)
		return draft_seek(file->draft, off, data, ret_off);
	*ret_off = data ? off : size;
	return 0;
}

int draft_file_write(const struct draft_file *file, struct pages *pages, uint64_t off, bool append,
		     const void *buf, size_t len, size_t *ret_len)
{
	uint64_t size = draft_size(file->draft);
	int r;

	if (file->which == DRAFT_VMSTATE) {
		r = draft_vmstate_write(file->draft, off, append, buf, len);
	} else {
		/* the end of the image is the end of what can be written, as on a disk
		 * that is full; at the end itself nothing can */
		if (len > 0 && off >= size)
			return -EFBIG;
		if (len > 0)
			len = (size_t)MIN((uint64_t)len, size - off);
		r = draft_write(file->draft, pages, off, buf, len);
	}
	if (r == 0)
		*ret_len = len;
	return r;
}

int draft_file_truncate(const struct draft_file *file, uint64_t size)
{
	if (file->which == DRAFT_VMSTATE)
		return draft_vmstate_truncate(file->draft, size);
	if (size == draft_size(file->draft))
		return 0;
	if (size != 0)
		return -EPERM;
	/* whole pages: nothing is read */
	return draft_zero(file->draft, NULL, 0, draft_size(file->draft));
}

int draft_file_zero(const struct draft_file *file, struct pages *pages, uint64_t off, uint64_t len)
{
	static const char zero[65536];
	uint64_t size = draft_file_size(file);
	int r = 0;

	if (off >= size)
		return 0;
	len = MIN(len, size - off);
	if (file->which == DRAFT_MEM)
		return draft_zero(file->draft, pages, off, len);
	for (size_t n; r == 0 && len > 0; off += n, len -= n) {
		n = (size_t)MIN(len, (uint64_t)sizeof(zero));
		r = draft_vmstate_write(file->draft, off, false, zero, n);
	}
	return r;
}
