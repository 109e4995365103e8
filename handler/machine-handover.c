/* SPDX-License-Identifier: Apache-2.0 */
/* A machine that is WAITING: what it sends, and the worker that gets it. */
#include "config.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "handler/channel.h"
#include "handler/machine-private.h"
#include "handler/uffd.h"
#include "handler/worker.h"

#define EMPTY_TRIES 5
#define EMPTY_PAUSE_NS (100 * NS_PER_MS)
#define FIRST_BYTES 4096 /* of the text: what is longer waits for the worker */

/* Forks a worker. Returns 0 or -errno of socketpair(2), fork(2), pidfd_open(2). */
static int worker_start(struct machine *m, const struct machine_policy *policy)
{
	struct worker_setup setup = {
		.conn = m->conn,
		.uffd = m->uffd,
		.peer = m->peer,
		.source = policy->source,
		.shared = m->shared,
		.deadline_ns = m->deadline_ns,
		.source_timeout_ns = policy->source_timeout_ns,
		.spin_ns = policy->spin_ns,
		.readahead = policy->readahead,
		.keeper = getpid(),
		.machine = m->pid,
		.fill = policy->fill,
		.freeze = policy->freeze,
	};
	int ends[2];
	int err = channel_new(ends);

	if (err < 0)
		return err;
	m->channel = ends[0];
	m->generation = source_generation(policy->source);
	setup.channel = ends[1];
	m->worker = fork();
	if (m->worker == 0)
		worker_run(&setup);
	err = -errno;
	close(ends[1]);
	if (m->worker < 0) {
		m->worker = 0;
		return err;
	}
	m->worker_fd = (int)syscall(SYS_pidfd_open, m->worker, 0);
	if (m->worker_fd >= 0)
		return 0;
	err = -errno;
	kill(m->worker, SIGKILL);
	waitpid(m->worker, NULL, 0); /* it has just begun: a moment */
	m->worker = 0;
	return err;
}

/* Its memory is in our hands and it cannot be served. */
static void give_up(struct machine *m, int err, const struct machine_policy *policy)
{
	machine_end_set(m, err == -EBADMSG ? END_HANDOVER_REFUSED : END_OUT_OF_MEMORY,
			fail_text(err));
	machine_disable(m, policy->freeze);
}

/* Its memory is not. */
static void refuse(struct machine *m, const char *reason)
{
	machine_end_set(m, END_HANDOVER_REFUSED, reason);
	m->state = MACHINE_OVER;
}

/* Only once there is something to receive: most of a source's size in bits. */
static int text_keep(struct machine *m, const struct machine_policy *policy, const char *text,
		     size_t len)
{
	m->image_size = source_size(policy->source);
	m->shared = shared_new(m->image_size);
	if (!m->shared)
		return fail_with(-ENOMEM, "no memory for another machine");
	memcpy(m->shared->text, text, len);
	m->shared->text_len = len;
	return 0;
}

static void serve(struct machine *m, const struct machine_policy *policy, const char *text,
		  size_t len)
{
	int r = 0;

	if (m->unwelcome)
		r = fail_with(-EBADMSG, "user %u is not in --allow-uid", (unsigned int)m->uid);
	else if (policy->full)
		r = fail_with(-EBADMSG, "another machine was first");
	if (r == 0)
		r = text_keep(m, policy, text, len);
	if (r == 0)
		r = uffd_prepare(m->uffd);
	if (r == 0)
		r = worker_start(m, policy);
	if (r < 0)
		give_up(m, r, policy);
	else
		m->state = MACHINE_SERVED;
	machine_fd_close(&m->conn);
}

/* Keeps as many as a hand-over may have. */
static void uffds_keep(struct machine *m, struct received *received)
{
	m->received = received->n > 0 || received->cut;
	if (received->n > 0)
		m->uffd = received->uffds[--received->n];
	while (received->n > 0 && m->nspare < ARRAY_SIZE(m->spare_uffds))
		m->spare_uffds[m->nspare++] = received->uffds[--received->n];
}

/* Looks for memory in what was sent behind a message that brought none. From now on
 * sending fails, so there is an end to it. */
static void rest_look(struct machine *m, struct received *received)
{
	char text[FIRST_BYTES];
	size_t len;
	int r;

	(void)shutdown(m->conn, SHUT_RD);
	do
		r = receive_first(m->conn, text, sizeof(text), &len, received);
	while ((r == 0 || r == -EBADMSG) && received->n == 0 && !received->cut);
	uffds_keep(m, received);
}

/* A message that is no hand-over. If there was memory with it or behind it, whose it
 * is must not run on: it may have kept no copy of what we are about to close. */
static void message_refuse(struct machine *m, int err, struct received *received,
			   const struct machine_policy *policy)
{
	char reason[FAIL_TEXT_MAX];

	if (!m->received) {
		fail_copy(err, reason);
		rest_look(m, received);
		err = fail_with(err, "%s", reason);
	}
	if (m->received)
		give_up(m, err, policy);
	else
		refuse(m, fail_text(err));
	/* more than anyone has use for: only now, when the signal is sent */
	while (received->n > 0)
		close(received->uffds[--received->n]);
	machine_fd_close(&m->conn);
}

/* An empty connection is looked at a few times: VMMs of some releases close so
 * fast that nothing seems to have come. Then it was no machine, only a look at
 * the socket. */
static void empty_again(struct machine *m)
{
	if (++m->tries < EMPTY_TRIES)
		m->retry_ns = clock_monotonic_ns() + EMPTY_PAUSE_NS;
	else
		m->state = MACHINE_OVER;
}

static void hand_over(struct machine *m, const struct machine_policy *policy)
{
	struct received received = {.n = 0};
	char text[FIRST_BYTES];
	size_t len = 0;
	int r = receive_first(m->conn, text, sizeof(text), &len, &received);

	m->retry_ns = 0;
	uffds_keep(m, &received);
	if (r == -ENODATA)
		empty_again(m);
	else if (r == 0)
		serve(m, policy, text, len);
	else if (r != -EAGAIN)
		message_refuse(m, r, &received, policy);
}

void machine_waiting_turn(struct machine *m, short revents, const struct machine_policy *policy)
{
	uint64_t now = clock_monotonic_ns();

	if (revents || (m->retry_ns && now >= m->retry_ns))
		hand_over(m, policy);
	else if (now >= m->deadline_ns) {
		machine_hang_up(m, policy);
		if (m->state == MACHINE_OVER && !m->end)
			refuse(m, "it connected and sent nothing");
	}
}

void machine_hang_up(struct machine *m, const struct machine_policy *policy)
{
	if (m->state != MACHINE_WAITING)
		return;
	/* what has been sent can be read still; what comes now would be lost, so
	 * sending fails */
	(void)shutdown(m->conn, SHUT_RD);
	hand_over(m, policy);
	if (m->state == MACHINE_WAITING)
		m->state = MACHINE_OVER;
}
