/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "db/wal.h"

#include "base/attributes.h"
#include "db/index-private.h"

static int count(void *context, UNUSED sqlite3 *db, UNUSED const char *name, int pages)
{
	struct index *index = context;

	index->wal_pages = pages;
	return SQLITE_OK;
}

void wal_watch(struct index *index)
{
	sqlite3_wal_hook(index->db, count, index);
}

void wal_checkpoint(struct index *index, int mode)
{
	sqlite3_busy_timeout(index->db, 0);
	sqlite3_wal_checkpoint_v2(index->db, "main", mode, NULL, NULL);
	sqlite3_busy_timeout(index->db, INDEX_BUSY_WAIT_MS);
	index->wal_pages = 0;
}
