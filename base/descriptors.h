/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The three standard descriptors. A program may be started without them; the next
 * file it opens then gets such a number, and messages land in it.
 */
#ifndef PAGODA_BASE_DESCRIPTORS_H
#define PAGODA_BASE_DESCRIPTORS_H

/* Opens what is closed of the standard descriptors on /dev/null, for reading only:
 * writing a result there fails, as it must. Before anything else is opened. */
void descriptors_fill(void);

#endif
