/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tests/scenarios.h"

#include <dirent.h>
#include <errno.h>

#include "db/attachment.h"
#include "db/check.h"
#include "db/copy.h"
#include "db/draft.h"
#include "db/fork.h"
#include "db/gc.h"
#include "db/repack.h"
#include "db/sql.h"
#include "tests/scenario-images.h"
#include "tests/store-fixture.h"

static struct drafts *drafts; /* owned; of the open store, NULL before it has one */

void scenarios_start(void)
{
	scenario_images_make();
}

int scenario_open(const char *dir)
{
	int r;

	snprintf(fixture_dir, sizeof(fixture_dir), "%s", dir);
	r = store_open(fixture_dir, &fixture_store);
	if (r == 0)
		r = index_open(fixture_store, &fixture_index);
	if (r == 0)
		r = pages_open(fixture_index, &fixture_pages);
	return r;
}

void scenario_close(void)
{
	if (drafts)
		(void)!drafts_free(drafts); /* what a fault left unstored is lost */
	drafts = NULL;
	fixture_close();
}

static void now_has(struct shadow *now, const char *name, enum image image, const char *vmstate)
{
	shadow_add(now, name, scenario_image(image), scenario_npages(image), vmstate);
}

static int import(struct shadow *now, const char *name, enum image image, const char *vmstate)
{
	struct import_request request = {
		.name = name, .image = "image", .image_fd = scenario_file(image)};
	struct snapshot_row row;
	int r;

	if (vmstate[0]) {
		request.vmstate = vmstate;
		request.vmstate_len = strlen(vmstate);
	}
	r = import_image(fixture_store, &request, &row);
	if (r == 0)
		now_has(now, name, image, vmstate);
	return r;
}

/* Over a parent, from the whole image or from a diff. */
static int import_over(struct shadow *now, const char *name, enum image image, const char *parent,
		       int diff)
{
	struct import_request request = {
		.name = name,
		.parent = parent,
		.image = "image",
		.image_fd = diff >= 0 ? diff : scenario_file(image),
		.is_diff = diff >= 0,
	};
	struct snapshot_row row;
	int r = import_image(fixture_store, &request, &row);

	if (r == 0)
		now_has(now, name, image, "");
	return r;
}

static int import_a(struct shadow *now)
{
	return import(now, "a", IMAGE_A, "");
}

static int import_b(struct shadow *now)
{
	return import(now, "b", IMAGE_B, "state of b");
}

static int import_large(struct shadow *now)
{
	return import(now, "large", IMAGE_LARGE, "");
}

static int import_part(struct shadow *now)
{
	return import(now, "part", IMAGE_PART, "");
}

static int import_child(struct shadow *now)
{
	return import_over(now, "child", IMAGE_CHILD, "a", -1);
}

static int import_grand(struct shadow *now)
{
	return import_over(now, "grand", IMAGE_GRAND, "child", scenario_diff());
}

static int rename_b(struct shadow *now)
{
	int r = catalog_rename(fixture_index, "b", "c");

	if (r == 0)
		strcpy(shadow_find(now, "b")->name, "c");
	return r;
}

static int note_c(struct shadow *now)
{
	int r = catalog_note(fixture_index, "c", "a note");

	if (r == 0)
		strcpy(shadow_find(now, "c")->note, "a note");
	return r;
}

static int remove_named(struct shadow *now, const char *name)
{
	int r = catalog_remove(fixture_index, name, false);

	if (r == 0)
		shadow_remove(now, name);
	return r;
}

static int remove_a(struct shadow *now)
{
	return remove_named(now, "a");
}

static int remove_b(struct shadow *now)
{
	return remove_named(now, "b");
}

static int remove_large(struct shadow *now)
{
	return remove_named(now, "large");
}

static int remove_child(struct shadow *now)
{
	return remove_named(now, "child");
}

static int remove_grand(struct shadow *now)
{
	return remove_named(now, "grand");
}

/* The scenario collects: a pack that it was about to make when the power went has a row
 * and no file yet, and the next collection takes it away, no import. */
static bool collects;

static int collect(struct shadow *now)
{
	struct gc_request request = {.progress = NULL};
	struct gc_report report;

	(void)now;
	return gc_run(fixture_index, &request, &report);
}

/* Changes nothing that can be seen. */
static int repack(const char *name, const char *codec)
{
	struct repack_request request = {.name = name};
	struct repack_report report;

	if (codec_find(codec, &request.codec) < 0) /* built without it */
		return 0;
	return repack_snapshot(fixture_index, &request, &report);
}

static int repack_a(struct shadow *now)
{
	(void)now;
	return repack("a", "zstd");
}

