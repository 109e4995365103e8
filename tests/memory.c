/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tests/memory.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static unsigned int fail_at;
static bool fail_on;
static unsigned int allocations;

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_reallocarray(void *old, size_t n, size_t size);
char *__real_strdup(const char *text);
char *__real_realpath(const char *path, char *resolved);
FILE *__real_open_memstream(char **text, size_t *len);
void *__real_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_reallocarray(void *old, size_t n, size_t size);
char *__wrap_strdup(const char *text);
int __wrap_asprintf(char **ret, const char *format, ...) __attribute__((format(printf, 2, 3)));
char *__wrap_realpath(const char *path, char *resolved);
FILE *__wrap_open_memstream(char **text, size_t *len);
void *__wrap_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off);

static bool fails(void)
{
	unsigned int at = __atomic_load_n(&fail_at, __ATOMIC_RELAXED);
	unsigned int n;

	if (at == 0)
		return false;
	n = __atomic_add_fetch(&allocations, 1, __ATOMIC_RELAXED);
	if (n < at || (n > at && !fail_on))
		return false;
	errno = ENOMEM;
	return true;
}

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	return fails() ? NULL : __real_realloc(old, size);
}

void *__wrap_reallocarray(void *old, size_t n, size_t size)
{
	return fails() ? NULL : __real_reallocarray(old, n, size);
}

char *__wrap_strdup(const char *text)
{
	return fails() ? NULL : __real_strdup(text);
}

/* A failure leaves *ret undefined; here, to be noticed when it is used. */
int __wrap_asprintf(char **ret, const char *format, ...)
{
	va_list args;
	int n;

	*ret = (char *)1;
	if (fails())
		return -1;
	va_start(args, format);
	n = vasprintf(ret, format, args);
	va_end(args);
	return n;
}

char *__wrap_realpath(const char *path, char *resolved)
{
	return fails() ? NULL : __real_realpath(path, resolved);
}

FILE *__wrap_open_memstream(char **text, size_t *len)
{
	return fails() ? NULL : __real_open_memstream(text, len);
}

void *__wrap_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off)
{
	return fails() ? MAP_FAILED : __real_mmap(addr, len, prot, flags, fd, off);
}

static sqlite3_mem_methods sqlite_real;

static void *sqlite_malloc(int size)
{
	return fails() ? NULL : sqlite_real.xMalloc(size);
}

static void *sqlite_realloc(void *old, int size)
{
	return fails() ? NULL : sqlite_real.xRealloc(old, size);
}

void memory_start(void)
{
	sqlite3_mem_methods methods;

	if (sqlite3_config(SQLITE_CONFIG_GETMALLOC, &sqlite_real) != SQLITE_OK)
		abort();
	methods = sqlite_real;
	methods.xMalloc = sqlite_malloc;
	methods.xRealloc = sqlite_realloc;
	if (sqlite3_config(SQLITE_CONFIG_MALLOC, &methods) != SQLITE_OK)
		abort();
}

void memory_fail(unsigned int nth, bool lasting)
{
	allocations = 0;
	fail_on = lasting;
	__atomic_store_n(&fail_at, nth, __ATOMIC_RELAXED);
}

bool memory_has_failed(void)
{
	return fail_at > 0 && allocations >= fail_at;
}

unsigned int memory_allocations(void)
{
	return allocations;
}
