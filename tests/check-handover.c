/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "handler/handover.h"
#include "tests/unit.h"

#define REGION "\"base_host_virt_addr\":139637976727552,\"size\":8192,\"offset\":4096"

#define MIB (UINT64_C(1) << 20)

static struct regions regions;

static int parse(const char *text)
{
	memset(&regions, 0xee, sizeof(regions));
	return handover_parse(text, strlen(text), &regions);
}

static void refused(const char *words, const char *text)
{
	ck_assert_msg(parse(text) == -EINVAL, "taken: %.200s", text);
	ck_assert_msg(strstr(fail_text(-EINVAL), words), "%.200s: %s", text, fail_text(-EINVAL));
}

START_TEST(reads_every_generation)
{
	static const struct {
		const char *text;
		uint64_t page_size;
	} good[] = {
		{"[{" REGION "}]", 4096},
		{"[{" REGION ",\"page_size_kib\":4096}]", 4096},
		{"[{" REGION ",\"page_size_kib\":2097152}]", 2097152},
		{"[{" REGION ",\"page_size\":2097152,\"page_size_kib\":2097152}]", 2097152},
		/* should the name come true one day, page_size is there to say so */
		{"[{" REGION ",\"page_size_kib\":4,\"page_size\":4096}]", 4096},
		{" [ {\"new\":{\"page_size\":1},\"list\":[1,\"]\"], " REGION "} ]\n", 4096},
	};

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		ck_assert_msg(parse(good[i].text) == 0, "%s", fail_text(-EINVAL));
		ck_assert_uint_eq(regions.n, 1);
		ck_assert_uint_eq(regions.at[0].va, 139637976727552);
		ck_assert_uint_eq(regions.at[0].size, 8192);
		ck_assert_uint_eq(regions.at[0].off, 4096);
		ck_assert_uint_eq(regions.at[0].page_size, good[i].page_size);
	}
	ck_assert_int_eq(parse("[{" REGION "},{" REGION "}]"), 0);
	ck_assert_uint_eq(regions.n, 2);
	/* nothing to serve, which regions_check says */
	ck_assert_int_eq(parse("[]"), 0);
	ck_assert_uint_eq(regions.n, 0);
}
END_TEST

