/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loop's ends, against a real userfaultfd and, for what a kernel does not do
 * on demand, against a pipe with messages written by hand.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io.h"
#include "tests/session-fixture.h"
#include "tests/unit.h"

/* ---- ends ---- */

START_TEST(ends_with_the_machine_while_idle)
{
	if (!fresh())
		return;
	start();
	ends_with_the_machine();
	ck_assert_uint_eq(f.shared->counters.rounds, 0);
}
END_TEST

START_TEST(ends_at_a_hang_up)
{
	int pipes[2];

	ck_assert_int_eq(pipe2(pipes, O_CLOEXEC | O_NONBLOCK), 0);
	fresh_on(pipes[0]);
	start();
	close(pipes[1]);
	ends_by_itself(END_DESCRIPTOR_ENDED);
	ck_assert_uint_eq(f.shared->counters.rounds, 0);
}
END_TEST

START_TEST(ends_at_an_end_of_file)
{
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair),
			 0);
	fresh_on(pair[0]);
	start();
	shutdown(pair[1], SHUT_WR);
	ends_by_itself(END_DESCRIPTOR_ENDED);
	ck_assert_uint_le(f.shared->counters.rounds, 1);
}
END_TEST

START_TEST(ends_when_poll_says_error)
{
	int uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	if (uffd < 0)
		return;
	fresh_on(uffd); /* without UFFDIO_API */
	start();
	ends_by_itself(END_DESCRIPTOR_ENDED);
	ck_assert_uint_eq(f.shared->counters.rounds, 0);
}
END_TEST

/* Whoever unmaps holds up the copy until it runs again, so the fault is kept, or
 * not: often enough for both. */
START_TEST(an_unexpected_event_loses_no_fault)
{
	for (int i = 0; i < 200; i++) {
		struct toucher t;
		struct remover unmapper;

		if (!fresh_with(UFFD_FEATURE_EVENT_UNMAP))
			return;
		touch(&t, page(1));
		pending_wait(1);
		remove_start(&unmapper, page(40), true);
		remove_wait(&unmapper);
		start();
		touched(&t, of_image(1));
		ends_by_itself(END_UNEXPECTED_EVENT);
		ck_assert_uint_eq(f.shared->counters.faults, 1);
		join(unmapper.thread);
		waitpid(f.machine, NULL, 0);
		stale();
	}
}
END_TEST

static struct uffd_msg fault_message(size_t i, uint64_t flags)
{
	struct uffd_msg msg = {.event = UFFD_EVENT_PAGEFAULT};

	msg.arg.pagefault.address = (uintptr_t)page(i);
	msg.arg.pagefault.flags = flags;
	return msg;
}

/* Gives the session these messages in one read. */
static void messages_give(const struct uffd_msg *messages, size_t bytes)
{
	int pipes[2];

	ck_assert_int_eq(pipe2(pipes, O_CLOEXEC | O_NONBLOCK), 0);
	ck_assert_int_eq(io_write_full(pipes[1], messages, bytes), 0);
	f.uffd = pipes[0];
	start();
}

/* No kernel sends these in that order; the rule holds all the same. */
START_TEST(faults_behind_an_unknown_event_are_taken)
{
	struct uffd_msg messages[3];

	fresh_on(-1);
	messages[0] = fault_message(1, 0);
	messages[1] = (struct uffd_msg){.event = 0x42};
	messages[2] = fault_message(2, UFFD_PAGEFAULT_FLAG_WRITE);
	messages_give(messages, sizeof(messages));
	ends_by_itself(END_UNEXPECTED_EVENT);
	ck_assert_uint_eq(f.shared->counters.faults, 2);
	ck_assert_uint_eq(f.shared->counters.runs, 1);
	ck_assert_ptr_nonnull(strstr(f.shared->reason, "0x42"));
}
END_TEST

START_TEST(other_kinds_of_fault_end_it)
{
	static const uint64_t flags[] = {
		UFFD_PAGEFAULT_FLAG_WP,
		UFFD_PAGEFAULT_FLAG_WP | UFFD_PAGEFAULT_FLAG_WRITE,
		UFFD_PAGEFAULT_FLAG_MINOR,
	};

	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		struct uffd_msg message;

		fresh_on(-1);
		message = fault_message(1, flags[i]);
		messages_give(&message, sizeof(message));
		ends_by_itself(END_UNEXPECTED_EVENT);
		ck_assert_uint_eq(f.shared->counters.runs, 0);
	}
}
END_TEST

/* The descriptor that comes with a fork is ours to close. */
START_TEST(a_fork_leaves_no_descriptor)
{
	bool open_before[64];

	if (!fresh_with(UFFD_FEATURE_EVENT_FORK))
		return; /* only root may have it */
	start();
	for (int fd = 0; fd < 64; fd++)
		open_before[fd] = fcntl(fd, F_GETFD) >= 0;
	if (fork() == 0)
		_exit(0);
	ends_by_itself(END_UNEXPECTED_EVENT);
	for (int fd = 0; fd < 64; fd++)
		ck_assert_msg(open_before[fd] || fcntl(fd, F_GETFD) < 0, "descriptor %d is open",
			      fd);
}
END_TEST

