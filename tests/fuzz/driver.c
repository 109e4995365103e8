/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drives a fuzz target without libFuzzer: fuzz-x [-n RUNS] [-s SEED] [FILE...]
 *
 * Each file once as it is, then RUNS inputs made from them by chance: bytes
 * flipped, cut out, doubled, spliced. The seed is printed, so a run can be repeated.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/attributes.h"
#include "tests/fuzz/fuzz.h"

#define INPUT_MAX 65536
#define FILES_MAX 256

struct input {
	size_t size;
	uint8_t bytes[INPUT_MAX];
};

static struct input *inputs[FILES_MAX];
static size_t ninputs;

static struct input *input_new(void)
{
	struct input *input = calloc(1, sizeof(*input));

	if (!input)
		abort();
	return input;
}

static void input_load(const char *path)
{
	struct input *input = input_new();
	FILE *file = fopen(path, "r");

	if (!file) {
		perror(path);
		exit(99);
	}
	input->size = fread(input->bytes, 1, INPUT_MAX, file);
	fclose(file);
	inputs[ninputs++] = input;
}

static size_t below(unsigned int *seed, size_t limit)
{
	return limit ? (size_t)rand_r(seed) % limit : 0;
}

/* The target gets a copy of the very size, so that reading past its end is seen. */
static void run_one(const struct input *input)
{
	uint8_t *copy = malloc(input->size ? input->size : 1);

	if (!copy)
		abort();
	memcpy(copy, input->bytes, input->size);
	LLVMFuzzerTestOneInput(copy, input->size);
	free(copy);
}

static void change(struct input *input, unsigned int *seed)
{
	static const uint8_t special[] = {0, 1, 0x7f, 0x80, 0xff, '0', '9', '-', '"', '{', ']'};
	size_t at = below(seed, input->size);
	size_t len = below(seed, MIN(input->size - at, (size_t)64) + 1);

	switch (rand_r(seed) % 5) {
	case 0:
		if (input->size > 0)
			input->bytes[at] ^= (uint8_t)(1 << rand_r(seed) % 8);
		break;
	case 1:
		if (input->size > 0)
			input->bytes[at] = special[below(seed, sizeof(special))];
		break;
	case 2: /* cut out */
		memmove(input->bytes + at, input->bytes + at + len, input->size - at - len);
		input->size -= len;
		break;
	case 3: /* double */
		if (input->size + len > INPUT_MAX)
			break;
		memmove(input->bytes + at + len, input->bytes + at, input->size - at);
		input->size += len;
		break;
	case 4: /* by chance */
		for (size_t i = 0; i < len; i++)
			input->bytes[at + i] = (uint8_t)rand_r(seed);
		break;
	}
}

static void run_changed(struct input *input, unsigned int *seed)
{
	const struct input *from = ninputs ? inputs[below(seed, ninputs)] : NULL;
	size_t changes = 1 + below(seed, 8);

	if (from) {
		*input = *from;
	} else {
		input->size = below(seed, 4096);
		for (size_t i = 0; i < input->size; i++)
			input->bytes[i] = (uint8_t)rand_r(seed);
	}
	while (changes-- > 0)
		change(input, seed);
	run_one(input);
}

int main(int argc, char **argv)
{
	unsigned int seed = (unsigned int)time(NULL);
	struct input *input = input_new();
	long runs = 1000;
	int option;

	while ((option = getopt(argc, argv, "n:s:")) != -1) {
		if (option == 'n')
			runs = atol(optarg);
		else if (option == 's')
			seed = (unsigned int)strtoul(optarg, NULL, 10);
		else
			return 99;
	}
	for (; optind < argc && ninputs < FILES_MAX; optind++)
		input_load(argv[optind]);
	printf("seed %u, %zu files, %ld changed inputs\n", seed, ninputs, runs);
	fflush(stdout);
	for (size_t i = 0; i < ninputs; i++)
		run_one(inputs[i]);
	for (long i = 0; i < runs; i++)
		run_changed(input, &seed);
	free(input);
	for (size_t i = 0; i < ninputs; i++)
		free(inputs[i]);
	return 0;
}
