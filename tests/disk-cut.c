/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A power cut: the log is gone through up to the cut. A change whose node is synced
 * behind it, before the cut, is made; of the others fate decides.
 */
#include "config.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/attributes.h"
#include "tests/disk-private.h"

#define SECTOR 512
#define NAMES_MAX 256

struct node {
	bool is_dir;
	size_t size;
	size_t room;
	char *bytes;   /* owned */
	size_t synced; /* number of the last sync before the cut */
};

struct image {
	struct node *nodes; /* owned */
	struct {
		char path[DISK_PATH_MAX]; /* "": free */
		unsigned int node;
	} names[NAMES_MAX];
	enum disk_fate fate;
	uint64_t random;
	size_t named; /* DISK_TEARS: names changed before this op are there */
};

static uint64_t next_random(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15)); /* splitmix64 */

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static bool coin(struct image *image)
{
	return next_random(&image->random) & 1;
}

static void node_resize(struct node *node, size_t size)
{
	if (size > node->room) {
		node->room = MAX(size, 2 * node->room);
		node->bytes = realloc(node->bytes, node->room);
		if (!node->bytes)
			abort();
	}
	if (size > node->size)
		memset(node->bytes + node->size, 0, size - node->size);
	node->size = size;
}

static void node_write(struct node *node, size_t off, const char *data, size_t len)
{
	node_resize(node, MAX(node->size, off + len));
	memcpy(node->bytes + off, data, len);
}

/* Each sector by itself; the file may have grown all the same. */
static void node_tear(struct image *image, struct node *node, const struct op *op)
{
	size_t end = op->off + op->len;

	for (size_t at = op->off; at < end;) {
		size_t n = MIN(SECTOR - at % SECTOR, end - at);

		if (coin(image))
			node_write(node, at, op->data + (at - op->off), n);
		at += n;
	}
	if (coin(image))
		node_resize(node, MAX(node->size, end));
}

static void name_set(struct image *image, const char *path, unsigned int node)
{
	size_t free_slot = NAMES_MAX;
	size_t i;

	for (i = 0; i < NAMES_MAX && strcmp(image->names[i].path, path) != 0; i++)
		if (!image->names[i].path[0] && free_slot == NAMES_MAX)
			free_slot = i;
	if (i == NAMES_MAX)
		i = free_slot;
	if (i == NAMES_MAX)
		abort();
	strcpy(image->names[i].path, path);
	image->names[i].node = node;
}

static void name_remove(struct image *image, const char *path, unsigned int *ret_node)
{
	for (size_t i = 0; i < NAMES_MAX; i++)
		if (strcmp(image->names[i].path, path) == 0) {
			*ret_node = image->names[i].node;
			image->names[i].path[0] = '\0';
			return;
		}
}

static void apply(struct image *image, const struct op *op)
{
	struct node *node = &image->nodes[op->node];
	unsigned int moved = 0;

	switch (op->kind) {
	case OP_CREATE:
	case OP_MKDIR:
		image->nodes[op->child].is_dir = op->kind == OP_MKDIR;
		name_set(image, op->path, op->child);
		break;
	case OP_RENAME: /* atomic: a name that was not there yet is so no more */
		name_remove(image, op->path, &moved);
		if (moved > 0)
			name_set(image, op->to, moved);
		break;
	case OP_UNLINK:
		name_remove(image, op->path, &moved);
		break;
	case OP_WRITE:
		node_write(node, op->off, op->data, op->len);
		break;
	case OP_TRUNCATE:
		node_resize(node, op->off);
		break;
	case OP_SYNC:
	case OP_MARK:
		break;
	}
}

static bool is_of_names(const struct op *op)
{
	return op->kind <= OP_UNLINK;
}

/* What becomes of a change that was not synced. */
static void apply_maybe(struct image *image, const struct op *op, size_t i)
{
	switch (image->fate) {
	case DISK_KEEPS_ALL:
		apply(image, op);
		break;
	case DISK_TEARS:
		if (is_of_names(op) && i < image->named)
			apply(image, op);
		else if (op->kind == OP_WRITE)
			node_tear(image, &image->nodes[op->node], op);
		else if (op->kind == OP_TRUNCATE && coin(image))
			apply(image, op);
		break;
	case DISK_REORDERS:
		if (coin(image))
			apply(image, op);
		break;
	case DISK_LOSES_ALL:
	case DISK_FATES:
		break;
	}
}

static void build(struct image *image, size_t nops)
{
	for (size_t i = disk_log.first; i < nops; i++)
		if (disk_log.ops[i].kind == OP_SYNC)
			image->nodes[disk_log.ops[i].node].synced = i;
	image->named = disk_log.first;
	if (nops > disk_log.first)
		image->named += next_random(&image->random) % (nops - disk_log.first + 1);
	for (size_t i = 0; i < nops; i++) {
		const struct op *op = &disk_log.ops[i];

		if (op->kind == OP_SYNC || op->kind == OP_MARK)
			continue;
		if (i < disk_log.first || i < image->nodes[op->node].synced)
			apply(image, op);
		else
			apply_maybe(image, op, i);
	}
}

static struct image *image_new(size_t nops, enum disk_fate fate, uint64_t seed)
{
	struct image *image = calloc(1, sizeof(*image));

