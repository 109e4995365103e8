/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine for the tests: a process that has its memory restored, as a VMM does.
 *
 * It maps regions as large as the image, registers them, hands the userfaultfd
 * over to a handler, and then its threads touch, compare, write and remove pages
 * at random. Every byte is compared with what it must be (client-oracle.h). It
 * exits 0 only if all were right, 1 on a wrong byte, 77 where the system lacks
 * what it needs, and prints one line.
 */
#include "config.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fail.h"
#include "base/options.h"
#include "tests/client-memory.h"
#include "tests/client-oracle.h"

#define THREADS_MOST 64
#define REMOVE_MOST 16 /* pages of one removal */
#define DOOM_S 30      /* in which the handler should have killed us */
#define HOT_PAGES 64   /* where threads meet */
#define OVER_PAGES 8   /* of one read of --over */
#define TOOK_MOST 8192 /* microseconds of an operation that are told apart */
#define STEADY_PAUSE_NS (200 * NS_PER_US)

struct arguments {
	const char *image;
	struct memory_setup memory;
	struct handover_setup handover;
	uint64_t regions;
	uint64_t pieces;
	uint64_t threads;
	uint64_t operations;
	uint64_t seed;
	uint64_t patience;
	uint64_t flood;
	const char *over;
	bool direct;
	bool mapped;
	bool all;
	bool steady;
	bool close_uffd;
	bool pause;
	bool wait;
	bool hold;
	bool refused;
	bool doomed;
	bool stray;
	bool help;
};

#define AT(field_) offsetof(struct arguments, field_)

static const struct option_row rows[] = {
	{"image", 'i', OPTION_TEXT, AT(image), "FILE", "what the memory must hold", NULL},
	{"socket", 's', OPTION_TEXT, AT(handover.socket), "PATH", "of the handler", NULL},
	{"regions", 0, OPTION_NUMBER, AT(regions), "N", "of memory (1)", NULL},
	{"huge", 0, OPTION_FLAG, AT(memory.huge), NULL, "pages of 2 MiB", NULL},
	{"blocking", 0, OPTION_FLAG, AT(memory.blocking), NULL, "a descriptor that blocks", NULL},
	{"generation", 0, OPTION_TEXT, AT(handover.generation), "1.1|1.7|1.12",
	 "of the hand-over (1.12)", NULL},
	{"send", 0, OPTION_TEXT, AT(handover.send), "LIST",
	 "descriptors: uffd,raw,file,pipe (uffd)", NULL},
	{"text", 0, OPTION_TEXT, AT(handover.text), "TEXT", "hand over this instead", NULL},
	{"pieces", 0, OPTION_NUMBER, AT(pieces), "BYTES", "send the text in pieces", NULL},
	{"pause", 0, OPTION_FLAG, AT(pause), NULL,
	 "say 'begun' after the first piece, send the others after a line", NULL},
	{"close-uffd", 0, OPTION_FLAG, AT(close_uffd), NULL, "keep no copy of the descriptor",
	 NULL},
	{"threads", 't', OPTION_NUMBER, AT(threads), "N", "(2)", NULL},
	{"operations", 'n', OPTION_NUMBER, AT(operations), "N", "at random, of all threads (0)",
	 NULL},
	{"over", 0, OPTION_TEXT, AT(over), "FILE",
	 "read this, which holds the image, over half of the memory first", NULL},
	{"direct", 0, OPTION_FLAG, AT(direct), NULL, "... with O_DIRECT", NULL},
	{"mapped", 0, OPTION_FLAG, AT(mapped), NULL, "... through a mapping of it", NULL},
	{"flood", 0, OPTION_NUMBER, AT(flood), "N", "of removals of one page, before (0)", NULL},
	{"seed", 0, OPTION_NUMBER, AT(seed), "N", "of the random numbers", NULL},
	{"patience", 0, OPTION_NUMBER, AT(patience), "SECONDS",
	 "after which a hang is a failure (300)", NULL},
	{"all", 'a', OPTION_FLAG, AT(all), NULL, "compare every page at the end, in pairs", NULL},
	{"steady", 0, OPTION_FLAG, AT(steady), NULL,
	 "say 'steady', and go on with operations, not too many, until SIGTERM", NULL},
	{"wait", 0, OPTION_FLAG, AT(wait), NULL,
	 "say 'connected', begin after a line on standard input", NULL},
	{"hold", 0, OPTION_FLAG, AT(hold), NULL, "say 'holding' at the end, wait for a line", NULL},
	{"refused", 0, OPTION_FLAG, AT(refused), NULL, "touch nothing, wait for the refusal", NULL},
	{"doomed", 0, OPTION_FLAG, AT(doomed), NULL, "touch nothing, wait to be killed", NULL},
	{"stray", 0, OPTION_FLAG, AT(stray), NULL, "touch a page that no region holds", NULL},
	{"help", 'h', OPTION_FLAG, AT(help), NULL, "print this", NULL},
	{"", 0, OPTION_FLAG, 0, NULL, NULL, NULL},
};

