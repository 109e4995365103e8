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
#include "handler/channel.h"
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
	m->conn = m->uffd = m->peer = m->worker_fd = m->channel = -1;
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
	fd_close(&m->channel);
	shared_free(m->shared, m->image_size);
	free(m);
}

void machine_watch(const struct machine *m, struct pollfd ret[MACHINE_WATCHES])
{
	int first = -1;
	int second = -1;

	switch (m->state) {
	case MACHINE_WAITING:
		first = m->retry_ns ? -1 : m->conn;
		break;
	case MACHINE_SERVED:
		first = m->channel;
		second = m->worker_fd;
		break;
	case MACHINE_ENDING:
		first = m->peer;
		second = m->worker_fd;
		break;
	case MACHINE_LINGERING:
		second = m->worker_fd;
		break;
	case MACHINE_OVER:
		break;
	}
	ret[0] = (struct pollfd){.fd = first, .events = POLLIN};
	ret[1] = (struct pollfd){.fd = second, .events = POLLIN};
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

/* ---- the worker ---- */

/* Reaps it if it has ended; false: it goes on. */
static bool worker_reap(struct machine *m, int *ret_status)
{
	pid_t pid = m->worker > 0 ? waitpid(m->worker, ret_status, WNOHANG) : 0;

	if (pid == 0)
		return false;
	if (pid < 0)
		*ret_status = SIGKILL; /* cannot be; as if it had been killed */
	fd_close(&m->worker_fd);
	m->worker = 0;
	return true;
}

/* Nothing of it is left but maybe the worker, whose word counts no more. */
static void linger(struct machine *m)
{
	int status;

	fd_close(&m->uffd);
	fd_close(&m->peer);
	fd_close(&m->channel);
	if (m->worker > 0 && !worker_reap(m, &status))
		kill(m->worker, SIGKILL);
	m->state = m->worker > 0 ? MACHINE_LINGERING : MACHINE_OVER;
}

/* By the worker's own account, where that can be true. */
static bool end_take(struct machine *m)
{
	enum end end = (enum end)m->shared->end;
	char text[FAIL_TEXT_MAX];

	if (end <= END_NONE || end >= END_COUNT)
		return false;
	snprintf(text, sizeof(text), "%.*s", FAIL_TEXT_MAX - 1, m->shared->reason);
	end_set(m, end, text);
	return true;
}

static void end_take_status(struct machine *m, int status)
{
	char text[FAIL_TEXT_MAX];

	if (WIFSIGNALED(status)) {
		snprintf(text, sizeof(text), "its worker was ended by signal %d", WTERMSIG(status));
		end_set(m, END_WORKER_DIED, text);
	} else if (!end_take(m) || end_is_good(m->end) != (WEXITSTATUS(status) == 0)) {
		end_set(m, END_WORKER_DIED, "its worker ended without a reason");
	}
}

/* The end is known: what it means for the machine. */
static void service_ended(struct machine *m, const struct machine_policy *policy)
{
	m->lost = false;
	if (m->stopping)
		m->end = END_STOPPED;
	if (m->end == END_FILLED)
		linger(m);
	else if (end_is_good(m->end))
		m->state = MACHINE_ENDING; /* its word for it; we wait for the process */
	else
		machine_disable(m, policy->freeze);
}

static void worker_ended(struct machine *m, const struct machine_policy *policy)
{
	int status;

	if (!worker_reap(m, &status))
		return;
	end_take_status(m, status);
	service_ended(m, policy);
}

static void message_take(struct machine *m, const struct channel_message *message,
			 const struct machine_policy *policy)
{
	if (message->fd >= 0)
		close(message->fd);
	if (message->kind == CHANNEL_LOST) {
		m->lost = true;
		m->lost_generation = message->generation;
	} else if (message->kind == CHANNEL_ENDED && end_take(m)) {
		service_ended(m, policy);
	}
}

/* A worker has two messages to send, and LOST once a generation; if it sends more, the
 * others of the keeper's have their turn in between. */
static void channel_take(struct machine *m, const struct machine_policy *policy)
{
	for (int i = 0; i < 2 && m->state == MACHINE_SERVED; i++) {
		struct channel_message message;
		int r = channel_receive(m->channel, &message);

		if (r == -EAGAIN)
			return;
		if (r <= 0) { /* its end is seen by its descriptor */
			fd_close(&m->channel);
			return;
		}
		message_take(m, &message, policy);
	}
}

static void served_turn(struct machine *m, const struct machine_policy *policy)
{
	if (m->channel >= 0)
		channel_take(m, policy);
	if (m->state == MACHINE_SERVED)
		worker_ended(m, policy);
}

static void ending_turn(struct machine *m, const struct pollfd watched[MACHINE_WATCHES])
{
	int status;

	if (watched[1].revents)
		(void)worker_reap(m, &status);
	if (watched[0].revents)
		linger(m);
}

static void lingering_turn(struct machine *m)
{
	int status;

	if (worker_reap(m, &status))
		m->state = MACHINE_OVER;
}

static void answer(struct machine *m, const struct channel_message *message)
{
	/* its queue cannot be full, as it gets one message for each it has sent; if it
	 * has gone, its end is seen otherwise */
	if (channel_send(m->channel, message) != -EAGAIN)
		m->lost = false;
}

void machine_renew(struct machine *m, const struct source *source)
{
	answer(m, &(struct channel_message){
			  .kind = CHANNEL_FILE,
			  .generation = source_generation(source),
			  .fd = source_fd(source),
		  });
}

void machine_disappoint(struct machine *m)
{
	answer(m, &(struct channel_message){.kind = CHANNEL_CHANGED, .fd = -1});
}

/* ---- its end ---- */

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
		served_turn(m, policy);
	if (m->state != MACHINE_SERVED && m->state != MACHINE_ENDING)
		return;
	m->stopping = true;
	if (machine_signal(m, SIGKILL) == -EPERM) {
		m->deed = "it could not be killed: kill it by hand";
		return;
	}
	/* the worker may be stopped, or hang in a read: it is not waited for. The machine
	 * cannot run on: its userfaultfd is ours too, and it is killed */
	if (m->state == MACHINE_SERVED) {
		end_set(m, END_STOPPED, "its end was asked for");
		m->lost = false;
		m->state = MACHINE_ENDING;
	}
	if (m->worker > 0)
		kill(m->worker, SIGKILL);
}

void machine_turn(struct machine *m, const struct pollfd watched[MACHINE_WATCHES],
		  const struct machine_policy *policy)
{
	bool any = watched[0].revents || watched[1].revents;

	switch (m->state) {
	case MACHINE_WAITING:
		waiting_turn(m, watched[0].revents, policy);
		break;
	case MACHINE_SERVED:
		if (any)
			served_turn(m, policy);
		break;
	case MACHINE_ENDING:
		ending_turn(m, watched);
		break;
	case MACHINE_LINGERING:
		if (any)
			lingering_turn(m);
		break;
	case MACHINE_OVER:
		break;
	}
}
