/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What index.c, transaction.c and wal.c share of a connection. Private to the three.
 */
#ifndef PAGODA_DB_INDEX_PRIVATE_H
#define PAGODA_DB_INDEX_PRIVATE_H

#include <sqlite3.h>
#include <stdint.h>

#include "db/transaction.h"

#define INDEX_STATEMENTS_MAX 64
#define INDEX_BUSY_WAIT_MS 5000 /* for recovery of the log by another process */

struct index {
	struct store *store;	    /* borrowed */
	void (*waits)(void *arg);   /* NULL: nobody wants to know */
	void *waits_arg;	    /* borrowed */
	sqlite3 *db;		    /* owned */
	int wal_pages;		    /* in the write-ahead log after our last commit */
	enum transaction_kind kind; /* of the open write transaction */
	uint64_t generation;	    /* that the open write transaction will make */
	size_t nstatements;
	struct {
		const char *sql; /* borrowed literal: the key is its address */
		sqlite3_stmt *statement;
	} statements[INDEX_STATEMENTS_MAX];
};

#endif
