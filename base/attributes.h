/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names for the compiler attributes in use, and two macros every file needs.
 */
#ifndef PAGODA_BASE_ATTRIBUTES_H
#define PAGODA_BASE_ATTRIBUTES_H

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(text_, first_) __attribute__((format(printf, text_, first_)))
#define UNUSED __attribute__((unused))
#define NORETURN __attribute__((noreturn))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define MIN(a, b)                                                                                  \
	({                                                                                         \
		__auto_type min_a_ = (a);                                                          \
		__auto_type min_b_ = (b);                                                          \
		min_a_ < min_b_ ? min_a_ : min_b_;                                                 \
	})
#define MAX(a, b)                                                                                  \
	({                                                                                         \
		__auto_type max_a_ = (a);                                                          \
		__auto_type max_b_ = (b);                                                          \
		max_a_ > max_b_ ? max_a_ : max_b_;                                                 \
	})

#endif
