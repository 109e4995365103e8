/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pages an import appended last: those a look-up in the index may have
 * missed because they were not committed yet.
 *
 * A bounded table; what it forgets is stored twice, no more. One thread.
 */
#ifndef PAGODA_DB_RECENT_H
#define PAGODA_DB_RECENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/cleanup.h"
#include "db/page.h"

#define RECENT_WAYS 4

struct recent;

/* big: many pages are to come, and none of its memory will stay untouched. */
int recent_new(bool big, struct recent **ret) MUST_CHECK;
void recent_free(struct recent *recent);
DEFINE_AUTO(struct recent *, recent_free)

/* Forgets all. */
void recent_clear(struct recent *recent);

void recent_add(struct recent *recent, const struct page_row *row);

/* Copies the rows with that hash, newest last; returns how many. */
size_t recent_find(const struct recent *recent, uint64_t hash, struct page_row rows[RECENT_WAYS]);

#endif
