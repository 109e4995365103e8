/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ownership of locals: what a function still holds when it returns is released.
 *
 * A hand-over is written out: `return TAKE_PTR(p)` or `s->fd = TAKE_FD(fd)`
 * empties the local, so the cleanup finds nothing. Cleanups keep errno.
 */
#ifndef PAGODA_BASE_CLEANUP_H
#define PAGODA_BASE_CLEANUP_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define AUTO(function_) __attribute__((cleanup(function_)))

/* Defines <function>_at(Type *), for AUTO(): calls function unless NULL. */
#define DEFINE_AUTO(type, function)                                                                \
	static inline void function##_at(type *p_)                                                 \
	{                                                                                          \
		int saved_ = errno;                                                                \
		if (*p_)                                                                           \
			function(*p_);                                                             \
		errno = saved_;                                                                    \
	}

static inline void cleanup_free_at(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_close_at(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	errno = saved;
}

#define AUTO_FREE AUTO(cleanup_free_at)
#define AUTO_CLOSE AUTO(cleanup_close_at)

#define TAKE_PTR(p)                                                                                \
	({                                                                                         \
		__auto_type take_p_ = (p);                                                         \
		(p) = NULL;                                                                        \
		take_p_;                                                                           \
	})

#define TAKE_FD(fd)                                                                                \
	({                                                                                         \
		int take_fd_ = (fd);                                                               \
		(fd) = -1;                                                                         \
		take_fd_;                                                                          \
	})

#endif
