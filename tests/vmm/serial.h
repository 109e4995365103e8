/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The serial port: what the guest sends, line by line. One thread.
 */
#ifndef PAGODA_TESTS_VMM_SERIAL_H
#define PAGODA_TESTS_VMM_SERIAL_H

#include <stddef.h>

#include "base/attributes.h"

struct serial {
	int fd; /* borrowed */
	size_t len;
	char line[256];
};

/* Each whole line is one write(2) to fd. A longer line goes in pieces. */
void serial_init(struct serial *serial, int fd);

/* The -errno of write(2), with words. */
int serial_put(struct serial *serial, const unsigned char *bytes, size_t len) MUST_CHECK;

#endif
