/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing packs anew. The rows of the packs that may be worth it are listed, sorted by
 * where their blocks lie, as many at a time as there is room for: once to count each
 * block once, however many rows name it, and once more to move what is chosen.
 *
 * A step of moving: blocks are read and proved, appended to a pack of our own, that is
 * synced; then a short transaction gives the rows their new place, but for those that
 * are gone or were moved by another meanwhile. Rows that came in since name the old
 * place; the pack then stays for another round.
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/fail.h"
#include "base/io.h"
#include "db/gc-private.h"
#include "db/pack-cache.h"
#include "db/pack-make.h"
#include "db/page.h"
#include "db/read-ahead.h"
#include "db/rows.h"
#include "db/sql.h"
#include "db/store-private.h"
#include "db/transaction.h"

#define ROUNDS 3
#define SPARE_BYTES (1U << 20) /* of the file system, for the log of index.db */

/* A row of a pack that is looked at closely; sorted in this order. */
struct entry {
	uint32_t rank; /* of the pack */
	uint32_t length;
	uint64_t offset;
	uint64_t id;
};

struct list {
	size_t n;
	struct entry from;  /* entries begin behind this one */
	struct entry until; /* and end before this one, if there are more */
	bool more;
	struct entry entries[GC_ENTRIES];
};

struct move {
	uint64_t id;
	uint64_t offset; /* in the old pack */
	uint64_t new_offset;
};

struct repack {
	struct gc *gc;
	struct gc_pack **ranked; /* owned: those looked at closely, by maker and number */
	uint32_t nranked;
	struct list *list;	    /* owned */
	struct pack_writer *writer; /* owned; NULL: none is open */
	uint64_t writer_maker;
	uint64_t writer_bytes; /* so far; in a dry run this is all there is of it */
	uint64_t writer_rows;  /* that name it */
	bool writing;
	struct entry last;    /* the block that was copied last, where its rows follow */
	uint64_t last_offset; /* in the new pack; 0: none */
	struct read_ahead ahead;
	size_t nmoves;
	struct move moves[GC_STEP_ROWS]; /* all of one old pack, into the writer's */
};

static int entry_compare(const void *a, const void *b)
{
	const struct entry *x = a;
	const struct entry *y = b;

	if (x->rank != y->rank)
		return x->rank < y->rank ? -1 : 1;
	if (x->offset != y->offset)
		return x->offset < y->offset ? -1 : 1;
	return (x->id > y->id) - (x->id < y->id);
}

static int by_maker(const void *a, const void *b)
{
	const struct gc_pack *x = *(struct gc_pack *const *)a;
	const struct gc_pack *y = *(struct gc_pack *const *)b;

	if (x->maker != y->maker)
		return x->maker < y->maker ? -1 : 1;
	return (x->number > y->number) - (x->number < y->number);
}

/* No room: those at the end wait for another time. */
static void list_cut(struct list *list)
{
	qsort(list->entries, list->n, sizeof(list->entries[0]), entry_compare);
	list->n = GC_ENTRIES / 2;
	list->until = list->entries[list->n];
	list->more = true;
}

static int list_add(struct repack *repack, const struct gc_row *row)
{
	struct gc *gc = repack->gc;
	struct gc_pack *pack = gc_packs_find(gc, row->pack);
	struct list *list = repack->list;
	struct entry entry = {.offset = row->offset, .id = row->id, .length = row->length};
	bool stays = false;
	int r;

	if (!pack || !pack->rank || row->length == 0)
		return 0;
	r = gc_row_stays(gc, row, pack, &stays);
	if (r < 0 || !stays)
		return r;
	entry.rank = pack->rank;
	if (entry_compare(&entry, &list->from) <= 0 ||
	    (list->more && entry_compare(&entry, &list->until) >= 0))
		return 0;
	list->entries[list->n++] = entry;
	if (list->n == GC_ENTRIES)
		list_cut(list);
	return 0;
}

