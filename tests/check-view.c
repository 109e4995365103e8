/* SPDX-License-Identifier: Apache-2.0 */
/* What of the view needs no kernel: options, the mount table, node numbers,
 * working sets, repeated messages. */
#include "config.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/attributes.h"
#include "base/clock.h"
#include "base/fail.h"
#include "base/mounts.h"
#include "base/spin.h"
#include "fusefs/node.h"
#include "fusefs/repeat.h"
#include "fusefs/settings.h"
#include "fusefs/workingset.h"
#include "tests/unit.h"

START_TEST(settings_are_read)
{
	struct settings s;

	settings_init(&s);
	ck_assert_uint_eq(s.mode, 0440);
	ck_assert_uint_eq(s.spin, SPIN_AUTO);
	ck_assert_int_eq(settings_parse(&s, "uid=7,gid=8,mode=0640,allow_other,ro,spin=40"), 0);
	ck_assert_uint_eq(s.uid, 7);
	ck_assert_uint_eq(s.gid, 8);
	ck_assert_uint_eq(s.mode, 0640);
	ck_assert(s.allow_other && s.read_only);
	ck_assert_uint_eq(s.spin, 40 * NS_PER_US);
	/* a later word wins, in the same list or another */
	ck_assert_int_eq(settings_parse(&s, "mode=444,rw,mode=440"), 0);
	ck_assert_uint_eq(s.mode, 0440);
	ck_assert(!s.read_only);
}
END_TEST

START_TEST(settings_of_mount_are_accepted)
{
	struct settings s;
	struct settings before;

	settings_init(&s);
	before = s;
	ck_assert_int_eq(
		settings_parse(&s, "rw,dev,nodev,suid,nosuid,exec,noexec,atime,noatime,noauto,auto,"
				   "user,nofail,_netdev,x-systemd.automount,x-a=b,defaults,,"),
		0);
	ck_assert_mem_eq(&s, &before, sizeof(s));
}
END_TEST

START_TEST(settings_refuse_by_name)
{
	static const struct {
		const char *list;
		const char *words;
	} bad[] = {
		{"ro,modes=1", "-o modes=1 is not an option of pagodafs"},
		{"sync", "-o sync is not an option of pagodafs"},
		{"ro=1", "-o ro=1 is not an option of pagodafs"},
		{"uid", "-o uid= wants a number, not ''"},
		{"gid=wheel", "-o gid= wants a number, not 'wheel'"},
		{"uid=4294967295", "-o uid= wants a number, not '4294967295'"},
		{"mode=0448", "-o mode= wants octal digits such as 0440, not '0448'"},
		{"mode=", "-o mode= wants octal digits such as 0440, not ''"},
		{"mode=00440", "-o mode= wants octal digits such as 0440, not '00440'"},
		{"spin", "-o spin= is auto, off, or at most 1000 microseconds, not ''"},
		{"spin=1001", "-o spin= is auto, off, or at most 1000 microseconds, not '1001'"},
		{"mode=0550", "-o mode=0550: only read and write permissions make sense"},
	};
	struct settings s;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		settings_init(&s);
		ck_assert_int_eq(settings_parse(&s, bad[i].list), -EINVAL);
		ck_assert_str_eq(fail_text(-EINVAL), bad[i].words);
	}
}
END_TEST

START_TEST(mountinfo_is_read)
{
	struct mounts_entry e;

	ck_assert_int_eq(mounts_parse("36 35 98:7 /mnt1 /mnt/a rw,noatime master:1 - ext3 "
				      "/dev/root rw,errors=continue\n",
				      &e),
			 0);
	ck_assert_uint_eq(e.major, 98);
	ck_assert_uint_eq(e.minor, 7);
	ck_assert_str_eq(e.point, "/mnt/a");
	ck_assert_str_eq(e.type, "ext3");
	/* no optional fields; a place and a source with spaces */
	ck_assert_int_eq(mounts_parse("36 35 0:50 / /a\\040b\\134c\\012 rw - fuse.pagodafs "
				      "/s\\040- rw\n",
				      &e),
			 0);
	ck_assert_str_eq(e.point, "/a b\\c\n");
	ck_assert_str_eq(e.type, "fuse.pagodafs");
}
END_TEST

