/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking a view away and waiting until its daemon has flushed everything and let
 * the store go. One thread.
 */
#ifndef PAGODA_CLI_UNMOUNT_H
#define PAGODA_CLI_UNMOUNT_H

#include "base/attributes.h"

/* Unmounts the view on dir. -EINVAL where dir is not one; -EBUSY if it is still
 * in use after 2 s, and then it stays mounted, as where a draft holds what cannot be
 * stored, with the -errno of that; -ETIMEDOUT if the daemon does not end; -errno of
 * umount2(2). A view whose daemon is dead is taken away too. */
int unmount_view(const char *dir) MUST_CHECK;

#endif
