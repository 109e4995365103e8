/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a store must hold, down to the bytes: kept beside what is done to it, and
 * compared with it.
 *
 * Images are borrowed, and whole pages. One thread; a name that is not there fails the
 * test.
 */
#ifndef PAGODA_TESTS_SHADOW_H
#define PAGODA_TESTS_SHADOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SHADOW_MAX 8

struct index;
struct pages;

struct shadow {
	size_t n;
	struct shadow_snapshot {
		char name[16];
		char note[16];
		char vmstate[16];    /* "" for none */
		char workingset[64]; /* "" for none */
		const char *image;   /* borrowed */
		const char *was;     /* borrowed, NULL for none: pages may be of this one */
		uint64_t npages;
	} all[SHADOW_MAX];
};

struct shadow_snapshot *shadow_find(struct shadow *now, const char *name);
void shadow_add(struct shadow *now, const char *name, const char *image, uint64_t npages,
		const char *vmstate);
void shadow_remove(struct shadow *now, const char *name);

/* Does the store hold that and nothing else? If not, words into why (room bytes). */
bool shadow_holds(const struct shadow *wanted, struct index *index, struct pages *pages, char *why,
		  size_t room);

#endif
