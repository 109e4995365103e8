/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "bench/bench.h"

#define WORKING_SETS "recorded working sets"
#define REPLACEMENT "the replacement of workers"

const struct row rows[] = {
	{"1", "one fault, random pages, warm", "one-at-a-time on the raw file", row_fault, NULL},
	{"2", "the same, both on one processor", "one-at-a-time on the raw file", row_fault_one_cpu,
	 NULL},
	{"3", "cold restore of 8,192 recorded pages", "private-map, cold", NULL, WORKING_SETS},
	{"4", "the same, warm", "one-at-a-time", NULL, WORKING_SETS},
	{"5", "the same, warm, write touches", "private-map", NULL, WORKING_SETS},
	{"6", "touch the image in order, warm, nothing recorded", "one-at-a-time", row_in_order,
	 NULL},
	{"7", "faults after a replay has ended", "the same without one", NULL, WORKING_SETS},
	{"8", "fill a whole image, hand-over to letting go", "copying every page in 2 MiB runs",
	 row_fill, NULL},
	{"9", "16 machines from one snapshot, wall time", "16 x one-at-a-time", NULL, WORKING_SETS},
	{"10", "p99 of a quiet machine while 15 storm", "its own p99 alone", NULL, REPLACEMENT},
	{"11", "random 4 KiB reads through the mount, view cold, store warm",
	 "null-fuse, squashfuse_ll", row_random_reads, NULL},
	{"11b", "the same, everything cold", "squashfuse_ll", row_random_cold, NULL},
	{"12", "reading the image in order", "null-fuse, raw file", row_ordered_reads, NULL},
	{"13", "import", "lz4 -1 to disk", row_import, NULL},
	{"14", "size of a store, one image", "lz4 -1 of the file, qcow2 zstd", row_size, NULL},
	{"15", "size of a store, an image and 10 diffs of 5 %", "one squashfs of the 11 images",
	 row_chain_size, NULL},
	{"16", "patch one page of a draft", "null-fuse, raw file", row_patch, NULL},
	{"17", "fork", "nothing", row_fork, NULL},
	{"18", "memory after reading the largest image", "nothing", row_memory, NULL},
	{"19", "growth with size and with depth: flat is 1x", "itself at 1", row_growth, NULL},
	{.name = NULL},
};
