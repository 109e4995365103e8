/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one version of libfuse's low-level interface that this room is written for.
 */
#ifndef PAGODA_FUSEFS_FUSE_H
#define PAGODA_FUSEFS_FUSE_H

#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>

#endif
