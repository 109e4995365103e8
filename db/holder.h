/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who holds what of a store: a file in STORE/holders that says who this process is, in
 * which the same bytes are locked as in STORE/lock. So a "busy" message can name it.
 */
#ifndef PAGODA_DB_HOLDER_H
#define PAGODA_DB_HOLDER_H

#include <stddef.h>
#include <stdint.h>

/* Room for what a holder is called: "COMMAND (pid N)". */
#define HOLDER_TEXT_MAX 512

struct holder {
	const char *dir; /* borrowed: the store */
	int fd;		 /* -1: without a file */
	char *path;	 /* owned; NULL without */
};

/* Makes the file and removes those that killed processes left. A name is for messages
 * only: where it cannot be made, on a full disk, the process goes on without. */
void holder_open(struct holder *holder, const char *dir);
void holder_close(struct holder *holder);

/* What this process calls itself to others. */
void holder_set_command(const struct holder *holder, const char *command);

/* Marks the byte as this process's, F_WRLCK, or not any more, F_UNLCK. */
void holder_mark(const struct holder *holder, short type, uint64_t byte);

/* Who holds the byte in that store: text, or words of our own where nobody says so. */
const char *holder_find(const char *store, uint64_t byte, char *text, size_t room);

#endif
