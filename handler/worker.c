/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "handler/worker.h"

#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fail.h"
#include "base/log.h"
#include "handler/channel.h"
#include "handler/receive.h"
#include "handler/session.h"

#define NOBODY 65534

static int by_number(const void *left, const void *right)
{
	return *(const int *)left - *(const int *)right;
}

/* What a worker leaves open would outlive its owner: above all the descriptors
 * of other machines. */
static void others_close(const struct worker_setup *setup)
{
	int keep[] = {STDERR_FILENO, setup->conn,    setup->uffd,
		      setup->peer,   setup->channel, source_fd(setup->source)};
	unsigned int next = 0;

	qsort(keep, ARRAY_SIZE(keep), sizeof(keep[0]), by_number);
	for (size_t i = 0; i < ARRAY_SIZE(keep); i++) {
		unsigned int fd = (unsigned int)keep[i];

		if (fd > next)
			close_range(next, fd - 1, 0);
		next = fd + 1;
	}
	close_range(next, ~0U, 0);
}

/*
 * Everything that needs rights has been done: files are open, and the userfaultfd
 * asks for none. As far as we may: where it fails there was less to give up.
 * Signals to stop stay blocked as the keeper has them: a machine is served until
 * the keeper has ended it, also when a terminal signals the whole group.
 */
static void rights_drop(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2] = {{0}, {0}};

	if (geteuid() == 0) {
		(void)!setgroups(0, NULL);
		(void)!setresgid(NOBODY, NOBODY, NOBODY);
		(void)!setresuid(NOBODY, NOBODY, NOBODY);
	}
	(void)syscall(SYS_capset, &header, none);
	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

/*
 * Small pages that are said to be huge would never all be installed: the kernel finds
 * one of them present, and the machine touches the next again and again.
 */
static int huge_check(int uffd, const struct regions *regions)
{
	for (const struct region *r = regions->at; r < regions_end(regions); r++) {
		bool huge = true;
		int err =
			r->page_size > REGIONS_PAGE ? uffd_is_huge(uffd, r->va, r->size, &huge) : 0;

		if (err < 0)
			return fail_with(-EBADMSG, "its memory at address 0x%" PRIx64 ": %s", r->va,
					 strerror(-err));
		if (!huge)
			return fail_with(-EBADMSG,
					 "its memory at address 0x%" PRIx64
					 " has no pages of %" PRIu64 " bytes",
					 r->va, r->page_size);
	}
	return 0;
}

static int handover_take(const struct worker_setup *setup)
{
	struct shared *shared = setup->shared;
	int r = receive_rest(setup->conn, shared->text, sizeof(shared->text), &shared->text_len,
			     setup->deadline_ns);

	if (r == 0)
		r = handover_parse(shared->text, shared->text_len, &shared->regions);
	if (r == 0)
		r = regions_check(&shared->regions, source_size(setup->source));
	if (r == 0)
		r = huge_check(setup->uffd, &shared->regions);
	return r;
}

static enum end serve(const struct worker_setup *setup)
{
	struct session *session; /* not freed: a read of it may hang longer than we stay */
	struct shared *shared = setup->shared;
	struct session_setup with = {
		.uffd = setup->uffd,
		.peer = setup->peer,
		.source = setup->source,
		.shared = shared,
		.channel = setup->channel,
		.source_timeout_ns = setup->source_timeout_ns,
		.spin_ns = setup->spin_ns,
		.readahead = setup->readahead,
		.fill = setup->fill,
	};
	int r = handover_take(setup);

	if (r < 0) {
		snprintf(shared->reason, sizeof(shared->reason), "%s", fail_text(r));
		return r == -ENOMEM ? END_OUT_OF_MEMORY : END_HANDOVER_REFUSED;
	}
	close(setup->conn);
	if (source_has_changed(setup->source))
		return shared_end(shared, END_SOURCE_FAILED,
				  "%s was written to since pagoda-handler began: start it anew",
				  source_path(setup->source));
	r = session_new(&with, &session);
	if (r < 0)
		return shared_end(shared, END_OUT_OF_MEMORY, "begin its session: %s", strerror(-r));
	return session_run(session);
}

/*
 * The keeper has died, so this may be the last process that holds the
 * userfaultfd, and closing it would let the machine go on with zeros. Holds it
 * until the machine has ended, and says so, as nobody else can.
 */
static void machine_hold(const struct worker_setup *setup)
{
	struct pollfd p = {.fd = setup->peer, .events = POLLIN};
	bool killed = !setup->freeze &&
		      syscall(SYS_pidfd_send_signal, setup->peer, SIGKILL, NULL, 0) == 0;

	log_error("machine %d: %s: %s: the keeper has died; %s", (int)setup->machine,
		  end_name((enum end)setup->shared->end), setup->shared->reason,
		  killed ? "killed" : "it hangs: kill it by hand");
	while (poll(&p, 1, -1) <= 0)
		;
}

void worker_run(const struct worker_setup *setup)
{
	enum end end;

	prctl(PR_SET_NAME, "pagoda-worker", 0, 0, 0);
	others_close(setup);
	/* also prefaults; RLIMIT_MEMLOCK may forbid it, which costs a delay at worst */
	(void)mlock(setup->shared->messages, sizeof(setup->shared->messages));
	rights_drop();
	end = serve(setup);
	setup->shared->end = end;
	/* fails only where the keeper has gone: then it is not heard */
	(void)!channel_send(setup->channel,
			    &(struct channel_message){.kind = CHANNEL_ENDED, .fd = -1});
	if (!end_is_good(end) && getppid() != setup->keeper)
		machine_hold(setup);
	_exit(end_is_good(end) ? 0 : 1);
}
