/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening a store whose index.db was changed. The input is a list of changes to a
 * good index, each of 4 bytes: where (3 bytes, little-endian, modulo its size) and
 * the new byte. Whatever can be opened and read has the bytes that were imported.
 */
#include "config.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/io.h"
#include "db/check.h"
#include "db/import.h"
#include "db/snapshot.h"
#include "tests/fuzz/fuzz.h"

#define NPAGES 64
#define INDEX_MAX (1 << 20)
#define CHANGES_MAX 64

static char dir[] = "/tmp/pagoda-fuzz.XXXXXX";
static char image[NPAGES * PAGE_BYTES];
static char index_path[64];
static uint8_t good[INDEX_MAX];
static size_t good_len;

static void remove_dir(void)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -r %s", dir);
	(void)!system(command);
}

static void fill_image(void)
{
	for (size_t i = 0; i < sizeof(image); i++) {
		size_t pgno = i / PAGE_BYTES;

		image[i] = pgno % 3 ? (char)(i * pgno % 251) : 0;
	}
}

static void make_store(void)
{
	struct import_request request = {.name = "a", .image = "image"};
	struct snapshot_row row;
	struct store *store = NULL;
	int fd;

	fill_image();
	fuzz_must(mkdtemp(dir) != NULL, "cannot make a directory");
	atexit(remove_dir);
	fuzz_must(store_init(dir) == 0 && store_open(dir, &store) == 0, "cannot make a store");
	request.image_fd = memfd_create("image", MFD_CLOEXEC);
	fuzz_must(io_write_full(request.image_fd, image, sizeof(image)) == 0, "cannot write");
	fuzz_must(import_image(store, &request, &row) == 0, "cannot import");
	close(request.image_fd);
	store_close(store);
	snprintf(index_path, sizeof(index_path), "%s/index.db", dir);
	fd = open(index_path, O_RDONLY);
	fuzz_must(fd >= 0, "no index.db");
	good_len = (size_t)io_read_full(fd, good, sizeof(good));
	close(fd);
}

static void write_changed(const uint8_t *data, size_t size)
{
	static uint8_t changed[INDEX_MAX];
	static const char *const others[] = {"-wal", "-shm"};
	int fd;

	memcpy(changed, good, good_len);
	for (size_t i = 0; i + 4 <= size && i < 4 * CHANGES_MAX; i += 4) {
		size_t at = data[i] | (size_t)data[i + 1] << 8 | (size_t)data[i + 2] << 16;

		changed[at % good_len] = data[i + 3];
	}
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		char path[80];

		snprintf(path, sizeof(path), "%s%s", index_path, others[i]);
		unlink(path);
	}
	fd = open(index_path, O_WRONLY | O_TRUNC);
	fuzz_must(fd >= 0 && io_write_full(fd, changed, good_len) == 0, "cannot write index.db");
	close(fd);
}

static void read_snapshot(struct index *index, const struct snapshot_row *row)
{
	AUTO(snapshot_close_at) struct snapshot *snapshot = NULL;
	AUTO(pages_close_at) struct pages *pages = NULL;
	static char found[sizeof(image)];

	if (snapshot_open(index, row->id, &snapshot) < 0 || pages_open(index, &pages) < 0)
		return;
	fuzz_must(row->size == sizeof(image), "it opened with another size");
	if (snapshot_read(snapshot, pages, MAP_MEM, 0, found, sizeof(found)) == 0)
		fuzz_must(memcmp(found, image, sizeof(image)) == 0, "it read as other bytes");
}

static void ignore(void *context, const char *snapshot, const char *what)
{
	(void)context;
	(void)snapshot;
	(void)what;
}

static void look(void)
{
	AUTO(store_close_at) struct store *store = NULL;
	AUTO(index_close_at) struct index *index = NULL;
	struct check_request request = {.read_percent = 100, .found = ignore};
	struct check_report report;
	struct snapshot_row row = {0};
	char *maps;
	size_t len;

	if (store_open(dir, &store) < 0 || index_open(store, &index) < 0)
		return;
	for (int i = 0; i < 4 && catalog_next(index, row.id, &row) == 0; i++) {
		read_snapshot(index, &row);
		if (snapshot_maps_text(index, row.id, &maps, &len) == 0)
			free(maps);
	}
	(void)!check_store(index, &request, &report);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (good_len == 0)
		make_store();
	write_changed(data, size);
	look();
	return 0;
}
