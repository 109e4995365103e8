/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One mounted view: what all threads share.
 */
#ifndef PAGODA_FUSEFS_VIEW_H
#define PAGODA_FUSEFS_VIEW_H

#include <stdint.h>

#include "db/store.h"
#include "fusefs/file.h"
#include "fusefs/repeat.h"
#include "fusefs/settings.h"

struct drafts;
struct notifier;
struct storing;

struct view {
	struct store *store;	   /* borrowed */
	struct settings settings;  /* constant while mounted */
	uint64_t since_ns;	   /* wall clock, when it was mounted */
	struct storing *storing;   /* borrowed */
	struct drafts *drafts;	   /* borrowed */
	struct notifier *notifier; /* borrowed */
	struct file_table files;
	struct repeat said;
};

#endif
