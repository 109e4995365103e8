/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/big.h"
#include "base/fail.h"
#include "base/options.h"
#include "base/units.h"
#include "tests/unit.h"

START_TEST(big_memory_is_zero_and_all_there)
{
	static const size_t sizes[] = {1, (2 << 20) - 1, 2 << 20, (2 << 20) + 1, 5000000};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		char *memory = big_new(sizes[i]);

		ck_assert_ptr_nonnull(memory);
		for (size_t at = 0; at < sizes[i]; at++)
			ck_assert(memory[at] == 0);
		memset(memory, 1, sizes[i]);
		big_free(memory, sizes[i]);
	}
	big_free(NULL, 1);
}
END_TEST

START_TEST(sizes_are_read)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {
		{"0", 0},	    {"4096", 4096},
		{"4K", 4096},	    {"4k", 4096},
		{"2MiB", 2097152},  {"1G", 1073741824},
		{"7E", 7ULL << 60}, {"9223372036854775807", INT64_MAX},
	};
	static const char *const bad[] = {
		"", " 1", "-1", "+1", "0x10", "1 K", "1KB", "1Ki", "4.5K", "K", "1KiBx", "1Q",
	};
	uint64_t bytes;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		ck_assert_msg(units_parse_size(good[i].text, &bytes) == 0, "%s", good[i].text);
		ck_assert_uint_eq(bytes, good[i].bytes);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		ck_assert_msg(units_parse_size(bad[i], &bytes) == -EINVAL, "%s", bad[i]);
	ck_assert_int_eq(units_parse_size("8E", &bytes), -ERANGE);
	ck_assert_int_eq(units_parse_size("9223372036854775808", &bytes), -ERANGE);
	ck_assert_int_eq(units_parse_size("99999999999999999999", &bytes), -ERANGE);
}
END_TEST

START_TEST(sizes_are_printed)
{
	char text[UNITS_TEXT_MAX];

	ck_assert_str_eq(units_format_size(text, 0), "0 B");
	ck_assert_str_eq(units_format_size(text, 1023), "1023 B");
	ck_assert_str_eq(units_format_size(text, 1024), "1.0 KiB");
	ck_assert_str_eq(units_format_size(text, 268435456), "256.0 MiB");
	ck_assert_str_eq(units_format_size(text, UINT64_MAX), "16.0 EiB");
}
END_TEST

START_TEST(failures_keep_their_words)
{
	ck_assert_int_eq(fail_with(-EIO, "page %d is bad", 7), -EIO);
	ck_assert_str_eq(fail_text(-EIO), "page 7 is bad");
	ck_assert_int_eq(fail_prefix(-EIO, "import of %s", "a"), -EIO);
	ck_assert_str_eq(fail_text(-EIO), "import of a: page 7 is bad");
	/* words of one error are not shown for another */
	ck_assert_str_eq(fail_text(-ENOENT), "No such file or directory");
	/* nor twice: the first error's words are gone */
	ck_assert_str_eq(fail_text(-EIO), "Input/output error");
	/* arguments may be the kept text itself */
	fail_with(-EIO, "inner");
	fail_with(-EBUSY, "outer: %s", fail_text(-EIO));
	ck_assert_str_eq(fail_text(-EBUSY), "outer: inner");
}
END_TEST

struct target {
	bool flag;
	const char *text;
	uint64_t size;
	uint64_t number;
};

static const struct option_row rows[] = {
	{"flag", 'f', OPTION_FLAG, offsetof(struct target, flag), NULL, "a flag", NULL},
	{"text", 't', OPTION_TEXT, offsetof(struct target, text), "WORD", "a text", NULL},
	{"maybe", 0, OPTION_TEXT, offsetof(struct target, text), "[WORD]", "perhaps", NULL},
	{"size", 0, OPTION_SIZE, offsetof(struct target, size), "BYTES", "a size", NULL},
	{"number", 'n', OPTION_NUMBER, offsetof(struct target, number), "N", "a number", NULL},
	{.name = ""},
};

static int parse(struct target *target, int mixed, int argc, const char **argv)
{
	*target = (struct target){0};
	return options_parse(rows, target, argc, (char **)argv, mixed);
}

#define PARSE(target, mixed, ...)                                                                  \
	parse(target, mixed, (int)ARRAY_SIZE(((const char *[]){"x", __VA_ARGS__})),                \
	      (const char *[]){"x", __VA_ARGS__, NULL})

START_TEST(options_fill_their_target)
{
	struct target t;

	ck_assert_int_eq(PARSE(&t, 0, "-f", "--text=w", "--size", "4K", "-n7", "operand", "-z"), 6);
	ck_assert(t.flag);
	ck_assert_str_eq(t.text, "w");
	ck_assert_uint_eq(t.size, 4096);
	ck_assert_uint_eq(t.number, 7);
	ck_assert_int_eq(PARSE(&t, 1, "operand", "-f"), 2);
	ck_assert(t.flag);
	t.text = "before";
	ck_assert_int_eq(PARSE(&t, 0, "--maybe", "w"), 2);
	ck_assert_ptr_null(t.text);
}
END_TEST

START_TEST(options_name_what_is_wrong)
{
	struct target t;

	ck_assert_int_eq(PARSE(&t, 0, "--nothing"), -EINVAL);
	ck_assert_str_eq(fail_text(-EINVAL), "unknown option '--nothing'");
	ck_assert_int_eq(PARSE(&t, 0, "-fz"), -EINVAL);
	ck_assert_str_eq(fail_text(-EINVAL), "unknown option '-z'");
	ck_assert_int_eq(PARSE(&t, 0, "--text"), -EINVAL);
	ck_assert_str_eq(fail_text(-EINVAL), "option '--text' wants an argument");
	ck_assert_int_eq(PARSE(&t, 0, "--flag=1"), -EINVAL);
	ck_assert_int_eq(PARSE(&t, 0, "--size=big"), -EINVAL);
	ck_assert_str_eq(fail_text(-EINVAL),
			 "--size wants a size such as 4096, 4K or 2MiB, not 'big'");
}
END_TEST

UNIT_MAIN("base", big_memory_is_zero_and_all_there, sizes_are_read, sizes_are_printed,
	  failures_keep_their_words, options_fill_their_target, options_name_what_is_wrong)
