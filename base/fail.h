/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What went wrong, in words, beside the error number.
 *
 * A library function that fails returns -errno; where the number alone would
 * not tell the user what to do, it returns through fail_with(), which keeps one
 * line of text for the calling thread: "page 7 of guest-a: pack 3 is cut short".
 * Who reports the error (main files and fusefs/ops.c) asks fail_text() for it.
 *
 * The text belongs to the thread. A thread that works for another hands its
 * text over: fail_copy() where it failed, fail_with() where the result is collected.
 */
#ifndef PAGODA_BASE_FAIL_H
#define PAGODA_BASE_FAIL_H

#include "base/attributes.h"

#define FAIL_TEXT_MAX 512

/* Keeps the text and returns err, which is a negative errno. */
int fail_with(int err, const char *format, ...) PRINTF_LIKE(2, 3);

/* Puts "<words>: " before the text kept for err; returns err. Where no text is
 * kept for err, the text becomes that of the error number. */
int fail_prefix(int err, const char *format, ...) PRINTF_LIKE(2, 3);

/* The text kept for err (a negative errno) by this thread, or that of the error
 * number. Valid until the thread's next call into this module. */
const char *fail_text(int err);

/* Copies fail_text(err) to where another thread can find it. */
void fail_copy(int err, char text[FAIL_TEXT_MAX]);

#endif
