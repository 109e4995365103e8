/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "handler/keeper.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fail.h"
#include "base/io.h"
#include "base/log.h"
#include "base/units.h"
#include "handler/keeper-private.h"
#include "handler/requests.h"

#define WAITING_MOST 64 /* connections that have sent nothing yet */
#define FDS_A_MACHINE 5
#define FDS_LINGERING 1
/* What a message brings must find room: a userfaultfd that the kernel can put nowhere
 * it closes, and its machine reads zeros before it can be killed. */
#define FDS_OTHER (64 + RECEIVE_FDS_ROOM)
#define ACCEPT_PAUSE_NS (100 * NS_PER_MS)
#define PROMETHEUS_NS NS_PER_SEC

/* ---- statistics ---- */

static void stats_report(struct keeper *k)
{
	int r = 0;

	if (k->setup->stats)
		r = stats_write(k->setup->stats, &k->stats, k->machines);
	if (r < 0 && r != k->stats_error) /* it may come every second */
		log_warning("write statistics to %s: %s", k->setup->stats, strerror(-r));
	k->stats_error = r;
}

/* A place that cannot be written to is told before a machine depends on us. */
static int stats_begin(struct keeper *k)
{
	int r = 0;

	if (k->setup->stats)
		r = stats_write(k->setup->stats, &k->stats, NULL);
	if (r == -EBUSY) /* what rename(2) says of "." */
		r = -EISDIR;
	return r < 0 ? fail_with(r, "write statistics to %s: %s", k->setup->stats, strerror(-r))
		     : 0;
}

static void stats_tick(struct keeper *k)
{
	if (clock_monotonic_ns() < k->stats_ns)
		return;
	stats_report(k);
	k->stats_ns = clock_monotonic_ns() + PROMETHEUS_NS;
}

/* ---- machines ---- */

/* Says once how it ended, and counts it. */
static void end_tell(struct keeper *k, const struct machine *m)
{
	const char *what = m->deed[0] ? ": " : "";

	k->stats.ends[m->end]++;
	if (m == k->one)
		k->outcome = m->end;
	if (end_is_good(m->end))
		log_info("machine %d: %s: %s%s%s", (int)m->pid, end_name(m->end), m->reason, what,
			 m->deed);
	else
		log_error("machine %d: %s: %s%s%s", (int)m->pid, end_name(m->end), m->reason, what,
			  m->deed);
}

/* What the last step of a machine means for the others and for the record. */
static void machine_look(struct keeper *k, struct machine *m)
{
	if (k->setup->once && !k->one && m->received && !m->unwelcome) {
		k->one = m;
		k->policy.full = true;
	}
	if (m->end && !m->told) {
		m->told = true;
		end_tell(k, m);
	}
	if (m->lost && m->generation != source_generation(k->source)) {
		machine_renew(m, k->source);
	} else if (m->lost && clock_monotonic_ns() >= m->heed_ns) {
		m->heed_ns = 0;
		reopen_ask(&k->reopen, m->generation);
	}
}

static void machine_step(struct keeper *k, struct machine *m,
			 const struct pollfd watched[MACHINE_WATCHES])
{
	machine_turn(m, watched, &k->policy);
	machine_look(k, m);
}

static void hang_up(struct keeper *k, struct machine *m)
{
	machine_hang_up(m, &k->policy);
	machine_look(k, m);
}

static size_t waiting_count(const struct keeper *k, struct machine **ret_oldest)
{
	size_t n = 0;

	for (struct machine *m = k->machines; m; m = m->next)
		if (m->state == MACHINE_WAITING && n++ == 0)
			*ret_oldest = m;
	return n;
}

/* Who connects and stays silent must not keep others out: the oldest goes. */
static void waiting_limit(struct keeper *k)
{
	struct machine *oldest = NULL;

	if (waiting_count(k, &oldest) < WAITING_MOST)
		return;
	hang_up(k, oldest);
	if (!oldest->end)
		log_warning("machine %d: dropped: %d connections have sent nothing yet",
			    (int)oldest->pid, WAITING_MOST);
}

