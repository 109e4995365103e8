/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tests/vmm/history.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WORD_BITS 64

static size_t words(uint64_t pages)
{
	return (pages + WORD_BITS - 1) / WORD_BITS;
}

static uint64_t bit(uint64_t pgno)
{
	return UINT64_C(1) << (pgno % WORD_BITS);
}

static bool is_set(const uint64_t *bits, uint64_t pgno)
{
	return bits[pgno / WORD_BITS] & bit(pgno);
}

int history_init(struct history *history, uint64_t pages)
{
	*history = (struct history){
		.pages = pages,
		.changed = calloc(words(pages), sizeof(uint64_t)),
		.written = calloc(words(pages), sizeof(uint64_t)),
		.removed = calloc(words(pages), sizeof(uint64_t)),
	};
	if (history->changed && history->written && history->removed)
		return 0;
	history_done(history);
	return -ENOMEM;
}

void history_done(struct history *history)
{
	free(history->changed);
	free(history->written);
	free(history->removed);
	*history = (struct history){0};
}

void history_add_log(struct history *history, uint64_t pgno, uint64_t word)
{
	history->changed[pgno / WORD_BITS] |= word;
	history->written[pgno / WORD_BITS] |= word;
	history->removed[pgno / WORD_BITS] &= ~word;
}

void history_write(struct history *history, uint64_t pgno)
{
	history_add_log(history, pgno - pgno % WORD_BITS, bit(pgno));
}

void history_remove(struct history *history, uint64_t pgno, uint64_t count)
{
	for (uint64_t end = pgno + count; pgno < end; pgno++) {
		history->changed[pgno / WORD_BITS] |= bit(pgno);
		history->written[pgno / WORD_BITS] &= ~bit(pgno);
		history->removed[pgno / WORD_BITS] |= bit(pgno);
	}
}

void history_settle(struct history *history)
{
	memset(history->changed, 0, words(history->pages) * sizeof(uint64_t));
}

bool history_is_changed(const struct history *history, uint64_t pgno)
{
	return is_set(history->changed, pgno);
}

bool history_is_written(const struct history *history, uint64_t pgno)
{
	return is_set(history->written, pgno);
}

bool history_is_removed(const struct history *history, uint64_t pgno)
{
	return is_set(history->removed, pgno);
}
