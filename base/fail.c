/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "base/fail.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local struct {
	int err; /* the error the text belongs to, 0 for none */
	char text[FAIL_TEXT_MAX];
} last;

int fail_with(int err, const char *format, ...)
{
	char text[FAIL_TEXT_MAX]; /* the arguments may point into last.text */
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	memcpy(last.text, text, sizeof(text));
	last.err = err;
	return err;
}

int fail_prefix(int err, const char *format, ...)
{
	char words[FAIL_TEXT_MAX / 2];
	char cause[FAIL_TEXT_MAX];
	va_list args;

	fail_copy(err, cause);
	va_start(args, format);
	vsnprintf(words, sizeof(words), format, args);
	va_end(args);
	return fail_with(err, "%s: %s", words, cause);
}

const char *fail_text(int err)
{
	if (err != last.err || last.err == 0) {
		/* strerror_r of glibc: the text may be elsewhere than in the buffer */
		char buffer[128];
		const char *text = strerror_r(-err, buffer, sizeof(buffer));

		snprintf(last.text, sizeof(last.text), "%s", text);
		last.err = err;
	}
	return last.text;
}

void fail_copy(int err, char text[FAIL_TEXT_MAX])
{
	snprintf(text, FAIL_TEXT_MAX, "%s", fail_text(err));
}
