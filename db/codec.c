/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A zstd block is one frame without its first 4 bytes, which are the same in all.
 * They come back before decoding, so a block can be nothing but a frame of today's
 * format: no skippable one, and none that a decoder of years ago would get to see.
 */
#include "config.h"

#include "db/codec.h"

#include <errno.h>
#include <lz4.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#if defined(HAVE_ZSTD) && !defined(CODEC_WITHOUT_ZSTD) /* a test builds one without */
#define WITH_ZSTD
#include <zstd.h>
#endif

#include "base/fail.h"
#include "db/store.h"

static const char *const names[CODECS] = {[CODEC_LZ4] = "lz4", [CODEC_ZSTD] = "zstd"};

const char *codec_name(enum codec codec)
{
	return names[codec];
}

static bool is_built_in(enum codec codec)
{
#ifdef WITH_ZSTD
	return codec == CODEC_LZ4 || codec == CODEC_ZSTD;
#else
	return codec == CODEC_LZ4;
#endif
}

int codec_find(const char *name, enum codec *ret)
{
	for (size_t i = 0; i < CODECS; i++) {
		if (strcmp(names[i], name) != 0)
			continue;
		if (!is_built_in((enum codec)i))
			return fail_with(-EINVAL,
					 "codec %s: this program was built without libzstd: use "
					 "lz4, or a program built with it",
					 name);
		*ret = (enum codec)i;
		return 0;
	}
	return fail_with(-EINVAL, "no codec '%.40s': there are lz4 and zstd", name);
}

static size_t lz4_encode(const void *plain, void *packed, size_t room)
{
	int n = LZ4_compress_default(plain, packed, PAGE_BYTES, (int)room);

	return n > 0 ? (size_t)n : 0;
}

static bool lz4_decode(const void *packed, size_t length, void *plain)
{
	return LZ4_decompress_safe(packed, plain, (int)length, PAGE_BYTES) == PAGE_BYTES;
}

#ifdef WITH_ZSTD

/* Measured on 10,098 pages of a guest, CPU time a page: level 3 makes them 12.14 MiB in 14 us,
 * 5 11.94 in 26, 6 11.91 in 33, 9 11.89 in 81. From 12 on it looks for matches of 3 bytes,
 * of which a page has many: 11.27 in 205 and, looking less hard, 11.31 in 147; 19 11.16 in
 * 724. Decoding takes 4 to 5 us whatever the level. */
static const struct {
	int level;
	int search_log; /* 0: that of the level */
} settings[] = {[CODEC_QUICK] = {6, 0}, [CODEC_THOROUGH] = {12, 2}};

#define MAGIC_BYTES 4
/* A frame may be longer than what it saves, before it is found out to be. */
#define FRAME_BYTES (PAGE_BYTES + 128)

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t encoder_key; /* ZSTD_CCtx of the thread */
static pthread_key_t decoder_key; /* ZSTD_DCtx of the thread */
static int key_error;

static void encoder_free(void *context)
{
	ZSTD_freeCCtx(context);
}

static void decoder_free(void *context)
{
	ZSTD_freeDCtx(context);
}

static void keys_make(void)
{
	key_error = pthread_key_create(&encoder_key, encoder_free);
	if (key_error == 0)
		key_error = pthread_key_create(&decoder_key, decoder_free);
}

static int keys_need(void)
{
	pthread_once(&once, keys_make);
	return key_error ? fail_with(-key_error, "zstd: %s", strerror(key_error)) : 0;
}

/* All pages are of one size, which no frame needs to name: a byte a page. */
static bool encoder_set(ZSTD_CCtx *context, enum codec_effort effort)
{
	return !ZSTD_isError(ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel,
						    settings[effort].level)) &&
	       !ZSTD_isError(ZSTD_CCtx_setParameter(context, ZSTD_c_searchLog,
						    settings[effort].search_log)) &&
	       !ZSTD_isError(ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0));
}

