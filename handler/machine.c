/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "handler/machine.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "handler/uffd.h"
#include "handler/worker.h"

#define HANDOVER_NS (5 * NS_PER_SEC)
#define EMPTY_TRIES 5
#define EMPTY_PAUSE_NS (100 * NS_PER_MS)
#define FIRST_BYTES 4096 /* of the text: what is longer waits for the worker */

DEFINE_AUTO(struct machine *, machine_free)
#define AUTO_MACHINE AUTO(machine_free_at)

static void fd_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

int machine_new(int conn, struct machine **ret)
{
	AUTO_MACHINE struct machine *m = calloc(1, sizeof(*m));
	int r;

	if (!m)
		return -ENOMEM;
	m->conn = m->uffd = m->peer = m->worker_fd = -1;
	m->deed = "";
	m->deadline_ns = clock_monotonic_ns() + HANDOVER_NS;
	r = receive_peer(conn, &m->pid, &m->uid, &m->peer);
	if (r < 0)
		return r;
	m->conn = conn;
	*ret = TAKE_PTR(m);
	return 0;
}

void machine_free(struct machine *m)
{
	if (!m)
		return;
	fd_close(&m->conn);
	fd_close(&m->uffd);
	while (m->nspare > 0)
		fd_close(&m->spare_uffds[--m->nspare]);
	fd_close(&m->peer);
	fd_close(&m->worker_fd);
	shared_free(m->shared, m->image_size);
	free(m);
}

struct pollfd machine_watch(const struct machine *m)
{
	struct pollfd p = {.fd = -1, .events = POLLIN};

	switch (m->state) {
	case MACHINE_WAITING:
		p.fd = m->retry_ns ? -1 : m->conn;
		break;
	case MACHINE_SERVED:
		p.fd = m->worker_fd;
		break;
	case MACHINE_ENDING:
		p.fd = m->peer;
		break;
	case MACHINE_OVER:
		break;
	}
	return p;
}

uint64_t machine_deadline(const struct machine *m)
{
	if (m->state == MACHINE_OVER)
		return 0;
	if (m->state != MACHINE_WAITING)
		return UINT64_MAX;
	return m->retry_ns ? MIN(m->retry_ns, m->deadline_ns) : m->deadline_ns;
}

static void end_set(struct machine *m, enum end end, const char *reason)
{
	m->end = end;
	snprintf(m->reason, sizeof(m->reason), "%s", reason);
}

/* Sends the signal to the process that connected, whoever has its pid by now. */
static int machine_signal(const struct machine *m, int number)
{
	if (syscall(SYS_pidfd_send_signal, m->peer, number, NULL, 0) < 0)
		return -errno;
	return 0;
}

/* It cannot be served: it must not run on. If we may not even kill it, it waits
 * for ever in its next fault, as long as we hold its userfaultfd. */
static void machine_disable(struct machine *m, bool freeze)
{
	int r = machine_signal(m, freeze ? SIGSTOP : SIGKILL);

	if (r == -ESRCH)
		m->deed = "it has ended by itself";
	else if (r < 0)
		m->deed = "it could not be killed and hangs: kill it by hand";
	else
		m->deed = freeze ? "frozen" : "killed";
	m->state = MACHINE_ENDING;
}

/* Forks a worker. Returns 0 or -errno of fork(2), pidfd_open(2). */
static int worker_start(struct machine *m, const struct machine_policy *policy)
{
	struct worker_setup setup = {
		.conn = m->conn,
		.uffd = m->uffd,
		.peer = m->peer,
		.source = policy->source,
		.shared = m->shared,
		.deadline_ns = m->deadline_ns,
		.keeper = getpid(),
		.machine = m->pid,
		.fill = policy->fill,
		.freeze = policy->freeze,
	};
	int err;

	m->worker = fork();
	if (m->worker < 0)
		return -errno;
	if (m->worker == 0)
		worker_run(&setup);
	m->worker_fd = (int)syscall(SYS_pidfd_open, m->worker, 0);
	if (m->worker_fd >= 0)
		return 0;
	err = -errno;
	kill(m->worker, SIGKILL);
	waitpid(m->worker, NULL, 0); /* killed: a moment */
	return err;
}

