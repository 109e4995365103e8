/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <syslog.h>
#include <unistd.h>

#include "base/io.h"

#define LINE_MAX_BYTES 1024

static const char *log_program = "pagoda";
static enum log_level log_most = LOG_LEVEL_INFO;
static atomic_bool log_syslog;

void log_init(const char *program, enum log_level most)
{
	log_program = program;
	log_most = most;
}

void log_to_syslog(void)
{
	openlog(log_program, LOG_PID, LOG_DAEMON);
	atomic_store(&log_syslog, true);
}

/* Copies text to line with control characters as \xNN; returns the length. */
static size_t escape(char *line, size_t room, const char *text)
{
	size_t used = 0;

	for (; *text && used + 5 < room; text++) {
		unsigned char c = (unsigned char)*text;

		if (c < 0x20 || c == 0x7f)
			used += (size_t)snprintf(line + used, 5, "\\x%02x", c);
		else
			line[used++] = (char)c;
	}
	return used;
}

void log_at(enum log_level level, const char *format, ...)
{
	static const char *const words[] = {
		[LOG_LEVEL_ERROR] = "",
		[LOG_LEVEL_WARNING] = "warning: ",
		[LOG_LEVEL_INFO] = "",
		[LOG_LEVEL_DEBUG] = "debug: ",
	};
	static const int priorities[] = {
		[LOG_LEVEL_ERROR] = LOG_ERR,
		[LOG_LEVEL_WARNING] = LOG_WARNING,
		[LOG_LEVEL_INFO] = LOG_INFO,
		[LOG_LEVEL_DEBUG] = LOG_DEBUG,
	};
	char message[LINE_MAX_BYTES];
	char line[LINE_MAX_BYTES + 64];
	int saved = errno;
	size_t used;
	va_list args;

	if (level > log_most)
		return;
	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	if (atomic_load(&log_syslog)) {
		used = escape(line, sizeof(line) - 1, message);
		syslog(priorities[level], "%.*s", (int)used, line);
		errno = saved;
		return;
	}
	used = (size_t)snprintf(line, 64, "%.40s: %s", log_program, words[level]);
	used += escape(line + used, sizeof(line) - used - 1, message);
	line[used++] = '\n';
	/* nobody is left to tell when standard error itself fails */
	(void)!io_write_full(STDERR_FILENO, line, used);
	errno = saved;
}
