/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "fusefs/workingset.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/fail.h"

#define FIRST_LINE "pagoda-workingset 1 page_size=4096"

/* Reads decimal digits and the space after them; moves *p behind both. */
static bool read_number(const char **p, const char *end, uint64_t *ret)
{
	const char *at = *p;
	uint64_t number = 0;

	for (; at < end && *at >= '0' && *at <= '9'; at++)
		if (__builtin_mul_overflow(number, 10, &number) ||
		    __builtin_add_overflow(number, (uint64_t)(*at - '0'), &number))
			return false;
	if (at == *p || at == end || *at != ' ')
		return false;
	*p = at + 1;
	*ret = number;
	return true;
}

/* NULL if the line is a run inside the image, else what is wrong with it. */
static const char *run_fault(const char *line, const char *end, uint64_t npages)
{
	uint64_t first;
	uint64_t count;

	if (!read_number(&line, end, &first) || !read_number(&line, end, &count) ||
	    end - line != 1 || (*line != 'r' && *line != 'w'))
		return "not 'FIRST COUNT r|w'";
	if (count == 0)
		return "a run of no pages";
	if (count > npages || first > npages - count)
		return "a run that ends behind the image";
	return NULL;
}

static bool is_first_line(const char *line, const char *end)
{
	return (size_t)(end - line) == strlen(FIRST_LINE) &&
	       memcmp(line, FIRST_LINE, strlen(FIRST_LINE)) == 0;
}

int workingset_check(const char *text, size_t len, uint64_t npages)
{
	const char *end = text + len;
	size_t number = 0;

	for (const char *line = text; line < end;) {
		const char *newline = memchr(line, '\n', (size_t)(end - line));
		const char *fault = NULL;

		number++;
		if (!newline)
			fault = "does not end with a newline";
		else if (number > 1)
			fault = run_fault(line, newline, npages);
		else if (!is_first_line(line, newline))
			fault = "not '" FIRST_LINE "'";
		if (fault)
			return fail_with(-EINVAL, "not a working set: line %zu: %s", number, fault);
		line = newline + 1;
	}
	return 0;
}