static int repack_child(struct shadow *now)
{
	(void)now;
	return repack("child", "zstd");
}

static int repack_a_back(struct shadow *now)
{
	(void)now;
	return repack("a", "lz4");
}

/* A store that is not the fixture's, with layers to copy from. Left open. */
static struct index *source_index;

static int copy_grand(struct shadow *now)
{
	struct copy_request request = {.name = "grand"};
	struct copy_report report;
	struct snapshot_row row;
	bool has_child = now->n == 2;
	int r = copy_snapshot(source_index, fixture_index, &request, &report, &row);

	if (r < 0)
		return r;
	if (!has_child)
		now_has(now, "child", IMAGE_CHILD, "");
	now_has(now, "grand", IMAGE_GRAND, "");
	return 0;
}

static int fork_a(struct shadow *now)
{
	struct snapshot_row row;
	int r = fork_snapshot(fixture_index, "a", "draft", &row);

	if (r == 0)
		now_has(now, "draft", IMAGE_A, "");
	return r;
}

/* Writes what differs between the two images, and stores it. */
static int write_difference(struct draft *draft, enum image from, enum image to, bool all)
{
	int r = 0;

	for (uint64_t pgno = 0; r == 0 && pgno < scenario_npages(to); pgno++)
		if (memcmp(scenario_page(from, pgno), scenario_page(to, pgno), PAGE_BYTES) != 0)
			r = draft_write(draft, fixture_pages, pgno * PAGE_BYTES,
					scenario_page(to, pgno), PAGE_BYTES);
	return r < 0 ? r : draft_store(draft, all);
}

static int write_draft(struct shadow *now, enum image from, enum image to, bool all)
{
	struct draft *draft;
	struct snapshot_row row;
	int closed;
	int r = catalog_find(fixture_index, "draft", &row);

	if (r == 0 && !drafts)
		r = drafts_new(fixture_store, &drafts);
	if (r == 0)
		r = draft_open(drafts, fixture_index, row.id, true, 0, &draft);
	if (r < 0)
		return r;
	shadow_find(now, "draft")->was = scenario_image(from);
	shadow_find(now, "draft")->image = scenario_image(to);
	r = write_difference(draft, from, to, all);
	if (r < 0) { /* any part of it may be there, now or later */
		char text[FAIL_TEXT_MAX];

		fail_copy(r, text);
		(void)!draft_close(draft, true);
		return fail_with(r, "%s", text);
	}
	closed = draft_close(draft, true);
	if (closed == 0)
		shadow_find(now, "draft")->was = NULL;
	return closed;
}

static int write_small(struct shadow *now)
{
	return write_draft(now, IMAGE_A, IMAGE_WRITTEN, false);
}

static int write_large(struct shadow *now)
{
	return write_draft(now, IMAGE_WRITTEN, IMAGE_REWRITTEN, false);
}

static int write_packed(struct shadow *now)
{
	return write_draft(now, IMAGE_A, IMAGE_REWRITTEN, true);
}

static int seal_draft(struct shadow *now)
{
	struct snapshot_row row;

	(void)now;
	return fork_seal(fixture_index, "draft", &row);
}

static int record(struct shadow *now, const char *text)
{
	struct snapshot_row row;
	int r = catalog_find(fixture_index, "a", &row);

	if (r == 0)
		r = attachment_write(fixture_index, row.id, "workingset", text, strlen(text));
	if (r == 0)
		strcpy(shadow_find(now, "a")->workingset, text);
	return r;
}

static int record_first(struct shadow *now)
{
	return record(now, "pagoda-workingset 1 page_size=4096\n0 7 r\n");
}

static int record_again(struct shadow *now)
{
	return record(now, "pagoda-workingset 1 page_size=4096\n9 2 w\n");
}

static void prepare_none(struct shadow *now)
{
	now->n = 0;
}

static void prepare_a(struct shadow *now)
{
	now->n = 0;
	CK_OK(import_a(now));
}

static void prepare_a_b(struct shadow *now)
{
	prepare_a(now);
	CK_OK(import_b(now));
}

static void prepare_a_b_large(struct shadow *now)
{
	prepare_a_b(now);
	CK_OK(import_large(now));
}

static void prepare_layers(struct shadow *now)
{
	prepare_a(now);
	CK_OK(import_child(now));
	CK_OK(import_grand(now));
}

/* A pack of which little is needed. */
static void prepare_garbage(struct shadow *now)
{
	collects = true;
	prepare_a(now);
	CK_OK(import_large(now));
	CK_OK(import_part(now));
	CK_OK(remove_large(now));
}

/* What is cut off leaves packs to be collected. */
static void prepare_repack(struct shadow *now)
{
	collects = true;
	prepare_layers(now);
}

