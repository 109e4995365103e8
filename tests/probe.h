/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the probes share: programs that do to a view what a shell cannot. A probe takes
 * the arguments behind its verb and returns 0, or dies with words.
 */
#ifndef PAGODA_TESTS_PROBE_H
#define PAGODA_TESTS_PROBE_H

#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"

#define PAGE 4096

/* Says what went wrong and exits with 1. */
NORETURN void die(const char *format, ...) PRINTF_LIKE(1, 2);

/* result is what a call returned: a negative one is the end. */
void must(const char *what, long result);
/* ... it must have failed with errno want. */
void expect_errno(const char *what, long result, int want);

int must_open(const char *path, int flags);
void *must_map(int fd, size_t len, int protection, int flags);
void must_read(int fd, void *buf, size_t len, uint64_t off);
void must_write(int fd, const void *buf, size_t len, uint64_t off);
uint64_t size_of(int fd);

#endif