static void machine_append(struct keeper *k, struct machine *m)
{
	struct machine **end = &k->machines;

	while (*end)
		end = &(*end)->next;
	*end = m;
	k->nmachines++;
}

/* What became of opening the source again, for all who wait for it. */
static void source_step(struct keeper *k, short revents)
{
	enum reopen_news news = reopen_turn(&k->reopen, revents);

	for (struct machine *m = k->machines; m && news != REOPEN_NONE; m = m->next) {
		if (!m->lost)
			continue;
		machine_doubt(m, news == REOPEN_RENEWED && k->reopen.needless);
		if (news == REOPEN_RENEWED)
			machine_renew(m, k->source);
		else
			machine_disappoint(m);
	}
}

static void sweep(struct keeper *k)
{
	bool lost = false;

	k->stats.running = 0;
	k->nlingering = 0;
	for (struct machine **at = &k->machines; *at;) {
		struct machine *m = *at;

		if (m->state != MACHINE_OVER) {
			k->stats.running += m->state == MACHINE_SERVED;
			k->nlingering += m->state == MACHINE_LINGERING;
			lost |= m->lost;
			at = &m->next;
			continue;
		}
		*at = m->next;
		if (m->shared)
			counters_merge(&k->stats.done, &m->shared->counters);
		machine_free(m);
		k->nmachines--;
	}
	if (!lost)
		reopen_drop(&k->reopen);
}

/* ---- connections ---- */

/* What it has sent is received: if that is its memory, it may have kept no copy of
 * what we would close, and must not run on. */
static void turn_away(struct keeper *k, struct machine *m)
{
	hang_up(k, m);
	if (!m->end)
		log_warning("machine %d refused: user %u is not in --allow-uid", (int)m->pid,
			    (unsigned int)m->uid);
}

static void connection_take(struct keeper *k, int conn)
{
	struct machine *m;
	int r = machine_new(conn, &m);

	if (r < 0) {
		log_warning("connection refused: its process: %s", fail_text(r));
		close(conn);
		return;
	}
	k->stats.connections++;
	m->unwelcome = !allow_has(&k->setup->allow, m->uid);
	waiting_limit(k);
	machine_append(k, m);
	if (m->unwelcome)
		turn_away(k, m);
	else
		/* most have sent all they have to say */
		machine_step(k, m, (struct pollfd[MACHINE_WATCHES]){{.revents = POLLIN}});
}

static void connection_accept(struct keeper *k)
{
	int conn = listener_accept(k->listener);

	if (conn >= 0) {
		connection_take(k, conn);
		return;
	}
	/* it stays readable while we are out of descriptors: do not spin on it */
	if (conn != -EAGAIN && conn != -EINTR && conn != -ECONNABORTED) {
		log_warning("accept: %s", fail_text(conn));
		k->accept_ns = clock_monotonic_ns() + ACCEPT_PAUSE_NS;
	}
}

/* Nobody may connect any more. Takes what has been sent already: a hand-over that
 * nobody receives would leave a machine that hangs, or, if it has kept no
 * userfaultfd of its own, reads zeros. */
static void connections_end(struct keeper *k)
{
	if (!k->listener)
		return;
	listener_shut(k->listener);
	while (k->nmachines < LIST_MOST) {
		int conn = listener_accept(k->listener);

		if (conn < 0)
			break;
		connection_take(k, conn);
	}
	for (struct machine *m = k->machines; m; m = m->next)
		hang_up(k, m);
	listener_close(k->listener);
	k->listener = NULL;
}

/* ---- signals ---- */

void keeper_stop(struct keeper *k, bool drain)
{
	k->stopping = true;
	connections_end(k);
	if (drain)
		log_info("stopping when the last machine has ended");
	for (struct machine *m = k->machines; m && !drain; m = m->next)
		keeper_stop_machine(k, m);
}

