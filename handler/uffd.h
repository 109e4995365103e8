/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The userfaultfd of a machine: its messages and the ioctls that install pages.
 * The only module that knows linux/userfaultfd.h. It keeps no state; every
 * function is one system call, and says what the kernel said.
 *
 * Installing wakes who waits for the pages installed. It does not wake who waits
 * for a page that was already present: uffd_wake() it.
 */
#ifndef PAGODA_HANDLER_UFFD_H
#define PAGODA_HANDLER_UFFD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attributes.h"

#define UFFD_MESSAGE_BYTES 32

enum uffd_kind {
	UFFD_FAULT,	  /* a page of which nothing is there */
	UFFD_OTHER_FAULT, /* a write-protect or minor fault: we ask for none */
	UFFD_REMOVE,
	UFFD_OTHER, /* fork, remap, unmap, whatever comes later */
	UFFD_BLANK, /* a message of zeros: none was read here */
};

struct uffd_event {
	enum uffd_kind kind;
	unsigned int number; /* the kernel's */
	uint64_t va;	     /* of the fault, or the start of the removal */
	uint64_t end;	     /* of the removal */
	int fd;		     /* owned by who decodes: came with a fork; else -1 */
};

enum uffd_result {
	UFFD_INSTALLED, /* done bytes, maybe not all */
	UFFD_PRESENT,	/* the first page is there already */
	UFFD_LATER,	/* a removal is under way: nothing can be installed now */
	UFFD_UNMAPPED,	/* not one mapping registered with this descriptor */
	UFFD_GONE,	/* the process has no memory any more */
	UFFD_FAILED,	/* err says why */
};

struct uffd_outcome {
	enum uffd_result result;
	uint64_t done; /* bytes */
	int err;       /* negative errno */
};

/* Reads messages, at most room bytes of them. Returns their number, 0 when the
 * descriptor has ended, -EAGAIN when there are none now, or the -errno of
 * read(2): -EINVAL where UFFDIO_API was never called. */
ssize_t uffd_read(int uffd, void *messages, size_t room) MUST_CHECK;

/* What message i of a buffer says. */
struct uffd_event uffd_decode(const void *messages, size_t i);

/* Installs len bytes at src as pages at va. */
struct uffd_outcome uffd_copy(int uffd, uint64_t va, const void *src, uint64_t len);

/* The same with zeros; not for huge pages. */
struct uffd_outcome uffd_zero(int uffd, uint64_t va, uint64_t len);

/* Lets who waits for a page of [va, va + len) try again. -errno of ioctl(2). */
int uffd_wake(int uffd, uint64_t va, uint64_t len) MUST_CHECK;

/* Whether messages wait to be read. */
bool uffd_has_messages(int uffd);

/* Whether a removal has begun that has not gone on yet, be its message read, queued
 * or only about to be queued. */
bool uffd_removal_pending(int uffd);

/* Whether memory registered in [va, va + len) is all of huge pages. What of it is not
 * registered becomes so; the rest stays as it is. -errno of ioctl(2): -ENOMEM, the process
 * is gone; -EINVAL, there is none, or none of a kind that can be served. */
int uffd_is_huge(int uffd, uint64_t va, uint64_t len, bool *ret) MUST_CHECK;

/* Gives [va, va + len) back to the kernel: pages missing there will read as
 * zero. Wakes who waits. -errno of ioctl(2); -ENOMEM: the process is gone. */
int uffd_unregister(int uffd, uint64_t va, uint64_t len) MUST_CHECK;

/* Whether the descriptor is one, by what /proc calls it. Where that cannot be had it may
 * be one, and counts as one: the memory of whoever sent it hangs on it. */
bool uffd_is_one(int fd);

/* Whether /proc is there to ask. 0, or -errno with text. */
int uffd_check_proc(void) MUST_CHECK;

/* Makes it ready for use. -errno of fcntl(2), or -EBADMSG with text where it
 * cannot be used. */
int uffd_prepare(int fd) MUST_CHECK;

#endif
