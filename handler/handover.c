/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "handler/handover.h"

#include <errno.h>

#include "base/fail.h"
#include "handler/json.h"

/* Returns true when the text ends with this byte. */
static bool scan_byte(struct handover_scan *scan, char c)
{
	if (scan->escaped) {
		scan->escaped = false;
	} else if (scan->in_string) {
		scan->escaped = c == '\\';
		scan->in_string = c != '"';
	} else if (c == '"') {
		scan->in_string = true;
	} else if (c == '[' || c == '{') {
		scan->depth++;
	} else if (c == ']' || c == '}') {
		return scan->depth == 0 || --scan->depth == 0;
	}
	return false;
}

bool handover_scan(struct handover_scan *scan, const char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		char c = bytes[i];

		if (!scan->begun && (c == ' ' || c == '\t' || c == '\r' || c == '\n'))
			continue;
		if (!scan->begun && c != '[')
			return true; /* let the parser say what is wrong with it */
		scan->begun = true;
		if (scan_byte(scan, c))
			return true;
	}
	return false;
}

/* The value of a key: a whole number from 0 to 2^63-1. A missing key is 0 where
 * ret_found is given, else refused. */
static int field_read(const json_t *object, const char *key, size_t index, bool *ret_found,
		      uint64_t *ret)
{
	const json_t *value = json_object_get(object, key);

	if (ret_found)
		*ret_found = value != NULL;
	if (!value && ret_found)
		return 0;
	if (!value)
		return fail_with(-EINVAL, "region %zu has no %s", index, key);
	if (!json_is_integer(value) || json_integer_value(value) < 0)
		return fail_with(-EINVAL, "%s of region %zu is not a whole number", key, index);
	*ret = (uint64_t)json_integer_value(value);
	return 0;
}

static int page_size_read(const json_t *object, size_t index, uint64_t *ret)
{
	uint64_t plain = 0;
	uint64_t kib = 0;
	bool has_plain;
	bool has_kib;
	int r = field_read(object, "page_size", index, &has_plain, &plain);

	if (r == 0)
		r = field_read(object, "page_size_kib", index, &has_kib, &kib);
	if (r < 0)
		return r;
	*ret = has_plain ? plain : has_kib ? kib : REGIONS_PAGE;
	return 0;
}

static int region_read(const json_t *object, size_t index, struct region *ret)
{
	int r;

	if (!json_is_object(object))
		return fail_with(-EINVAL, "region %zu is not an object", index);
	r = field_read(object, "base_host_virt_addr", index, NULL, &ret->va);
	if (r == 0)
		r = field_read(object, "size", index, NULL, &ret->size);
	if (r == 0)
		r = field_read(object, "offset", index, NULL, &ret->off);
	if (r == 0)
		r = page_size_read(object, index, &ret->page_size);
	return r;
}

int handover_parse(const char *text, size_t len, struct regions *ret_regions)
{
	AUTO_JSON json_t *root = NULL;
	json_error_t error;
	size_t n;

	if (len > HANDOVER_TEXT_MOST)
		return fail_with(-EINVAL, "the text is longer than %d bytes", HANDOVER_TEXT_MOST);
	root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
	if (!root && json_error_code(&error) == json_error_out_of_memory)
		return -ENOMEM;
	if (!root)
		return fail_with(-EINVAL, "the text is not JSON: %s, at byte %d", error.text,
				 error.position);
	if (!json_is_array(root))
		return fail_with(-EINVAL, "the text is not an array of regions");
	n = json_array_size(root);
	if (n > REGIONS_MOST)
		return fail_with(-EINVAL, "%zu regions are more than %d", n, REGIONS_MOST);
	for (size_t i = 0; i < n; i++) {
		int r = region_read(json_array_get(root, i), i, &ret_regions->at[i]);

		if (r < 0)
			return r;
	}
	ret_regions->n = n;
	return 0;
}
