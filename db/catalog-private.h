/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAGODA_DB_CATALOG_PRIVATE_H
#define PAGODA_DB_CATALOG_PRIVATE_H

#include <stdint.h>

#include "base/attributes.h"
#include "db/index.h"

/* -EEXIST where a snapshot has that name, -EBUSY where one is being imported
 * under it. */
int catalog_check_free(struct index *index, const char *name) MUST_CHECK;

/* Writes when a draft changed, and which of its versions that made. Inside a write
 * transaction. */
int catalog_put_changed(struct index *index, uint64_t id, uint64_t version, uint64_t ns) MUST_CHECK;

#endif
