/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The schema of an index: made from db/schema.sql, and compared with it.
 */
#ifndef PAGODA_DB_SCHEMA_H
#define PAGODA_DB_SCHEMA_H

#include <stdint.h>

#include "base/attributes.h"
#include "db/codec.h"
#include "db/index.h"

/* Makes a new index file at path, which does not exist, with one row in `store`;
 * WAL mode, durable. */
int schema_create(const char *path, const uint8_t *uuid) MUST_CHECK;

/* -EPROTONOSUPPORT where the index is of a newer program, -EBADMSG where it is no
 * index of a store or holds anything but the schema: a view, a trigger, a table
 * or a column more or less. */
int schema_check(struct index *index) MUST_CHECK;

/* Inside a write transaction, before it writes a row of that codec: a store of format 1
 * becomes one of format 2, which programs that know no codecs refuse. */
int schema_need_codec(struct index *index, enum codec codec) MUST_CHECK;

#endif