/* The texts of tests/fuzz/corpus/handover that releases send, as they came. */
START_TEST(reads_the_golden_texts)
{
	static const struct {
		const char *name;
		uint64_t n;
		struct region at[2];
	} golden[] = {
		{"firecracker-1.1", 1, {{0x7f11bac02000, 128 * MIB, 0, 4096}}},
		{"firecracker-1.6-two-regions",
		 2,
		 {{0x7f7108ddc000, 3072 * MIB, 0, 4096},
		  {0x7f71c91a6000, 1024 * MIB, 3072 * MIB, 4096}}},
		{"firecracker-1.7",
		 2,
		 {{0x7f7108ddc000, 3072 * MIB, 0, 4096},
		  {0x7f71c91a6000, 1024 * MIB, 3072 * MIB, 4096}}},
		{"firecracker-1.11-huge-pages", 1, {{0x7f7108c00000, 512 * MIB, 0, 2 * MIB}}},
		{"firecracker-1.12",
		 2,
		 {{0x7f7108ddc000, 3072 * MIB, 0, 4096},
		  {0x7f71c91a6000, 1024 * MIB, 3072 * MIB, 4096}}},
		{"firecracker-1.12-huge-pages", 1, {{0x7f7108c00000, 512 * MIB, 0, 2 * MIB}}},
		{"fork-more-keys", 1, {{0x7f7108ddc000, 256 * MIB, 0, 4096}}},
	};
	const char *srcdir = getenv("srcdir");
	char path[512];
	char text[1024];

	for (size_t i = 0; i < ARRAY_SIZE(golden); i++) {
		uint64_t size = 0;
		ssize_t len;
		int fd;

		snprintf(path, sizeof(path), "%s/tests/fuzz/corpus/handover/%s",
			 srcdir ? srcdir : ".", golden[i].name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		ck_assert_msg(fd >= 0, "%s: %s", path, strerror(errno));
		len = read(fd, text, sizeof(text));
		close(fd);
		ck_assert_msg(len > 0 && len < (ssize_t)sizeof(text), "%s", path);
		ck_assert_msg(handover_parse(text, (size_t)len, &regions) == 0, "%s: %s", path,
			      fail_text(-EINVAL));
		ck_assert_uint_eq(regions.n, golden[i].n);
		ck_assert_msg(memcmp(regions.at, golden[i].at, regions.n * sizeof(regions.at[0])) ==
				      0,
			      "%s: regions", path);
		for (size_t j = 0; j < regions.n; j++)
			size += regions.at[j].size;
		ck_assert_msg(regions_check(&regions, size) == 0, "%s: %s", path,
			      fail_text(-EINVAL));
	}
}
END_TEST

START_TEST(refuses_what_is_not_json)
{
	refused("not JSON", "");
	refused("not JSON", "[{" REGION "}");
	refused("not JSON", "[{" REGION "}] x");
	refused("not JSON", "[{" REGION "}][]");
	refused("not JSON", "[{" REGION ",}]");
	refused("not JSON", "[{" REGION ",\"size\":8192}]");
	refused("not JSON", "[{" REGION ",\"x\":1,\"x\":2}]");
	refused("not JSON", "[{" REGION ",\"x\":NaN}]");
	refused("not JSON", "[{" REGION ",\"x\":1e999}]");
	refused("not JSON", "[{" REGION ",\"x\":\"\\u0000\"}]");
	refused("not JSON", "[{" REGION ",\"x\":\"\xff\"}]");
	refused("not JSON", "[{\"size\":18446744073709551616}]");
	refused("not JSON", "[{\"size\":9223372036854775808}]");
	ck_assert_int_eq(handover_parse("[]\0", 3, &regions), -EINVAL);
}
END_TEST

START_TEST(refuses_what_is_not_regions)
{
	refused("not an array", "{" REGION "}");
	refused("not an object", "[1]");
	refused("not an object", "[[{" REGION "}]]");
	refused("has no base_host_virt_addr", "[{\"size\":4096,\"offset\":0}]");
	refused("region 1 has no size", "[{" REGION "},{\"base_host_virt_addr\":0}]");
	refused("has no offset", "[{\"base_host_virt_addr\":0,\"size\":4096}]");
	refused("size of region 0 is not",
		"[{\"base_host_virt_addr\":0,\"size\":1e3,\"offset\":0}]");
	refused("size of region 0 is not",
		"[{\"base_host_virt_addr\":0,\"size\":-1,\"offset\":0}]");
	refused("size of region 0 is not",
		"[{\"base_host_virt_addr\":0,\"size\":\"4096\",\"offset\":0}]");
	refused("page_size of region 0 is not", "[{" REGION ",\"page_size\":null}]");
	refused("page_size_kib of region 0 is not", "[{" REGION ",\"page_size_kib\":4.5}]");
}
END_TEST

/* A text of n times the middle. */
static char *repeated(const char *before, const char *middle, size_t n, const char *after)
{
	char *text = malloc(strlen(before) + strlen(middle) * n + strlen(after) + 1);
	char *end = stpcpy(text, before);

	while (n-- > 0)
		end = stpcpy(end, middle);
	strcpy(end, after);
	return text;
}

START_TEST(keeps_to_its_limits)
{
	static const char small[] = "{\"base_host_virt_addr\":0,\"size\":1,\"offset\":0},";
	AUTO_FREE char *most = repeated("[", small, REGIONS_MOST - 1, "{" REGION "}]");
	AUTO_FREE char *more = repeated("[", small, REGIONS_MOST, "{" REGION "}]");
	AUTO_FREE char *full = repeated("[{" REGION "}", " ", HANDOVER_TEXT_MOST - 76, "]");
	AUTO_FREE char *deep = repeated("", "[", 60000, "");
	size_t len = strlen(full);

	ck_assert_int_eq(parse(most), 0);
	ck_assert_uint_eq(regions.n, REGIONS_MOST);
	refused("1025 regions", more);
	ck_assert_uint_le(len, HANDOVER_TEXT_MOST);
	ck_assert_int_eq(parse(full), 0);
	refused("not JSON", deep);
	ck_assert_int_eq(handover_parse(deep, HANDOVER_TEXT_MOST + 1, &regions), -EINVAL);
	ck_assert_ptr_nonnull(strstr(fail_text(-EINVAL), "longer than"));
}
END_TEST

/* Sends the text byte by byte; the byte after which it counts as complete. */
static size_t complete_at(const char *text)
{
	struct handover_scan scan = {0};

	for (size_t i = 0; text[i]; i++)
		if (handover_scan(&scan, &text[i], 1))
			return i + 1;
	return 0;
}

START_TEST(knows_when_a_text_is_complete)
{
	static const char tricky[] = "[{\"a]\\\"}\":[1,{}]},\"\\\\\"] ";
	struct handover_scan scan = {0};

	ck_assert_uint_eq(complete_at(tricky), strlen(tricky) - 1);
	ck_assert(handover_scan(&scan, tricky, strlen(tricky)));
	ck_assert_uint_eq(complete_at("[{" REGION "}"), 0);
	ck_assert_uint_eq(complete_at(" \n["), 0);
	ck_assert_uint_eq(complete_at(" \n[]"), 4);
	/* never an array: whatever may follow */
	ck_assert_uint_eq(complete_at("{"), 1);
	ck_assert_uint_eq(complete_at("GET / HTTP/1.1"), 1);
}
END_TEST

UNIT_MAIN("handover", reads_every_generation, reads_the_golden_texts, refuses_what_is_not_json,
	  refuses_what_is_not_regions, keeps_to_its_limits, knows_when_a_text_is_complete)
