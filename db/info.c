/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "db/info.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "db/resolve.h"
#include "db/store.h"

#define DIGEST_TEXT_BYTES (2 * DIGEST_BYTES + 1)

static const char *const state_names[] = {
	[SNAPSHOT_IMPORTING] = "importing",
	[SNAPSHOT_DRAFT] = "draft",
	[SNAPSHOT_SEALED] = "sealed",
};

static json_t *digest_json(bool has, const uint8_t digest[DIGEST_BYTES])
{
	static const char hex[] = "0123456789abcdef";
	char text[DIGEST_TEXT_BYTES];

	if (!has)
		return json_null();
	for (size_t i = 0; i < DIGEST_BYTES; i++) {
		text[2 * i] = hex[digest[i] >> 4];
		text[2 * i + 1] = hex[digest[i] & 15];
	}
	text[2 * DIGEST_BYTES] = '\0';
	return json_string(text);
}

void info_format_uuid(char text[INFO_UUID_BYTES], const uint8_t uuid[STORE_UUID_BYTES])
{
	char *to = text;

	for (int i = 0; i < STORE_UUID_BYTES; i++)
		to += sprintf(to, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
			      uuid[i]);
}

static json_t *uuid_json(const uint8_t uuid[STORE_UUID_BYTES])
{
	char text[INFO_UUID_BYTES];

	info_format_uuid(text, uuid);
	return json_string(text);
}

static json_t *text_or_null(const char *text)
{
	return text[0] ? json_string(text) : json_null();
}

const char *info_state_name(enum snapshot_state state)
{
	return state_names[state];
}

json_t *info_json(const struct snapshot_row *row)
{
	uint64_t npages = row->size / PAGE_BYTES;

	/* "o" takes the reference, also when packing fails */
	return json_pack(
		"{s:s, s:I, s:s, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, "
		"s:o, s:I, s:o, s:o, s:o}",
		"name", row->name, "id", (json_int_t)row->id, "state", info_state_name(row->state),
		"parent", text_or_null(row->parent_name), "note", text_or_null(row->note), "size",
		(json_int_t)row->size, "page_size", (json_int_t)PAGE_BYTES, "created_ns",
		(json_int_t)row->created_ns, "data_pages", (json_int_t)row->data_pages,
		"zero_pages", (json_int_t)(npages - row->data_pages), "layer_data_pages",
		(json_int_t)row->layer_data, "layer_zero_pages", (json_int_t)row->layer_zero,
		"stored_pages", (json_int_t)row->stored_pages, "shared_pages",
		(json_int_t)(row->layer_data - row->stored_pages), "digest",
		digest_json(row->has_digest, row->digest), "stored_bytes",
		(json_int_t)row->stored_bytes, "layer_digest",
		digest_json(row->has_digest, row->layer_digest), "vmstate_bytes",
		row->has_vmstate ? json_integer((json_int_t)row->vmstate_bytes) : json_null(),
		"store_uuid", uuid_json(row->store_uuid));
}

static int children_json(struct index *index, uint64_t id, json_t *list)
{
	struct catalog_child child = {0};
	int r;

	while ((r = catalog_next_child(index, id, child.id, &child)) == 0)
		if (json_array_append_new(list, json_string(child.name)) < 0)
			return fail_with(-ENOMEM, "out of memory");
	return r == -ENOENT ? 0 : r;
}

int info_json_family(struct index *index, const struct snapshot_row *row, json_t **ret)
{
	AUTO(json_decrefp) json_t *info = info_json(row);
	json_t *children = json_array();
	size_t layers = 0;
	int r = resolve_depth(index, row, &layers);

	if (r < 0 && r != -EBADMSG) {
		json_decref(children);
		return r;
	}
	/* "new" takes the reference, also on failure */
	if (json_object_set_new(info, "layers",
				r < 0 ? json_null() : json_integer((json_int_t)layers)) < 0 ||
	    json_object_set(info, "children", children) < 0)
		r = fail_with(-ENOMEM, "out of memory");
	else
		r = children_json(index, row->id, children);
	json_decref(children);
	if (r == 0)
		*ret = json_incref(info);
	return r;
}

int info_text(struct index *index, const struct snapshot_row *row, char **ret_text, size_t *ret_len)
{
	json_t *info = NULL;
	json_t *document;
	char *text;
	char *line;
	size_t len;
	int r = info_json_family(index, row, &info);

	if (r < 0)
		return r;
	document = json_pack("{s:i, s:o}", "schema_version", JSON_SCHEMA_VERSION, "snapshot", info);
	text = document ? json_dumps(document, JSON_INDENT(2)) : NULL;
	len = text ? strlen(text) : 0;
	line = text ? realloc(text, len + 2) : NULL;
	json_decref(document);
	if (!line) {
		free(text);
		return fail_with(-ENOMEM, "out of memory");
	}
	memcpy(line + len, "\n", 2);
	*ret_text = line;
	*ret_len = len + 1;
	return 0;
}
