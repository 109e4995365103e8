/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fuzz target: a program of one function that takes any bytes and must neither
 * crash nor believe them. With --enable-fuzzer libFuzzer drives it; else
 * tests/fuzz/driver.c does, with the corpus and with changes of it by chance.
 */
#ifndef PAGODA_TESTS_FUZZ_H
#define PAGODA_TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Stops the program where a target finds a wrong answer. */
static inline void fuzz_must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "fuzz: wrong: %s\n", what);
	abort();
}

/* The input as a row of decisions, taken from its front. What it no longer has is 0. */
struct fuzz_input {
	const uint8_t *bytes; /* borrowed */
	size_t left;
};

/* A number of n bytes, little-endian, at most 8. */
static inline uint64_t fuzz_take(struct fuzz_input *input, size_t n)
{
	uint64_t value = 0;

	for (size_t i = 0; i < n && input->left > 0; i++, input->left--)
		value |= (uint64_t)*input->bytes++ << (8 * i);
	return value;
}

#endif
