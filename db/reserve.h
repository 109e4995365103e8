/* SPDX-License-Identifier: Apache-2.0 */
/*
 * STORE/reserve: a little space kept back, so that a full disk is no dead end. What
 * gives space back (rm, gc) must write to the index first; where there is no room for
 * that it lets the reserve go, and makes it again at the end.
 *
 * Private to db/. Best effort: a store without one is a store.
 */
#ifndef PAGODA_DB_RESERVE_H
#define PAGODA_DB_RESERVE_H

#include <stdbool.h>

#include "db/store.h"

#define RESERVE_BYTES (1U << 20)

/* Makes it in the directory of a store, where the file system has much more space. */
void reserve_make(const char *store_path);

/* Gives its space to the file system; false where there was none. */
bool reserve_release(const char *store_path);

#endif
