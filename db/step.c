/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "db/step.h"

#include <errno.h>
#include <stdlib.h>

#include "base/fail.h"
#include "db/rows.h"
#include "db/sql.h"
#include "db/transaction.h"

/* A stretch of known pages at least this long is worth an extent of its own; in a
 * shorter one each page gets an alias row, so that the run around it goes on. */
#define STRETCH_PAGES 16

/* The known page is still what it was, in a pack that stays; its row may name
 * another place by now. 1: yes, 0: no. */
static int confirm_known(struct steps *s, struct step_page *page)
{
	static const char sql[] = "SELECT hash, pack, offset, length FROM page WHERE id = ?1 AND "
				  "NOT (SELECT doomed FROM pack WHERE id = page.pack)";
	AUTO_RESET sqlite3_stmt *query = NULL;
	struct page_row row;
	int r = sql_get(s->index, sql, &query);

	if (r < 0)
		return r;
	sql_bind(query, 1, page->known_id);
	r = sql_step(s->index, query);
	if (r <= 0)
		return r;
	row = rows_parse(query, 0);
	if (row.length == 0 || row.hash != page->row.hash)
		return 0;
	page->row = row;
	return 1;
}

/* Inside the transaction. *ret_missing says how many are not there any more: they
 * are marked by a known_id of 0. */
static int confirm(struct steps *s, struct step *step, size_t *ret_missing)
{
	*ret_missing = 0;
	for (size_t i = 0; i < step->npages; i++) {
		int r;

		if (step->pages[i].kind != STEP_KNOWN)
			continue;
		r = confirm_known(s, &step->pages[i]);
		if (r < 0)
			return r;
		if (r == 0) {
			step->pages[i].known_id = 0;
			(*ret_missing)++;
		}
	}
	return 0;
}

/* Writes the run that was open; one of the step before may have grown. */
static int write_last(struct steps *s)
{
	static const char sql[] = "INSERT OR REPLACE INTO extent (snapshot, first, count, page) "
				  "VALUES (?1, ?2, ?3, ?4)";
	sqlite3_stmt *insert;
	int r;

	if (s->last.count == 0)
		return 0;
	if (s->edit)
		return s->edit->run(s->edit, s->last.first, s->last.count, s->last.page);
	r = sql_get(s->index, sql, &insert);
	if (r < 0)
		return r;
	sql_bind(insert, 1, s->snapshot);
	sql_bind(insert, 2, s->last.first);
	sql_bind(insert, 3, s->last.count);
	if (s->last.page)
		sql_bind(insert, 4, s->last.page);
	return sql_run(s->index, insert);
}

/* The next pages of the image: count from pgno on, zero or stored from id on. */
static int extend(struct steps *s, uint64_t pgno, uint64_t count, uint64_t id)
{
	int r;

	if (s->last.count > 0 && s->last.first + s->last.count == pgno &&
	    (id == 0) == (s->last.page == 0) && (id == 0 || s->last.page + s->last.count == id)) {
		s->last.count += count;
		return 0;
	}
	r = write_last(s);
	s->last = (struct extent){.first = pgno, .count = count, .page = id};
	return r;
}

/* How many known pages follow from step page i on, one behind the other, with
 * consecutive ids. */
static size_t stretch_from(const struct step *step, size_t i)
{
	size_t n = 1;

	while (n < STRETCH_PAGES && i + n < step->npages && step->pages[i + n].kind == STEP_KNOWN &&
	       step->pages[i + n].known_id == step->pages[i].known_id + n &&
	       step->pages[i + n].pgno == step->pages[i].pgno + n)
		n++;
	return n;
}

/*
 * A known page goes by its own id where that continues the open run, or where it
 * begins a stretch long enough. Every other page gets a new row, known ones an
 * alias: new ids are consecutive, so the run goes on.
 */
static int lay_out_page(struct steps *s, const struct step *step, size_t i)
{
	const struct step_page *page = &step->pages[i];
	bool continues = s->last.page && s->last.page + s->last.count == page->known_id &&
			 s->last.first + s->last.count == page->pgno;
	bool by_id =
		page->kind == STEP_KNOWN && (continues || stretch_from(step, i) >= STRETCH_PAGES);

	if (page->kind == STEP_ZERO)
		return extend(s, page->pgno, page->count, 0);
	if (by_id)
		return extend(s, page->pgno, 1, page->known_id);
	s->rows[s->nrows++] = (struct step_row){
		.hash = (int64_t)page->row.hash, .id = s->next_id, .row = &page->row};
	return extend(s, page->pgno, 1, s->next_id++);
}

static int row_compare(const void *a, const void *b)
{
	const struct step_row *x = a;
	const struct step_row *y = b;

	if (x->hash != y->hash)
		return x->hash < y->hash ? -1 : 1;
	return x->id < y->id ? -1 : x->id > y->id;
}

/*
 * In the order of page_hash: hashes come in no order, and that index soon has more pages
 * than the connection keeps. So each that changes is read once and logged once a step,
 * not once a row. In the table the new ids are close together in any order.
 */
static int write_rows(struct steps *s)
{
	int r = 0;

	qsort(s->rows, s->nrows, sizeof(s->rows[0]), row_compare);
	row_batch_init(&s->batch, s->index);
	for (size_t i = 0; r == 0 && i < s->nrows; i++)
		r = row_batch_add(&s->batch, s->rows[i].row, s->rows[i].id);
	return r == 0 ? row_batch_flush(&s->batch) : r;
}

/* Inside the transaction, once everything named is there. */
static int lay_out(struct steps *s, const struct step *step)
{
	int64_t sequence;
	int r = sql_number(s->index, "SELECT seq FROM sqlite_sequence WHERE name = 'page'", 0,
			   &sequence);

	if (r == -ENOENT)
		return fail_with(-EBADMSG, "index.db: its sequence of page ids is missing");
	s->next_id = (uint64_t)sequence + 1;
	s->nrows = 0;
	for (size_t i = 0; r == 0 && i < step->npages; i++)
		r = lay_out_page(s, step, i);
	if (r == 0)
		r = write_rows(s);
	return r == 0 ? write_last(s) : r;
}

static int transact(struct steps *s, struct step *step, size_t *ret_missing)
{
	AUTO(transaction_end_at) struct index *open = NULL;
	struct extent before = s->last;
	int r = transaction_begin(s->index, s->edit ? TRANSACTION_DURABLE : TRANSACTION_STEP,
				  &open);

	if (r == 0)
		r = confirm(s, step, ret_missing);
	if (r < 0 || *ret_missing > 0)
		return r;
	if (s->edit)
		s->edit->begin(s->edit);
	r = lay_out(s, step);
	if (r == 0 && s->edit)
		r = s->edit->end(s->edit, step->stored_pages, step->stored_bytes);
	if (r == 0)
		r = transaction_commit(&open);
	if (r < 0)
		s->last = before;
	else if (s->edit) /* each step of an edit stands for itself */
		s->last.count = 0;
	return r;
}

int step_commit(struct steps *steps, struct step *step, size_t *ret_missing)
{
	int r = 0;

	*ret_missing = 0;
	if (step->writer)
		r = pack_writer_sync_flushed(step->writer, step->written);
	return r < 0 ? r : transact(steps, step, ret_missing);
}

void step_clear(struct step *step)
{
	pack_writer_close(step->full);
	step->full = NULL;
	step->writer = NULL;
	step->npages = 0;
	step->nkept = 0;
}
