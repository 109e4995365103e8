/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "handler/machine.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "handler/channel.h"
#include "handler/machine-private.h"

#define HANDOVER_NS (5 * NS_PER_SEC)
#define DOUBT_LEAST_NS (20 * NS_PER_MS)
#define DOUBT_MOST_NS (60 * NS_PER_SEC)

DEFINE_AUTO(struct machine *, machine_free)
#define AUTO_MACHINE AUTO(machine_free_at)

void machine_fd_close(int *fd)
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
	machine_fd_close(&m->conn);
	machine_fd_close(&m->uffd);
	while (m->nspare > 0)
		machine_fd_close(&m->spare_uffds[--m->nspare]);
	machine_fd_close(&m->peer);
	machine_fd_close(&m->worker_fd);
	machine_fd_close(&m->channel);
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
		return m->lost && m->heed_ns ? m->heed_ns : UINT64_MAX;
	return m->retry_ns ? MIN(m->retry_ns, m->deadline_ns) : m->deadline_ns;
}

void machine_end_set(struct machine *m, enum end end, const char *reason)
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

void machine_disable(struct machine *m, bool freeze)
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

/* ---- the worker ---- */

/* Reaps it if it has ended; false: it goes on. */
static bool worker_reap(struct machine *m, int *ret_status)
{
	pid_t pid = m->worker > 0 ? waitpid(m->worker, ret_status, WNOHANG) : 0;

	if (pid == 0)
		return false;
	if (pid < 0)
		*ret_status = SIGKILL; /* cannot be; as if it had been killed */
	machine_fd_close(&m->worker_fd);
	m->worker = 0;
	return true;
}

/* Nothing of it is left but maybe the worker, whose word counts no more. */
static void linger(struct machine *m)
{
	int status;

	machine_fd_close(&m->uffd);
	machine_fd_close(&m->peer);
	machine_fd_close(&m->channel);
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
	machine_end_set(m, end, text);
	return true;
}

static void end_take_status(struct machine *m, int status)
{
	char text[FAIL_TEXT_MAX];

	if (WIFSIGNALED(status)) {
		snprintf(text, sizeof(text), "its worker was ended by signal %d", WTERMSIG(status));
		machine_end_set(m, END_WORKER_DIED, text);
	} else if (!end_take(m) || end_is_good(m->end) != (WEXITSTATUS(status) == 0)) {
		machine_end_set(m, END_WORKER_DIED, "its worker ended without a reason");
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

/* It sends what none of ours would: whoever it is by now, it serves no machine. */
static void worker_distrust(struct machine *m, const struct machine_policy *policy)
{
	kill(m->worker, SIGKILL);
	machine_end_set(m, END_WORKER_DIED, "its worker did not keep to what it may say");
	service_ended(m, policy);
}

static void message_take(struct machine *m, const struct channel_message *message,
			 const struct machine_policy *policy)
{
	if (message->fd >= 0)
		close(message->fd);
	if (message->kind == CHANNEL_LOST && message->generation == m->generation && !m->lost)
		m->lost = true;
	else if (message->kind == CHANNEL_ENDED && end_take(m))
		service_ended(m, policy);
	else
		worker_distrust(m, policy);
}

/* A worker has two messages to send: that it has ended, and, once for each generation it
 * is given, that the source is lost. */
static void channel_take(struct machine *m, const struct machine_policy *policy)
{
	for (int i = 0; i < 2 && m->state == MACHINE_SERVED; i++) {
		struct channel_message message;
		int r = channel_receive(m->channel, &message);

		if (r == -EAGAIN)
			return;
		if (r <= 0) { /* its end is seen by its descriptor */
			machine_fd_close(&m->channel);
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

/* false: later. Its queue cannot be full, as it gets one message for each it has sent; if
 * it has gone, its end is seen otherwise. */
static bool answer(struct machine *m, const struct channel_message *message)
{
	if (channel_send(m->channel, message) == -EAGAIN)
		return false;
	m->lost = false;
	return true;
}

void machine_renew(struct machine *m, const struct source *source)
{
	struct channel_message file = {
		.kind = CHANNEL_FILE,
		.generation = source_generation(source),
		.fd = source_fd(source),
	};

	if (answer(m, &file))
		m->generation = file.generation;
}

void machine_doubt(struct machine *m, bool needless)
{
	uint64_t pause = DOUBT_LEAST_NS;

	m->needless = needless ? m->needless + 1 : 0;
	for (unsigned int i = 0; i < m->needless && pause < DOUBT_MOST_NS; i++)
		pause *= 2;
	m->heed_ns = needless ? clock_monotonic_ns() + MIN(pause, DOUBT_MOST_NS) : 0;
}

void machine_disappoint(struct machine *m)
{
	(void)answer(m, &(struct channel_message){.kind = CHANNEL_CHANGED, .fd = -1});
}

/* ---- its end ---- */

void machine_stop(struct machine *m, const struct machine_policy *policy)
{
	int r;

	/* it may have been filled since we looked: then it is not ours to kill */
	if (m->state == MACHINE_SERVED)
		served_turn(m, policy);
	if (m->state != MACHINE_SERVED && m->state != MACHINE_ENDING)
		return;
	m->stopping = true;
	r = machine_signal(m, SIGKILL);
	if (r < 0 && r != -ESRCH) { /* EPERM; EINVAL where it is outside of our PID namespace */
		m->deed = "it could not be killed: kill it by hand";
		return;
	}
	/* the worker may be stopped, or hang in a read: it is not waited for. The machine
	 * cannot run on: its userfaultfd is ours too, and it is killed */
	if (m->state == MACHINE_SERVED) {
		machine_end_set(m, END_STOPPED, "its end was asked for");
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
		machine_waiting_turn(m, watched[0].revents, policy);
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
