/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "handler/reopen.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fail.h"
#include "base/log.h"
#include "handler/pass.h"

#define PAUSE_LEAST_NS (20 * NS_PER_MS)
#define PAUSE_MOST_NS (250 * NS_PER_MS)
#define OPENING_NS (5 * NS_PER_SEC) /* then the child hangs, by our reckoning */

/* What a child sends, with the descriptor where err is 0. */
struct opened {
	struct identity identity;
	int err;
	bool needless; /* what the keeper has answers still */
	char text[FAIL_TEXT_MAX];
};

void reopen_init(struct reopen *r, struct source *source)
{
	*r = (struct reopen){
		.source = source,
		.pause_ns = PAUSE_LEAST_NS,
		.from_child = -1,
	};
}

/* ---- the child ---- */

static void NORETURN child_run(const struct source *source, int to)
{
	unsigned int first = (unsigned int)MIN(to, source_fd(source));
	unsigned int second = (unsigned int)MAX(to, source_fd(source));
	struct opened opened;
	int fd = -1;

	/* what it left open would outlive the keeper, if it hangs: above all the
	 * userfaultfds of machines */
	if (first > STDERR_FILENO + 1)
		close_range(STDERR_FILENO + 1, first - 1, 0);
	if (second > first + 1)
		close_range(first + 1, second - 1, 0);
	close_range(second + 1, ~0U, 0);
	memset(&opened, 0, sizeof(opened));
	opened.needless = !source_has_gone(source);
	opened.err = source_reopen(source, &fd, &opened.identity);
	if (opened.err < 0)
		fail_copy(opened.err, opened.text);
	(void)!pass_send(to, &opened, sizeof(opened), fd);
	_exit(0);
}

/* ---- the keeper ---- */

static void strays_reap(struct reopen *r)
{
	for (size_t i = 0; i < REOPEN_CHILDREN_MOST; i++)
		if (r->stray[i] > 0 && waitpid(r->stray[i], NULL, WNOHANG) != 0)
			r->stray[i] = 0;
}

/* Where the next stray will go, or NULL. */
static pid_t *stray_room(struct reopen *r)
{
	for (size_t i = 0; i < REOPEN_CHILDREN_MOST; i++)
		if (r->stray[i] == 0)
			return &r->stray[i];
	return NULL;
}

/* It has done its work, or never will. */
static void child_let_go(struct reopen *r)
{
	pid_t *room = stray_room(r);

	close(r->from_child);
	r->from_child = -1;
	kill(r->child, SIGKILL);
	if (room) /* child_start has seen to it */
		*room = r->child;
	strays_reap(r);
}

static int child_start(struct reopen *r)
{
	int ends[2];

	strays_reap(r);
	if (!stray_room(r))
		return fail_with(-EAGAIN, "%d tries to open it hang", REOPEN_CHILDREN_MOST);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	r->child = fork();
	if (r->child == 0)
		child_run(r->source, ends[1]);
	close(ends[1]);
	if (r->child < 0) {
		close(ends[0]);
		return -errno;
	}
	r->from_child = ends[0];
	return 0;
}

static void pause_begin(struct reopen *r)
{
	r->state = REOPEN_PAUSING;
	r->due_ns = clock_monotonic_ns() + r->pause_ns;
	r->pause_ns = MIN(2 * r->pause_ns, PAUSE_MOST_NS);
}

/* One line when it begins; it is tried for as long as somebody waits. */
static void tell_lost(struct reopen *r, const char *why)
{
	if (!r->told)
		log_warning("%s: %s; its machines wait, and it is opened again",
			    source_path(r->source), why);
	r->told = true;
}

static void try_failed(struct reopen *r, int err)
{
	log_debug("%s", fail_text(err));
	pause_begin(r);
}

static void open_begin(struct reopen *r)
{
	int err = child_start(r);

	if (err < 0) {
		try_failed(r, err);
		return;
	}
	r->state = REOPEN_OPENING;
	r->due_ns = clock_monotonic_ns() + OPENING_NS;
}

void reopen_ask(struct reopen *r, uint32_t generation)
{
	uint64_t now = clock_monotonic_ns();

	if (r->state != REOPEN_AT_REST || generation != source_generation(r->source))
		return;
	if (!r->lost_ns)
		r->lost_ns = now;
	tell_lost(r, "its file system has gone");
	/* one that dies again and again is not asked more and more often */
	if (now - r->renewed_ns > 2 * PAUSE_MOST_NS) {
		r->pause_ns = PAUSE_LEAST_NS;
		open_begin(r);
	} else {
		pause_begin(r);
	}
}

void reopen_drop(struct reopen *r)
{
	if (r->state == REOPEN_OPENING)
		child_let_go(r);
	r->state = REOPEN_AT_REST;
	r->lost_ns = 0;
	r->told = false;
}

void reopen_done(struct reopen *r)
{
	reopen_drop(r);
}

struct pollfd reopen_watch(const struct reopen *r)
{
	return (struct pollfd){.fd = r->state == REOPEN_OPENING ? r->from_child : -1,
			       .events = POLLIN};
}

uint64_t reopen_deadline(const struct reopen *r)
{
	return r->state == REOPEN_AT_REST ? UINT64_MAX : r->due_ns;
}

/* What the child has found. Returns the descriptor, or -errno with text. */
static int opened_take(struct reopen *r, struct identity *ret)
{
	struct opened opened;
	AUTO_CLOSE int fd = -1;
	ssize_t n = pass_receive(r->from_child, &opened, sizeof(opened), &fd);

	if (n != sizeof(opened))
		return fail_with(-EIO, "the process that opens it has ended");
	if (opened.err < 0)
		return fail_with(opened.err, "%.*s", FAIL_TEXT_MAX - 1, opened.text);
	if (fd < 0)
		return fail_with(-EMFILE, "its descriptor could not be received");
	*ret = opened.identity;
	r->needless = opened.needless;
	return TAKE_FD(fd);
}

static enum reopen_news opening_turn(struct reopen *r)
{
	struct identity identity;
	int fd = opened_take(r, &identity);

	child_let_go(r);
	if (fd < 0) {
		try_failed(r, fd);
		return REOPEN_NONE;
	}
	r->state = REOPEN_AT_REST;
	if (!identity_same(source_identity(r->source), &identity)) {
		close(fd);
		log_error("%s: %s than the machines were begun with: put that back, or start "
			  "pagoda-handler anew",
			  source_path(r->source),
			  identity_may_change(source_identity(r->source))
				  ? "a draft that was lost may be another image now"
				  : "there is another image now");
		return REOPEN_CHANGED;
	}
	source_renew(r->source, fd);
	r->renewed_ns = clock_monotonic_ns();
	r->lost_ns = 0;
	r->told = false;
	log_info("%s: opened again%s", source_path(r->source),
		 r->needless ? ", though it had not gone" : "");
	return REOPEN_RENEWED;
}

enum reopen_news reopen_turn(struct reopen *r, short revents)
{
	bool due = clock_monotonic_ns() >= r->due_ns;

	strays_reap(r);
	if (r->state == REOPEN_OPENING && revents)
		return opening_turn(r);
	if (r->state == REOPEN_OPENING && due) {
		child_let_go(r);
		try_failed(r, fail_with(-ETIMEDOUT, "opening it hangs"));
	} else if (r->state == REOPEN_PAUSING && due) {
		open_begin(r);
	}
	return REOPEN_NONE;
}