void keeper_stop_machine(struct keeper *k, struct machine *m)
{
	machine_stop(m, &k->policy);
	if (m->stopping && m->state == MACHINE_SERVED) /* and we wait for it, maybe long */
		log_error("machine %d: %s", (int)m->pid, m->deed);
	machine_look(k, m);
}

static void signals_take(struct keeper *k)
{
	struct signalfd_siginfo info;

	while (read(k->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGCHLD)
			continue; /* every turn has waited for who has ended */
		if (info.ssi_signo == SIGUSR1)
			stats_report(k);
		else /* the first asks as --on-stop says, a second one ends it */
			keeper_stop(k, k->setup->stop_by_drain && !k->stopping);
	}
}

/*
 * A signal that ends keeper and workers at once, as a closed terminal sends it to
 * the whole group, would close every userfaultfd, and machines would read zeros. So
 * those meant to end a program stop this one in order, and the others are blocked, in
 * the workers too; all but what the processor itself brings, and job control.
 */
static int signals_open(struct keeper *k)
{
	static const int taken[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGCHLD};
	static const int left[] = {SIGSEGV, SIGBUS,  SIGFPE,  SIGILL,  SIGTRAP,
				   SIGSYS,  SIGTSTP, SIGTTIN, SIGTTOU, SIGCONT};
	sigset_t blocked;
	sigset_t set;

	sigfillset(&blocked);
	for (size_t i = 0; i < ARRAY_SIZE(left); i++)
		sigdelset(&blocked, left[i]);
	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(taken); i++)
		sigaddset(&set, taken[i]);
	if (sigprocmask(SIG_BLOCK, &blocked, NULL) < 0)
		return -errno;
	k->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return k->signals < 0 ? -errno : 0;
}

/* ---- the loop ---- */

/* Nothing can fail any more. As s6 and others want it: a newline, then the end. */
static void ready_tell(const struct keeper *k)
{
	char size[UNITS_TEXT_MAX];
	int fd = k->setup->ready_fd;

	log_info("serving %s (%s) on %s", source_path(k->source),
		 units_format_size(size, source_size(k->source)), listener_path(k->listener));
	if (fd < 0)
		return;
	if (io_write_full(fd, "\n", 1) < 0)
		log_warning("--ready-fd: nobody reads it");
	close(fd);
}

/* Whether there is a place for another machine. Who lingers has none, only the descriptor
 * of its worker: a file system that hangs would fill them all. */
static bool has_room(const struct keeper *k)
{
	size_t n = k->nmachines - k->nlingering;
	size_t fds = (n + 1) * FDS_A_MACHINE + k->nlingering * FDS_LINGERING;

	if (n >= MACHINES_MOST || k->nlingering >= LINGERING_MOST)
		return false;
	/* poll(2) takes no more entries than there may be descriptors */
	if (k->nmachines > 0 && MACHINE_WATCHES * (k->nmachines + 1) > k->fds_most)
		return false;
	return fds <= k->fds_most || n == 0;
}

static bool accepts(const struct keeper *k)
{
	return k->listener && has_room(k) && clock_monotonic_ns() >= k->accept_ns;
}

/* Until when to wait for something to happen. */
static uint64_t deadline(const struct keeper *k)
{
	uint64_t when = MIN(k->stats_ns, reopen_deadline(&k->reopen));

	when = MIN(when, control_deadline(k->control));
	if (k->listener && has_room(k) && !accepts(k))
		when = MIN(when, k->accept_ns);
	for (const struct machine *m = k->machines; m; m = m->next)
		when = MIN(when, machine_deadline(m));
	return when;
}

