/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory that the keeper shares with one worker.
 *
 * The keeper makes it before it forks. From then on the worker writes it (the
 * text first of all, which the keeper has begun) and the keeper only reads, and
 * trusts nothing in it: end may be any number, reason may lack its end. What a
 * successor of a dead worker will need to go on is here too: regions, removed
 * pages, and the messages read last, which are zero where none was read.
 */
#ifndef PAGODA_HANDLER_SHARED_H
#define PAGODA_HANDLER_SHARED_H

#include <stddef.h>
#include <stdint.h>

#include "base/fail.h"
#include "handler/bitmap.h"
#include "handler/counters.h"
#include "handler/end.h"
#include "handler/handover.h"
#include "handler/regions.h"
#include "handler/uffd.h"

#define SHARED_MESSAGES 1024

struct shared {
	struct counters counters;
	uint32_t end;	  /* enum end */
	uint32_t held_up; /* whether it waits for the source, for who asks */
	char reason[FAIL_TEXT_MAX];
	size_t text_len;
	char text[HANDOVER_TEXT_MOST + 1]; /* one byte more, to see that it is too long */
	struct regions regions;
	struct bitmap removed; /* over removed_words */
	_Alignas(64) unsigned char messages[SHARED_MESSAGES * UFFD_MESSAGE_BYTES];
	uint64_t removed_words[];
};

/* For an image of that many bytes. NULL when out of memory. */
struct shared *shared_new(uint64_t image_size);

/* Takes NULL. image_size as given to shared_new. Other processes keep theirs. */
void shared_free(struct shared *shared, uint64_t image_size);

/* Notes why the session ends, where nothing was noted before. Returns end. */
enum end shared_end(struct shared *shared, enum end end, const char *format, ...) PRINTF_LIKE(3, 4);

#endif
