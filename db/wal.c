/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "db/wal.h"

#include <stddef.h>

#include "base/attributes.h"
#include "db/index-private.h"
#include "db/page.h"

#define HEADER_BYTES 32
#define FRAME_BYTES (24 + PAGE_BYTES)
#define FRAMES_AHEAD 16 /* more than the commit of a page or two takes */
#define ROOM_BYTES (1 << 20)

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

void wal_make_room(struct index *index)
{
	static const char zeros[64 << 10];
	sqlite3_int64 wanted = HEADER_BYTES + (index->wal_pages + FRAMES_AHEAD) * FRAME_BYTES;
	sqlite3_file *log = NULL;
	sqlite3_int64 size;
	sqlite3_int64 end;

	if (sqlite3_file_control(index->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log) !=
		    SQLITE_OK ||
	    !log || !log->pMethods || log->pMethods->xFileSize(log, &size) != SQLITE_OK ||
	    size >= wanted)
		return;
	for (end = size + ROOM_BYTES; size < end; size += (int)sizeof(zeros))
		if (log->pMethods->xWrite(log, zeros, sizeof(zeros), size) != SQLITE_OK)
			return;
}

void wal_checkpoint(struct index *index, int mode)
{
	sqlite3_busy_timeout(index->db, 0);
	sqlite3_wal_checkpoint_v2(index->db, "main", mode, NULL, NULL);
	sqlite3_busy_timeout(index->db, INDEX_BUSY_WAIT_MS);
	index->wal_pages = 0;
}
