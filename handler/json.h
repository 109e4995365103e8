/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ownership of JSON values held by a local.
 */
#ifndef PAGODA_HANDLER_JSON_H
#define PAGODA_HANDLER_JSON_H

#include <jansson.h>

#include "base/cleanup.h"

DEFINE_AUTO(json_t *, json_decref)
#define AUTO_JSON AUTO(json_decref_at)

#endif
