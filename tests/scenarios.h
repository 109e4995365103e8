/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a store is taken through when its disk fails, its power is cut or memory runs
 * out: scenarios of steps, each one call of db/ that is acknowledged by its return,
 * and beside them what the store must hold after each, down to the bytes.
 *
 * The store is the fixture's (tests/store-fixture.h); what fails here fails the test.
 */
#ifndef PAGODA_TESTS_SCENARIOS_H
#define PAGODA_TESTS_SCENARIOS_H

#include <stdbool.h>
#include <stddef.h>

#include "tests/shadow.h"

#define STEPS_MAX 8

struct scenario {
	const char *name;
	void (*prepare)(struct shadow *now);
	struct step {
		const char *name;
		/* 0 and now is what the step makes of the store; -errno and now as it was, or
		 * with `was` where a draft may have been changed in part */
		int (*run)(struct shadow *now);
	} steps[STEPS_MAX];
};

extern const struct scenario scenarios[];
extern const size_t nscenarios;

/* Makes the images the scenarios import. Once a process. */
void scenarios_start(void);

/* The store at dir, opened and closed; open returns the error of store_open. */
int scenario_open(const char *dir);
void scenario_close(void);

/* Does the open store hold that and nothing else? If not, words into why. */
bool scenario_holds(const struct shadow *wanted, char *why, size_t room);

/* The open store is whole: check finds nothing, an import works, and after it nothing is left
 * over of what was cut off. If not, the test fails; told says where. */
void scenario_prove(const struct shadow *now, const char *told);

#endif
