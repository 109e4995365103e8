/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fuzz target: a program of one function that takes any bytes and must neither
 * crash nor believe them. With --enable-fuzzer libFuzzer drives it; else
 * tests/fuzz/driver.c does, with the corpus and with changes of it by chance.
 */
#ifndef PAGODA_TESTS_FUZZ_H
#define PAGODA_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