static int encoder_get(enum codec_effort effort, ZSTD_CCtx **ret)
{
	ZSTD_CCtx *context;
	int r = keys_need();

	if (r < 0)
		return r;
	context = pthread_getspecific(encoder_key);
	if (!context) {
		context = ZSTD_createCCtx();
		if (!context || pthread_setspecific(encoder_key, context) != 0) {
			ZSTD_freeCCtx(context);
			return fail_with(-ENOMEM, "out of memory");
		}
	}
	if (!encoder_set(context, effort))
		return fail_with(-ENOMEM, "out of memory");
	*ret = context;
	return 0;
}

static int decoder_get(ZSTD_DCtx **ret)
{
	ZSTD_DCtx *context;
	int r = keys_need();

	if (r < 0)
		return r;
	context = pthread_getspecific(decoder_key);
	if (!context) {
		context = ZSTD_createDCtx();
		if (!context || pthread_setspecific(decoder_key, context) != 0) {
			ZSTD_freeDCtx(context);
			return fail_with(-ENOMEM, "out of memory");
		}
	}
	*ret = context;
	return 0;
}

static int zstd_encode(enum codec_effort effort, const void *plain, void *packed, size_t room,
		       size_t *ret_length)
{
	char frame[FRAME_BYTES];
	ZSTD_CCtx *context = NULL;
	size_t n;
	int r = encoder_get(effort, &context);

	if (r < 0)
		return r;
	n = ZSTD_compress2(context, frame, sizeof(frame), plain, PAGE_BYTES);
	if (ZSTD_isError(n)) /* the frame has room for any page: the context's tables had none */
		return fail_with(-ENOMEM, "zstd: %s", ZSTD_getErrorName(n));
	*ret_length = n - MAGIC_BYTES <= room ? n - MAGIC_BYTES : 0;
	memcpy(packed, frame + MAGIC_BYTES, *ret_length);
	return 0;
}

static int zstd_decode(const void *packed, size_t length, void *plain)
{
	static const unsigned char magic[MAGIC_BYTES] = {0x28, 0xb5, 0x2f, 0xfd};
	char frame[FRAME_BYTES];
	ZSTD_DCtx *context = NULL;
	int r = length <= PAGE_BYTES ? decoder_get(&context) : -EBADMSG;

	if (r < 0)
		return r;
	memcpy(frame, magic, MAGIC_BYTES);
	memcpy(frame + MAGIC_BYTES, packed, length);
	length += MAGIC_BYTES;
	/* one frame and nothing behind it, which may be of another format */
	if (ZSTD_findFrameCompressedSize(frame, length) != length)
		return -EBADMSG;
	return ZSTD_decompressDCtx(context, plain, PAGE_BYTES, frame, length) == PAGE_BYTES
		       ? 0
		       : -EBADMSG;
}

#else

/* Not damage: another program reads it. */
static int fail_missing(enum codec codec)
{
	return fail_with(-EPROTONOSUPPORT,
			 "compressed with %s, and this program was built without libzstd: use one "
			 "built with it",
			 codec_name(codec));
}

#endif

int codec_encode(enum codec codec, enum codec_effort effort, const void *plain, void *packed,
		 size_t room, size_t *ret_length)
{
	if (codec == CODEC_LZ4) {
		*ret_length = lz4_encode(plain, packed, room);
		return 0;
	}
#ifdef WITH_ZSTD
	return zstd_encode(effort, plain, packed, room, ret_length);
#else
	(void)effort;
	return fail_missing(codec);
#endif
}

int codec_decode(enum codec codec, const void *packed, size_t length, void *plain)
{
	int r = -EBADMSG;

	if (codec == CODEC_LZ4)
		r = lz4_decode(packed, length, plain) ? 0 : -EBADMSG;
#ifdef WITH_ZSTD
	else
		r = zstd_decode(packed, length, plain);
#else
	else
		return fail_missing(codec);
#endif
	return r == -EBADMSG ? fail_with(r, "does not decode to a page") : r;
}
