/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that runs out: in a program linked with -Wl,--wrap of the functions in
 * memory.c, allocations of our own code and of SQLite are counted and can fail.
 */
#ifndef PAGODA_TESTS_MEMORY_H
#define PAGODA_TESTS_MEMORY_H

#include <stdbool.h>

/* SQLite's allocations go through here too. Before SQLite is first used. */
void memory_start(void);

/* The nth allocation from now on (1 is the next) fails, and if lasting all behind it
 * too. 0: none. */
void memory_fail(unsigned int nth, bool lasting);

/* Has it come to that? */
bool memory_has_failed(void);

/* How many allocations there were since memory_fail with an nth above 0. */
unsigned int memory_allocations(void);

#endif