static int wait_until(struct keeper *k, uint64_t when, size_t n)
{
	uint64_t now = clock_monotonic_ns();
	uint64_t left = when > now ? when - now : 0;
	struct timespec room = {
		.tv_sec = (time_t)(left / NS_PER_SEC),
		.tv_nsec = (long)(left % NS_PER_SEC),
	};
	int r = ppoll(k->watched, n, when == UINT64_MAX ? NULL : &room, NULL);

	return r < 0 && errno != EINTR ? -errno : 0;
}

static int turn(struct keeper *k)
{
	uint64_t when = deadline(k); /* first: a pause may end while we prepare */
	size_t n = WATCH_MACHINES;
	int r;

	k->watched[WATCH_SIGNALS] = (struct pollfd){.fd = k->signals, .events = POLLIN};
	k->watched[WATCH_LISTENER] =
		(struct pollfd){.fd = accepts(k) ? listener_fd(k->listener) : -1, .events = POLLIN};
	k->watched[WATCH_REOPEN] = reopen_watch(&k->reopen);
	control_watch(k->control, &k->watched[WATCH_CONTROL]);
	for (const struct machine *m = k->machines; m; m = m->next, n += MACHINE_WATCHES)
		machine_watch(m, &k->watched[n]);
	r = wait_until(k, when, n);
	if (r < 0)
		return r;
	n = WATCH_MACHINES;
	for (struct machine *m = k->machines; m; m = m->next, n += MACHINE_WATCHES)
		machine_step(k, m, &k->watched[n]);
	source_step(k, k->watched[WATCH_REOPEN].revents);
	control_turn(k->control, &k->watched[WATCH_CONTROL]);
	if (k->watched[WATCH_SIGNALS].revents)
		signals_take(k);
	if (k->watched[WATCH_LISTENER].revents && k->listener)
		connection_accept(k);
	if (k->one)
		connections_end(k);
	sweep(k);
	stats_tick(k);
	return 0;
}

/* How many descriptors machines may have: as many as the system lets us. */
static size_t fds_room(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return MACHINES_MOST * FDS_A_MACHINE;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
	return limit.rlim_cur < FDS_OTHER ? 0 : (size_t)limit.rlim_cur - FDS_OTHER;
}

/* Machines that somebody still has to see to: with the workers of others, which hang in
 * a read, nobody has anything left to do. */
static bool has_machines(const struct keeper *k)
{
	for (const struct machine *m = k->machines; m; m = m->next)
		if (m->state != MACHINE_LINGERING)
			return true;
	return false;
}

int keeper_run(const struct keeper_setup *setup, struct listener *listener, struct source *source,
	       enum end *ret_end)
{
	static struct keeper k; /* one in a process; too large for the stack */
	int r;

	k = (struct keeper){
		.setup = setup,
		.source = source,
		.policy = {.source = source,
			   .source_timeout_ns = setup->source_timeout_ns,
			   .spin_ns = setup->spin_ns,
			   .readahead = !setup->no_readahead,
			   .freeze = setup->freeze,
			   .fill = setup->fill},
		.listener = listener,
		.fds_most = fds_room(),
		.outcome = END_STOPPED,
		.stats_ns = UINT64_MAX,
		.stats = {.source = source_path(source), .image_bytes = source_size(source)},
	};
	reopen_init(&k.reopen, source);
	if (setup->stats && stats_is_prometheus(setup->stats))
		k.stats_ns = 0;
	r = stats_begin(&k);
	if (r == 0 && setup->control)
		r = control_open(setup->control, request_answer, &k, &k.control);
	if (r == 0)
		r = signals_open(&k);
	if (r == 0)
		ready_tell(&k);
	while (r == 0 && (k.listener || has_machines(&k)))
		r = turn(&k);
	if (r == 0)
		stats_report(&k);
	listener_close(k.listener);
	control_close(k.control);
	reopen_done(&k.reopen);
	close(k.signals);
	*ret_end = setup->once ? k.outcome : END_STOPPED;
	return r;
}