	if (!image)
		abort();
	image->nodes = calloc(disk_log.nnodes, sizeof(struct node));
	if (!image->nodes)
		abort();
	image->fate = fate;
	image->random = seed;
	image->nodes[0].is_dir = true;
	build(image, nops);
	return image;
}

static void image_free(struct image *image)
{
	for (unsigned int i = 0; i < disk_log.nnodes; i++)
		free(image->nodes[i].bytes);
	free(image->nodes);
	free(image);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)st;
	if (where->level == 0)
		return 0;
	return type == FTW_DP ? rmdir(path) : unlink(path);
}

static void write_file(const char *path, const void *bytes, size_t len)
{
	FILE *file = fopen(path, "w");

	if (!file || (len > 0 && fwrite(bytes, 1, len, file) != len) || fclose(file) != 0) {
		fprintf(stderr, "%s cannot be written\n", path);
		abort();
	}
}

/* Shared memory is what it is: SQLite must not believe it. */
static void write_noise(struct image *image, const char *dir, const char *index)
{
	char path[512];
	char noise[32768];

	for (size_t i = 0; i < sizeof(noise); i++)
		noise[i] = (char)next_random(&image->random);
	snprintf(path, sizeof(path), "%s/%s-shm", dir, index);
	write_file(path, noise, sizeof(noise));
}

/* A file in a directory that was lost is lost with it. */
static bool has_parent(const char *path)
{
	char parent[512];

	snprintf(parent, sizeof(parent), "%.*s", (int)(strrchr(path, '/') - path), path);
	return access(parent, F_OK) == 0;
}

static void put_node(struct image *image, const char *dir, const char *name, unsigned int number)
{
	const struct node *node = &image->nodes[number];
	const char *end = strrchr(name, '.');
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	if (!has_parent(path))
		return;
	if (node->is_dir) {
		mkdir(path, 0700);
		return;
	}
	write_file(path, node->bytes, node->size);
	if (end && strcmp(end, ".db") == 0 && coin(image))
		write_noise(image, dir, name);
}

void disk_cut(size_t point, enum disk_fate fate, uint64_t seed, const char *dir)
{
	struct image *image = image_new(disk_log.first + point, fate, seed);

	mkdir(dir, 0700);
	nftw(dir, remove_one, 16, FTW_PHYS | FTW_DEPTH);
	/* in the order in which nodes were made: a directory before what is in it */
	for (unsigned int node = 1; node < disk_log.nnodes; node++)
		for (size_t i = 0; i < NAMES_MAX; i++)
			if (image->names[i].path[0] && image->names[i].node == node)
				put_node(image, dir, image->names[i].path, node);
	image_free(image);
}

static bool same_file(const char *path, const struct node *node)
{
	FILE *file = fopen(path, "r");
	char *bytes = malloc(node->size + 1);
	bool same = file && bytes && fread(bytes, 1, node->size + 1, file) == node->size &&
		    (node->size == 0 || memcmp(bytes, node->bytes, node->size) == 0);

	free(bytes);
	if (file)
		fclose(file);
	return same;
}

/* What the log says of the end, for the walk through what is there. */
static struct image *expected;
static char *complaint;
static size_t complaint_room;

static int compare_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
	const char *rel = path + strlen(disk_log.root);
	size_t i;

	(void)st;
	if (where->level == 0 || disk_ignores(rel))
		return 0;
	rel++;
	for (i = 0; i < NAMES_MAX && strcmp(expected->names[i].path, rel) != 0; i++)
		;
	if (i == NAMES_MAX)
		snprintf(complaint, complaint_room, "%s was made unseen", rel);
	else if (type == FTW_F && !same_file(path, &expected->nodes[expected->names[i].node]))
		snprintf(complaint, complaint_room, "%s was written unseen", rel);
	return complaint[0] ? 1 : 0;
}

bool disk_is_complete(char *why, size_t room)
{
	expected = image_new(disk_log.nops, DISK_KEEPS_ALL, 0);
	complaint = why;
	complaint_room = room;
	why[0] = '\0';
	nftw(disk_log.root, compare_one, 16, FTW_PHYS);
	image_free(expected);
	return why[0] == '\0';
}

size_t disk_points(void)
{
	return disk_log.nops - disk_log.first + 1;
}

unsigned int disk_mark_at(size_t point)
{
	unsigned int mark = 0;

	for (size_t i = disk_log.first; i < disk_log.first + point; i++)
		if (disk_log.ops[i].kind == OP_MARK)
			mark = disk_log.ops[i].node;
	return mark;
}

const char *disk_describe(size_t point)
{
	static const char *const words[] = {
		[OP_CREATE] = "creation", [OP_MKDIR] = "mkdir",
		[OP_RENAME] = "rename",	  [OP_UNLINK] = "removal",
		[OP_WRITE] = "write",	  [OP_TRUNCATE] = "truncation",
		[OP_SYNC] = "sync",	  [OP_MARK] = "the end of step",
	};
	static char text[DISK_PATH_MAX + 96];
	const struct op *op;

	if (point == 0)
		return "the start";
	op = &disk_log.ops[disk_log.first + point - 1];
	if (op->kind == OP_MARK)
		snprintf(text, sizeof(text), "%s %u", words[op->kind], op->node);
	else
		snprintf(text, sizeof(text), "%s of %s (%zu bytes at %llu)", words[op->kind],
			 op->path[0] ? op->path : "the root", op->len, (unsigned long long)op->off);
	return text;
}
