/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drafts without FUSE: what is written is read, here at once and in another process
 * once it is stored, and the parent stays as it is.
 */
#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>

#include "db/attachment.h"
#include "db/check.h"
#include "db/draft-private.h"
#include "db/draft.h"
#include "db/fork.h"
#include "db/sql.h"
#include "tests/chance.h"
#include "tests/store-fixture.h"
#include "tests/unit.h"

#define PAGES UINT64_C(2048)
#define BYTES (PAGES * PAGE_BYTES)

static char *base;
static char *image; /* what the draft should read as */
static bool in_layer[PAGES];
static struct drafts *drafts;
static struct draft *draft;
static uint64_t draft_id;

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

static void open_draft(void)
{
	CK_OK(drafts_new(fixture_store, &drafts));
	CK_OK(draft_open(drafts, fixture_index, draft_id, true, 0, &draft));
}

static void close_draft(void)
{
	CK_OK(draft_close(draft, true));
	CK_OK(drafts_free(drafts));
}

static void setup(void)
{
	struct snapshot_row row;

	fixture_setup();
	base = fixture_image(PAGES, 1);
	image = fixture_image(PAGES, 1);
	memset(in_layer, 0, sizeof(in_layer));
	fixture_import("base", base, PAGES);
	CK_OK(fork_snapshot(fixture_index, "base", "draft", &row));
	draft_id = row.id;
	open_draft();
}

static void teardown(void)
{
	munmap(base, BYTES);
	munmap(image, BYTES);
	fixture_teardown();
}

static void mark(uint64_t off, uint64_t len)
{
	for (uint64_t i = off / PAGE_BYTES; len > 0 && i <= (off + len - 1) / PAGE_BYTES; i++)
		in_layer[i] = true;
}

static void write_at(uint64_t off, const void *buf, size_t len)
{
	CK_OK(draft_write(draft, fixture_pages, off, buf, len));
	memcpy(image + off, buf, len);
	mark(off, len);
}

static void zero_at(uint64_t off, uint64_t len)
{
	CK_OK(draft_zero(draft, fixture_pages, off, len));
	memset(image + off, 0, len);
	mark(off, len);
}

static void check_reads(void)
{
	char *found = malloc(BYTES);

	CK_OK(draft_read(draft, fixture_pages, 0, found, BYTES));
	ck_assert(memcmp(found, image, BYTES) == 0);
	free(found);
}

static void ignore_finding(void *context, const char *snapshot, const char *text)
{
	(void)context;
	printf("%s: %s\n", snapshot, text);
}

static void check_clean(void)
{
	struct check_request request = {.read_percent = 100, .found = ignore_finding};
	struct check_report report;

	CK_OK(check_store(fixture_index, &request, &report));
	ck_assert_uint_eq(report.findings, 0);
}

/* As another process finds it: the bytes, the layer, the counts. */
static void check_stored(void)
{
	AUTO(snapshot_close_at) struct snapshot *snapshot = NULL;
	const struct map *layer;
	struct snapshot_row row;
	uint64_t layer_data = 0;
	uint64_t layer_zero = 0;

	ck_assert_int_eq(fixture_compare("draft", image, PAGES), 0);
	ck_assert_int_eq(fixture_compare("base", base, PAGES), 0);
	CK_OK(catalog_find(fixture_index, "draft", &row));
	CK_OK(snapshot_open(fixture_index, row.id, &snapshot));
	layer = snapshot_map(snapshot, MAP_DIFF);
	for (uint64_t i = 0; i < PAGES; i++) {
		enum run_kind kind = layer->runs[map_find(layer, i)].kind;

		ck_assert_msg((kind != RUN_ABSENT) == in_layer[i], "page %d of the layer", (int)i);
		layer_zero += kind == RUN_ZERO;
		layer_data += kind == RUN_DATA || kind == RUN_PENDING;
	}
	ck_assert_uint_eq(row.layer_data, layer_data);
	ck_assert_uint_eq(row.layer_zero, layer_zero);
	layer = snapshot_map(snapshot, MAP_MEM);
	ck_assert_uint_eq(row.data_pages, map_count(layer, MAP_MEM, 0, PAGES));
	check_clean();
}

static int64_t count(const char *sql)
{
	int64_t n;

	CK_OK(sql_number(fixture_index, sql, (int64_t)draft_id, &n));
	return n;
}

#define PENDING "SELECT count(*) FROM pending WHERE snapshot = ?1"
#define PACKS "SELECT count(*) FROM pack WHERE maker = ?1"

/* Noise, so that it is in no image by chance. */
static const char *noise(unsigned int seed, size_t len)
{
	static uint64_t buf[(1 << 20) / sizeof(uint64_t)];
	uint64_t x = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;

	for (size_t i = 0; i < (len + 7) / 8; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		buf[i] = x;
	}
	return (const char *)buf;
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
	check_clean();
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
	check_clean();
	teardown();
}
END_TEST

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

static uint64_t findings(void)
{
	struct check_request request = {.found = ignore_finding};
	struct check_report report;

	CK_OK(check_store(fixture_index, &request, &report));
	return report.findings;
}

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
		ck_assert_msg(findings() > 0, "check does not find: %s", cases[i].damage);
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
	check_clean();
	free(found);
	free(filled);
	teardown();
}
END_TEST

UNIT_MAIN("draft", damage_is_found, a_few_pages_are_pending, many_pages_go_to_a_pack,
	  old_contents_cost_no_bytes_but_are_in_the_layer, everything_zero_keeps_the_size,
	  random_changes_are_read_and_kept, seal_proves_what_was_written,
	  vmstate_is_the_parents_until_written, memory_is_bounded,
	  who_waits_for_nothing_waits_for_no_store, holes_are_bounded,
	  what_cannot_be_stored_is_kept, parts_of_a_page_are_not_lost,
	  rewriting_does_not_grow_the_store, pages_are_never_mixed)
