/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tests/client-oracle.h"

#include <err.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/attributes.h"

#define WRITE_MOST 256 /* bytes of one write */

struct page {
	pthread_rwlock_t lock;
	unsigned char *written; /* owned; NULL: not written since image or removal */
	bool removed;
};

struct oracle {
	const struct memory *memory; /* borrowed */
	const unsigned char *image;  /* borrowed */
	unsigned char *zeros;	     /* owned */
	struct page *pages;	     /* owned */
};

struct oracle *oracle_new(const struct memory *memory, const unsigned char *image)
{
	struct oracle *o = calloc(1, sizeof(*o));

	if (!o)
		err(1, "oracle");
	o->memory = memory;
	o->image = image;
	o->zeros = calloc(1, memory->unit);
	o->pages = calloc(memory->pages, sizeof(o->pages[0]));
	if (!o->zeros || !o->pages)
		err(1, "oracle");
	for (size_t i = 0; i < memory->pages; i++)
		pthread_rwlock_init(&o->pages[i].lock, NULL);
	return o;
}

void oracle_free(struct oracle *o)
{
	for (size_t i = 0; i < o->memory->pages; i++) {
		pthread_rwlock_destroy(&o->pages[i].lock);
		free(o->pages[i].written);
	}
	free(o->pages);
	free(o->zeros);
	free(o);
}

/* With the page's lock. */
static const unsigned char *expected(const struct oracle *o, size_t page)
{
	const struct page *p = &o->pages[page];

	if (p->written)
		return p->written;
	return p->removed ? o->zeros : o->image + page * o->memory->unit;
}

static void NORETURN wrong(const struct oracle *o, size_t page, const unsigned char *want,
			   const unsigned char *got)
{
	const struct page *p = &o->pages[page];
	size_t i = 0;

	while (i + 1 < o->memory->unit && want[i] == got[i])
		i++;
	fprintf(stderr, "client: WRONG: page %zu (%s), byte %zu: %02x, not %02x\n", page,
		p->written   ? "written"
		: p->removed ? "removed"
			     : "of the image",
		i, got[i], want[i]);
	_exit(1);
}

static void check(const struct oracle *o, size_t page)
{
	const unsigned char *got = memory_page(o->memory, page);
	const unsigned char *want = expected(o, page);

	if (memcmp(got, want, o->memory->unit) != 0)
		wrong(o, page, want, got);
}

void oracle_compare(struct oracle *o, size_t page)
{
	pthread_rwlock_rdlock(&o->pages[page].lock);
	check(o, page);
	pthread_rwlock_unlock(&o->pages[page].lock);
}

/* The bytes that a written page must hold, to be changed together with it. */
static unsigned char *shadow(struct oracle *o, size_t page)
{
	struct page *p = &o->pages[page];
	unsigned char *copy;

	if (p->written)
		return p->written;
	copy = malloc(o->memory->unit);
	if (!copy)
		err(1, "oracle");
	memcpy(copy, expected(o, page), o->memory->unit);
	p->written = copy;
	return copy;
}

void oracle_write(struct oracle *o, size_t page, uint64_t random)
{
	unsigned char *got = memory_page(o->memory, page);
	size_t len = 1 + random % WRITE_MOST;
	size_t at = (random >> 16) % (o->memory->unit - len);
	int value = (int)(random >> 56);

	pthread_rwlock_wrlock(&o->pages[page].lock);
	memset(got + at, value, len);
	memset(shadow(o, page) + at, value, len);
	/* the bytes beside those written came from the handler */
	check(o, page);
	pthread_rwlock_unlock(&o->pages[page].lock);
}

size_t oracle_remove(struct oracle *o, size_t page, size_t count)
{
	size_t n = MIN(count, memory_run(o->memory, page));

	for (size_t i = page; i < page + n; i++)
		pthread_rwlock_wrlock(&o->pages[i].lock);
	if (madvise(memory_page(o->memory, page), n * o->memory->unit, MADV_DONTNEED) < 0)
		err(1, "madvise");
	for (size_t i = page; i < page + n; i++) {
		free(o->pages[i].written);
		o->pages[i].written = NULL;
		o->pages[i].removed = true;
		pthread_rwlock_unlock(&o->pages[i].lock);
	}
	return n;
}