struct worker {
	pthread_t thread;
	const struct arguments *args;
	const struct memory *memory;
	struct oracle *oracle;
	size_t index;
	uint64_t random; /* state */
	/* what it did */
	uint64_t compared;
	uint64_t written;
	uint64_t removed;
	uint32_t took[TOOK_MOST]; /* operations by microseconds, the last: or more */
};

static atomic_bool over; /* SIGTERM has come */

static pthread_barrier_t all_read; /* --over is done */

static void over_set(int number)
{
	(void)number;
	atomic_store(&over, true);
}

/* splitmix64 */
static uint64_t random_next(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static void operate(struct worker *w, size_t page, uint64_t random)
{
	unsigned int dice = random % 100;

	if (dice < 60) {
		oracle_compare(w->oracle, page);
		w->compared++;
	} else if (dice < 80) {
		oracle_write(w->oracle, page, random_next(&w->random));
		w->written++;
	} else {
		w->removed += oracle_remove(w->oracle, page, 1 + (random >> 32) % REMOVE_MOST);
	}
}

static void operate_once(struct worker *w)
{
	uint64_t random = random_next(&w->random);
	size_t pages = w->memory->pages;
	size_t among = random >> 62 ? pages : MIN(pages, (size_t)HOT_PAGES);
	uint64_t begun = clock_monotonic_ns();

	operate(w, random_next(&w->random) % among, random);
	w->took[MIN((clock_monotonic_ns() - begun) / NS_PER_US, (uint64_t)TOOK_MOST - 1)]++;
}

/* Pairs of threads go over the same pages in the same order. */
static void compare_all(struct worker *w)
{
	size_t pairs = (w->args->threads + 1) / 2;
	size_t pair = w->index / 2;
	size_t from = w->memory->pages * pair / pairs;
	size_t to = w->memory->pages * (pair + 1) / pairs;

	for (size_t page = from; page < to; page++)
		oracle_compare(w->oracle, page);
	w->compared += to - from;
}

/*
 * The kernel, or a copy from a mapping, writes into pages that are missing: it faults
 * while it holds pages of the file, and the handler may read the same ones. Each thread
 * takes every other piece, in pieces that leave pages out for the operations to come.
 */
static void read_over(const struct worker *w)
{
	const struct arguments *args = w->args;
	size_t len = w->memory->unit * OVER_PAGES;
	int fd = open(args->over, O_RDONLY | O_CLOEXEC | (args->direct ? O_DIRECT : 0));
	struct stat st;
	char *map = MAP_FAILED;

	if (fd < 0 || fstat(fd, &st) < 0)
		err(1, "%s", args->over);
	if (args->mapped)
		map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (args->mapped && map == MAP_FAILED)
		err(1, "%s", args->over);
	for (size_t page = w->index * 2 * OVER_PAGES; page + OVER_PAGES <= w->memory->pages;
	     page += args->threads * 2 * OVER_PAGES) {
		size_t off = page * w->memory->unit;

		if (memory_run(w->memory, page) < OVER_PAGES)
			continue;
		if (args->mapped)
			memcpy(memory_page(w->memory, page), map + off, len);
		else if (pread(fd, memory_page(w->memory, page), len, (off_t)off) != (ssize_t)len)
			err(1, "read of %s", args->over);
	}
	if (args->mapped)
		munmap(map, (size_t)st.st_size);
	close(fd);
}

static void *work(void *arg)
{
	struct worker *w = arg;
	uint64_t operations = w->args->operations / w->args->threads +
			      (w->index < w->args->operations % w->args->threads);

	if (w->args->over) {
		read_over(w);
		/* what is removed or written from now on nobody may read over */
		pthread_barrier_wait(&all_read);
	}
	for (uint64_t i = 0; i < w->args->flood / w->args->threads; i++)
		w->removed +=
			oracle_remove(w->oracle, random_next(&w->random) % w->memory->pages, 1);
	for (uint64_t i = 0; i < operations; i++)
		operate_once(w);
	while (w->args->steady && !atomic_load(&over)) {
		operate_once(w);
		/* there are others on this machine */
		nanosleep(&(struct timespec){.tv_nsec = STEADY_PAUSE_NS}, NULL);
	}
	if (w->args->all)
		compare_all(w);
	return NULL;
}

static const unsigned char *image_map(const char *path, size_t *ret_size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	void *map;

	if (fd < 0 || fstat(fd, &st) < 0)
		err(1, "%s", path);
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (map == MAP_FAILED)
		err(1, "%s", path);
	close(fd);
	*ret_size = (size_t)st.st_size;
	return map;
}

static void say_and_wait(const char *word)
{
	char c;

	puts(word);
	fflush(stdout);
	while (read(STDIN_FILENO, &c, 1) == 1 && c != '\n')
		;
}

static void pause_here(void)
{
	say_and_wait("begun");
}

static int refusal_wait(int conn)
{
	char c;
	ssize_t n = recv(conn, &c, 1, 0);

	if (n > 0)
		errx(1, "the handler has answered");
	puts("refused");
	return 0;
}

/* The microseconds within which so many of its operations were done. */
static size_t took_percent(const struct worker *w, uint64_t percent)
{
	uint64_t all = 0;
	uint64_t done = 0;
	size_t us = 0;

	for (size_t i = 0; i < TOOK_MOST; i++)
		all += w->took[i];
	while (us + 1 < TOOK_MOST && (done += w->took[us]) * 100 < all * percent)
		us++;
	return us;
}

static void work_all(const struct arguments *args, const struct memory *memory,
		     const unsigned char *image)
{
	static struct worker workers[THREADS_MOST];
	struct oracle *oracle = oracle_new(memory, image);
	uint64_t begun = clock_monotonic_ns();
	static struct worker sum;

	pthread_barrier_init(&all_read, NULL, (unsigned int)args->threads);
	if (args->steady) {
		signal(SIGTERM, over_set);
		puts("steady");
		fflush(stdout);
	}
	for (size_t i = 0; i < args->threads; i++) {
		struct worker *w = &workers[i];

		*w = (struct worker){.args = args, .memory = memory, .oracle = oracle, .index = i};
		w->random = args->seed + i * 1000003;
		errno = pthread_create(&w->thread, NULL, work, w);
		if (errno)
			err(1, "pthread_create");
	}
	for (size_t i = 0; i < args->threads; i++) {
		pthread_join(workers[i].thread, NULL);
		sum.compared += workers[i].compared;
		sum.written += workers[i].written;
		sum.removed += workers[i].removed;
		for (size_t us = 0; us < TOOK_MOST; us++)
			sum.took[us] += workers[i].took[us];
	}
	printf("client: all right: %zu pages of %zu bytes; %" PRIu64 " compared, %" PRIu64
	       " written, %" PRIu64 " removed; seed %" PRIu64 "; 99 %% within %zu us; %.3f s\n",
	       memory->pages, memory->unit, sum.compared, sum.written, sum.removed, args->seed,
	       took_percent(&sum, 99), (double)(clock_monotonic_ns() - begun) / (double)NS_PER_SEC);
	fflush(stdout);
	oracle_free(oracle);
}

static int play(const struct arguments *args, const struct memory *memory,
		const unsigned char *image)
{
	volatile unsigned char *stray = args->stray ? memory_stray_page(memory) : NULL;
	int conn = memory_hand_over(memory, &args->handover);

	if (args->close_uffd)
		close(memory->uffd);
	if (args->refused)
		return refusal_wait(conn);
	if (args->doomed) {
		sleep(DOOM_S);
		errx(1, "nobody has killed us");
	}
	if (strcmp(args->handover.generation, "1.12") != 0)
		close(conn);
	if (args->wait)
		say_and_wait("connected");
	if (stray)
		errx(1, "the stray page holds %d", *stray);
	work_all(args, memory, image);
	if (args->hold)
		say_and_wait("holding");
	return 0;
}

static int run(struct arguments *args)
{
	struct memory memory;
	const unsigned char *image = image_map(args->image, &args->memory.size);
	int r;

	args->memory.regions = args->regions;
	args->handover.pieces = args->pieces;
	args->handover.after_first = args->pause ? pause_here : NULL;
	memory_map(&memory, &args->memory);
	r = play(args, &memory, image);
	memory_done(&memory);
	return r;
}

int main(int argc, char **argv)
{
	struct arguments args = {
		.regions = 1,
		.threads = 2,
		.patience = 300,
		.handover = {.generation = "1.12", .send = "uffd"},
	};
	int operand;

	(void)!getrandom(&args.seed, sizeof(args.seed), 0);
	operand = options_parse(rows, &args, argc, argv, false);
	if (operand < 0)
		errx(2, "%s", fail_text(operand));
	if (args.help) {
		options_help(rows, stdout);
		return 0;
	}
	if (!args.image || !args.handover.socket || operand != argc)
		errx(2, "--image and --socket are needed; see --help");
	if (args.threads < 1 || args.threads > THREADS_MOST)
		errx(2, "--threads: from 1 to %d", THREADS_MOST);
	/* a seed that is lost with the output of a crash is no use */
	fprintf(stderr, "client: seed %" PRIu64 "\n", args.seed);
	alarm((unsigned int)args.patience);
	return run(&args);
}
