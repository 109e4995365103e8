/* SPDX-License-Identifier: Apache-2.0 */
/* Drafts where memory, space, patience or the store's soundness end. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <sys/resource.h>

#include "tests/draft-fixture.h"
#include "tests/unit.h"

/* As while a thread stores, which may take 30 s. */
START_TEST(who_waits_for_nothing_waits_for_no_store)
{
	struct draft *other;

	setup();
	pthread_mutex_lock(&draft->slow);
	ck_assert_int_eq(draft_vmstate_open(draft, fixture_index, false), -EBUSY);
	CK_OK(draft_open(drafts, fixture_index, draft_id, true, 0, &other));
	CK_OK(draft_close(other, true));
	pthread_mutex_unlock(&draft->slow);
	CK_OK(draft_vmstate_open(draft, fixture_index, false));
	close_draft();
	teardown();
}
END_TEST

/* Zero pages here and there are intervals, which need memory too. */
START_TEST(holes_are_bounded)
{
	unsigned int holes = 0;
	int r = 0;

	setup();
	atomic_fetch_add(&drafts->cost, DRAFTS_PAGES_MOST - 20);
	for (uint64_t i = 0; r == 0 && i < PAGES; i += 2, holes++)
		r = draft_zero(draft, fixture_pages, i * PAGE_BYTES, PAGE_BYTES);
	ck_assert_int_eq(r, -EAGAIN);
	ck_assert_uint_gt(holes, 100);
	CK_OK(draft_zero(draft, fixture_pages, 0, BYTES));
	atomic_fetch_sub(&drafts->cost, DRAFTS_PAGES_MOST - 20);
	memset(image, 0, BYTES);
	check_reads();
	close_draft();
	ck_assert_int_eq(fixture_compare("draft", image, PAGES), 0);
	teardown();
}
END_TEST

