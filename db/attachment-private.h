/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAGODA_DB_ATTACHMENT_PRIVATE_H
#define PAGODA_DB_ATTACHMENT_PRIVATE_H

#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "db/index.h"

/* -EFBIG, with words. */
int attachment_check_size(const char *name, size_t len) MUST_CHECK;

/* As attachment_write, inside the caller's write transaction. */
int attachment_put(struct index *index, uint64_t id, const char *name, const void *data,
		   size_t len) MUST_CHECK;

#endif