/* The next entries behind list->from. */
static int list_fill(struct repack *repack)
{
	AUTO_FREE struct gc_row *rows = calloc(GC_ROWS, sizeof(*rows));
	struct list *list = repack->list;
	uint64_t after = 0;
	size_t n = GC_ROWS;
	int r = rows ? 0 : fail_with(-ENOMEM, "out of memory");

	list->n = 0;
	list->more = false;
	while (r == 0 && n == GC_ROWS) {
		r = gc_rows_list(repack->gc, &after, repack->gc->last, rows, &n);
		for (size_t i = 0; r == 0 && i < n; i++)
			r = list_add(repack, &rows[i]);
	}
	qsort(list->entries, list->n, sizeof(list->entries[0]), entry_compare);
	return r;
}

/* Hands all entries of the ranked packs, in order, to the function. */
static int for_each_entry(struct repack *repack,
			  int (*visit)(struct repack *repack, const struct entry *entry))
{
	struct list *list = repack->list;
	int r = 0;

	list->from = (struct entry){0};
	do {
		r = list_fill(repack);
		for (size_t i = 0; r == 0 && i < list->n; i++)
			r = visit(repack, &list->entries[i]);
		if (list->n > 0)
			list->from = list->entries[list->n - 1];
	} while (r == 0 && list->more);
	return r;
}

/* The packs for which choose says so get ranks from 1 on. */
static bool rank(struct repack *repack, bool (*choose)(const struct gc_pack *pack))
{
	struct gc *gc = repack->gc;

	repack->nranked = 0;
	for (size_t i = 0; i < gc->npacks; i++) {
		gc->packs[i].rank = 0;
		if (choose(&gc->packs[i]))
			repack->ranked[repack->nranked++] = &gc->packs[i];
	}
	qsort(repack->ranked, repack->nranked, sizeof(struct gc_pack *), by_maker);
	for (uint32_t i = 0; i < repack->nranked; i++)
		repack->ranked[i]->rank = i + 1;
	return repack->nranked > 0;
}

static bool may_be_worth_it(const struct gc_pack *pack)
{
	return !pack->kept && !pack->damaged && pack->rows > 0 && pack->size > PACK_HEADER_BYTES &&
	       2 * pack->least < pack->size - PACK_HEADER_BYTES;
}

static bool is_worth_it(const struct gc_pack *pack)
{
	return may_be_worth_it(pack) && pack->live > 0 &&
	       2 * pack->live < pack->size - PACK_HEADER_BYTES;
}

static bool is_last_block(const struct repack *repack, const struct entry *entry)
{
	return repack->last.rank == entry->rank && repack->last.offset == entry->offset;
}

static int count_block(struct repack *repack, const struct entry *entry)
{
	if (!is_last_block(repack, entry))
		repack->ranked[entry->rank - 1]->live += entry->length;
	repack->last = *entry;
	return 0;
}

static struct gc_pack *pack_of(const struct repack *repack, const struct entry *entry)
{
	return repack->ranked[entry->rank - 1];
}

/* A page that does not prove stays where it is, and its pack too. */
static void set_damaged(struct repack *repack, struct gc_pack *pack, int r)
{
	struct gc *gc = repack->gc;

	pack->damaged = true;
	gc->report.damaged++;
	if (gc->damage)
		return;
	gc->damage = -EBADMSG;
	snprintf(gc->damage_text, sizeof(gc->damage_text),
		 "pack %" PRIu32 " is left as it is: %.150s", pack->number, fail_text(r));
}

/* The row as it is now; length 0: there is none. */
static int row_read(struct index *index, uint64_t id, struct page_row *ret)
{
	AUTO_RESET sqlite3_stmt *query = NULL;
	int r = sql_get(index, "SELECT hash, pack, offset, length FROM page WHERE id = ?1", &query);

	*ret = (struct page_row){0};
	if (r < 0)
		return r;
	sql_bind(query, 1, id);
	r = sql_step(index, query);
	if (r > 0)
		*ret = rows_parse(query, 0);
	return MIN(r, 0);
}

/* The block of a row, proved; -ENOENT where the row does not name that place any more. */
static int block_read(struct repack *repack, const struct entry *entry, void *packed,
		      struct page_row *row)
{
	struct store *store = index_store(repack->gc->index);
	struct gc_pack *pack = pack_of(repack, entry);
	char plain[PAGE_BYTES];
	struct pack_handle handle;
	ssize_t n;
	int r = row_read(repack->gc->index, entry->id, row);

