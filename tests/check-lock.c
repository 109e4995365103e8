/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locks between processes and between threads, and that they have names.
 */
#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fail.h"
#include "db/lock.h"
#include "tests/unit.h"

static char dir[64];

static void setup(void)
{
	char path[128];
	FILE *file;

	strcpy(dir, "/tmp/pagoda-lock.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/holders", dir);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/lock", dir);
	file = fopen(path, "w");
	ck_assert_ptr_nonnull(file);
	fclose(file);
}

static void teardown(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -r %s", dir);
	ck_assert_int_eq(system(command), 0);
}

/* A process that takes locks, says so, and waits to be killed. */
struct other {
	pid_t pid;
	int ready;
};

static struct other other_start(void (*take)(struct locks *locks))
{
	struct other other;
	int ends[2];
	char byte;

	ck_assert_int_eq(pipe(ends), 0);
	other.pid = fork();
	if (other.pid == 0) {
		struct locks *locks;

		close(ends[0]);
		if (locks_open(dir, true, &locks) < 0)
			_exit(1);
		locks_set_command(locks, "the other one");
		take(locks);
		if (write(ends[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ends[1]);
	other.ready = ends[0];
	ck_assert_int_eq(read(other.ready, &byte, 1), 1);
	return other;
}

static void other_kill(struct other *other)
{
	kill(other->pid, SIGKILL);
	ck_assert_int_eq(waitpid(other->pid, NULL, 0), other->pid);
	close(other->ready);
}

static void take_exclusive(struct locks *locks)
{
	if (locks_take_exclusive(locks, 7, 0) < 0)
		_exit(1);
}

static void take_shared(struct locks *locks)
{
	if (locks_take_lease(locks, 7) < 0)
		_exit(1);
}

START_TEST(a_lease_keeps_others_from_removing)
{
	AUTO(locks_close_at) struct locks *locks = NULL;
	struct other other;
	char name[64];

	setup();
	ck_assert_int_eq(locks_open(dir, true, &locks), 0);
	other = other_start(take_shared);
	ck_assert_int_eq(locks_take_exclusive(locks, 7, 0), -EBUSY);
	snprintf(name, sizeof(name), "in use by the other one (pid %ld)", (long)other.pid);
	ck_assert_str_eq(fail_text(-EBUSY), name);
	ck_assert_int_eq(locks_take_exclusive(locks, 8, 0), 0);
	ck_assert_int_eq(locks_take_lease(locks, 7), 0);
	locks_drop_lease(locks, 7);
	other_kill(&other);
	ck_assert_int_eq(locks_take_exclusive(locks, 7, 0), 0);
	teardown();
}
END_TEST

START_TEST(an_exclusive_lease_dies_with_its_process)
{
	AUTO(locks_close_at) struct locks *locks = NULL;
	struct other other;

	setup();
	ck_assert_int_eq(locks_open(dir, true, &locks), 0);
	other = other_start(take_exclusive);
	ck_assert_int_eq(locks_take_exclusive(locks, 7, 0), -EBUSY);
	other_kill(&other);
	ck_assert_int_eq(locks_take_lease(locks, 7), 0);
	teardown();
}
END_TEST

START_TEST(leases_are_counted)
{
	AUTO(locks_close_at) struct locks *locks = NULL;

	setup();
	ck_assert_int_eq(locks_open(dir, true, &locks), 0);
	ck_assert_int_eq(locks_take_lease(locks, 7), 0);
	ck_assert_int_eq(locks_take_lease(locks, 7), 0);
	/* one open file description does not exclude itself: the table must */
	ck_assert_int_eq(locks_take_exclusive(locks, 7, 0), -EBUSY);
	locks_drop_lease(locks, 7);
	ck_assert_int_eq(locks_take_exclusive(locks, 7, 0), -EBUSY);
	locks_drop_lease(locks, 7);
	ck_assert_int_eq(locks_take_exclusive(locks, 7, 0), 0);
	teardown();
}
END_TEST

struct count {
	struct locks *locks;
	int in;
	int most;
};

static void *write_often(void *argument)
{
	struct count *count = argument;

	for (int i = 0; i < 2000; i++) {
		int in;

		if (locks_take_writer(count->locks) < 0)
			return count;
		in = __atomic_add_fetch(&count->in, 1, __ATOMIC_SEQ_CST);
		if (in > count->most)
			count->most = in;
		__atomic_sub_fetch(&count->in, 1, __ATOMIC_SEQ_CST);
		locks_drop_writer(count->locks);
	}
	return NULL;
}

START_TEST(one_thread_writes_at_a_time)
{
	AUTO(locks_close_at) struct locks *locks = NULL;
	struct count count = {0};
	pthread_t threads[4];

	setup();
	ck_assert_int_eq(locks_open(dir, true, &locks), 0);
	count.locks = locks;
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, write_often, &count), 0);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
		void *failed;

		pthread_join(threads[i], &failed);
		ck_assert_ptr_null(failed);
	}
	ck_assert_int_eq(count.most, 1);
	teardown();
}
END_TEST

