/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table of bits, one a hash: of sixteen to the page one in sixteen hashes is taken for
 * one that was met, and looked up for nothing.
 */
#include "config.h"

#include "db/known.h"

#include <errno.h>
#include <stdlib.h>

#include "base/big.h"
#include "base/fail.h"
#include "db/sql.h"

#define BITS_A_PAGE 16
#define BITS_MIN (UINT64_C(1) << 16)
#define BITS_MAX (UINT64_C(1) << 26) /* 8 MiB */
#define WORD_BITS 64

struct known {
	uint64_t nbits; /* a power of two; 0: anything may be known */
	uint64_t *bits; /* owned */
};

/* Sets the bit: was it set? */
static bool bit_set(struct known *known, uint64_t hash)
{
	uint64_t at = hash % known->nbits;
	uint64_t *word = &known->bits[at / WORD_BITS];
	uint64_t bit = UINT64_C(1) << at % WORD_BITS;

	if (__atomic_load_n(word, __ATOMIC_RELAXED) & bit)
		return true;
	return __atomic_fetch_or(word, bit, __ATOMIC_RELAXED) & bit;
}

/* nrows: a damaged b-tree may have no end. */
static int hashes_read(struct known *known, struct index *index, uint64_t nrows)
{
	AUTO_RESET sqlite3_stmt *query = NULL;
	int r = sql_get(index, "SELECT hash FROM page", &query);

	if (r < 0)
		return r;
	for (uint64_t n = 0; n < nrows && (r = sql_step(index, query)) > 0; n++)
		bit_set(known, sql_column(query, 0));
	return MIN(r, 0);
}

/* At least as many as there are rows: no id is used twice. */
static int rows_bound(struct index *index, uint64_t *ret)
{
	int64_t sequence = 0;
	int r = sql_number(index, "SELECT seq FROM sqlite_sequence WHERE name = 'page'", 0,
			   &sequence);

	*ret = (uint64_t)sequence;
	return r == -ENOENT ? 0 : r;
}

int known_new(struct index *index, uint64_t npages, struct known **ret)
{
	struct known *known = calloc(1, sizeof(*known));
	uint64_t nrows = 0;
	int r = known ? rows_bound(index, &nrows) : fail_with(-ENOMEM, "out of memory");

	if (r == 0 && nrows <= npages) {
		known->nbits = BITS_MIN;
		while (known->nbits < BITS_MAX && known->nbits < BITS_A_PAGE * (npages + nrows))
			known->nbits *= 2;
		known->bits = big_new(known->nbits / 8);
		r = known->bits ? hashes_read(known, index, nrows)
				: fail_with(-ENOMEM, "out of memory");
	}
	if (r < 0) {
		known_free(known);
		return r;
	}
	*ret = known;
	return 0;
}

void known_free(struct known *known)
{
	if (!known)
		return;
	big_free(known->bits, known->nbits / 8);
	free(known);
}

bool known_meet(struct known *known, uint64_t hash)
{
	return known->nbits == 0 || bit_set(known, hash);
}
