/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store in a directory of its own, and images to put into it. For unit tests:
 * whatever goes wrong fails the test.
 */
#ifndef PAGODA_TESTS_STORE_FIXTURE_H
#define PAGODA_TESTS_STORE_FIXTURE_H

#include <check.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fail.h"
#include "db/catalog.h"
#include "db/import.h"
#include "db/snapshot.h"
#include "db/store.h"

#define CK_OK(call)                                                                                \
	do {                                                                                       \
		int ok_r_ = (call);                                                                \
		ck_assert_msg(ok_r_ == 0, "%s: %d: %s", #call, ok_r_, fail_text(ok_r_));           \
	} while (0)

static char fixture_dir[64];
static struct store *fixture_store;
static struct index *fixture_index;
static struct pages *fixture_pages;

static inline void fixture_open(void)
{
	CK_OK(store_open(fixture_dir, &fixture_store));
	CK_OK(index_open(fixture_store, &fixture_index));
	CK_OK(pages_open(fixture_index, &fixture_pages));
}

static inline void fixture_close(void)
{
	pages_close(fixture_pages);
	index_close(fixture_index);
	store_close(fixture_store);
	fixture_pages = NULL;
	fixture_index = NULL;
	fixture_store = NULL;
}

static inline void fixture_setup(void)
{
	strcpy(fixture_dir, "/tmp/pagoda-store.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(fixture_dir));
	CK_OK(store_init(fixture_dir));
	fixture_open();
}

static inline void fixture_remove(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -r %s", fixture_dir);
	ck_assert_int_eq(system(command), 0);
}

static inline void fixture_teardown(void)
{
	fixture_close();
	fixture_remove();
}

/* One page of a kind: zero, the same few again and again, text-like, noise. */
static inline void fixture_fill_page(char *page, unsigned int *seed)
{
	unsigned int kind = (unsigned int)rand_r(seed) % 10;
	unsigned int start = kind < 6 ? (unsigned int)rand_r(seed) % 5 : (unsigned int)rand_r(seed);

	memset(page, 0, PAGE_BYTES);
	if (kind < 4)
		return;
	for (size_t i = 0; i < PAGE_BYTES; i += 4) {
		unsigned int word = (unsigned int)rand_r(&start);

		if (kind < 9)
			word %= 7;
		memcpy(page + i, &word, 4);
	}
}

/* An image of npages, with runs of zero pages and holes; unmap with munmap. */
static inline char *fixture_image(uint64_t npages, unsigned int seed)
{
	char *image = mmap(NULL, npages * PAGE_BYTES, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(image, MAP_FAILED);
	for (uint64_t pgno = 0; pgno < npages; pgno++) {
		if (rand_r(&seed) % 40 == 0) /* a long stretch of nothing */
			pgno += (uint64_t)(rand_r(&seed) % 300);
		if (pgno < npages)
			fixture_fill_page(image + pgno * PAGE_BYTES, &seed);
	}
	return image;
}

/* A file of the image, zero pages as holes if sparse. */
static inline int fixture_file(const char *image, uint64_t npages, bool sparse)
{
	static const char zero[PAGE_BYTES];
	int fd = memfd_create("image", MFD_CLOEXEC);

	ck_assert_int_eq(ftruncate(fd, (off_t)(npages * PAGE_BYTES)), 0);
	for (uint64_t i = 0; i < npages; i++) {
		const char *page = image + i * PAGE_BYTES;

		if (!sparse || memcmp(page, zero, PAGE_BYTES) != 0)
			ck_assert_int_eq(pwrite(fd, page, PAGE_BYTES, (off_t)(i * PAGE_BYTES)),
					 PAGE_BYTES);
	}
	return fd;
}

static inline struct snapshot_row fixture_import(const char *name, const char *image,
						 uint64_t npages)
{
	struct import_request request = {.name = name, .image = "image"};
	struct snapshot_row row;

	request.image_fd = fixture_file(image, npages, true);
	CK_OK(import_image(fixture_store, &request, &row));
	close(request.image_fd);
	return row;
}

/* Reads the whole snapshot and compares: 0 if equal, the -errno if it cannot be
 * read; other bytes fail the test. */
static inline int fixture_compare(const char *name, const char *image, uint64_t npages)
{
	AUTO(snapshot_close_at) struct snapshot *snapshot = NULL;
	struct snapshot_row row;
	char *found = malloc(npages * PAGE_BYTES);
	int r = catalog_find(fixture_index, name, &row);

	if (r == 0)
		r = snapshot_open(fixture_index, row.id, &snapshot);
	if (r == 0 && row.size != npages * PAGE_BYTES)
		ck_abort_msg("%s has another size", name);
	if (r == 0)
		r = snapshot_read(snapshot, fixture_pages, MAP_MEM, 0, found, npages * PAGE_BYTES);
	if (r == 0)
		ck_assert_msg(memcmp(found, image, npages * PAGE_BYTES) == 0,
			      "%s reads as other bytes", name);
	free(found);
	return r;
}

#endif
