/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drafts without FUSE: what is written is read, here at once and in another process
 * once it is stored, and the parent stays as it is.
 */
#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "db/attachment.h"
#include "tests/chance.h"
#include "tests/draft-fixture.h"
#include "tests/unit.h"

int __real_draft_read(struct draft *of, struct pages *pages, uint64_t off, void *buf, size_t len);
int __wrap_draft_read(struct draft *of, struct pages *pages, uint64_t off, void *buf, size_t len);

/* Done once, when the next read of a draft has read. */
static void (*after_read)(void);

int __wrap_draft_read(struct draft *of, struct pages *pages, uint64_t off, void *buf, size_t len)
{
	void (*then)(void) = after_read;
	int r = __real_draft_read(of, pages, off, buf, len);

	if (then) {
		after_read = NULL;
		then();
	}
	return r;
}

START_TEST(a_few_pages_are_pending)
{
	setup();
	write_at(5 * PAGE_BYTES + 100, "hello", 5);
	check_reads();
	ck_assert_int_eq(fixture_compare("draft", base, PAGES), 0);
	CK_OK(draft_store(draft, false));
	check_reads();
	check_stored();
	ck_assert_int_eq(count(PENDING), 1);
	ck_assert_int_eq(count(PACKS), 0);
	write_at(5 * PAGE_BYTES + 200, "again", 5);
	zero_at(9 * PAGE_BYTES, PAGE_BYTES);
	CK_OK(draft_store(draft, false));
	check_stored();
	ck_assert_int_eq(count(PENDING), 2);
	CK_OK(draft_store(draft, true));
	check_reads();
	check_stored();
	ck_assert_int_eq(count(PENDING), 0);
	close_draft();
	check_stored();
	teardown();
}
END_TEST

START_TEST(many_pages_go_to_a_pack)
{
	setup();
	for (unsigned int i = 0; i < 4; i++)
		write_at((100 + 300 * i) * PAGE_BYTES + 7, noise(i, 1 << 20), 1 << 20);
	CK_OK(draft_store(draft, false));
	ck_assert_int_eq(count(PENDING), 0);
	ck_assert_int_eq(count(PACKS), 1);
	check_reads();
	check_stored();
	/* into the middle of runs */
	write_at(150 * PAGE_BYTES, noise(9, 400000), 400000);
	zero_at(300 * PAGE_BYTES + 5, 90 * PAGE_BYTES);
	CK_OK(draft_store(draft, false));
	ck_assert_int_eq(count(PACKS), 1);
	check_reads();
	check_stored();
	close_draft();
	check_stored();
	teardown();
}
END_TEST

START_TEST(old_contents_cost_no_bytes_but_are_in_the_layer)
{
	int64_t rows;

	setup();
	rows = count("SELECT coalesce(sum(length), 0) FROM page WHERE ?1 > 0 AND pack NOT IN "
		     "(SELECT id FROM pack WHERE maker != ?1)");
	ck_assert_int_eq(rows, 0);
	for (uint64_t i = 0; i < 4; i++)
		write_at(i * (1 << 20), base + i * (1 << 20), 1 << 20);
	CK_OK(draft_store(draft, true));
	ck_assert_int_eq(count("SELECT stored_bytes FROM snapshot WHERE id = ?1"), 0);
	check_stored();
	close_draft();
	teardown();
}
END_TEST

START_TEST(everything_zero_keeps_the_size)
{
	setup();
	zero_at(0, BYTES);
	check_reads();
	write_at(77 * PAGE_BYTES, "x", 1);
	CK_OK(draft_store(draft, false));
	check_stored();
	ck_assert_int_eq(count("SELECT count(*) FROM extent WHERE snapshot = ?1"), 3);
	close_draft();
	teardown();
}
END_TEST

