/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Nth operation on the disk fails, or the Nth allocation, for each N, in all that
 * the scenarios do to a store: it is an error in words or costs nothing; the store in
 * use holds what it held, the same again works, nothing is leaked, and what is on the
 * disk is whole.
 *
 * The quick set takes a sample of the Ns; PAGODA_LONG=1 takes all. The seed is printed,
 * and taken from PAGODA_SEED. What leaks memory is noticed by make check-asan.
 */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fail.h"
#include "db/store.h"
#include "tests/chance.h"
#include "tests/disk.h"
#include "tests/memory.h"
#include "tests/scenarios.h"
#include "tests/store-fixture.h"
#include "tests/unit.h"

#define QUICK_TRIES 4 /* of a scenario and a fault */
#define NEVER UINT_MAX

/* What fails. */
struct fault {
	const char *name;
	int error;
	bool lasting; /* from the Nth on, until it is lifted */
	enum { OF_WRITING, OF_READING_TOO, OF_MEMORY } of;
};

static const struct fault faults[] = {
	{"an I/O error", EIO, false, OF_WRITING},
	{"I/O errors from there on", EIO, true, OF_WRITING},
	{"a full disk", ENOSPC, true, OF_WRITING},
	{"an I/O error, reading too", EIO, false, OF_READING_TOO},
	{"no memory", ENOMEM, false, OF_MEMORY},
	{"no memory from there on", ENOMEM, true, OF_MEMORY},
};

static char base[64];
static char live_root[80];
static char live[96];
static uint64_t seed;

