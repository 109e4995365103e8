/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log, and the names that files have by the last entry of it.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/disk-private.h"

#define NAMES_MAX 256

struct disk_log disk_log;

static struct name {
	char path[DISK_PATH_MAX]; /* "": free */
	unsigned int node;
} names[NAMES_MAX];

bool disk_ignores(const char *path)
{
	size_t len = strlen(path);

	return (len > 4 && strcmp(path + len - 4, "-shm") == 0) || strstr(path, "holders/");
}

const char *disk_log_below(const char *path)
{
	size_t len = disk_log.root ? strlen(disk_log.root) : 0;

	if (len == 0 || strncmp(path, disk_log.root, len) != 0 ||
	    (path[len] != '/' && path[len] != '\0'))
		return NULL;
	path += path[len] == '/' ? len + 1 : len;
	if (strlen(path) >= DISK_PATH_MAX) {
		fprintf(stderr, "%s: too long a name for tests/disk-log.c\n", path);
		abort();
	}
	return disk_ignores(path) ? NULL : path;
}

static struct name *name_find(const char *path)
{
	for (size_t i = 0; i < NAMES_MAX; i++)
		if (names[i].path[0] && strcmp(names[i].path, path) == 0)
			return &names[i];
	return NULL;
}

static void name_set(const char *path, unsigned int node)
{
	struct name *name = name_find(path);

	for (size_t i = 0; !name && i < NAMES_MAX; i++)
		if (!names[i].path[0])
			name = &names[i];
	if (!name)
		abort(); /* more names than a test should make */
	strcpy(name->path, path);
	name->node = node;
}

unsigned int disk_log_node(const char *path)
{
	struct name *name = name_find(path);

	if (path[0] == '\0')
		return 0;
	return name ? name->node : NO_NODE;
}

unsigned int disk_log_parent(const char *path)
{
	const char *slash = strrchr(path, '/');
	char parent[DISK_PATH_MAX];

	snprintf(parent, sizeof(parent), "%.*s", slash ? (int)(slash - path) : 0, path);
	return disk_log_node(parent);
}

const char *disk_log_path(unsigned int node)
{
	for (size_t i = 0; i < NAMES_MAX; i++)
		if (names[i].path[0] && names[i].node == node)
			return names[i].path;
	return node == 0 ? "the root" : "a file without a name";
}

struct op *disk_log_note(enum op_kind kind, unsigned int node, const char *path)
{
	struct op *op;

	if (disk_log.nops == disk_log.room) {
		disk_log.room = disk_log.room ? 2 * disk_log.room : 256;
		disk_log.ops = reallocarray(disk_log.ops, disk_log.room, sizeof(struct op));
		if (!disk_log.ops)
			abort();
	}
	op = &disk_log.ops[disk_log.nops++];
	*op = (struct op){.kind = kind, .node = node};
	snprintf(op->path, sizeof(op->path), "%s", path);
	return op;
}

void disk_log_write(unsigned int node, uint64_t off, const void *data, size_t len)
{
	struct op *op = disk_log_note(OP_WRITE, node, disk_log_path(node));

	op->off = off;
	op->len = len;
	op->data = malloc(len + 1);
	if (!op->data)
		abort();
	memcpy(op->data, data, len);
}

unsigned int disk_log_new(enum op_kind kind, const char *path)
{
	struct op *op = disk_log_note(kind, disk_log_parent(path), path);

	op->child = disk_log.nnodes++;
	name_set(path, op->child);
	return op->child;
}

void disk_log_rename(const char *from, const char *to)
{
	struct op *op = disk_log_note(OP_RENAME, disk_log_parent(from), from);
	struct name *name = name_find(from);

	strcpy(op->to, to);
	if (!name)
		abort();
	name_set(to, name->node);
	name->path[0] = '\0';
}

void disk_log_unlink(const char *path)
{
	disk_log_note(OP_UNLINK, disk_log_parent(path), path);
	name_find(path)->path[0] = '\0';
}

void disk_log_begin(const char *root)
{
	for (size_t i = 0; i < disk_log.nops; i++)
		free(disk_log.ops[i].data);
	free(disk_log.root);
	disk_log.nops = 0;
	disk_log.nnodes = 1;
	disk_log.root = strdup(root);
	memset(names, 0, sizeof(names));
}
