/* SPDX-License-Identifier: Apache-2.0 */
/* The probes of draft-probe that have a file of their own. */
#ifndef PAGODA_TESTS_DRAFT_PROBE_H
#define PAGODA_TESTS_DRAFT_PROBE_H

#include "tests/probe.h"

int probe_random(char **argv);

#endif
