/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The other process that comes in between: called before the write transaction that a
 * test names. For tests that are linked with --wrap=transaction_begin.
 */
#ifndef PAGODA_TESTS_HOOK_FIXTURE_H
#define PAGODA_TESTS_HOOK_FIXTURE_H

#include "db/transaction.h"
#include "tests/store-fixture.h"

int __real_transaction_begin(struct index *index, enum transaction_kind kind,
			     struct index **ret_open);
int __wrap_transaction_begin(struct index *index, enum transaction_kind kind,
			     struct index **ret_open);

static void (*hook)(struct index *index);
static int hook_countdown;
static enum transaction_kind hook_kind;

/* call comes before the transaction of that kind which makes the countdown 0, with a
 * connection of its own. hook is NULL from then on. */
static inline void hook_set(void (*call)(struct index *), enum transaction_kind kind, int countdown)
{
	hook = call;
	hook_kind = kind;
	hook_countdown = countdown;
}

int __wrap_transaction_begin(struct index *index, enum transaction_kind kind,
			     struct index **ret_open)
{
	void (*call)(struct index *) = hook;

	if (call && kind == hook_kind && --hook_countdown == 0) {
		AUTO(index_close_at) struct index *other = NULL;

		hook = NULL;
		CK_OK(index_open(fixture_store, &other));
		call(other);
	}
	return __real_transaction_begin(index, kind, ret_open);
}

#endif
