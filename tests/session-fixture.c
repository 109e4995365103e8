/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tests/session-fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/io.h"
#include "tests/unit.h"

#define PATIENCE_S 20 /* for what must happen at once */

struct fixture f = {.channel = -1};

static void image_make(void)
{
	unsigned char page[P];
	char path[64];

	f.image = memfd_create("image", MFD_CLOEXEC);
	for (unsigned int i = 0; i < HOLE; i++) {
		memset(page, (int)i + 1, sizeof(page));
		ck_assert_int_eq(io_pwrite_full(f.image, page, P, i * P), 0);
	}
	ck_assert_int_eq(ftruncate(f.image, PAGES * P), 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", f.image);
	ck_assert_int_eq(source_open(path, &f.source), 0);
}

/* Returns false where we may not have these features. */
bool uffd_make(uint64_t features)
{
	struct uffdio_api api = {.api = UFFD_API, .features = features};

	f.uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	return f.uffd >= 0 && ioctl(f.uffd, UFFDIO_API, &api) == 0;
}

void memory_register(void *start, size_t len)
{
	struct uffdio_register reg = {
		.range = {.start = (uintptr_t)start, .len = len},
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};

	ck_assert_int_eq(ioctl(f.uffd, UFFDIO_REGISTER, &reg), 0);
}

static void memory_make(void)
{
	f.memory =
		mmap(NULL, PAGES * P, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(f.memory, MAP_FAILED);
	madvise(f.memory, PAGES * P, MADV_NOHUGEPAGE);
}

static void machine_make(void)
{
	f.machine = fork();
	if (f.machine == 0) {
		close_range(3, ~0U, 0); /* it must not keep our pipes open */
		for (;;)
			pause();
	}
	f.peer = (int)syscall(SYS_pidfd_open, f.machine, 0);
	ck_assert_int_ge(f.peer, 0);
}

static void shared_make(void)
{
	f.shared = shared_new(PAGES * P);
	ck_assert_ptr_nonnull(f.shared);
	f.shared->regions.n = 1;
	f.shared->regions.at[0] = (struct region){(uintptr_t)f.memory, PAGES * P, 0, P};
	ck_assert_int_eq(regions_check(&f.shared->regions, PAGES * P), 0);
}

bool fresh_with(uint64_t features)
{
	machine_make();
	memory_make();
	image_make();
	shared_make();
	if (!uffd_make(features)) {
		ck_assert_msg(errno == EPERM || errno == ENOSYS, "%s", strerror(errno));
		kill(f.machine, SIGKILL);
		return false;
	}
	memory_register(f.memory, PAGES * P);
	return true;
}

bool fresh(void)
{
	return fresh_with(UFFD_FEATURE_EVENT_REMOVE);
}

/* Any descriptor in place of the userfaultfd. */
void fresh_on(int fd)
{
	machine_make();
	memory_make();
	image_make();
	shared_make();
	f.uffd = fd;
}

static void *session_thread(void *arg)
{
	f.end = session_run(f.session);
	return arg;
}

void start_with(bool fill)
{
	struct session_setup setup = {
		.uffd = f.uffd,
		.peer = f.peer,
		.source = f.source,
		.shared = f.shared,
		.channel = f.channel,
		.source_timeout_ns = f.timeout_ns,
		.readahead = f.readahead,
		.fill = fill,
	};

	ck_assert_int_eq(session_new(&setup, &f.session), 0);
	ck_assert_int_eq(pthread_create(&f.thread, NULL, session_thread, NULL), 0);
}

void start(void)
{
	start_with(false);
}

void join(pthread_t thread)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += PATIENCE_S;
	ck_assert_msg(pthread_timedjoin_np(thread, NULL, &until) == 0, "a thread hangs");
}

void ended(enum end end)
{
	ck_assert_str_eq(end_name(f.end), end_name(end));
	ck_assert_msg(f.shared->reason[0], "no reason given");
	kill(f.machine, SIGKILL);
	session_free(f.session);
	source_close(f.source);
}

/* The session must end by itself, for that reason. */
void ends_by_itself(enum end end)
{
	join(f.thread);
	ended(end);
}

void ends_with_the_machine(void)
{
	kill(f.machine, SIGKILL);
	ends_by_itself(END_MACHINE_GONE);
}

/* How many faults wait to be read. */
static unsigned long pending(void)
{
	AUTO_CLOSE int fd = -1;
	char path[64];
	char text[1024] = "";
	const char *at;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", f.uffd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ck_assert_int_gt(io_read_full(fd, text, sizeof(text) - 1), 0);
	at = strstr(text, "pending:");
	ck_assert_ptr_nonnull(at);
	return strtoul(at + strlen("pending:"), NULL, 10);
}

void pending_wait(unsigned long n)
{
	while (pending() < n)
		sched_yield();
}

/* Whether a removal (or unmapping) has begun that nobody has read yet. */
static bool removal_pending(void)
{
	struct uffdio_zeropage nowhere = {.range = {.start = P, .len = P}};

	return ioctl(f.uffd, UFFDIO_ZEROPAGE, &nowhere) < 0 && errno == EAGAIN;
}

static char thread_state(pid_t tid)
{
	AUTO_CLOSE int fd = -1;
	char path[64];
	char text[256] = "";
	const char *at;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || io_read_full(fd, text, sizeof(text) - 1) <= 0)
		return '?';
	at = strrchr(text, ')');
	return at ? at[2] : '?';
}