	if (r < 0)
		return r;
	if (row->length != entry->length || row->pack != pack->number ||
	    row->offset != entry->offset)
		return -ENOENT;
	r = pack_cache_get(store, row->pack, &handle);
	if (r < 0)
		return r == -ENOENT ? fail_with(-EBADMSG, "%s", fail_text(r)) : r;
	read_ahead_follow(&repack->ahead, handle.fd, row->pack, row->offset, row->length);
	n = io_pread_full(handle.fd, packed, row->length, row->offset);
	pack_cache_put(store, &handle);
	if (n < 0)
		return fail_with((int)n, "pack %" PRIu32 ": reading %u bytes: %s", row->pack,
				 row->length, strerror((int)-n));
	if ((size_t)n < row->length)
		return fail_with(-EBADMSG, "it is cut short at byte %" PRIu64,
				 row->offset + (uint64_t)n);
	r = page_decode(row->codec, packed, row->length, row->hash, plain);
	return r < 0 ? fail_prefix(r, "page row %" PRIu64 " at byte %" PRIu64, entry->id,
				   entry->offset)
		     : 0;
}

static int write_moves(struct repack *repack, uint32_t from, uint32_t to)
{
	static const char sql[] = "UPDATE page SET pack = ?1, offset = ?2 "
				  "WHERE id = ?3 AND pack = ?4 AND offset = ?5";
	AUTO(transaction_end_at) struct index *open = NULL;
	AUTO_RESET sqlite3_stmt *update = NULL;
	struct index *index = repack->gc->index;
	uint64_t moved = 0;
	int r = transaction_begin(index, TRANSACTION_STEP, &open);

	if (r == 0)
		r = sql_get(index, sql, &update);
	for (size_t i = 0; r == 0 && i < repack->nmoves; i++) {
		const struct move *move = &repack->moves[i];

		sql_bind(update, 1, to);
		sql_bind(update, 2, move->new_offset);
		sql_bind(update, 3, move->id);
		sql_bind(update, 4, from);
		sql_bind(update, 5, move->offset);
		r = sql_run(index, update);
		moved += (uint64_t)sqlite3_changes(index_db(index));
	}
	if (r == 0)
		r = transaction_commit(&open);
	if (r == 0)
		repack->writer_rows += moved;
	return r;
}

/* Commits what was collected, all of the pack of that rank. */
static int moves_commit(struct repack *repack)
{
	int r = 0;

	if (repack->nmoves == 0)
		return 0;
	if (!repack->gc->dry_run) {
		r = pack_writer_sync(repack->writer);
		if (r == 0)
			r = write_moves(repack, repack->ranked[repack->last.rank - 1]->number,
					pack_writer_number(repack->writer));
		gc_pause();
	}
	repack->nmoves = 0;
	return r;
}

/* One that no row came to name is of no use. */
static void writer_close(struct repack *repack)
{
	struct gc *gc = repack->gc;
	uint32_t number = 0;

	if (!repack->writing)
		return;
	repack->writing = false;
	repack->last_offset = 0;
	if (repack->writer) {
		number = pack_writer_number(repack->writer);
		pack_writer_truncate(repack->writer);
		repack->writer_bytes = pack_writer_size(repack->writer);
		pack_writer_close(repack->writer);
		repack->writer = NULL;
		if (repack->writer_rows == 0) {
			gc_packs_unmake(gc, number);
			return;
		}
	}
	gc->report.made++;
	gc->report.bytes -= repack->writer_bytes;
}

static int writer_ready(struct repack *repack, uint64_t maker)
{
	int r = 0;

	if (repack->writing &&
	    (repack->writer_maker != maker || repack->writer_bytes >= PACK_BYTES_FULL)) {
		r = moves_commit(repack);
		if (r == 0)
			writer_close(repack);
	}
	if (r < 0 || repack->writing)
		return r;
	if (!repack->gc->dry_run)
		r = pack_make(repack->gc->index, maker, &repack->writer);
	if (r < 0)
		return r;
	repack->writing = true;
	repack->writer_maker = maker;
	repack->writer_bytes = PACK_HEADER_BYTES;
	repack->writer_rows = 0;
	return 0;
}