START_TEST(memory_is_bounded)
{
	unsigned int made = 0;
	unsigned int refused = 0;
	int r = 0;

	setup();
	/* the same pages over and over cost nothing more */
	for (unsigned int i = 0; i < 40; i++)
		write_at((i % 4) * (1 << 20), noise(i, 1 << 20), 1 << 20);
	CK_OK(drafts_make_room(drafts));
	check_reads();
	close_draft();
	munmap(base, BYTES);
	munmap(image, BYTES);
	fixture_teardown();
	/* more than there is room for */
	fixture_setup();
	base = fixture_image(PAGES, 1);
	image = mmap(NULL, UINT64_C(32768) * PAGE_BYTES, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	fixture_import("base", image, 32768);
	{
		struct snapshot_row row;

		CK_OK(fork_snapshot(fixture_index, "base", "draft", &row));
		draft_id = row.id;
	}
	open_draft();
	while (made < 128) {
		char *to = image + (uint64_t)made * (1 << 20);
		const char *from = noise(made, 1 << 20);

		r = draft_write(draft, fixture_pages, (uint64_t)made * (1 << 20), from, 1 << 20);
		if (r == -EAGAIN) {
			ck_assert_uint_gt(made, 60);
			refused++;
			CK_OK(drafts_make_room(drafts));
			continue;
		}
		CK_OK(r);
		memcpy(to, from, 1 << 20);
		made++;
	}
	ck_assert_uint_eq(refused, 2);
	close_draft();
	ck_assert_int_eq(fixture_compare("draft", image, 32768), 0);
	munmap(base, BYTES);
	munmap(image, UINT64_C(32768) * PAGE_BYTES);
	fixture_teardown();
}
END_TEST

START_TEST(damage_is_found)
{
	/* damage, and whether a reader meets it */
	static const struct {
		const char *damage;
		bool is_read;
	} cases[] = {
		{"UPDATE pending SET data = zeroblob(60)", true},
		{"UPDATE pending SET data = x'00'", true},
		{"UPDATE pending SET pgno = 2048", true},
		{"UPDATE snapshot SET layer_zero = layer_zero + 1 WHERE state = 1", false},
		{"UPDATE snapshot SET data_pages = data_pages - 1 WHERE state = 1", false},
		{"UPDATE snapshot SET layer_data = layer_data - 1 WHERE state = 1", false},
		{"DELETE FROM extent WHERE snapshot = 2", false},
		{"UPDATE extent SET count = count + 9999 WHERE snapshot = 2", true},
		{"DELETE FROM page WHERE id = (SELECT page FROM extent WHERE snapshot = 2)", true},
		{"UPDATE attachment SET data = zeroblob(16) WHERE name = 'changed'", true},
		{"UPDATE snapshot SET parent = NULL WHERE id = 2", true},
	};
	char copy[320];

	setup();
	write_at(100 * PAGE_BYTES, noise(3, 1 << 20), 1 << 20);
	CK_OK(draft_store(draft, true));
	write_at(5 * PAGE_BYTES, "pending", 7);
	close_draft();
	check_stored();
	ck_assert_int_eq(count(PENDING), 1);
	fixture_close();
	snprintf(copy, sizeof(copy), "cp -r %s %s.kept", fixture_dir, fixture_dir);
	ck_assert_int_eq(system(copy), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int r;

		fixture_open();
		CK_OK(sql_do(fixture_index, cases[i].damage));
		ck_assert_msg(findings_reading(0) > 0, "check does not find: %s", cases[i].damage);
		r = cases[i].is_read ? fixture_compare("draft", image, PAGES) : -EBADMSG;
		ck_assert_msg(r == -EBADMSG, "a reader is not told: %s: %d", cases[i].damage, r);
		fixture_close();
		snprintf(copy, sizeof(copy), "rm -r %s && cp -r %s.kept %s", fixture_dir,
			 fixture_dir, fixture_dir);
		ck_assert_int_eq(system(copy), 0);
	}
	snprintf(copy, sizeof(copy), "rm -r %s.kept", fixture_dir);
	ck_assert_int_eq(system(copy), 0);
	fixture_open();
	teardown();
}
END_TEST

static void limit_files(rlim_t bytes)
{
	struct rlimit limit;

	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = bytes;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

START_TEST(what_cannot_be_stored_is_kept)
{
	setup();
	signal(SIGXFSZ, SIG_IGN);
	write_at(500 * PAGE_BYTES, "few", 3);
	CK_OK(draft_store(draft, false));
	limit_files(1 << 20);
	for (unsigned int i = 0; i < 2; i++)
		write_at(i * (1 << 20), noise(i, 1 << 20), 1 << 20);
	ck_assert_int_eq(draft_store(draft, false), -EFBIG);
	check_reads();
	ck_assert(draft_is_dirty(draft));
	/* parts of what is kept, and others, are written meanwhile */
	write_at(20 * PAGE_BYTES + 9, "between", 7);
	zero_at(30 * PAGE_BYTES, 50 * PAGE_BYTES);
	write_at(700 * PAGE_BYTES, noise(7, 70000), 70000);
	check_reads();
	ck_assert_int_eq(draft_store(draft, true), -EFBIG);
	ck_assert_int_eq(draft_close(draft, true), -EFBIG);
	/* it is still there for the next who opens it */
	CK_OK(draft_open(drafts, fixture_index, draft_id, true, 0, &draft));
	check_reads();
	limit_files(RLIM_INFINITY);
	CK_OK(draft_store(draft, false));
	ck_assert(!draft_is_dirty(draft));
	check_reads();
	check_stored();
	close_draft();
	check_stored();
	teardown();
}
END_TEST

static uint64_t pack_bytes(void)
{
	char command[160];
	uint64_t bytes = 0;
	FILE *du;

	snprintf(command, sizeof(command), "du -b %s/packs | cut -f1", fixture_dir);
	du = popen(command, "r");
	ck_assert_int_eq(fscanf(du, "%" SCNu64, &bytes), 1);
	pclose(du);
	return bytes;
}

START_TEST(rewriting_does_not_grow_the_store)
{
	uint64_t before;

	setup();
	before = pack_bytes();
	for (unsigned int i = 0; i < 60; i++) {
		write_at((i % 4) * (1 << 20), noise(i + 1, 1 << 20), 1 << 20);
		CK_OK(draft_store(draft, true));
		if (drafts_are_untidy(drafts))
			CK_OK(drafts_tidy(drafts, fixture_index));
		ck_assert_uint_lt(pack_bytes() - before, UINT64_C(24) << 20);
	}
	check_reads();
	write_at(0, noise(99, 1 << 20), 1 << 20);
	CK_OK(draft_store(draft, true));
	CK_OK(drafts_tidy(drafts, fixture_index));
	check_reads();
	check_stored();
	close_draft();
	teardown();
}
END_TEST

UNIT_MAIN("draft-limits", damage_is_found, memory_is_bounded,
	  who_waits_for_nothing_waits_for_no_store, holes_are_bounded,
	  what_cannot_be_stored_is_kept, rewriting_does_not_grow_the_store)