/* ---- threads that need the session ---- */

static void *touch_thread(void *arg)
{
	struct toucher *t = arg;

	t->got = *t->at;
	return NULL;
}

void touch(struct toucher *t, const void *at)
{
	*t = (struct toucher){.at = (volatile unsigned char *)at, .got = -1};
	ck_assert_int_eq(pthread_create(&t->thread, NULL, touch_thread, t), 0);
}

void touched(struct toucher *t, int want)
{
	join(t->thread);
	ck_assert_int_eq(t->got, want);
}

unsigned char *page(size_t i)
{
	return f.memory + i * P;
}

int of_image(size_t i)
{
	return i < HOLE ? (int)i + 1 : 0;
}

static void *remove_thread(void *arg)
{
	struct remover *r = arg;

	r->tid = gettid();
	if (r->unmap) /* leaves no gap that another mapping could fall into */
		mmap(r->at, P, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	else
		madvise(r->at, P, MADV_DONTNEED);
	return NULL;
}

void remove_start(struct remover *r, void *at, bool unmap)
{
	*r = (struct remover){.at = at, .unmap = unmap};
	ck_assert_int_eq(pthread_create(&r->thread, NULL, remove_thread, r), 0);
}

/* Its message is queued once it sleeps with its removal begun (killable sleep is
 * shown as D). */
void remove_wait(const struct remover *r)
{
	while (r->tid == 0 || !removal_pending() || thread_state(r->tid) != 'D')
		sched_yield();
}

/* Installs a page behind the session's back, and wakes nobody. */
void install_quietly(size_t i)
{
	unsigned char bytes[P];
	struct uffdio_copy copy = {
		.dst = (uintptr_t)page(i),
		.src = (uintptr_t)bytes,
		.len = P,
		.mode = UFFDIO_COPY_MODE_DONTWAKE,
	};

	memset(bytes, 0xee, sizeof(bytes));
	ck_assert_int_eq(ioctl(f.uffd, UFFDIO_COPY, &copy), 0);
}

void stale(void)
{
	close(f.uffd);
	close(f.image);
	close(f.peer);
	munmap(f.memory, PAGES * P);
	shared_free(f.shared, PAGES * P);
}

static pthread_t hog;
static atomic_bool hogging;

static void *hog_thread(void *arg)
{
	while (hogging)
		;
	return arg;
}

void starve_begin(const struct remover *r)
{
	const struct sched_param none = {0};
	pthread_attr_t attr;
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(0, &cpus);
	ck_assert_int_eq(pthread_setaffinity_np(r->thread, sizeof(cpus), &cpus), 0);
	ck_assert_int_eq(pthread_setschedparam(r->thread, SCHED_IDLE, &none), 0);
	hogging = true;
	pthread_attr_init(&attr);
	pthread_attr_setaffinity_np(&attr, sizeof(cpus), &cpus);
	ck_assert_int_eq(pthread_create(&hog, &attr, hog_thread, NULL), 0);
	pthread_attr_destroy(&attr);
}

void starve_end(void)
{
	hogging = false;
	join(hog);
}
