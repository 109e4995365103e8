/* SPDX-License-Identifier: Apache-2.0 */
/*
 * index-sql FILE SQL [hold]: runs SQL on an index.db behind Pagoda's back, as a damaged
 * disk or a hostile hand would, and prints the first column of what it returns.
 * Where nobody else has it open, all of it is in FILE when this ends, none in -wal.
 * With hold it then says "holding" and waits: a reader that began stays in the way
 * of checkpoints.
 */
#include "config.h"

#include <sqlite3.h>
#include <stdio.h>

static int print_row(void *context, int ncolumns, char **values, char **names)
{
	(void)context;
	(void)names;
	if (ncolumns > 0)
		puts(values[0] ? values[0] : "NULL");
	return 0;
}

int main(int argc, char **argv)
{
	sqlite3 *db = NULL;
	int r = argc == 3 || argc == 4 ? SQLITE_OK : SQLITE_MISUSE;

	if (r == SQLITE_OK)
		r = sqlite3_open_v2(argv[1], &db, SQLITE_OPEN_READWRITE, NULL);
	if (r == SQLITE_OK)
		r = sqlite3_busy_timeout(db, 10000);
	if (r == SQLITE_OK)
		r = sqlite3_exec(db, argv[2], print_row, NULL, NULL);
	if (r == SQLITE_OK && argc == 4) {
		puts("holding");
		fflush(stdout);
		(void)getchar();
	}
	if (r != SQLITE_OK)
		fprintf(stderr, "index-sql: %s\n", db ? sqlite3_errmsg(db) : sqlite3_errstr(r));
	sqlite3_close(db);
	return r == SQLITE_OK ? 0 : 1;
}