static void random_change(unsigned int *seed)
{
	uint64_t off = (uint64_t)rand_r(seed) % BYTES;
	size_t len = (size_t)rand_r(seed) % (rand_r(seed) % 8 ? 9000 : 800000);
	bool whole = rand_r(seed) % 2;

	if (whole) {
		off -= off % PAGE_BYTES;
		len -= len % PAGE_BYTES;
	}
	len = MIN(len, (size_t)(BYTES - off));
	switch (rand_r(seed) % 5) {
	case 0:
		zero_at(off, len);
		break;
	case 1: /* what the parent has */
		write_at(off, base + off, len);
		break;
	default:
		write_at(off, noise((unsigned int)rand_r(seed), len), len);
	}
}

START_TEST(random_changes_are_read_and_kept)
{
	unsigned int seed = (unsigned int)chance_seed();

	setup();
	for (int round = 0; round < 40; round++) {
		for (int i = rand_r(&seed) % 12; i >= 0; i--)
			random_change(&seed);
		if (round % 4 == 0)
			check_reads();
		if (rand_r(&seed) % 2)
			CK_OK(draft_store(draft, rand_r(&seed) % 4 == 0));
		if (rand_r(&seed) % 6 == 0) {
			close_draft();
			check_stored();
			open_draft();
			check_reads();
		}
	}
	close_draft();
	check_stored();
	teardown();
}
END_TEST

START_TEST(seal_proves_what_was_written)
{
	struct snapshot_row row;

	setup();
	write_at(0, noise(4, 300000), 300000);
	write_at(1000 * PAGE_BYTES, "few", 3);
	zero_at(20 * PAGE_BYTES, 9 * PAGE_BYTES);
	ck_assert_int_eq(fork_seal(fixture_index, "base", &row), -EINVAL);
	ck_assert_int_eq(fork_snapshot(fixture_index, "draft", "second", &row), -EINVAL);
	close_draft();
	CK_OK(fork_seal(fixture_index, "draft", &row));
	ck_assert_int_eq(row.state, SNAPSHOT_SEALED);
	check_stored();
	ck_assert_int_eq(count(PENDING), 0);
	CK_OK(drafts_new(fixture_store, &drafts));
	ck_assert_int_eq(draft_open(drafts, fixture_index, draft_id, true, 0, &draft), -ESTALE);
	ck_assert_int_eq(draft_open(drafts, fixture_index, draft_id, false, 0, &draft), -ESTALE);
	CK_OK(drafts_free(drafts));
	/* the sums follow from what it is, not from how it came to be */
	fixture_import("same", image, PAGES);
	CK_OK(catalog_find(fixture_index, "draft", &row));
	{
		struct snapshot_row same;

		CK_OK(catalog_find(fixture_index, "same", &same));
		ck_assert_mem_eq(row.digest, same.digest, DIGEST_BYTES);
	}
	CK_OK(fork_snapshot(fixture_index, "draft", "second", &row));
	ck_assert_int_eq(fixture_compare("second", image, PAGES), 0);
	ck_assert_uint_eq(findings(), 0);
	teardown();
}
END_TEST

