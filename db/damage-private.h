/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What check.c notes in a struct damage, which may be NULL, and what gc.c asks it.
 */
#ifndef PAGODA_DB_DAMAGE_PRIVATE_H
#define PAGODA_DB_DAMAGE_PRIVATE_H

#include "db/damage.h"

/* The structure of index.db. */
void damage_add_index(struct damage *damage);
/* -ENOMEM */
int damage_add_snapshot(struct damage *damage, uint64_t id) MUST_CHECK;
/* A row of a page; in the order of their ids. */
int damage_add_page(struct damage *damage, uint64_t id) MUST_CHECK;
int damage_add_attachment(struct damage *damage, uint64_t snapshot, const char *name) MUST_CHECK;

bool damage_has_page(const struct damage *damage, uint64_t id);

#endif
