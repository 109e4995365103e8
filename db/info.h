/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A snapshot described as JSON: the one place that names the fields, for
 * `pagoda info --json`, `pagoda ls --json` and the file info.json.
 */
#ifndef PAGODA_DB_INFO_H
#define PAGODA_DB_INFO_H

#include <jansson.h>

#include "base/attributes.h"
#include "db/catalog.h"
#include "db/store.h"

#define JSON_SCHEMA_VERSION 1

#define INFO_UUID_BYTES 37 /* of its text, with the NUL */

/* "6f1c0f1e-..." as RFC 4122 writes it. */
void info_format_uuid(char text[INFO_UUID_BYTES], const uint8_t uuid[STORE_UUID_BYTES]);

/* "sealed" */
const char *info_state_name(enum snapshot_state state);

/* A new reference to {"name": ..., "id": ..., ...}; NULL when out of memory. */
json_t *info_json(const struct snapshot_row *row) MUST_CHECK;

/* The same with "layers", how many it has (null where the index is too damaged to say),
 * and "children", the names of those that build on it. *ret is a new reference. */
int info_json_family(struct index *index, const struct snapshot_row *row, json_t **ret) MUST_CHECK;

/* The whole document of info_json_family with schema_version, a newline at its end; the caller
 * frees *ret_text. -ENOMEM, errors of SQLite. */
int info_text(struct index *index, const struct snapshot_row *row, char **ret_text,
	      size_t *ret_len) MUST_CHECK;

#endif
