/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model STORE MOUNT PLAIN SEED OPERATIONS: an empty store, a directory to mount it on
 * and one for plain files. tests/test-model.sh runs it.
 */
#include "config.h"

#include "tests/model.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct model model;

void doing(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(model.doing, sizeof(model.doing), format, args);
	va_end(args);
	if (getenv("PAGODA_MODEL_TRACE"))
		fprintf(stderr, "%u: %s\n", model.op, model.doing);
}

void fail(const char *format, ...)
{
	va_list args;

	fprintf(stderr, "operation %u (%s), seed %" PRIu64 ": ", model.op, model.doing, model.seed);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\nPAGODA_SEED=%" PRIu64 " repeats it\n", model.seed);
	exit(1);
}

uint64_t pick(uint64_t below)
{
	uint64_t z = (model.random += UINT64_C(0x9e3779b97f4a7c15)); /* splitmix64 */

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (z ^ (z >> 31)) % below;
}

void fill_random(char *page)
{
	unsigned int kind = (unsigned int)pick(10);
	unsigned int start = kind < 6 ? (unsigned int)pick(8) : (unsigned int)pick(UINT32_MAX);

	memset(page, 0, PAGE_BYTES);
	if (kind < 3)
		return;
	for (size_t i = 0; i < PAGE_BYTES; i += 4) {
		unsigned int word = (unsigned int)rand_r(&start);

		if (kind < 9) /* text-like; noise above */
			word %= 7;
		memcpy(page + i, &word, 4);
	}
}

static bool punch(void)
{
	return draft_punch(false);
}

static bool zero_range(void)
{
	return draft_punch(true);
}

static bool import_over(void)
{
	return store_import_layer(false);
}

static bool import_diff(void)
{
	return store_import_layer(true);
}

static bool remount(void)
{
	store_remount();
	return true;
}

static bool kill_daemon(void)
{
	store_kill();
	return true;
}

static bool compare(void)
{
	doing("compare all");
	compare_all();
	return true;
}

/* What comes how often, of all. */
static const struct {
	const char *name;
	unsigned int weight;
	bool (*run)(void); /* false: not now */
} operations[] = {
	{"write", 600, draft_write_some},
	{"write through a map", 120, draft_map_write},
	{"punch", 90, punch},
	{"zero range", 90, zero_range},
	{"truncate", 20, draft_truncate},
	{"fsync", 80, draft_sync},
	{"close", 40, draft_let_go},
	{"import", 10, store_import},
	{"import over a parent", 16, import_over},
	{"import a diff", 16, import_diff},
	{"fork", 40, store_fork},
	{"seal", 12, store_seal},
	{"rm", 30, store_remove},
	{"gc", 8, store_gc},
	{"export", 3, store_export},
	{"check", 2, store_check},
	{"remount", 3, remount},
	{"kill -9", 8, kill_daemon},
	{"compare all", 5, compare},
};

static size_t pick_operation(void)
{
	unsigned int sum = 0;
	unsigned int at;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(operations); i++)
		sum += operations[i].weight;
	at = (unsigned int)pick(sum);
	for (i = 0; at >= operations[i].weight; i++)
		at -= operations[i].weight;
	return i;
}

int main(int argc, char **argv)
{
	unsigned int done[ARRAY_SIZE(operations)] = {0};
	unsigned int count;

	if (argc != 6)
		return 2;
	model.store = argv[1];
	model.mount = argv[2];
	model.plain = argv[3];
	model.seed = model.random = strtoull(argv[4], NULL, 10);
	count = (unsigned int)strtoul(argv[5], NULL, 10);
	doing("the start");
	store_mount();
	store_import();
	for (model.op = 1; model.op <= count;) {
		size_t i = pick_operation();

		if (!operations[i].run()) { /* mostly for want of a draft */
			if (!snap_pick(true) && !store_fork())
				store_remove();
			continue;
		}
		done[i]++;
		model.op++;
	}
	store_end();
	for (size_t i = 0; i < ARRAY_SIZE(operations); i++)
		printf("%s%u %s", i ? ", " : "", done[i], operations[i].name);
	printf("\n");
	for (size_t i = 0; i < ARRAY_SIZE(operations); i++)
		if (count >= 20000 && done[i] == 0) {
			/* by chance the rarest is left out of 2,000 once in some hundred runs */
			printf("not once: %s\n", operations[i].name);
			return 1;
		}
	return 0;
}
