/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What draft.c, draft-*.c and fork.c share. Private to them.
 */
#ifndef PAGODA_DB_DRAFT_PRIVATE_H
#define PAGODA_DB_DRAFT_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "db/appender.h"
#include "db/draft.h"
#include "db/draft-seen.h"
#include "db/layer-edit.h"
#include "db/map.h"
#include "db/overlay.h"
#include "db/snapshot.h"

#define SEEN_MOST 4096
#define TIDY_BYTES (UINT64_C(16) << 20)
/* The last writer leaves so many pages in table pending: a pack for each patch of a
 * page would be dearer. */
#define DRAFT_PENDING_KEPT 64

struct drafts {
	struct store *store; /* borrowed */
	atomic_bool untidy;  /* one of them is */
	atomic_size_t cost;  /* of all dirty and flushing overlays, and reserved */
	pthread_mutex_t lock;
	struct draft *first; /* list, protected by lock */
	/* Protected by lock: what the kernel has cached; a ring. */
	uint64_t losses; /* how often that was what could not be written */
	size_t nseen;
	size_t next_seen;
	struct seen {
		uint64_t id;
		uint64_t versions[DRAFT_FILES];
	} seen[SEEN_MOST];
};

/* A map that readers hold on to; refs protected by the draft's lock. */
struct stored {
	unsigned int refs;
	struct map *layer;	 /* owned: the extents of the layer; NULL if sealed */
	struct map *mem;	 /* over the parent; owned unless sealed */
	struct snapshot *sealed; /* owned: what the draft has become; else NULL */
};

struct draft {
	struct drafts *all; /* borrowed */
	uint64_t id;
	char name[SNAPSHOT_NAME_MAX + 1]; /* name and size are set by the first load */
	uint64_t size;
	/* Protected by all->lock. */
	struct draft *next;
	unsigned int handles;
	unsigned int writers;

	/* Held while it is opened, stored or closed, which waits for the store. Before
	 * lock and all->lock. It protects these: */
	pthread_mutex_t slow;
	bool leased;
	struct snapshot *parent;   /* owned; set once */
	struct index *index;	   /* owned, of a writer; the rest with it */
	struct pages *pages;	   /* owned */
	struct layer_edit *edit;   /* owned */
	struct appender *appender; /* owned; NULL before the first pack */
	struct appender_edit for_appender;
	struct run *runs; /* owned: what a store in a pack has written */
	size_t nruns;
	size_t runs_room;
	uint64_t pack_bytes; /* it has in packs of its own, garbage among them */
	uint64_t tidy_at;    /* how many are worth a look for garbage */

	/* Held for moments. Protects these: */
	pthread_mutex_t lock;
	struct snapshot_row row;
	struct stored *stored; /* NULL before the first load */
	/* Later ones hide earlier ones, and all of them what is stored. */
	struct overlay *pending;  /* in table pending */
	struct overlay *flushing; /* being stored, or could not be */
	struct overlay *dirty;	  /* written since */
	uint64_t swaps;		  /* how often dirty became flushing */
	uint64_t changes;	  /* counts writes */
	uint64_t changed_ns;	  /* wall clock, of the last one */
	bool may_write;		  /* the write lease is held */
	bool untidy;		  /* drafts_tidy should look at it */
	struct map *view;	  /* the image with all that is written; NULL: out of date */
	uint64_t view_data;	  /* pages of data in it */
	struct {
		bool loaded;
		char *data; /* owned */
		size_t len;
		size_t room;
		uint64_t changes;
		uint64_t stored_changes; /* of those, durable */
	} vmstate;
};

/* Takes lock for who answers the kernel: where it has to wait for it, index_on_wait is told. */
void draft_lock(struct draft *draft, struct pages *pages);

/* With lock held. */
void draft_view_drop(struct draft *draft);
void draft_stored_unref(struct stored *stored);
bool draft_has_unstored(const struct draft *draft);

/* Reads what is stored, unless it is what is known. -ESTALE where it is sealed, unless
 * that is wanted too. With slow held, and without the write lease or just after it was
 * taken. */
int draft_load(struct draft *draft, struct index *index, bool also_sealed) MUST_CHECK;

/* A handle less: it goes with the last, unless something is left to store. */
void draft_put(struct draft *draft);

/* Reads vmstate from the store, unless it was written and not stored: with slow held. */
int draft_vmstate_load(struct draft *draft, struct index *index) MUST_CHECK;

/* The kernel's pages of version before are those of version now: without lock. */
void draft_seen_advance(struct draft *draft, uint64_t before, uint64_t now);

/* draft_store with slow held. */
int draft_store_locked(struct draft *draft, bool all) MUST_CHECK;

/* What was just committed shows as that version: without lock. */
void draft_version_made(struct draft *draft, uint64_t version);

/* Makes vmstate durable, a version of its own; nothing where nothing was written: with
 * slow held. */
int draft_vmstate_store(struct draft *draft) MUST_CHECK;

/* Looks whether its packs may be garbage by more than half: with slow held. */
void draft_look_tidy(struct draft *draft);

/* Ends what a writer had: with slow held. */
void draft_store_done(struct draft *draft);

#endif
