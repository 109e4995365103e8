/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exit codes of all programs: what a script may tell failures apart by. Pure.
 */
#ifndef PAGODA_BASE_EXIT_H
#define PAGODA_BASE_EXIT_H

enum exit_code {
	EXIT_DONE = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_DAMAGE = 3,  /* what is stored is not what was stored */
	EXIT_MISSING = 4, /* no such snapshot, store or source; another missing file is not that */
	EXIT_BUSY = 5,	  /* locked or in use */
	EXIT_REFUSED = 6, /* input that is not accepted */
	EXIT_SPACE = 8,	  /* no space, or a quota is used up */
	EXIT_TOO_NEW = 9, /* a format newer than this program */
};

/* The code for 0 or a negative errno. */
enum exit_code exit_code(int err);

#endif
