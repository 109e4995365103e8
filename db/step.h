/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A step of the appender: what one transaction adds to a layer. Private to db/.
 *
 * The appender collects one, and commits it itself or hands it to another thread,
 * which has it and the struct steps to itself until it is committed.
 */
#ifndef PAGODA_DB_STEP_H
#define PAGODA_DB_STEP_H

#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "db/appender.h"
#include "db/index.h"
#include "db/pack.h"
#include "db/page.h"
#include "db/row-batch.h"

#ifndef STEP_PAGES /* tests make steps smaller */
#define STEP_PAGES 16384
#endif
#define STEP_KEPT 2048 /* known pages whose bytes are kept: 8 MiB */

struct step_page {
	enum { STEP_ZERO, STEP_NEW, STEP_OWN, STEP_KNOWN } kind;
	uint32_t kept; /* STEP_KNOWN: where its bytes are */
	uint64_t pgno;
	uint64_t count;	   /* STEP_ZERO: pages; else 1 */
	uint64_t known_id; /* STEP_KNOWN: 0 where it is found missing */
	struct page_row row;
};

struct step {
	struct pack_writer *writer; /* borrowed: where the last of its blocks are, or NULL */
	uint64_t written;	    /* bytes of that pack up to them */
	struct pack_writer *full;   /* owned: one that became full, locked until the commit */
	uint64_t stored_pages;	    /* of an edit: what it adds to packs */
	uint64_t stored_bytes;
	size_t nkept;
	size_t npages;
	struct step_page pages[STEP_PAGES];
	char kept[STEP_KEPT][PAGE_BYTES];
};

struct extent {
	uint64_t first;
	uint64_t count;
	uint64_t page; /* 0: zero pages */
};

/* A page row of a step, before all of them go into the index. */
struct step_row {
	int64_t hash; /* as SQLite orders it */
	uint64_t id;
	const struct page_row *row; /* borrowed of the step */
};

/* What the steps of a layer have in common. */
struct steps {
	struct index *index; /* borrowed */
	uint64_t snapshot;
	struct appender_edit *edit; /* borrowed; NULL: an import */
	struct extent last;	    /* the run that may go on; count 0: none yet */
	/* while laying out */
	uint64_t next_id;
	size_t nrows;
	struct step_row rows[STEP_PAGES];
	struct row_batch batch;
};

/* Makes the blocks durable and commits. Where known pages are gone, nothing is done: they
 * are marked, and *ret_missing says how many. */
int step_commit(struct steps *steps, struct step *step, size_t *ret_missing) MUST_CHECK;

/* Empty again. */
void step_clear(struct step *step);

#endif