/* Processes that each read a number from a file, add one and write it back: with
 * the writer lock no addition is lost. */
START_TEST(one_process_writes_at_a_time)
{
	enum { PROCESSES = 4, ROUNDS = 500 };
	char path[128];
	FILE *file;
	long number = 0;

	setup();
	snprintf(path, sizeof(path), "%s/number", dir);
	for (int i = 0; i < PROCESSES; i++) {
		if (fork() != 0)
			continue;
		struct locks *locks;

		if (locks_open(dir, true, &locks) < 0)
			_exit(1);
		for (int round = 0; round < ROUNDS; round++) {
			if (locks_take_writer(locks) < 0)
				_exit(1);
			number = 0;
			file = fopen(path, "r");
			if (file && fscanf(file, "%ld", &number) != 1)
				_exit(1);
			if (file)
				fclose(file);
			file = fopen(path, "w");
			fprintf(file, "%ld\n", number + 1);
			fclose(file);
			locks_drop_writer(locks);
		}
		locks_close(locks);
		_exit(0);
	}
	for (int i = 0; i < PROCESSES; i++) {
		int status;

		ck_assert_int_gt(wait(&status), 0);
		ck_assert_int_eq(status, 0);
	}
	file = fopen(path, "r");
	ck_assert_int_eq(fscanf(file, "%ld", &number), 1);
	fclose(file);
	ck_assert_int_eq(number, PROCESSES * ROUNDS);
	teardown();
}
END_TEST

START_TEST(files_of_killed_holders_go)
{
	AUTO(locks_close_at) struct locks *locks = NULL;
	struct other other;
	char path[128];

	setup();
	other = other_start(take_shared);
	snprintf(path, sizeof(path), "%s/holders/%ld", dir, (long)other.pid);
	ck_assert_int_eq(access(path, F_OK), 0);
	other_kill(&other);
	ck_assert_int_eq(access(path, F_OK), 0);
	ck_assert_int_eq(locks_open(dir, true, &locks), 0);
	ck_assert_int_eq(access(path, F_OK), -1);
	snprintf(path, sizeof(path), "%s/holders/%ld", dir, (long)getpid());
	ck_assert_int_eq(access(path, F_OK), 0);
	locks_close(TAKE_PTR(locks));
	ck_assert_int_eq(access(path, F_OK), -1);
	teardown();
}
END_TEST

START_TEST(without_the_right_to_write_there_are_shared_leases)
{
	AUTO(locks_close_at) struct locks *locks = NULL;
	AUTO(locks_close_at) struct locks *writer = NULL;

	setup();
	ck_assert_int_eq(locks_open(dir, false, &locks), 0);
	ck_assert_int_eq(locks_take_writer(locks), -EROFS);
	ck_assert_int_eq(locks_take_exclusive(locks, 7, 0), -EROFS);
	ck_assert_int_eq(locks_take_lease(locks, 7), 0);
	ck_assert_int_eq(locks_open(dir, true, &writer), 0);
	ck_assert_int_eq(locks_take_exclusive(writer, 7, 0), -EBUSY);
	ck_assert_str_eq(fail_text(-EBUSY), "in use by a process that left no name");
	teardown();
}
END_TEST

UNIT_MAIN("lock", a_lease_keeps_others_from_removing, an_exclusive_lease_dies_with_its_process,
	  leases_are_counted, one_thread_writes_at_a_time, one_process_writes_at_a_time,
	  files_of_killed_holders_go, without_the_right_to_write_there_are_shared_leases)