START_TEST(a_fault_outside_ends_it_after_the_others)
{
	struct toucher t;
	struct toucher lost;
	void *stray = mmap(NULL, P, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (!fresh())
		return;
	memory_register(stray, P);
	touch(&t, page(2));
	touch(&lost, stray);
	pending_wait(2);
	start();
	touched(&t, of_image(2));
	ends_by_itself(END_FAULT_OUTSIDE);
	ck_assert_int_eq(pthread_tryjoin_np(lost.thread, NULL), EBUSY);
}
END_TEST

/* Who waits for a page that cannot be read waits on: nothing else is true. */
START_TEST(a_source_that_fails_ends_it)
{
	struct toucher t;

	if (!fresh())
		return;
	ck_assert_int_eq(ftruncate(f.image, 20 * P), 0);
	start();
	ck_assert_int_eq(page(19)[0], of_image(19));
	touch(&t, page(20));
	ends_by_itself(END_SOURCE_FAILED);
	ck_assert_int_eq(pthread_tryjoin_np(t.thread, NULL), EBUSY);
	ck_assert_ptr_nonnull(strstr(f.shared->reason, "at 81920 of"));
}
END_TEST

/* Makes the descriptor in a process that has died since. */
static void uffd_of_the_dead(void)
{
	int pipes[2];
	int number;
	int pidfd;
	pid_t pid;

	ck_assert_int_eq(pipe(pipes), 0);
	pid = fork();
	if (pid == 0) {
		uffd_make(UFFD_FEATURE_EVENT_REMOVE);
		memory_register(f.memory, PAGES * P);
		(void)!write(pipes[1], &f.uffd, sizeof(f.uffd));
		pause();
	}
	ck_assert_int_eq(read(pipes[0], &number, sizeof(number)), sizeof(number));
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	f.uffd = (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);
	ck_assert_msg(f.uffd >= 0, "pidfd_getfd: %s", strerror(errno));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(pidfd);
}

/* The process we watch lives on: only an ioctl can tell. */
START_TEST(ends_when_the_memory_is_gone)
{
	if (!fresh())
		return;
	close(f.uffd);
	uffd_of_the_dead();
	start_with(true); /* filling tries to install */
	ends_by_itself(END_MACHINE_GONE);
	ck_assert_str_eq(f.shared->reason, "its memory is gone");
}
END_TEST

/* ---- fill ---- */

START_TEST(fill_installs_all_and_lets_go)
{
	struct remover remover;

	if (!fresh())
		return;
	install_quietly(30);
	start_with(true);
	ends_by_itself(END_FILLED);
	ck_assert_uint_eq(f.shared->counters.fill_bytes, PAGES * P);
	/* what is missing is zero by then: no need to install it */
	ck_assert_uint_eq(f.shared->counters.data_pages, HOLE - 1);
	ck_assert_uint_eq(f.shared->counters.zero_pages, 0);
	/* nobody reads the descriptor any more, so nothing may need it */
	remove_start(&remover, page(50), false);
	join(remover.thread);
	for (size_t i = 0; i < PAGES; i++)
		ck_assert_int_eq(page(i)[1], i == 30 ? 0xee : i == 50 ? 0 : of_image(i));
}
END_TEST

static atomic_bool enough;

static void *remove_again_and_again(void *at)
{
	do {
		madvise(at, P, MADV_DONTNEED);
	} while (!enough);
	return NULL;
}

/* A removal that is on its way when the memory is let go must get home. */
START_TEST(fill_leaves_no_removal_asleep)
{
	/* on a busy machine who only removes leaves little time to fill */
	int machines = getenv("PAGODA_LONG") ? 500 : 50;

	for (int i = 0; i < machines; i++) {
		pthread_t remover;

		if (!fresh())
			return;
		enough = false;
		ck_assert_int_eq(pthread_create(&remover, NULL, remove_again_and_again, page(7)),
				 0);
		start_with(true);
		ends_by_itself(END_FILLED);
		enough = true;
		join(remover);
		waitpid(f.machine, NULL, 0);
		ck_assert_int_eq(page(7)[0], 0);
		ck_assert_int_eq(page(8)[0], of_image(8));
		stale();
	}
}
END_TEST

UNIT_MAIN("session-ends", ends_with_the_machine_while_idle, ends_at_a_hang_up,
	  ends_at_an_end_of_file, ends_when_poll_says_error, an_unexpected_event_loses_no_fault,
	  faults_behind_an_unknown_event_are_taken, other_kinds_of_fault_end_it,
	  a_fork_leaves_no_descriptor, a_fault_outside_ends_it_after_the_others,
	  a_source_that_fails_ends_it, ends_when_the_memory_is_gone, fill_installs_all_and_lets_go,
	  fill_leaves_no_removal_asleep)
