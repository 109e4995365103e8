/* SPDX-License-Identifier: Apache-2.0 */
/* The probes of view-probe. */
#ifndef PAGODA_TESTS_VIEW_PROBE_H
#define PAGODA_TESTS_VIEW_PROBE_H

#include "tests/probe.h"

/* view-probe-read.c */
int probe_image(char **argv);
int probe_holes(char **argv);
int probe_map(char **argv);
int probe_bad_page(char **argv);
int probe_handles(char **argv);
int probe_uniform(char **argv);

/* view-probe-write.c */
int probe_sealed(char **argv);
int probe_refuse(char **argv);
int probe_replace(char **argv);
int probe_hold_writer(char **argv);
int probe_empty(char **argv);

/* view-probe-cache.c */
int probe_cached(char **argv);

#endif