START_TEST(vmstate_is_the_parents_until_written)
{
	char text[64] = {0};
	struct snapshot_row row;
	void *data;
	size_t len;

	setup();
	CK_OK(draft_vmstate_open(draft, fixture_index, true));
	ck_assert_uint_eq(draft_vmstate_size(draft), 0);
	close_draft();
	CK_OK(catalog_find(fixture_index, "base", &row));
	CK_OK(attachment_write(fixture_index, row.id, "vmstate", "the state", 9));
	CK_OK(attachment_read(fixture_index, draft_id, "vmstate", &data, &len));
	ck_assert_mem_eq(data, "the state", 9);
	free(data);
	CK_OK(catalog_find(fixture_index, "draft", &row));
	ck_assert(row.has_vmstate && row.vmstate_bytes == 9);
	open_draft();
	CK_OK(draft_vmstate_open(draft, fixture_index, true));
	ck_assert_uint_eq(draft_vmstate_read(draft, 0, text, sizeof(text)), 9);
	CK_OK(draft_vmstate_truncate(draft, 0));
	CK_OK(draft_vmstate_write(draft, 2, false, "new", 3));
	CK_OK(draft_vmstate_write(draft, 0, true, "end", 3));
	ck_assert_int_eq(draft_vmstate_write(draft, INT64_MAX, false, "x", 1), -EFBIG);
	ck_assert_int_eq(draft_vmstate_write(draft, UINT64_MAX, false, "x", 1), -EFBIG);
	CK_OK(draft_store(draft, false));
	CK_OK(attachment_read(fixture_index, draft_id, "vmstate", &data, &len));
	ck_assert_uint_eq(len, 8);
	ck_assert_mem_eq(data, "\0\0newend", 8);
	free(data);
	close_draft();
	CK_OK(fork_seal(fixture_index, "draft", &row));
	ck_assert_uint_eq(row.vmstate_bytes, 8);
	/* sealed without having been written: its own from then on */
	CK_OK(fork_snapshot(fixture_index, "draft", "second", &row));
	CK_OK(fork_seal(fixture_index, "second", &row));
	ck_assert_uint_eq(row.vmstate_bytes, 8);
	ck_assert_uint_eq(findings(), 0);
	teardown();
}
END_TEST

static void write_beside(void)
{
	write_at(5 * PAGE_BYTES + 2000, "beside", 6);
}

static void write_beside_and_store(void)
{
	write_beside();
	CK_OK(draft_store(draft, false));
}

/* What another writes into a page while its other bytes are being read stays. */
START_TEST(parts_of_a_page_are_not_lost)
{
	setup();
	after_read = write_beside;
	write_at(5 * PAGE_BYTES + 100, "part", 4);
	ck_assert_ptr_null((void *)after_read);
	check_reads();
	write_at(5 * PAGE_BYTES + 2000, "xxxxxx", 6);
	CK_OK(draft_store(draft, true));
	after_read = write_beside_and_store;
	write_at(5 * PAGE_BYTES + 300, "part", 4);
	ck_assert_ptr_null((void *)after_read);
	check_reads();
	close_draft();
	check_stored();
	teardown();
}
END_TEST

/* ---- threads ---- */

static atomic_bool stop;

static void *store_all_the_time(void *argument)
{
	unsigned int i = 0;

	(void)argument;
	while (!atomic_load(&stop))
		CK_OK(draft_store(draft, i++ % 3 == 0));
	return NULL;
}

/* Each page is of one letter; half a page at a time is written by neither. */
static void *write_letters(void *argument)
{
	AUTO(index_close_at) struct index *index = NULL;
	AUTO(pages_close_at) struct pages *pages = NULL;
	unsigned int seed = (unsigned int)(uintptr_t)argument;
	static __thread char buf[64 * PAGE_BYTES];

	CK_OK(index_open(fixture_store, &index));
	CK_OK(pages_open(index, &pages));
	for (int i = 0; i < 300; i++) {
		uint64_t first = (uint64_t)rand_r(&seed) % 200;

		memset(buf, 'a' + rand_r(&seed) % 26, sizeof(buf));
		CK_OK(draft_write(draft, pages, first * PAGE_BYTES, buf,
				  (1 + (size_t)rand_r(&seed) % 64) * PAGE_BYTES));
	}
	return NULL;
}

/* Adds to a counter of its own in a page that others have counters in, too. */
static void *count_up(void *argument)
{
	AUTO(index_close_at) struct index *index = NULL;
	AUTO(pages_close_at) struct pages *pages = NULL;
	uint64_t off = 400 * PAGE_BYTES + 8 * (uintptr_t)argument;

	CK_OK(index_open(fixture_store, &index));
	CK_OK(pages_open(index, &pages));
	for (uint64_t i = 1; i <= 500; i++) {
		uint64_t found;

		CK_OK(draft_write(draft, pages, off, &i, sizeof(i)));
		CK_OK(draft_read(draft, pages, off, &found, sizeof(found)));
		ck_assert_uint_eq(found, i);
	}
	return NULL;
}

