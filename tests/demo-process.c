/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process of the demo: keeps a ledger in its memory and says where.
 *
 * Prints "ADDRESS LENGTH" of one mapping of 64 MiB and waits until standard input
 * ends: a quarter of it is text that grep finds, a quarter noise that does not
 * compress, a quarter the text once more, and the rest was never touched.
 */
#include "config.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LENGTH (UINT64_C(64) << 20)
#define QUARTER (LENGTH / 4)
#define LINE 64

static void write_ledger(char *to)
{
	for (uint64_t i = 0; i < QUARTER / LINE; i++) {
		char line[LINE + 1];

		snprintf(line, sizeof(line),
			 "pagoda-ledger account %08" PRIu64 " balance %020" PRIu64, i, i * i);
		memset(to + i * LINE, '.', LINE);
		memcpy(to + i * LINE, line, strlen(line));
		to[i * LINE + LINE - 1] = '\n';
	}
}

/* xorshift64: the same noise at every run */
static void write_noise(char *to)
{
	uint64_t state = 88172645463325252U;

	for (uint64_t i = 0; i < QUARTER; i += sizeof(state)) {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		memcpy(to + i, &state, sizeof(state));
	}
}

int main(void)
{
	char byte;
	char *memory =
		mmap(NULL, LENGTH, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED) {
		perror("demo-process: mmap");
		return 1;
	}
	write_ledger(memory);
	write_noise(memory + QUARTER);
	memcpy(memory + 2 * QUARTER, memory, QUARTER);
	printf("%" PRIuPTR " %" PRIu64 "\n", (uintptr_t)memory, LENGTH);
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	return 0;
}
