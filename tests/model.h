/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model of a store and its view: for each snapshot a plain file beside the mount,
 * which is given the same system calls, and which of its pages its layer holds.
 *
 *   model.c           the generator: which operation comes next, and main
 *   model-store.c     what goes through commands: import, fork, seal, rm, gc, mounts
 *   model-draft.c     what is done to a draft's files, and what a kill leaves of it
 *   model-compare.c   the view against the model
 *
 * What differs ends the program with words, the seed and the number of the operation.
 */
#ifndef PAGODA_TESTS_MODEL_H
#define PAGODA_TESTS_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"

#define PAGE_BYTES ((size_t)4096)
#define SNAPSHOTS_MAX 10
#define NPAGES_MAX 400

/* Of one page of a layer. */
enum layer_page {
	LAYER_ABSENT,
	LAYER_HELD,
	LAYER_EITHER, /* it was written, and equals what is below it */
};

/* What a page of a draft was at some moment since the last sync. */
struct version {
	uint64_t pgno;
	struct version *next; /* owned */
	char bytes[PAGE_BYTES];
};

struct snap {
	char name[32]; /* "": free */
	char plain[256];
	size_t npages;
	char *bytes; /* owned: the plain file, mapped shared */
	int plain_fd;
	struct snap *parent; /* borrowed; NULL for a base */
	bool is_draft;
	enum layer_page layer[NPAGES_MAX];
	/* drafts */
	int fd;	      /* of mem in the view, O_RDWR; -1: closed */
	bool dirty;   /* written and not synced */
	char *synced; /* owned: the bytes as last synced */
	enum layer_page synced_layer[NPAGES_MAX];
	struct version *versions; /* owned: since then, and not as synced */
};

struct model {
	const char *store;
	const char *mount;
	const char *plain;
	uint64_t seed;
	uint64_t random;
	unsigned int op; /* the number of the operation under way */
	char doing[128];
	unsigned int made; /* names given out */
	struct snap snaps[SNAPSHOTS_MAX];
};

extern struct model model;

void fail(const char *format, ...) PRINTF_LIKE(1, 2) NORETURN;
void doing(const char *format, ...) PRINTF_LIKE(1, 2);

uint64_t pick(uint64_t below); /* a random number; below > 0 */
void fill_random(char *page);  /* zeros, one of a few, text-like, noise */

/* model-store.c */
void store_mount(void);
void store_remount(void);
void store_kill(void);
void store_end(void);
bool store_import(void);
bool store_import_layer(bool diff);
bool store_fork(void);
bool store_seal(void);
bool store_remove(void);
bool store_gc(void);
bool store_export(void);
bool store_check(void);
struct snap *snap_pick(bool draft); /* NULL: there is none */
void snap_path(const struct snap *snap, const char *file, char path[512]);

/* model-draft.c */
bool draft_write_some(void);
bool draft_map_write(void);
bool draft_punch(bool zero_range);
bool draft_truncate(void);
bool draft_sync(void);
bool draft_let_go(void);
void draft_open_fd(struct snap *snap);
void draft_close_fd(struct snap *snap);
void draft_forget(struct snap *snap);
void draft_after_kill(struct snap *snap);
void draft_is_synced(struct snap *snap);

/* model-compare.c */
void compare_mem(const struct snap *snap);
void compare_diff(const struct snap *snap);
void compare_all(void);
bool page_is_zero(const char *page);
void read_at(int fd, char *to, size_t len, size_t off, const char *what);

#endif
