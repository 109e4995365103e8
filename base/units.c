/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "base/units.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"

static const char unit_letters[] = "KMGTPE";

/* Digits only: strtoull alone would take signs, blanks and 0x. */
static int parse_digits(const char *text, const char **ret_end, uint64_t *ret)
{
	char *end;

	if (!isdigit((unsigned char)text[0]))
		return -EINVAL;
	errno = 0;
	*ret = strtoull(text, &end, 10);
	if (errno)
		return -ERANGE;
	*ret_end = end;
	return 0;
}

int units_parse_size(const char *text, uint64_t *ret_bytes)
{
	const char *end;
	const char *letter;
	uint64_t value;
	unsigned int shift;
	int r = parse_digits(text, &end, &value);

	if (r < 0)
		return r;
	shift = 0;
	if (*end) {
		letter = strchr(unit_letters, toupper((unsigned char)*end));
		if (!letter)
			return -EINVAL;
		shift = 10 * (unsigned int)(letter - unit_letters + 1);
		if (end[1] && strcmp(end + 1, "iB") != 0)
			return -EINVAL;
	}
	if (value > (uint64_t)INT64_MAX >> shift)
		return -ERANGE;
	*ret_bytes = value << shift;
	return 0;
}

int units_parse_number(const char *text, uint64_t most, uint64_t *ret)
{
	const char *end;
	uint64_t value;
	int r = parse_digits(text, &end, &value);

	if (r < 0)
		return r;
	if (*end)
		return -EINVAL;
	if (value > most)
		return -ERANGE;
	*ret = value;
	return 0;
}

const char *units_format_size(char text[UNITS_TEXT_MAX], uint64_t bytes)
{
	double value = (double)bytes;
	int unit = -1;

	while (value >= 1024.0 && unit + 1 < (int)sizeof(unit_letters) - 1) {
		value /= 1024.0;
		unit++;
	}
	if (unit < 0)
		snprintf(text, UNITS_TEXT_MAX, "%" PRIu64 " B", bytes);
	else
		snprintf(text, UNITS_TEXT_MAX, "%.1f %ciB", value, unit_letters[unit]);
	return text;
}

const char *units_format_time(char text[UNITS_TEXT_MAX], uint64_t wall_ns)
{
	time_t seconds = (time_t)(wall_ns / NS_PER_SEC);
	struct tm tm;

	if (!localtime_r(&seconds, &tm) ||
	    strftime(text, UNITS_TEXT_MAX, "%Y-%m-%d %H:%M:%S", &tm) == 0)
		snprintf(text, UNITS_TEXT_MAX, "-");
	return text;
}