START_TEST(mountinfo_is_not_trusted)
{
	static const char *const bad[] = {
		"",
		"36 35",
		"36 35 98:7 / /a rw",
		"36 35 x:7 / /a rw - t s o",
		"36 35 98:7 / a rw - t s o",
		"36 35 98:7 / /a rw - ",
	};
	char line[2 * PATH_MAX];
	struct mounts_entry e;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		ck_assert_msg(mounts_parse(bad[i], &e) == -EINVAL, "%s", bad[i]);
	snprintf(line, sizeof(line), "36 35 98:7 / /%0*d rw - t s o", PATH_MAX, 0);
	ck_assert_int_eq(mounts_parse(line, &e), -EINVAL);
}
END_TEST

START_TEST(node_numbers_go_both_ways)
{
	static const uint64_t ids[] = {1, 2, 100000, (UINT64_C(1) << 60) - 1};

	for (size_t i = 0; i < ARRAY_SIZE(ids); i++)
		for (enum node_kind kind = NODE_DIR; kind < NODE_KINDS; kind++) {
			uint64_t number = node_number(ids[i], kind);

			ck_assert_uint_ne(number, NODE_ROOT);
			ck_assert_uint_eq(node_id(number), ids[i]);
			ck_assert_int_eq(node_kind(number), kind);
		}
	ck_assert_int_eq(node_kind(0), NODE_KINDS);
	ck_assert_int_eq(node_kind(node_number(1, NODE_DIR) + NODE_KINDS), NODE_KINDS);
}
END_TEST

START_TEST(nodes_are_found_by_name)
{
	struct snapshot_row row = {.id = 1, .state = SNAPSHOT_SEALED};

	ck_assert_int_eq(node_find("mem", &row), NODE_MEM);
	ck_assert_int_eq(node_find("workingset", &row), NODE_WORKINGSET);
	ck_assert_int_eq(node_find("vmstate", &row), NODE_KINDS);
	ck_assert_int_eq(node_find("", &row), NODE_KINDS);
	row.has_vmstate = true;
	ck_assert_int_eq(node_find("vmstate", &row), NODE_VMSTATE);
	ck_assert(node_is_fixed(&row, NODE_MEM) && node_is_fixed(&row, NODE_DIR));
	ck_assert(!node_is_fixed(&row, NODE_INFO) && !node_is_fixed(&row, NODE_WORKINGSET));
	row.state = SNAPSHOT_DRAFT;
	ck_assert(!node_is_fixed(&row, NODE_MEM) && !node_is_fixed(&row, NODE_DIR));
}
END_TEST

START_TEST(node_blocks_are_true)
{
	struct snapshot_row row = {.id = 3,
				   .state = SNAPSHOT_SEALED,
				   .size = 100 * 4096,
				   .data_pages = 10,
				   .layer_data = 5,
				   .layer_zero = 90,
				   .workingset_bytes = 513};
	struct settings settings = {.mode = 0440};
	struct stat st;

	ck_assert_int_eq(node_stat(NULL, &settings, &row, NODE_MEM, &st), 0);
	ck_assert_int_eq(st.st_size, 100 * 4096);
	ck_assert_int_eq(st.st_blocks, 80);
	ck_assert_uint_eq(st.st_mode, S_IFREG | 0440);
	ck_assert_int_eq(node_stat(NULL, &settings, &row, NODE_DIFF, &st), 0);
	ck_assert_int_eq(st.st_blocks, 95 * 8);
	ck_assert_int_eq(node_stat(NULL, &settings, &row, NODE_WORKINGSET, &st), 0);
	ck_assert_int_eq(st.st_blocks, 2);
	ck_assert_uint_eq(st.st_mode, S_IFREG | 0640);
	ck_assert_int_eq(node_stat(NULL, &settings, &row, NODE_DIR, &st), 0);
	ck_assert_uint_eq(st.st_mode, S_IFDIR | 0550);
}
END_TEST

