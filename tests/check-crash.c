/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The power is cut at every point of what the scenarios do to a store, and the disk
 * built as the cut leaves it (tests/disk.h). The store opens; what was acknowledged
 * is there to the byte; what was under way is there as a whole or not at all; check
 * finds nothing, and the store goes on to work.
 *
 * The quick set takes a sample of the points, and all those right behind an
 * acknowledgement; PAGODA_LONG=1 takes all, with several outcomes each. The seed is
 * printed, and taken from PAGODA_SEED.
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fail.h"
#include "db/store.h"
#include "tests/chance.h"
#include "tests/disk.h"
#include "tests/scenarios.h"
#include "tests/store-fixture.h"
#include "tests/unit.h"

#define QUICK_CUTS 40 /* of a scenario */
#define LONG_ROUNDS 4 /* of each point and fate */

static char base[64]; /* base/live/store is used, base/cut/store what is left of it */
static char live_root[80];
static char cut_root[80];
static char live[96];
static char cut[96];
static uint64_t seed;

static void setup(void)
{
	seed = chance_seed();
	strcpy(base, "/tmp/pagoda-crash.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(base));
	snprintf(live_root, sizeof(live_root), "%s/live", base);
	snprintf(cut_root, sizeof(cut_root), "%s/cut", base);
	snprintf(live, sizeof(live), "%s/store", live_root);
	snprintf(cut, sizeof(cut), "%s/store", cut_root);
	ck_assert_int_eq(mkdir(live_root, 0700), 0);
	scenarios_start();
}

static void teardown(void)
{
	strcpy(fixture_dir, base);
	fixture_remove();
}

/* One cut while the store goes from before to after, which is the same where
 * everything has been acknowledged. */
static void cut_once(const char *name, size_t point, enum disk_fate fate, uint64_t cut_seed,
		     const struct shadow *before, const struct shadow *after)
{
	char told[384];
	char why_not_before[256] = "";
	char why_not_after[256] = "";
	bool is_before;
	int r;

	snprintf(told, sizeof(told), "%s, point %zu (after %s), fate %d, seed %" PRIu64, name,
		 point, disk_describe(point), fate, cut_seed);
	disk_cut(point, fate, cut_seed, cut_root);
	r = scenario_open(cut);
	ck_assert_msg(r == 0, "%s: the store does not open: %s", told, fail_text(r));
	is_before = scenario_holds(before, why_not_before, sizeof(why_not_before));
	ck_assert_msg(is_before || scenario_holds(after, why_not_after, sizeof(why_not_after)),
		      "%s: not as before: %s; nor after: %s", told, why_not_before, why_not_after);
	scenario_prove(is_before ? before : after, told);
	scenario_close();
}

/* What the store must hold after each step. */
static struct shadow states[STEPS_MAX + 1];

/* What holds while the step between the two is under way: a draft changes page by page. */
static struct shadow under_way(const struct shadow *before, const struct shadow *after)
{
	struct shadow now = *after;

	for (size_t i = 0; i < now.n; i++)
		for (size_t j = 0; j < before->n; j++)
			if (strcmp(now.all[i].name, before->all[j].name) == 0)
				now.all[i].was = before->all[j].image;
	return now;
}

static void cut_at(const struct scenario *scenario, size_t nsteps, size_t point,
		   enum disk_fate fate)
{
	unsigned int done = disk_mark_at(point);
	struct shadow next = under_way(&states[done], &states[MIN((size_t)done + 1, nsteps)]);

	cut_once(scenario->name, point, fate, chance_next(&seed), &states[done], &next);
}

static size_t record(const struct scenario *scenario)
{
	struct shadow now = {0};
	char why[256];
	size_t n;

	CK_OK(store_init(live));
	CK_OK(scenario_open(live));
	scenario->prepare(&now);
	states[0] = now;
	disk_start(live_root);
	for (n = 0; n < STEPS_MAX && scenario->steps[n].run; n++) {
		int r = scenario->steps[n].run(&now);

		ck_assert_msg(r == 0, "%s: %s", scenario->steps[n].name, fail_text(r));
		states[n + 1] = now;
		disk_mark((unsigned int)n + 1);
	}
	disk_stop();
	ck_assert_msg(disk_is_complete(why, sizeof(why)), "the record has a gap: %s", why);
	scenario_close();
	return n;
}

static void cut_everywhere(const struct scenario *scenario)
{
	size_t nsteps = record(scenario);
	size_t points = disk_points();
	size_t cuts = 0;

	for (size_t point = 1; point < points; point++)
		if (disk_mark_at(point) != disk_mark_at(point - 1))
			cut_at(scenario, nsteps, point, DISK_LOSES_ALL);
	for (int i = 0; !getenv("PAGODA_LONG") && i < QUICK_CUTS; i++, cuts++)
		cut_at(scenario, nsteps, chance_next(&seed) % points,
		       chance_next(&seed) % DISK_FATES);
	for (size_t point = 0; getenv("PAGODA_LONG") && point < points; point++)
		for (unsigned int i = 0; i < LONG_ROUNDS * DISK_FATES; i++, cuts++)
			cut_at(scenario, nsteps, point, i % DISK_FATES);
	printf("%s: %zu points, %zu cuts\n", scenario->name, points, cuts);
}

START_TEST(a_power_cut_loses_nothing_acknowledged)
{
	setup();
	cut_everywhere(&scenarios[_i]);
	teardown();
}
END_TEST

/* Making a store: it is there or can be made; once acknowledged it is there. */
START_TEST(a_power_cut_leaves_a_store_or_none)
{
	static const struct shadow empty;
	size_t points;

	setup();
	disk_start(live_root);
	CK_OK(store_init(live));
	disk_mark(1);
	disk_stop();
	points = disk_points();
	for (size_t point = 0; point < points; point++)
		for (unsigned int fate = 0; fate < DISK_FATES; fate++) {
			char told[256];
			int r;

			snprintf(told, sizeof(told), "init, point %zu (after %s), fate %u", point,
				 disk_describe(point), fate);
			disk_cut(point, fate, chance_next(&seed), cut_root);
			r = scenario_open(cut);
			ck_assert_msg(r == 0 || disk_mark_at(point) == 0, "%s: it is not there: %s",
				      told, fail_text(r));
			if (r < 0) {
				scenario_close();
				r = store_init(cut);
				ck_assert_msg(r == 0, "%s: init again: %s", told, fail_text(r));
				CK_OK(scenario_open(cut));
			}
			scenario_prove(&empty, told);
			scenario_close();
		}
	teardown();
}
END_TEST

int main(void)
{
	TCase *tcase = tcase_create("crash");
	Suite *suite = suite_create("crash");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tcase, getenv("PAGODA_LONG") ? 3600 : 120);
	tcase_add_test(tcase, a_power_cut_leaves_a_store_or_none);
	tcase_add_loop_test(tcase, a_power_cut_loses_nothing_acknowledged, 0, (int)nscenarios);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
