/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The probes of view-probe and what they share. A probe takes the arguments
 * behind its verb and returns 0, or dies with words.
 */
#ifndef PAGODA_TESTS_VIEW_PROBE_H
#define PAGODA_TESTS_VIEW_PROBE_H

#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"

#define PAGE 4096

/* Says what went wrong and exits with 1. */
NORETURN void die(const char *format, ...) PRINTF_LIKE(1, 2);

int must_open(const char *path, int flags);
void *must_map(int fd, size_t len, int protection, int flags);
uint64_t size_of(int fd);

/* result is what a call returned: it must have failed with errno want. */
void expect_errno(const char *what, long result, int want);

/* view-probe-read.c */
int probe_image(char **argv);
int probe_holes(char **argv);
int probe_map(char **argv);
int probe_bad_page(char **argv);
int probe_handles(char **argv);
int probe_uniform(char **argv);

/* view-probe-write.c */
int probe_sealed(char **argv);
int probe_refuse(char **argv);
int probe_replace(char **argv);
int probe_hold_writer(char **argv);
int probe_empty(char **argv);

/* view-probe-cache.c */
int probe_cached(char **argv);

#endif
