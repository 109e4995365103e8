/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tests/shadow.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "db/attachment.h"
#include "db/catalog.h"
#include "db/snapshot.h"

struct shadow_snapshot *shadow_find(struct shadow *now, const char *name)
{
	for (size_t i = 0; i < now->n; i++)
		if (strcmp(now->all[i].name, name) == 0)
			return &now->all[i];
	ck_abort_msg("no %s in the shadow", name);
}

void shadow_add(struct shadow *now, const char *name, const char *image, uint64_t npages,
		const char *vmstate)
{
	struct shadow_snapshot *added = &now->all[now->n++];

	*added = (struct shadow_snapshot){.image = image, .npages = npages};
	strcpy(added->name, name);
	strcpy(added->vmstate, vmstate);
}

void shadow_remove(struct shadow *now, const char *name)
{
	*shadow_find(now, name) = now->all[now->n - 1];
	now->n--;
}

static int attachment_differs(struct index *index, uint64_t id, const char *name,
			      const char *wanted)
{
	AUTO_FREE void *data = NULL;
	size_t len = 0;
	int r = attachment_read(index, id, name, &data, &len);

	if (r == -ENOENT)
		return wanted[0] != '\0';
	return r < 0 ? r : len != strlen(wanted) || memcmp(data, wanted, len) != 0;
}

/* Each page as wanted; or as before, where a write was under way. */
static bool pages_differ(const char *bytes, const struct shadow_snapshot *wanted)
{
	for (size_t at = 0; at < wanted->npages * PAGE_BYTES; at += PAGE_BYTES)
		if (memcmp(bytes + at, wanted->image + at, PAGE_BYTES) != 0 &&
		    (!wanted->was || memcmp(bytes + at, wanted->was + at, PAGE_BYTES) != 0))
			return true;
	return false;
}

/* 0: the same, 1: not, -errno. */
static int snapshot_differs(const struct snapshot_row *row, const struct shadow_snapshot *wanted,
			    struct index *index, struct pages *pages)
{
	AUTO(snapshot_close_at) struct snapshot *snapshot = NULL;
	AUTO_FREE char *bytes = malloc(wanted->npages * PAGE_BYTES);
	int r;

	if (row->size != wanted->npages * PAGE_BYTES || strcmp(row->note, wanted->note) != 0)
		return 1;
	r = attachment_differs(index, row->id, "vmstate", wanted->vmstate);
	if (r == 0)
		r = attachment_differs(index, row->id, "workingset", wanted->workingset);
	if (r == 0)
		r = snapshot_open(index, row->id, &snapshot);
	if (r == 0)
		r = snapshot_read(snapshot, pages, MAP_MEM, 0, bytes, row->size);
	return r != 0 ? r : pages_differ(bytes, wanted);
}

bool shadow_holds(const struct shadow *wanted, struct index *index, struct pages *pages, char *why,
		  size_t room)
{
	struct snapshot_row row = {0};
	uint64_t after = 0;
	size_t found = 0;
	int r;

	while ((r = catalog_next(index, after, &row)) == 0) {
		size_t i = 0;
		int differs;

		while (i < wanted->n && strcmp(wanted->all[i].name, row.name) != 0)
			i++;
		if (i == wanted->n) {
			snprintf(why, room, "there is %s", row.name);
			return false;
		}
		differs = snapshot_differs(&row, &wanted->all[i], index, pages);
		if (differs != 0) {
			snprintf(why, room, "%s: %s", row.name,
				 differs < 0 ? fail_text(differs) : "it holds something else");
			return false;
		}
		found++;
		after = row.id;
	}
	if (r != -ENOENT)
		snprintf(why, room, "listing: %s", fail_text(r));
	else if (found < wanted->n)
		snprintf(why, room, "%zu snapshots instead of %zu", found, wanted->n);
	return r == -ENOENT && found == wanted->n;
}