/* Its memory is in our hands and it cannot be served. */
static void give_up(struct machine *m, int err, const struct machine_policy *policy)
{
	end_set(m, err == -EBADMSG ? END_HANDOVER_REFUSED : END_OUT_OF_MEMORY, fail_text(err));
	machine_disable(m, policy->freeze);
}

/* Its memory is not. */
static void refuse(struct machine *m, const char *reason)
{
	end_set(m, END_HANDOVER_REFUSED, reason);
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
	fd_close(&m->conn);
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

/* A message that is no hand-over. If there was memory with it, whose it is must
 * not run on: it may have kept no copy of what we are about to close. */
static void message_refuse(struct machine *m, int err, struct received *received,
			   const struct machine_policy *policy)
{
	if (m->received)
		give_up(m, err, policy);
	else
		refuse(m, fail_text(err));
	/* more than anyone has use for: only now, when the signal is sent */
	while (received->n > 0)
		close(received->uffds[--received->n]);
	fd_close(&m->conn);
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

static void waiting_turn(struct machine *m, short revents, const struct machine_policy *policy)
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

/* How the worker ended: by its own account, where that can be true. */
static void worker_reaped(struct machine *m, int status)
{
	enum end end = (enum end)m->shared->end;
	char text[FAIL_TEXT_MAX];

	if (WIFSIGNALED(status)) {
		snprintf(text, sizeof(text), "its worker was ended by signal %d", WTERMSIG(status));
		end_set(m, END_WORKER_DIED, text);
	} else if (end <= END_NONE || end >= END_COUNT ||
		   end_is_good(end) != (WEXITSTATUS(status) == 0)) {
		end_set(m, END_WORKER_DIED, "its worker ended without a reason");
	} else {
		snprintf(text, sizeof(text), "%.*s", FAIL_TEXT_MAX - 1, m->shared->reason);
		end_set(m, end, text);
	}
	if (m->stopping)
		m->end = END_STOPPED;
}

static void worker_ended(struct machine *m, const struct machine_policy *policy)
{
	int status;
	pid_t pid = waitpid(m->worker, &status, WNOHANG);

	if (pid == 0)
		return;
	if (pid < 0)
		status = SIGKILL; /* cannot be; as if it had been killed */
	fd_close(&m->worker_fd);
	worker_reaped(m, status);
	if (m->end == END_FILLED)
		m->state = MACHINE_OVER;
	else if (end_is_good(m->end))
		m->state = MACHINE_ENDING; /* its word for it; we wait for the process */
	else
		machine_disable(m, policy->freeze);
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

void machine_stop(struct machine *m, const struct machine_policy *policy)
{
	/* it may have been filled since we looked: then it is not ours to kill */
	if (m->state == MACHINE_SERVED)
		worker_ended(m, policy);
	if (m->state == MACHINE_WAITING || m->state == MACHINE_OVER)
		return;
	m->stopping = true;
	if (machine_signal(m, SIGKILL) == -EPERM) {
		m->deed = "it could not be killed: kill it by hand";
		return;
	}
	/* it would see the process end, and end; but it may be stopped. The machine
	 * cannot run on: its userfaultfd is ours too, and it is killed */
	if (m->worker_fd >= 0)
		(void)syscall(SYS_pidfd_send_signal, m->worker_fd, SIGKILL, NULL, 0);
}

void machine_turn(struct machine *m, short revents, const struct machine_policy *policy)
{
	switch (m->state) {
	case MACHINE_WAITING:
		waiting_turn(m, revents, policy);
		break;
	case MACHINE_SERVED:
		if (revents)
			worker_ended(m, policy);
		break;
	case MACHINE_ENDING:
		if (revents)
			m->state = MACHINE_OVER;
		break;
	case MACHINE_OVER:
		break;
	}
}
