/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What has happened to each page of memory, as three bits. One thread.
 *
 *   changed  since the last snapshot: by the guest, the disk or the balloon
 *   written  since the machine started, by the guest or the disk
 *   removed  given back since the machine started, and not written after that
 */
#ifndef PAGODA_TESTS_VMM_HISTORY_H
#define PAGODA_TESTS_VMM_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"

struct history {
	uint64_t pages;
	uint64_t *changed; /* owned, like the next two: one bit a page */
	uint64_t *written;
	uint64_t *removed;
};

/* -ENOMEM */
int history_init(struct history *history, uint64_t pages) MUST_CHECK;
void history_done(struct history *history);

/* Takes 64 pages from pgno on, a multiple of 64, as one word of KVM's dirty log. */
void history_add_log(struct history *history, uint64_t pgno, uint64_t word);

void history_write(struct history *history, uint64_t pgno);
void history_remove(struct history *history, uint64_t pgno, uint64_t count);

/* A snapshot has everything up to here. */
void history_settle(struct history *history);

bool history_is_changed(const struct history *history, uint64_t pgno);
bool history_is_written(const struct history *history, uint64_t pgno);
bool history_is_removed(const struct history *history, uint64_t pgno);

#endif
