/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a pack goes. That no row names it is found by reading all rows, without the
 * writer lock, and those that came meanwhile with it; a row that names an old pack can
 * come only as an alias of another one that does. The same transaction dooms the pack,
 * durably: the drop of its rows, or their move, is then durable too, and a power cut
 * brings none of them back. Only then its file goes.
 */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fail.h"
#include "base/log.h"
#include "db/catalog.h"
#include "db/discard.h"
#include "db/gc-private.h"
#include "db/lock.h"
#include "db/pack.h"
#include "db/sql.h"
#include "db/store-private.h"
#include "db/transaction.h"

#define DOOM_PACKS 1000 /* in one transaction */
#define NEW_ROWS 65536	/* looked at with the writer lock */
#define TRIES 50

static int pack_add(struct gc *gc, size_t *room, const struct gc_pack *pack)
{
	if (gc->npacks == *room) {
		size_t more = *room ? 2 * *room : 256;
		struct gc_pack *packs = reallocarray(gc->packs, more, sizeof(*packs));

		if (!packs)
			return fail_with(-ENOMEM, "out of memory");
		gc->packs = packs;
		*room = more;
	}
	gc->packs[gc->npacks++] = *pack;
	return 0;
}

/* Its size, and whether its writer has it locked. */
static void file_look(struct gc *gc, struct gc_pack *pack)
{
	struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_len = 1};
	char path[PATH_MAX];
	AUTO_CLOSE int fd = -1;
	struct stat st;

	pack_path(index_store(gc->index), pack->number, path);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0) {
		pack->kept |= errno != ENOENT;
		return;
	}
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || fcntl(fd, F_OFD_GETLK, &lock) < 0 ||
	    lock.l_type != F_UNLCK)
		pack->kept = true;
	else
		pack->size = (uint64_t)st.st_size;
}

int gc_packs_load(struct gc *gc)
{
	static const char sql[] = "SELECT p.id, p.maker, s.id FROM pack p "
				  "LEFT JOIN snapshot s ON s.id = p.maker ORDER BY p.id";
	AUTO_RESET sqlite3_stmt *query = NULL;
	size_t room = 0;
	int r = sql_get(gc->index, sql, &query);

	while (r >= 0 && (r = sql_step(gc->index, query)) > 0) {
		struct gc_pack pack = {.maker = sql_column(query, 1)};
		uint64_t number = sql_column(query, 0);

		pack.number = (uint32_t)number;
		if (number == 0 || number > UINT32_MAX ||
		    (gc->npacks > 0 && gc->packs[gc->npacks - 1].number >= pack.number))
			return fail_with(-EBADMSG, "index.db: its packs are out of order");
		if (sqlite3_column_type(query, 2) == SQLITE_NULL)
			pack.maker = 0;
		if (gc->maker && pack.maker != gc->maker)
			continue;
		r = pack_add(gc, &room, &pack);
	}
	for (size_t i = 0; r == 0 && i < gc->npacks; i++)
		file_look(gc, &gc->packs[i]);
	return r;
}

/* Its maker is still at work, or another process has it open. */
static bool is_in_use(struct gc *gc, const struct gc_pack *pack)
{
	struct locks *locks = index_store(gc->index)->locks;

	if (!pack->maker)
		return false;
	return gc->maker ? locks_is_leased_by_others(locks, pack->maker)
			 : locks_is_leased(locks, pack->maker);
}

void gc_packs_look(struct gc *gc)
{
	for (size_t i = 0; i < gc->npacks; i++)
		gc->packs[i].kept |= is_in_use(gc, &gc->packs[i]);
}

struct gc_pack *gc_packs_find(struct gc *gc, uint64_t number)
{
	size_t low = 0;
	size_t high = gc->npacks;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (gc->packs[middle].number < number)
			low = middle + 1;
		else
			high = middle;
	}
	return low < gc->npacks && gc->packs[low].number == number ? &gc->packs[low] : NULL;
}

/* Rows behind *after: what one names stays. At most some `most` rows; *ret_all: there
 * are no more. */
static int rows_prove(struct gc *gc, uint64_t *after, uint64_t most, bool *ret_all)
{
	AUTO_FREE struct gc_row *rows = calloc(GC_ROWS, sizeof(*rows));
	size_t n = GC_ROWS;

	if (!rows)
		return fail_with(-ENOMEM, "out of memory");
	for (uint64_t seen = 0; n == GC_ROWS && seen < most; seen += n) {
		int r = gc_rows_list(gc, after, INT64_MAX, rows, &n);

		if (r < 0)
			return r;
		for (size_t i = 0; i < n; i++) {
			struct gc_pack *pack = gc_packs_find(gc, rows[i].pack);

			if (pack)
				pack->leaves = false;
		}
	}
	*ret_all = n < GC_ROWS;
	return 0;
}

static int doom(struct gc *gc, uint32_t number)
{
	AUTO_RESET sqlite3_stmt *update = NULL;
	int r = sql_get(gc->index, "UPDATE pack SET doomed = 1 WHERE id = ?1", &update);

	if (r < 0)
		return r;
	sql_bind(update, 1, number);
	return sql_run(gc->index, update);
}

