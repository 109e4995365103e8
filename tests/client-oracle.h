/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every page of the test machine must hold: the image's bytes until it is
 * removed (zeros) or written (the bytes written over what it held).
 *
 * Any thread. Each page has a lock: comparing shares it, so that threads meet in
 * one missing page; writing and removing own it, so that what a page must hold is
 * never in doubt. Neighbours race freely. Locks of several pages are taken in the
 * order of the image. A wrong byte ends the program with exit code 1.
 */
#ifndef PAGODA_TESTS_CLIENT_ORACLE_H
#define PAGODA_TESTS_CLIENT_ORACLE_H

#include <stddef.h>
#include <stdint.h>

#include "tests/client-memory.h"

struct oracle;

/* image: the bytes, borrowed. Ends the program when out of memory. */
struct oracle *oracle_new(const struct memory *memory, const unsigned char *image);

void oracle_free(struct oracle *oracle);

/* Touches the page and compares every byte. */
void oracle_compare(struct oracle *oracle, size_t page);

/* Writes some bytes into it, chosen by the random number. */
void oracle_write(struct oracle *oracle, size_t page, uint64_t random);

/* Gives up to count pages back to the system, all of one region. Returns how many. */
size_t oracle_remove(struct oracle *oracle, size_t page, size_t count);

#endif
