/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A source that is slow, hangs, has a bad page or is lost, as the test says. The linker
 * puts our reading in the place of the source's: --wrap=source_read.
 *
 * Any thread may change what is said here, but in_read: that before the start.
 */
#ifndef PAGODA_TESTS_SOURCE_FIXTURE_H
#define PAGODA_TESTS_SOURCE_FIXTURE_H

#include <stdatomic.h>
#include <stddef.h>

#include "tests/session-fixture.h"

extern atomic_uint reads[PAGES];  /* that began with that page */
extern atomic_bool hangs[PAGES];  /* such a read waits for as long */
extern atomic_size_t bad;	  /* no read that holds it succeeds; PAGES: none is */
extern atomic_bool lost;	  /* reads say that the file system has gone */
extern atomic_uint read_ms;	  /* that long a read takes */
extern void (*in_read)(size_t i); /* called in a read that begins with that page */

/* Waits until a read that begins with page i has begun. */
void read_wait(size_t i);

#endif
