/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sizes and times as people write and read them. Pure functions.
 */
#ifndef PAGODA_BASE_UNITS_H
#define PAGODA_BASE_UNITS_H

#include <stdint.h>

#include "base/attributes.h"

#define UNITS_TEXT_MAX 32

/* Reads "4096", "4K", "4KiB", "2MiB", "1G" (powers of 1024) into *ret_bytes.
 * -EINVAL for anything else, -ERANGE beyond 2^63-1. */
int units_parse_size(const char *text, uint64_t *ret_bytes) MUST_CHECK;

/* Reads a decimal number in [0, most]. -EINVAL, -ERANGE. */
int units_parse_number(const char *text, uint64_t most, uint64_t *ret) MUST_CHECK;

/* Writes "1.4 MiB" (or "312 B"); returns text. */
const char *units_format_size(char text[UNITS_TEXT_MAX], uint64_t bytes);

/* Writes nanoseconds of the wall clock as "2026-01-31 14:05:59" in local time;
 * returns text. */
const char *units_format_time(char text[UNITS_TEXT_MAX], uint64_t wall_ns);

#endif
