/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text, so that it can be read by a person in need:
 *
 *	pagoda-generation 1
 *	uuid 0123456789abcdef0123456789abcdef
 *	generation 17
 *	hash 0123456789abcdef        XXH3-64 of the three lines above
 */
#include "config.h"

#include "db/generation.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "base/io.h"

#define TEXT_MAX 256

/* Returns the length. */
static size_t text_make(char text[TEXT_MAX], const uint8_t uuid[STORE_UUID_BYTES],
			uint64_t generation)
{
	char hex[2 * STORE_UUID_BYTES + 1];
	int n;

	for (size_t i = 0; i < STORE_UUID_BYTES; i++)
		snprintf(hex + 2 * i, 3, "%02x", uuid[i]);
	n = snprintf(text, TEXT_MAX, "pagoda-generation 1\nuuid %s\ngeneration %" PRIu64 "\n", hex,
		     generation);
	n += snprintf(text + n, (size_t)(TEXT_MAX - n), "hash %016" PRIx64 "\n",
		      (uint64_t)XXH3_64bits(text, (size_t)n));
	return (size_t)n;
}

static int text_parse(const char *text, uint8_t uuid[STORE_UUID_BYTES], uint64_t *generation)
{
	char again[TEXT_MAX];
	char hex[2 * STORE_UUID_BYTES + 1];

	if (sscanf(text, "pagoda-generation 1\nuuid %32[0-9a-f]\ngeneration %" SCNu64 "\n", hex,
		   generation) != 2 ||
	    strlen(hex) != 2 * STORE_UUID_BYTES)
		return -EBADMSG;
	for (size_t i = 0; i < STORE_UUID_BYTES; i++)
		if (sscanf(hex + 2 * i, "%2hhx", &uuid[i]) != 1)
			return -EBADMSG;
	text_make(again, uuid, *generation);
	return strcmp(text, again) == 0 ? 0 : -EBADMSG;
}

int generation_read(const char *store_path, uint8_t ret_uuid[STORE_UUID_BYTES],
		    uint64_t *ret_generation)
{
	char path[PATH_MAX];
	char text[TEXT_MAX];
	uint8_t uuid[STORE_UUID_BYTES];
	uint64_t generation;
	AUTO_CLOSE int fd = -1;
	ssize_t n;

	snprintf(path, sizeof(path), "%s/generation", store_path);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK); /* it may be a FIFO */
	if (fd < 0)
		return fail_with(errno == ENOENT ? -EBADMSG : -errno, "%s: %s", path,
				 strerror(errno));
	n = io_read_full(fd, text, sizeof(text) - 1);
	if (n < 0)
		return fail_with((int)n, "%s: %s", path, strerror((int)-n));
	text[n] = '\0';
	if (text_parse(text, uuid, &generation) < 0)
		return fail_with(-EBADMSG, "%s is damaged", path);
	memcpy(ret_uuid, uuid, sizeof(uuid));
	*ret_generation = generation;
	return 0;
}

int generation_write(const char *store_path, const uint8_t uuid[STORE_UUID_BYTES],
		     uint64_t generation)
{
	char path[PATH_MAX];
	char text[TEXT_MAX];
	size_t len = text_make(text, uuid, generation);
	int r;

	snprintf(path, sizeof(path), "%s/generation", store_path);
	r = io_replace_file(path, text, len, 0600);
	return r < 0 ? fail_with(r, "%s: %s", path, strerror(-r)) : 0;
}
