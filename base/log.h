/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages for people, on standard error (or in the system log): one line each,
 * one write(2) each.
 *
 * "program: message". Safe from any thread. Only main files and fusefs/ops.c
 * log above debug, and each error once: who returns an error does not log it.
 * Bytes that could break the line (control characters) are shown as \xNN.
 */
#ifndef PAGODA_BASE_LOG_H
#define PAGODA_BASE_LOG_H

#include "base/attributes.h"

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARNING,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG,
};

/* Before the first message and before threads start. program is borrowed. */
void log_init(const char *program, enum log_level most);

/* From here on to syslog(3) instead, as a daemon: for who has given up his
 * standard error. Before threads start or after, but once. */
void log_to_syslog(void);

void log_at(enum log_level level, const char *format, ...) PRINTF_LIKE(2, 3);

#define log_error(...) log_at(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_at(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) log_at(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_at(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
