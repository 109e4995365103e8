/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAGODA_DB_CATALOG_PRIVATE_H
#define PAGODA_DB_CATALOG_PRIVATE_H

#include "base/attributes.h"
#include "db/index.h"

/* -EEXIST where a snapshot has that name, -EBUSY where one is being imported
 * under it. */
int catalog_check_free(struct index *index, const char *name) MUST_CHECK;

#endif
