/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hold PID: as a debugger holds it, the process stays a zombie when it ends, and its parent
 * cannot reap it until we end. Says "holding". Exit code 77: not allowed.
 */
#include "config.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	if (argc != 2)
		errx(2, "usage: hold PID");
	if (ptrace(PTRACE_SEIZE, (pid_t)atol(argv[1]), NULL, NULL) < 0)
		err(77, "seize process %s", argv[1]);
	puts("holding");
	fflush(stdout);
	pause();
	return 0;
}
