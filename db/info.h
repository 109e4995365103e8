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

#define JSON_SCHEMA_VERSION 1

/* "sealed" */
const char *info_state_name(enum snapshot_state state);

/* A new reference to {"name": ..., "id": ..., ...}; NULL when out of memory. */
json_t *info_json(const struct snapshot_row *row) MUST_CHECK;

/* The whole document with schema_version, a newline at its end; the caller frees
 * *ret_text. -ENOMEM. */
int info_text(const struct snapshot_row *row, char **ret_text, size_t *ret_len) MUST_CHECK;

#endif