static void setup(void)
{
	seed = chance_seed();
	strcpy(base, "/tmp/pagoda-faults.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(base));
	snprintf(live_root, sizeof(live_root), "%s/live", base);
	snprintf(live, sizeof(live), "%s/store", live_root);
	ck_assert_int_eq(mkdir(live_root, 0700), 0);
	scenarios_start();
}

static void teardown(void)
{
	strcpy(fixture_dir, base);
	fixture_remove();
}

static size_t count_fds(void)
{
	struct dirent *entry;
	size_t n = 0;
	DIR *dir = opendir("/proc/self/fd");

	ck_assert_ptr_nonnull(dir);
	while ((entry = readdir(dir)))
		n++;
	closedir(dir);
	return n;
}

static void fault_set(const struct fault *fault, unsigned int nth)
{
	struct disk_failure failure = {.nth = nth,
				       .error = fault->error,
				       .lasting = fault->lasting,
				       .reads = fault->of == OF_READING_TOO};

	if (fault->of == OF_MEMORY)
		memory_fail(nth, fault->lasting);
	else
		disk_fail(&failure);
}

/* Only what is recorded can fail; the record itself needs memory. */
static void fault_start(const struct fault *fault)
{
	if (fault->of != OF_MEMORY)
		disk_start(live_root);
}

static bool fault_hit(const struct fault *fault)
{
	return fault->of == OF_MEMORY ? memory_has_failed() : disk_has_failed() != NULL;
}

static unsigned int fault_operations(const struct fault *fault)
{
	return fault->of == OF_MEMORY ? memory_allocations() : disk_calls();
}

static void fault_lift(const struct fault *fault)
{
	fault_set(fault, 0);
}

/* The words, which are those of the error that was made. */
static void check_error(const struct fault *fault, int r, const char *words, const char *told)
{
	/* a log that could only be opened for reading is SQLite's last resort */
	ck_assert_msg(r == -fault->error || (fault->of == OF_READING_TOO && r == -EROFS),
		      "%s: error %d (%s)", told, r, words);
	ck_assert_msg(strcmp(words, strerror(-r)) != 0 && !strchr(words, '\n'),
		      "%s: no words but '%s'", told, words);
}

static void holds(const struct shadow *now, const char *told, const char *when)
{
	char why[256] = "";

	ck_assert_msg(scenario_holds(now, why, sizeof(why)), "%s: %s: %s", told, when, why);
}

struct outcome {
	unsigned int operations; /* up to the first that failed, or all */
	bool failed;
};

/* All steps with the Nth operation failing; each that failed is done again. */
static struct outcome run_steps(const struct scenario *scenario, const struct fault *fault,
				unsigned int nth, struct shadow *now, const char *told)
{
	struct outcome outcome = {0};

	fault_set(fault, nth);
	for (size_t i = 0; i < STEPS_MAX && scenario->steps[i].run; i++) {
		const struct step *step = &scenario->steps[i];
		char where[256];
		char words[FAIL_TEXT_MAX];
		int r = step->run(now);

		if (r == 0)
			continue;
		fail_copy(r, words);
		snprintf(where, sizeof(where), "%s, %s", told, step->name);
		if (fault->lasting && fault->of == OF_WRITING)
			holds(now, where, "reading while it fails");
		fault_lift(fault);
		check_error(fault, r, words, where);
		outcome.failed = true;
		holds(now, where, "after it failed");
		if (r == -EROFS) {
			scenario_close();
			CK_OK(scenario_open(live));
		}
		r = step->run(now);
		ck_assert_msg(r == 0, "%s, again: %s", where, fail_text(r));
	}
	outcome.operations = fault_operations(fault);
	fault_lift(fault);
	return outcome;
}

/* The store as prepared, where the record of the last try has it. */
static void restore(void)
{
	disk_cut(0, DISK_KEEPS_ALL, 0, live_root);
}

static struct outcome try_once(const struct scenario *scenario, const struct fault *fault,
			       unsigned int nth, const struct shadow *prepared)
{
	struct shadow now = *prepared;
	struct outcome outcome;
	char told[128];
	size_t fds = count_fds();

	snprintf(told, sizeof(told), "%s, %s, operation %u", scenario->name, fault->name, nth);
	restore();
	CK_OK(scenario_open(live));
	fault_start(fault);
	outcome = run_steps(scenario, fault, nth, &now, told);
	disk_stop();
	holds(&now, told, "at the end");
	scenario_close();
	ck_assert_msg(count_fds() == fds, "%s: %zu descriptors, %zu before", told, count_fds(),
		      fds);
	CK_OK(scenario_open(live));
	holds(&now, told, "opened again");
	scenario_prove(&now, told);
	scenario_close();
	return outcome;
}

static void prepare(const struct scenario *scenario, struct shadow *now)
{
	CK_OK(store_init(live));
	CK_OK(scenario_open(live));
	scenario->prepare(now);
	scenario_close();
	disk_start(live_root);
	disk_stop();
}

static unsigned int tries_most(void)
{
	return getenv("PAGODA_LONG") ? UINT_MAX : QUICK_TRIES;
}

static void fail_everywhere(const struct scenario *scenario, const struct fault *fault)
{
	struct shadow prepared = {0};
	unsigned int operations;
	unsigned int failed = 0;
	unsigned int tries = 0;

	prepare(scenario, &prepared);
	operations = try_once(scenario, fault, NEVER, &prepared).operations;
	ck_assert_uint_gt(operations, 0);
	for (unsigned int nth = 1; nth <= operations && tries < tries_most(); tries++) {
		failed += try_once(scenario, fault, nth, &prepared).failed;
		nth = getenv("PAGODA_LONG") ? nth + 1
					    : 1 + (unsigned int)(chance_next(&seed) % operations);
	}
	printf("%s, %s: %u operations, %u tries, %u errors\n", scenario->name, fault->name,
	       operations, tries, failed);
	/* the first try fails from the first operation on; a single failure may cost nothing */
	ck_assert(failed > 0 || (!fault->lasting && !getenv("PAGODA_LONG")));
}

START_TEST(what_fails_is_an_error_and_costs_nothing)
{
	setup();
	fail_everywhere(&scenarios[(size_t)_i / ARRAY_SIZE(faults)],
			&faults[(size_t)_i % ARRAY_SIZE(faults)]);
	teardown();
}
END_TEST

/* Opening: works or is an error, leaves nothing, and works the next time. */
static bool open_once(const struct fault *fault, unsigned int nth, const struct shadow *now)
{
	char told[128];
	size_t fds = count_fds();
	bool hit;
	int r;

	snprintf(told, sizeof(told), "opening, %s, operation %u", fault->name, nth);
	restore();
	fault_start(fault);
	fault_set(fault, nth);
	r = scenario_open(live);
	hit = fault_hit(fault);
	fault_lift(fault);
	disk_stop();
	if (r < 0)
		check_error(fault, r, fail_text(r), told);
	scenario_close();
	ck_assert_msg(count_fds() == fds, "%s: %zu descriptors, %zu before", told, count_fds(),
		      fds);
	CK_OK(scenario_open(live));
	holds(now, told, "opened again");
	scenario_close();
	return hit;
}

START_TEST(opening_fails_and_leaves_nothing)
{
	const struct fault *fault = &faults[_i];
	struct shadow now = {0};
	unsigned int stride = 1;
	unsigned int nth = 1;

	setup();
	prepare(&scenarios[2], &now);
	/* few operations on the disk, but thousands of allocations */
	if (fault->of == OF_MEMORY && !getenv("PAGODA_LONG"))
		stride = 80;
	while (open_once(fault, nth, &now))
		nth += 1 + (unsigned int)chance_next(&seed) % (2 * stride - 1);
	printf("opening, %s: %u operations\n", fault->name, nth - 1);
	ck_assert_uint_gt(nth, 1);
	teardown();
}
END_TEST

int main(void)
{
	TCase *tcase = tcase_create("faults");
	Suite *suite = suite_create("faults");
	SRunner *runner;
	int failed;

	memory_start();
	tcase_set_timeout(tcase, getenv("PAGODA_LONG") ? 3600 : 120);
	tcase_add_loop_test(tcase, opening_fails_and_leaves_nothing, 0, ARRAY_SIZE(faults));
	tcase_add_loop_test(tcase, what_fails_is_an_error_and_costs_nothing, 0,
			    (int)(nscenarios * ARRAY_SIZE(faults)));
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
