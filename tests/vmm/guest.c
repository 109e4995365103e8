/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tests/vmm/guest.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#define GIB (UINT64_C(1) << 30)
#define LARGE_PAGE (UINT64_C(2) << 20)

/* Bits of an entry. */
#define ENTRY_TABLE 0x03 /* present, writable */
#define ENTRY_LARGE 0x83 /* and a page of 2 MiB */

#define SPARE_SHARE 4 /* the balloon may have a quarter */

static_assert(offsetof(struct guest_params, pages) == PARAM_PAGES, "");
static_assert(offsetof(struct guest_params, first) == PARAM_FIRST, "");
static_assert(offsetof(struct guest_params, spare) == PARAM_SPARE, "");
static_assert(offsetof(struct guest_params, given) == PARAM_GIVEN, "");
static_assert(offsetof(struct guest_params, writes) == PARAM_WRITES, "");
static_assert(offsetof(struct guest_params, cursor) == PARAM_CURSOR, "");
static_assert(offsetof(struct guest_params, beat) == PARAM_BEAT, "");
static_assert(offsetof(struct guest_params, sum) == PARAM_SUM, "");

/* guest-code.S */
extern const unsigned char guest_code[];
extern const unsigned char guest_code_end[];

static uint64_t directories(uint64_t memory_size)
{
	return (memory_size + GIB - 1) / GIB;
}

static uint64_t first_page(uint64_t memory_size)
{
	return GUEST_TABLES / MEMORY_PAGE + 2 + directories(memory_size);
}

uint64_t guest_spare_pages(uint64_t memory_size)
{
	return (memory_size / MEMORY_PAGE - first_page(memory_size)) / SPARE_SHARE;
}

static uint64_t *table_at(const struct memory *memory, uint64_t gpa)
{
	return (uint64_t *)memory_page(memory, gpa / MEMORY_PAGE);
}

/* The tables lie below 1 MiB, where a physical address is an offset. */
static void load_tables(const struct memory *memory)
{
	uint64_t *pdpt = table_at(memory, GUEST_TABLES + MEMORY_PAGE);
	uint64_t next = GUEST_TABLES + 2 * MEMORY_PAGE;

	table_at(memory, GUEST_TABLES)[0] = (GUEST_TABLES + MEMORY_PAGE) | ENTRY_TABLE;
	for (uint64_t off = 0; off < memory->size; off += GIB, next += MEMORY_PAGE) {
		uint64_t *directory = table_at(memory, next);

		pdpt[off / GIB] = next | ENTRY_TABLE;
		for (uint64_t at = off; at < MIN(off + GIB, memory->size); at += LARGE_PAGE)
			directory[(at - off) / LARGE_PAGE] = memory_gpa(memory, at) | ENTRY_LARGE;
	}
}

void guest_load(const struct memory *memory, uint64_t writes)
{
	struct guest_params *params =
		(struct guest_params *)memory_page(memory, GUEST_PARAMS / MEMORY_PAGE);
	size_t code_size = (size_t)(guest_code_end - guest_code);

	assert(code_size <= GUEST_CODE_MAX);
	memcpy(memory_page(memory, GUEST_CODE / MEMORY_PAGE), guest_code, code_size);
	strcpy((char *)memory_page(memory, GUEST_TEXT / MEMORY_PAGE), "hello from the guest");
	*params = (struct guest_params){
		.pages = memory->size / MEMORY_PAGE,
		.first = first_page(memory->size),
		.spare = memory->size / MEMORY_PAGE - guest_spare_pages(memory->size),
		.writes = writes,
		.cursor = first_page(memory->size),
	};
	load_tables(memory);
}
