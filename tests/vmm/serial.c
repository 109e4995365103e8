/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tests/vmm/serial.h"

#include <string.h>

#include "base/fail.h"
#include "base/io.h"

void serial_init(struct serial *serial, int fd)
{
	*serial = (struct serial){.fd = fd};
}

int serial_put(struct serial *serial, const unsigned char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		int r;

		serial->line[serial->len++] = (char)bytes[i];
		if (bytes[i] != '\n' && serial->len < sizeof(serial->line))
			continue;
		r = io_write_full(serial->fd, serial->line, serial->len);
		serial->len = 0;
		if (r < 0)
			return fail_with(r, "cannot write the serial output: %s", strerror(-r));
	}
	return 0;
}
