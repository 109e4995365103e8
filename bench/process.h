/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes: programs run to their end, servers that run beside a measurement, and
 * the measurement itself, which is a function in a process of its own, so that the
 * memory it touches, its processor and its end are its own.
 *
 * One thread. 0 or -errno, with words.
 */
#ifndef PAGODA_BENCH_PROCESS_H
#define PAGODA_BENCH_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attributes.h"

/* Is there such a program in $PATH? */
bool process_is_installed(const char *name);

/* Runs the program to its end, on that processor, its standard output thrown away.
 * *ret_seconds (or NULL) is how long it took. -ENOSYS with words if it ended with
 * exit code 2 (it does not know what it was asked), -EBADMSG with 3 (damage), else
 * -EIO. */
int process_run(const char *const *argv, int cpu, double *ret_seconds) MUST_CHECK;

/* A server: a function in a process of its own, or a program. */
typedef int (*process_serve)(const void *argument, int ready_fd);

/* Returns when it has written a line to ready_fd. */
int process_serve_function(process_serve serve, const void *argument, int cpu,
			   pid_t *ret) MUST_CHECK;

/* argv[ready] is replaced by the number of the descriptor to write to. What it says on
 * standard error goes to the file log. */
int process_serve_program(const char **argv, size_t ready, const char *log, int cpu,
			  pid_t *ret) MUST_CHECK;

/* Ends what was started, and waits for it. Takes 0. */
void process_stop(pid_t pid);

/* Waits for a server that ends by itself; its failure is one of ours. */
int process_wait(pid_t pid, const char *what) MUST_CHECK;

/* What a process has in memory that is not of a file, what it shares with others
 * included: bytes, 0 where it cannot be told. The second is of its first child. */
uint64_t process_memory(pid_t pid);
uint64_t process_child_memory(pid_t pid);

/* Processor time that a process and its children, as they are now, have had: nanoseconds. */
uint64_t process_time(pid_t pid);

/* Calls the function in a process of its own on that processor; it fills result, len
 * bytes. Returns what it returned, with its words. Nothing takes longer than ten
 * minutes: then it is killed. */
typedef int (*process_measure)(const void *argument, void *result);
int process_call(process_measure measure, const void *argument, int cpu, void *result,
		 size_t len) MUST_CHECK;

#endif
