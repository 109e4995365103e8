/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a store is inside db/.
 */
#ifndef PAGODA_DB_STORE_PRIVATE_H
#define PAGODA_DB_STORE_PRIVATE_H

#include <stdbool.h>

#include "db/store.h"

struct index;
struct locks;
struct map_cache;
struct pack_cache;
struct row_cache;

enum store_access {
	STORE_WRITABLE,
	STORE_READABLE,	 /* others may write meanwhile */
	STORE_IMMUTABLE, /* nobody can */
};

/* Immutable after open, but for the caches, which have locks of their own. */
struct store {
	char *path;	  /* owned; absolute */
	char *index_path; /* owned; PATH/index.db */
	enum store_access access;
	uint8_t uuid[STORE_UUID_BYTES];
	struct locks *locks;	       /* owned */
	struct row_cache *row_cache;   /* owned */
	struct map_cache *map_cache;   /* owned */
	struct pack_cache *pack_cache; /* owned */
};

/* What index_on_wait asked for; see there. */
bool index_tells_waits(const struct index *index);
void index_waits(struct index *index);

#endif
