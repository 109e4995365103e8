/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "base/descriptors.h"

#include <fcntl.h>
#include <unistd.h>

void descriptors_fill(void)
{
	int fd;

	/* the kernel gives out the lowest number that is free */
	do {
		fd = open("/dev/null", O_RDONLY);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}