/* Dooms up to DOOM_PACKS packs from *at on; *ret_all: nothing came that was not seen. */
static int doom_some(struct gc *gc, uint64_t *after, size_t *at, bool *ret_all)
{
	AUTO(transaction_end_at) struct index *open = NULL;
	size_t n = 0;
	size_t i;
	int r = rows_prove(gc, after, UINT64_MAX, ret_all);

	if (r == 0)
		r = transaction_begin(gc->index, TRANSACTION_CATALOG, &open);
	if (r == 0)
		r = rows_prove(gc, after, NEW_ROWS, ret_all);
	if (r < 0 || !*ret_all)
		return r;
	for (i = *at; r == 0 && i < gc->npacks && n < DOOM_PACKS; i++) {
		if (!gc->packs[i].leaves)
			continue;
		r = doom(gc, gc->packs[i].number);
		n++;
	}
	if (r == 0)
		r = transaction_commit(&open);
	if (r == 0)
		*at = i;
	return r;
}

/* After a pack was doomed nobody shares its pages, so it has no row for good. */
static int drop_from(struct gc *gc, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++) {
		struct gc_pack *pack = &gc->packs[i];
		int r = pack->leaves ? discard_drop_file(gc->index, pack->number) : 0;

		if (r < 0 && r != -ENOENT) /* or another process has done so */
			return r;
		if (!pack->leaves)
			continue;
		gc->report.packs += pack->size > 0;
		gc->report.rewritten += pack->moved;
		gc->report.bytes += pack->size;
		pack->leaves = false;
		pack->kept = true; /* it is gone: nothing more is done with it */
	}
	return 0;
}

static bool any_leaves(const struct gc *gc, size_t from)
{
	for (size_t i = from; i < gc->npacks; i++)
		if (gc->packs[i].leaves)
			return true;
	return false;
}

/* A dry run counts as if nothing came in between. */
static void retire_dry(struct gc *gc)
{
	for (size_t i = 0; i < gc->npacks; i++) {
		struct gc_pack *pack = &gc->packs[i];

		if (!pack->leaves)
			continue;
		gc->report.packs += pack->size > 0;
		gc->report.rewritten += pack->moved;
		gc->report.bytes += pack->size;
		pack->leaves = false;
		pack->kept = true;
	}
}

int gc_packs_retire(struct gc *gc)
{
	uint64_t after = 0;
	size_t at = 0;
	int r = 0;

	if (gc->dry_run) {
		retire_dry(gc);
		return 0;
	}
	for (int tries = 0; r == 0 && any_leaves(gc, at) && tries < TRIES;) {
		size_t from = at;
		bool all = false;

		r = doom_some(gc, &after, &at, &all);
		if (r == 0 && all)
			r = drop_from(gc, from, at);
		tries = all ? 0 : tries + 1;
	}
	return r;
}

void gc_packs_unmake(struct gc *gc, uint32_t number)
{
	AUTO(transaction_end_at) struct index *open = NULL;
	int r = transaction_begin(gc->index, TRANSACTION_STEP, &open);

	if (r == 0)
		r = doom(gc, number);
	if (r == 0)
		r = transaction_commit(&open);
	if (r == 0)
		r = discard_drop_file(gc->index, number);
	if (r < 0)
		log_debug("taking back pack %" PRIu32 ": %s", number, fail_text(r));
}

/* "17.pack" as pack_path writes it: 17, else 0. */
static uint32_t number_of(const char *name)
{
	char again[32];
	char *end;
	unsigned long number = strtoul(name, &end, 10);

	if (number == 0 || number > UINT32_MAX)
		return 0;
	snprintf(again, sizeof(again), "%lu.pack", number);
	return strcmp(name, again) == 0 ? (uint32_t)number : 0;
}

/* Under the writer lock: a pack's row comes before its file. */
static int stray_remove(struct gc *gc, uint32_t number)
{
	AUTO(transaction_end_at) struct index *open = NULL;
	struct gc_pack pack = {.number = number};
	char path[PATH_MAX];
	int64_t found;
	int r = gc->dry_run ? 0 : transaction_begin(gc->index, TRANSACTION_STEP, &open);

	if (r == 0)
		r = sql_number(gc->index, "SELECT id FROM pack WHERE id = ?1", number, &found);
	if (r != -ENOENT)
		return r;
	file_look(gc, &pack);
	if (pack.kept)
		return 0;
	pack_path(index_store(gc->index), number, path);
	if (!gc->dry_run && unlink(path) < 0)
		return errno == ENOENT ? 0
				       : fail_with(-errno, "removing pack %" PRIu32 ": %s", number,
						   strerror(errno));
	gc->report.packs++;
	gc->report.bytes += pack.size;
	return 0;
}

int gc_packs_strays(struct gc *gc)
{
	char packs[PATH_MAX];
	struct dirent *entry;
	DIR *dir;
	int r = 0;

	snprintf(packs, sizeof(packs), "%s/packs", store_path(index_store(gc->index)));
	dir = opendir(packs);
	if (!dir)
		return fail_with(errno == ENOENT ? -EBADMSG : -errno, "%s: %s", packs,
				 strerror(errno));
	while (r == 0 && (entry = readdir(dir))) {
		uint32_t number = number_of(entry->d_name);

		if (number && !gc_packs_find(gc, number))
			r = stray_remove(gc, number);
	}
	closedir(dir);
	return r;
}