START_TEST(pages_are_never_mixed)
{
	pthread_t threads[5];
	char *found = malloc(264 * PAGE_BYTES);
	char *filled = malloc(264 * PAGE_BYTES);

	setup();
	memset(filled, 'A', 264 * PAGE_BYTES);
	CK_OK(draft_write(draft, fixture_pages, 0, filled, 264 * PAGE_BYTES));
	atomic_store(&stop, false);
	pthread_create(&threads[0], NULL, store_all_the_time, NULL);
	for (uintptr_t i = 1; i < 3; i++)
		pthread_create(&threads[i], NULL, write_letters, (void *)i);
	for (uintptr_t i = 3; i < 5; i++)
		pthread_create(&threads[i], NULL, count_up, (void *)i);
	for (int round = 0; round < 50; round++) {
		CK_OK(draft_read(draft, fixture_pages, 0, found, 264 * PAGE_BYTES));
		for (size_t i = 0; i < 264; i++) {
			const char *page = found + i * PAGE_BYTES;

			ck_assert(memcmp(page, page + 1, PAGE_BYTES - 1) == 0);
		}
	}
	for (int i = 1; i < 5; i++)
		pthread_join(threads[i], NULL);
	atomic_store(&stop, true);
	pthread_join(threads[0], NULL);
	CK_OK(draft_read(draft, fixture_pages, 0, image, BYTES));
	close_draft();
	ck_assert_int_eq(fixture_compare("draft", image, PAGES), 0);
	ck_assert_uint_eq(findings(), 0);
	free(found);
	free(filled);
	teardown();
}
END_TEST

static atomic_bool told;

static void tell(void *argument)
{
	(void)argument;
	atomic_store(&told, true);
}

static void *read_a_page(void *argument)
{
	char page[PAGE_BYTES];
	int r = draft_read(draft, fixture_pages, 0, page, sizeof(page));

	(void)argument;
	return (void *)(intptr_t)r;
}

static void *write_a_page(void *argument)
{
	(void)argument;
	return (void *)(intptr_t)draft_write(draft, fixture_pages, 0, base, PAGE_BYTES);
}

/* Who answers the kernel hears of it before it waits for others of the draft. */
START_TEST(a_draft_in_use_is_a_wait)
{
	void *(*const uses[])(void *) = {read_a_page, write_a_page};

	setup();
	index_on_wait(fixture_index, tell, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(uses); i++) {
		pthread_t thread;
		void *r;

		ck_assert_ptr_null(uses[i](NULL)); /* its rows are in memory then */
		atomic_store(&told, false);
		ck_assert_ptr_null(uses[i](NULL));
		ck_assert(!told);
		pthread_mutex_lock(&draft->lock);
		ck_assert_int_eq(pthread_create(&thread, NULL, uses[i], NULL), 0);
		while (!atomic_load(&told))
			sched_yield();
		pthread_mutex_unlock(&draft->lock);
		ck_assert_int_eq(pthread_join(thread, &r), 0);
		ck_assert_ptr_null(r);
	}
	index_on_wait(fixture_index, NULL, NULL);
	close_draft();
	teardown();
}
END_TEST

UNIT_MAIN("draft", a_few_pages_are_pending, many_pages_go_to_a_pack,
	  old_contents_cost_no_bytes_but_are_in_the_layer, everything_zero_keeps_the_size,
	  random_changes_are_read_and_kept, seal_proves_what_was_written,
	  vmstate_is_the_parents_until_written, parts_of_a_page_are_not_lost, pages_are_never_mixed,
	  a_draft_in_use_is_a_wait)
