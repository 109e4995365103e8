/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of a collection share: see gc.c for the whole. One thread.
 */
#ifndef PAGODA_DB_GC_PRIVATE_H
#define PAGODA_DB_GC_PRIVATE_H

#include <stddef.h>

#include "db/gc.h"
#include "db/marks.h"
#include "db/store.h"

/* A test has less of each, so that there are many. */
#ifndef GC_ROWS
#define GC_ROWS 4096		 /* page rows that one statement lists */
#define GC_STEP_ROWS 1024	 /* that one transaction drops or moves */
#define GC_ENTRIES (512U * 1024) /* rows of packs to be rewritten in memory: 12 MiB */
#endif

/* A pack of the index, as it was found. */
struct gc_pack {
	uint32_t number;
	uint32_t rank;	/* among those looked at closely */
	uint64_t maker; /* 0: a snapshot that is gone */
	uint64_t size;	/* bytes of the file, 0: there is none */
	uint64_t rows;	/* that stay */
	uint64_t least; /* bytes of their blocks, each counted once, are at least so many */
	uint64_t end;	/* behind the last block in that */
	uint64_t live;	/* the bytes, exactly, once looked at closely */
	bool kept;	/* it is being written, or may be read by an older map */
	bool damaged;
	bool leaves; /* no row names it any more: to be removed */
	bool moved;  /* because all were moved */
};

struct gc_row {
	uint64_t id;
	uint64_t offset;
	uint64_t pack;
	uint32_t length; /* 0: the row is damaged */
};

struct damage;

struct gc {
	struct index *index; /* borrowed */
	struct progress *progress;
	bool dry_run;
	bool tight; /* the disk is full: short transactions, and none leaves anything in the log */
	uint64_t without;		   /* a snapshot that counts as gone */
	uint64_t maker;			   /* only packs of it; 0: of all */
	struct marks *marks;		   /* owned */
	const struct damage *damage_found; /* borrowed, or NULL: rows that go wherever they lie */
	uint64_t last;			   /* rows behind this id are not looked at */
	struct gc_pack *packs;		   /* owned; by number */
	size_t npacks;
	struct gc_report report;
	int damage; /* 0, or -EBADMSG: a page of a pack to be rewritten */
	char damage_text[256];
};

/* gc.c */

/* gc_run, where rows of damaged pages are garbage even if nobody can say where they
 * lie. */
int gc_run_damaged(struct index *index, const struct damage *damage,
		   struct gc_report *ret) MUST_CHECK;

/* gc-packs.c */

/* All packs of the index. */
int gc_packs_load(struct gc *gc) MUST_CHECK;
/* Those that are in use by others by now: after marks were made, before rows go. */
void gc_packs_look(struct gc *gc);
/* NULL where it is not in the table, or not of the maker that is asked for. */
struct gc_pack *gc_packs_find(struct gc *gc, uint64_t number);
/* Removes the packs that leave, after one more proof that no row names them; with one,
 * they stay. */
int gc_packs_retire(struct gc *gc) MUST_CHECK;
/* Takes back a pack that was made and that no row has ever named. Best effort: the next
 * run does it else. */
void gc_packs_unmake(struct gc *gc, uint32_t number);
/* Pack files the index does not know. */
int gc_packs_strays(struct gc *gc) MUST_CHECK;

/* gc.c */

/* gc->last becomes the last id given to a page. */
int gc_last_find(struct gc *gc) MUST_CHECK;
/* Between steps: others wait for the writer lock by looking now and then. */
void gc_pause(void);
/* The next rows behind *after, up to id last; *after becomes the last of them. */
int gc_rows_list(struct gc *gc, uint64_t *after, uint64_t last, struct gc_row rows[GC_ROWS],
		 size_t *ret_n) MUST_CHECK;
/* Does the row stay? In a dry run this is asked for rows in the order of their ids. */
int gc_row_stays(struct gc *gc, const struct gc_row *row, const struct gc_pack *pack,
		 bool *ret) MUST_CHECK;

/* gc-repack.c */

/* Writes the packs anew that are garbage by more than half; they leave. */
int gc_repack(struct gc *gc) MUST_CHECK;

#endif
