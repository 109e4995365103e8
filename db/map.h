/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A map: for every guest page of an image what it is and where it is stored.
 *
 * One sorted list of runs that covers the image without a gap; it does not
 * matter how many layers it was merged from. Immutable once built, so any
 * number of threads may read one. Pure: knows no SQL and no files.
 */
#ifndef PAGODA_DB_MAP_H
#define PAGODA_DB_MAP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/cleanup.h"

enum run_kind {
	RUN_ABSENT,  /* in no layer; only in the map of a single layer */
	RUN_ZERO,    /* explicit zero pages */
	RUN_DATA,    /* stored pages with consecutive ids */
	RUN_PENDING, /* data that is in no pack yet: only in maps of drafts */
};

struct run {
	uint64_t first; /* pgno; the run ends where the next one begins */
	uint64_t page;	/* RUN_DATA: id of the first stored page */
	uint32_t layer; /* index into the snapshot's layers, 0 the topmost */
	enum run_kind kind;
};

#define MAP_PAGE_MAX ((UINT64_C(1) << 47) - 1) /* ids of stored pages */
#define MAP_LAYER_MAX ((UINT32_C(1) << 14) - 1)
#define MAP_NPAGES_MAX (UINT64_C(1) << 32)

/*
 * Memory of one page here and one there has a run for every second page, and a daemon
 * keeps the maps of many images. So a run is two or three words: where it begins; the
 * kind (2 bits) and the lower bits of page; and, where the map has any of those, layer (14
 * bits) and the upper bits of page. A base has none before a store took in 4 TiB.
 */
struct map {
	uint64_t npages; /* of the image */
	size_t nruns;
	uint32_t *firsts; /* owned, and the others with it: one a run each */
	uint32_t *lows;	  /* kind and page */
	uint32_t *highs;  /* layer and page; NULL: all 0 */
	atomic_uint owners;
};

/* Which pages of a map a file shows as holes. */
enum map_view {
	MAP_MEM,  /* zero and absent pages are holes */
	MAP_DIFF, /* absent pages are holes; zero pages are data */
};

/* Builds a map: empty of npages, then runs in any order; a page already set
 * stays as it is, so layers are added from the top down. */
struct map_builder;
int map_builder_new(uint64_t npages, struct map_builder **ret) MUST_CHECK;
void map_builder_free(struct map_builder *builder);
DEFINE_AUTO(struct map_builder *, map_builder_free)
/* -EBADMSG: outside the image, empty, or (within one layer) overlapping; an id
 * above MAP_PAGE_MAX in the run, a layer above MAP_LAYER_MAX. Runs of one layer come in order of
 * first. */
int map_builder_add(struct map_builder *builder, uint32_t layer, enum run_kind kind, uint64_t first,
		    uint64_t count, uint64_t page) MUST_CHECK;
/* The finished map; neighbours that continue each other are one run. With
 * absent_is_zero what no layer has becomes RUN_ZERO of the last layer. */
int map_builder_finish(struct map_builder *builder, bool absent_is_zero,
		       struct map **ret) MUST_CHECK;

/* What top has, and where top has RUN_ABSENT, what under has; both of one size.
 * shift is added to the layers of under. */
int map_lay_over(const struct map *top, const struct map *under, uint32_t shift,
		 struct map **ret) MUST_CHECK;

/* How many pages from first on are no hole in that view. */
uint64_t map_count(const struct map *map, enum map_view view, uint64_t first, uint64_t count);

/* All runs become those of layer 0. Before the map is shared. */
void map_flatten(struct map *map);

/* What it takes in memory. */
size_t map_bytes(const struct map *map);

/* The same map with an owner more. */
struct map *map_share(struct map *map);

/* One owner less. */
void map_free(struct map *map);
DEFINE_AUTO(struct map *, map_free)

/* The index of the run that holds pgno, which is below npages. */
size_t map_find(const struct map *map, uint64_t pgno);

/* Of run nruns: the end. */
static inline uint64_t map_run_first(const struct map *map, size_t i)
{
	return i < map->nruns ? map->firsts[i] : map->npages;
}

static inline uint64_t map_run_end(const struct map *map, size_t i)
{
	return map_run_first(map, i + 1);
}

static inline enum run_kind map_run_kind(const struct map *map, size_t i)
{
	return (enum run_kind)(map->lows[i] & 3);
}

static inline struct run map_run(const struct map *map, size_t i)
{
	uint32_t high = map->highs ? map->highs[i] : 0;

	return (struct run){.first = map->firsts[i],
			    .page = map->lows[i] >> 2 | (uint64_t)(high >> 14) << 30,
			    .layer = high & MAP_LAYER_MAX,
			    .kind = map_run_kind(map, i)};
}

static inline bool map_is_hole(enum run_kind kind, enum map_view view)
{
	return kind == RUN_ABSENT || (kind == RUN_ZERO && view == MAP_MEM);
}

/* lseek(2) with SEEK_DATA or SEEK_HOLE at byte off: 0 and *ret_off, or -ENXIO at
 * and past the end, and for SEEK_DATA where only a hole is left. */
int map_seek(const struct map *map, enum map_view view, uint64_t off, bool data,
	     uint64_t *ret_off) MUST_CHECK;

#endif
