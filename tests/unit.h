/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A unit test program with libcheck: UNIT_MAIN(suite, test_a, test_b, ...).
 */
#ifndef PAGODA_TESTS_UNIT_H
#define PAGODA_TESTS_UNIT_H

#include <check.h>
#include <stdlib.h>

/* What hangs is ended. ThreadSanitizer makes some tests ten times slower. */
#ifdef __SANITIZE_THREAD__
#define UNIT_TIMEOUT_S 300
#else
#define UNIT_TIMEOUT_S 60
#endif

#define UNIT_MAIN(name, ...)                                                                       \
	int main(void)                                                                             \
	{                                                                                          \
		const TTest *const tests[] = {__VA_ARGS__};                                        \
		TCase *tcase = tcase_create(name);                                                 \
		Suite *suite = suite_create(name);                                                 \
		SRunner *runner;                                                                   \
		int failed;                                                                        \
                                                                                                   \
		for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)                      \
			tcase_add_test(tcase, tests[i]);                                           \
		tcase_set_timeout(tcase, UNIT_TIMEOUT_S);                                          \
		suite_add_tcase(suite, tcase);                                                     \
		runner = srunner_create(suite);                                                    \
		srunner_run_all(runner, CK_ENV);                                                   \
		failed = srunner_ntests_failed(runner);                                            \
		srunner_free(runner);                                                              \
		return failed ? EXIT_FAILURE : EXIT_SUCCESS;                                       \
	}

#endif