/* Is there room for what is left of a pack? What was moved so far makes some. */
static int check_space(struct repack *repack, const struct gc_pack *pack)
{
	struct store *store = index_store(repack->gc->index);
	struct statvfs fs;
	uint64_t room;

	if (repack->gc->dry_run || statvfs(store_path(store), &fs) < 0)
		return 0;
	room = (uint64_t)fs.f_bavail * fs.f_frsize;
	if (room >= pack->live + SPARE_BYTES)
		return 0;
	return fail_with(-ENOSPC,
			 "writing pack %" PRIu32 " anew wants %" PRIu64 " KiB, %" PRIu64
			 " KiB are free: what needed no room is done",
			 pack->number, (pack->live + SPARE_BYTES) >> 10, room >> 10);
}

/* The block goes to our pack. */
static int block_copy(struct repack *repack, const struct entry *entry)
{
	struct gc_pack *pack = pack_of(repack, entry);
	char packed[PAGE_BYTES];
	struct page_row row = {.length = (uint16_t)entry->length};
	int r = repack->gc->dry_run ? 0 : block_read(repack, entry, packed, &row);

	if (r == -EBADMSG) {
		set_damaged(repack, pack, r);
		return -ENOENT;
	}
	if (r == 0)
		r = writer_ready(repack, pack->maker);
	if (r < 0)
		return r;
	repack->last = *entry;
	repack->last_offset = repack->writer_bytes;
	repack->writer_bytes += row.length;
	return repack->gc->dry_run ? 0 : pack_writer_append(repack->writer, packed, row.length);
}

static int move_entry(struct repack *repack, const struct entry *entry)
{
	bool begins = repack->last.rank != entry->rank;
	int r = 0;

	if (pack_of(repack, entry)->damaged)
		return 0;
	if (begins || repack->nmoves == GC_STEP_ROWS)
		r = moves_commit(repack);
	if (r == 0 && begins)
		r = check_space(repack, pack_of(repack, entry));
	if (begins)
		repack->last_offset = 0;
	if (r == 0 && (!repack->last_offset || !is_last_block(repack, entry)))
		r = block_copy(repack, entry);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	repack->moves[repack->nmoves++] = (struct move){
		.id = entry->id, .offset = entry->offset, .new_offset = repack->last_offset};
	return 0;
}

static void set_leaving(struct repack *repack)
{
	for (uint32_t i = 0; i < repack->nranked; i++) {
		struct gc_pack *pack = repack->ranked[i];

		pack->leaves = !pack->damaged;
		pack->moved = pack->leaves;
	}
}

/* Moves what is chosen. What is moved so far counts, whatever comes: those packs of
 * which a row is left stay. */
static int move_all(struct repack *repack)
{
	char text[FAIL_TEXT_MAX];
	int retired;
	int r;

	repack->last = (struct entry){0};
	repack->last_offset = 0;
	repack->nmoves = 0;
	r = for_each_entry(repack, move_entry);
	if (r == 0)
		r = moves_commit(repack);
	fail_copy(r, text);
	writer_close(repack);
	set_leaving(repack);
	retired = gc_packs_retire(repack->gc);
	return r < 0 ? fail_with(r, "%s", text) : retired;
}

static int repack_rounds(struct repack *repack)
{
	int r = 0;

	if (!rank(repack, may_be_worth_it))
		return 0;
	r = for_each_entry(repack, count_block);
	for (int round = 0; r == 0 && round < ROUNDS && rank(repack, is_worth_it);) {
		uint64_t before = repack->gc->report.rewritten;

		r = move_all(repack);
		/* what went made room for others */
		if (r == -ENOSPC && repack->gc->report.rewritten > before)
			r = 0;
		if (r == 0 && !repack->gc->dry_run)
			r = gc_last_find(repack->gc);
		round = repack->gc->report.rewritten > before ? 0 : round + 1;
	}
	return r;
}

int gc_repack(struct gc *gc)
{
	AUTO_FREE struct repack *repack = calloc(1, sizeof(*repack));
	AUTO_FREE struct gc_pack **ranked = calloc(gc->npacks + 1, sizeof(struct gc_pack *));
	AUTO_FREE struct list *list = calloc(1, sizeof(*list));

	if (!repack || !ranked || !list)
		return fail_with(-ENOMEM, "out of memory");
	repack->gc = gc;
	repack->ranked = ranked;
	repack->list = list;
	return repack_rounds(repack);
}
