/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose machines are served: a set of user ids. One thread.
 */
#ifndef PAGODA_HANDLER_ALLOW_H
#define PAGODA_HANDLER_ALLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/attributes.h"

#define ALLOW_MOST 64

struct allow {
	size_t n;
	uid_t uids[ALLOW_MOST];
	bool everyone;
};

/* Without a list: one's own user; for root everyone, since the socket's mode
 * lets nobody else connect until root has said so. */
void allow_default(struct allow *allow);

/* Reads "1000,firecracker": ids or names. -EINVAL with fail_with() text. */
int allow_parse(struct allow *allow, const char *list) MUST_CHECK;

bool allow_has(const struct allow *allow, uid_t uid);

#endif
