/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hand-over text, whole and in pieces.
 *
 * 1. However it is cut into pieces, it is complete at the same byte.
 * 2. A text that is taken is complete at a byte behind which only blanks follow,
 *    and means the same without them; up to any byte before that it is refused.
 *    So nothing is waited for in vain, and nothing that counts is left unread.
 * 3. What was taken says the same again when it is written down and read anew.
 * 4. What is refused is refused with words.
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/fail.h"
#include "handler/handover.h"
#include "tests/fuzz/fuzz.h"

#define PREFIXES_MOST 512 /* bytes of a text of which every beginning is tried */

static const char *text;
static size_t len;

/* The number of bytes after which it is complete, len + 1 for never. */
static size_t complete_at(void)
{
	struct handover_scan scan = {0};

	for (size_t i = 0; i < len; i++)
		if (handover_scan(&scan, text + i, 1))
			return i + 1;
	return len + 1;
}

/* In pieces of different lengths; each tells what the bytes one by one have told. */
static void scan_pieces(size_t complete, uint64_t lengths)
{
	struct handover_scan scan = {0};
	size_t piece;

	for (size_t at = 0; at < len; at += piece) {
		lengths = lengths * UINT64_C(6364136223846793005) + 1;
		piece = 1 + (lengths >> 33) % 32;
		piece = piece < len - at ? piece : len - at;
		if (handover_scan(&scan, text + at, piece)) {
			fuzz_must(complete > at && complete <= at + piece, "complete in pieces");
			return;
		}
	}
	fuzz_must(complete == len + 1, "never complete in pieces");
}

static bool same(const struct regions *a, const struct regions *b)
{
	return a->n == b->n && memcmp(a->at, b->at, a->n * sizeof(a->at[0])) == 0;
}

/* As the newest release writes it. */
static void read_anew(const struct regions *regions)
{
	static char written[REGIONS_MOST * 192];
	static struct regions again;
	size_t used = (size_t)snprintf(written, sizeof(written), "[");

	for (size_t i = 0; i < regions->n; i++) {
		const struct region *r = &regions->at[i];

		used += (size_t)snprintf(written + used, sizeof(written) - used,
					 "%s{\"base_host_virt_addr\":%" PRIu64 ",\"size\":%" PRIu64
					 ",\"offset\":%" PRIu64 ",\"page_size\":%" PRIu64 "}",
					 i ? "," : "", r->va, r->size, r->off, r->page_size);
		fuzz_must((r->va | r->size | r->off | r->page_size) >> 63 == 0, "above 2^63");
	}
	used += (size_t)snprintf(written + used, sizeof(written) - used, "]");
	if (used > HANDOVER_TEXT_MOST)
		return;
	fuzz_must(handover_parse(written, used, &again) == 0, "cannot be read anew");
	fuzz_must(same(regions, &again), "read anew it is another");
}

static void taken(const struct regions *regions, size_t complete)
{
	static struct regions again;

	fuzz_must(regions->n <= REGIONS_MOST, "too many regions");
	fuzz_must(complete <= len, "taken, but never complete");
	for (size_t i = complete; i < len; i++)
		fuzz_must(strchr(" \t\r\n", text[i]) && text[i], "taken with more behind it");
	fuzz_must(handover_parse(text, complete, &again) == 0, "complete, but refused");
	fuzz_must(same(regions, &again), "complete, but another");
	for (size_t i = 0; i < complete && complete <= PREFIXES_MOST; i++)
		fuzz_must(handover_parse(text, i, &again) < 0, "taken before it was complete");
	read_anew(regions);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct regions regions;
	size_t complete;
	int r;

	text = (const char *)data;
	len = size;
	complete = complete_at();
	scan_pieces(complete, size);
	scan_pieces(complete, size ? data[size / 2] : 0);
	r = handover_parse(text, len, &regions);
	if (r == 0) {
		taken(&regions, complete);
		return 0;
	}
	fuzz_must(r == -EINVAL || r == -ENOMEM, "another error");
	fuzz_must(fail_text(r)[0] != '\0', "no words");
	return 0;
}