/* The source beside the root of the store, and its lowest layer here. */
static void prepare_source(struct shadow *now)
{
	struct shadow there = {0};
	struct store *store = fixture_store;
	struct index *index = fixture_index;
	struct pages *pages = fixture_pages;
	char dir[sizeof(fixture_dir)];
	char source[sizeof(fixture_dir) + 16];

	strcpy(dir, fixture_dir);
	prepare_a(now);
	snprintf(source, sizeof(source), "%s/../../source", dir);
	CK_OK(store_init(source));
	CK_OK(scenario_open(source));
	prepare_layers(&there);
	source_index = fixture_index;
	pages_close(fixture_pages);
	strcpy(fixture_dir, dir);
	fixture_store = store;
	fixture_index = index;
	fixture_pages = pages;
}

static void prepare_draft(struct shadow *now)
{
	prepare_a_b(now);
	CK_OK(fork_a(now));
}

const struct scenario scenarios[] = {
	{"import", prepare_none, {{"import a", import_a}, {"import b", import_b}}},
	{"import in steps", prepare_a, {{"import large", import_large}}},
	{"names", prepare_a_b, {{"rename b", rename_b}, {"note c", note_c}}},
	{"working set", prepare_a, {{"record", record_first}, {"record again", record_again}}},
	{"remove",
	 prepare_a_b_large,
	 {{"rm a", remove_a}, {"rm large", remove_large}, {"rm b", remove_b}}},
	{"remove and import",
	 prepare_a_b,
	 {{"rm a", remove_a}, {"import a", import_a}, {"rm b", remove_b}, {"import b", import_b}}},
	{"layers", prepare_a, {{"import child", import_child}, {"import grand", import_grand}}},
	{"remove layers", prepare_layers, {{"rm grand", remove_grand}, {"rm child", remove_child}}},
	{"gc", prepare_garbage, {{"gc", collect}, {"gc again", collect}}},
	{"repack",
	 prepare_repack,
	 {{"repack a", repack_a},
	  {"repack child", repack_child},
	  {"gc", collect},
	  {"repack a back", repack_a_back}}},
	{"copy", prepare_source, {{"copy grand", copy_grand}}},
	{"draft",
	 prepare_a_b,
	 {{"fork", fork_a},
	  {"write small", write_small},
	  {"write large", write_large},
	  {"seal", seal_draft}}},
	{"draft into a pack", prepare_draft, {{"write all", write_packed}, {"seal", seal_draft}}},
};
const size_t nscenarios = ARRAY_SIZE(scenarios);

bool scenario_holds(const struct shadow *wanted, char *why, size_t room)
{
	return shadow_holds(wanted, fixture_index, fixture_pages, why, room);
}

static void tell_finding(void *context, const char *snapshot, const char *what)
{
	ck_abort_msg("%s: check: %s: %s", (const char *)context, snapshot, what);
}

static void prove_check(const char *told)
{
	struct check_request request = {.read_percent = 100, .found = tell_finding};
	struct check_report report;

	request.context = (void *)told;
	CK_OK(check_store(fixture_index, &request, &report));
}

/* Files of packs, and rows of them. */
static void prove_packs(const char *told)
{
	char path[128];
	struct dirent *entry;
	int64_t rows = 0;
	int64_t files = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/packs", fixture_dir);
	dir = opendir(path);
	while (dir && (entry = readdir(dir)))
		files += entry->d_name[0] != '.';
	if (dir)
		closedir(dir);
	CK_OK(sql_number(fixture_index, "SELECT count(*) FROM pack", 0, &rows));
	ck_assert_msg(rows == files, "%s: %d packs are known, %d files are there", told, (int)rows,
		      (int)files);
}

void scenario_prove(const struct shadow *now, const char *told)
{
	struct shadow with = *now;
	char why[256] = "";
	int64_t importing = 0;
	int r;

	prove_check(told);
	r = import(&with, "proof", IMAGE_PROOF, "");
	ck_assert_msg(r == 0, "%s: an import: %s", told, fail_text(r));
	r = collects ? collect(&with) : 0;
	ck_assert_msg(r == 0, "%s: a collection: %s", told, fail_text(r));
	prove_packs(told);
	ck_assert_msg(scenario_holds(&with, why, sizeof(why)), "%s: after an import: %s", told,
		      why);
	CK_OK(sql_number(fixture_index, "SELECT count(*) FROM snapshot WHERE state = 0", 0,
			 &importing));
	ck_assert_msg(importing == 0, "%s: a cut-off import was not swept", told);
	r = catalog_remove(fixture_index, "proof", false);
	ck_assert_msg(r == 0, "%s: a removal: %s", told, fail_text(r));
	prove_check(told);
}
