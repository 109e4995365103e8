/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json-get FILE [KEY...]: reads one JSON document, strictly, and prints the value
 * that the keys lead to: a text or number plainly, anything else as JSON. A key is
 * a name, an index of an array, or "#" for the number of members. FILE may be "-".
 *
 * Exit code 1: no such value. 2: not one JSON document.
 */
#include "config.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_value(const json_t *value)
{
	if (json_is_string(value)) {
		puts(json_string_value(value));
	} else {
		json_dumpf(value, stdout, JSON_ENCODE_ANY | JSON_COMPACT);
		putchar('\n');
	}
}

static const json_t *step(const json_t *value, const char *key)
{
	if (json_is_array(value))
		return json_array_get(value, strtoul(key, NULL, 10));
	return json_object_get(value, key);
}

int main(int argc, char **argv)
{
	json_error_t error;
	json_t *document;
	const json_t *value;

	if (argc < 2)
		return 2;
	document = strcmp(argv[1], "-") == 0
			   ? json_loadf(stdin, JSON_REJECT_DUPLICATES, &error)
			   : json_load_file(argv[1], JSON_REJECT_DUPLICATES, &error);
	if (!document) {
		fprintf(stderr, "%s: %s at line %d\n", argv[1], error.text, error.line);
		return 2;
	}
	value = document;
	for (int i = 2; value && i < argc; i++) {
		if (strcmp(argv[i], "#") == 0) {
			printf("%zu\n", json_is_array(value) ? json_array_size(value)
							     : json_object_size(value));
			json_decref(document);
			return 0;
		}
		value = step(value, argv[i]);
	}
	if (value)
		print_value(value);
	json_decref(document);
	return value ? 0 : 1;
}
