/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "db/pack-make.h"

#include <errno.h>

#include "base/fail.h"
#include "db/sql.h"
#include "db/transaction.h"

#define TRIES 1000

/* A number of its own. */
static int number_take(struct index *index, uint64_t maker, uint32_t *ret)
{
	AUTO(transaction_end_at) struct index *open = NULL;
	AUTO_RESET sqlite3_stmt *insert = NULL;
	int64_t number;
	int r = transaction_begin(index, TRANSACTION_STEP, &open);

	if (r == 0)
		r = sql_get(index, "INSERT INTO pack (maker) VALUES (?1)", &insert);
	if (r < 0)
		return r;
	sql_bind(insert, 1, maker);
	r = sql_run(index, insert);
	number = sqlite3_last_insert_rowid(index_db(index));
	if (r == 0 && number > UINT32_MAX)
		r = fail_with(-EFBIG, "the store has used up its pack numbers");
	if (r == 0)
		r = transaction_commit(&open);
	*ret = (uint32_t)number;
	return r;
}

/* A file may have the number although the index did not know it: the step that gave
 * it was lost with the power, or files of another store were put there. It is not
 * ours to replace; the next number will do. */
int pack_make(struct index *index, uint64_t maker, struct pack_writer **ret)
{
	int r = -EEXIST;

	for (int tries = 0; r == -EEXIST && tries < TRIES; tries++) {
		uint32_t number;

		r = number_take(index, maker, &number);
		if (r == 0)
			r = pack_writer_open(index_store(index), number, ret);
	}
	return r == -EEXIST ? fail_with(-EBADMSG, "%s", fail_text(r)) : r;
}