static int check(const char *text)
{
	return workingset_check(text, strlen(text), 100);
}

#define HEAD "pagoda-workingset 1 page_size=4096\n"

START_TEST(workingsets_are_accepted)
{
	ck_assert_int_eq(check(""), 0);
	ck_assert_int_eq(check(HEAD), 0);
	ck_assert_int_eq(check(HEAD "0 100 r\n99 1 w\n5 2 r\n5 2 r\n"), 0);
}
END_TEST

START_TEST(workingsets_are_refused)
{
	static const struct {
		const char *text;
		const char *words;
	} bad[] = {
		{"\n", "line 1: not 'pagoda-workingset 1 page_size=4096'"},
		{"pagoda-workingset 1 page_size=4096", "line 1: does not end with a newline"},
		{"pagoda-workingset 2 page_size=4096\n",
		 "line 1: not 'pagoda-workingset 1 page_size=4096'"},
		{"pagoda-workingset 1 page_size=4096 \n",
		 "line 1: not 'pagoda-workingset 1 page_size=4096'"},
		{HEAD "0 1 r\n0 1 r", "line 3: does not end with a newline"},
		{HEAD "\n", "line 2: not 'FIRST COUNT r|w'"},
		{HEAD "0 1\n", "line 2: not 'FIRST COUNT r|w'"},
		{HEAD "0 1 x\n", "line 2: not 'FIRST COUNT r|w'"},
		{HEAD "0 1 rw\n", "line 2: not 'FIRST COUNT r|w'"},
		{HEAD "0  1 r\n", "line 2: not 'FIRST COUNT r|w'"},
		{HEAD "-1 1 r\n", "line 2: not 'FIRST COUNT r|w'"},
		{HEAD "0x1 1 r\n", "line 2: not 'FIRST COUNT r|w'"},
		{HEAD "18446744073709551616 1 r\n", "line 2: not 'FIRST COUNT r|w'"},
		{HEAD "0 0 r\n", "line 2: a run of no pages"},
		{HEAD "100 1 r\n", "line 2: a run that ends behind the image"},
		{HEAD "99 2 r\n", "line 2: a run that ends behind the image"},
		{HEAD "18446744073709551615 2 r\n", "line 2: a run that ends behind the image"},
		{HEAD "0 101 r\n", "line 2: a run that ends behind the image"},
	};
	char words[128];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		ck_assert_msg(check(bad[i].text) == -EINVAL, "%s", bad[i].text);
		snprintf(words, sizeof(words), "not a working set: %s", bad[i].words);
		ck_assert_str_eq(fail_text(-EINVAL), words);
	}
	/* a NUL is a byte like any other */
	ck_assert_int_eq(workingset_check(HEAD "0 1 r\0\n", strlen(HEAD) + 7, 100), -EINVAL);
}
END_TEST

START_TEST(repeats_are_counted)
{
	static struct repeat repeat = REPEAT_INIT;
	uint64_t held;

	ck_assert(repeat_allows(&repeat, "a", 5, &held));
	ck_assert_uint_eq(held, 0);
	ck_assert(!repeat_allows(&repeat, "a", 6, &held));
	ck_assert(!repeat_allows(&repeat, "a", 4 + REPEAT_SILENCE_NS, &held));
	ck_assert(repeat_allows(&repeat, "b", 7, &held));
	ck_assert(repeat_allows(&repeat, "a", 5 + REPEAT_SILENCE_NS, &held));
	ck_assert_uint_eq(held, 2);
	ck_assert(!repeat_allows(&repeat, "a", 6 + REPEAT_SILENCE_NS, &held));
}
END_TEST

UNIT_MAIN("view", settings_are_read, settings_of_mount_are_accepted, settings_refuse_by_name,
	  mountinfo_is_read, mountinfo_is_not_trusted, node_numbers_go_both_ways,
	  nodes_are_found_by_name, node_blocks_are_true, workingsets_are_accepted,
	  workingsets_are_refused, repeats_are_counted)
