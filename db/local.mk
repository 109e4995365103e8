# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libdb.a
libdb_a_SOURCES = \
	db/appender.c db/appender.h \
	db/attachment.c db/attachment.h \
	db/attachment-private.h \
	db/byte-lock.c db/byte-lock.h \
	db/catalog.c db/catalog.h \
	db/catalog-edit.c \
	db/catalog-private.h \
	db/check.c db/check.h \
	db/check-private.h \
	db/check-rows.c \
	db/codec.c db/codec.h \
	db/check-run.c db/check-run.h \
	db/committer.c db/committer.h \
	db/compare.c db/compare.h \
	db/copy.c db/copy.h \
	db/copy-match.c \
	db/copy-private.h \
	db/damage.c db/damage.h \
	db/damage-private.h \
	db/digest.c db/digest.h \
	db/discard.c db/discard.h \
	db/export.c db/export.h \
	db/gc.c db/gc.h \
	db/gc-packs.c \
	db/gc-private.h \
	db/gc-repack.c \
	db/fork.c db/fork.h \
	db/generation.c db/generation.h \
	db/holder.c db/holder.h \
	db/image.c db/image.h \
	db/import.c db/import.h \
	db/import-row.c db/import-row.h \
	db/index.c db/index.h \
	db/index-private.h \
	db/info.c db/info.h \
	db/draft.c db/draft.h \
	db/draft-private.h \
	db/draft-read.c \
	db/draft-seen.c db/draft-seen.h \
	db/draft-store.c \
	db/draft-tidy.c \
	db/draft-vmstate.c db/draft-vmstate.h \
	db/draft-write.c \
	db/known.c db/known.h \
	db/layer.c db/layer.h \
	db/layer-edit.c db/layer-edit.h \
	db/lock.c db/lock.h \
	db/map.c db/map.h \
	db/map-cache.c db/map-cache.h \
	db/marks.c db/marks.h \
	db/pack-cache.c db/pack-cache.h \
	db/pack-make.c db/pack-make.h \
	db/pack.c db/pack.h \
	db/overlay.c db/overlay.h \
	db/page.c db/page.h \
	db/pages.c db/pages.h \
	db/pages-private.h \
	db/parent.c db/parent.h \
	db/pending.c db/pending.h \
	db/read-ahead.c db/read-ahead.h \
	db/reader.c db/reader.h \
	db/recent.c db/recent.h \
	db/places.c db/places.h \
	db/repack.c db/repack.h \
	db/reserve.c db/reserve.h \
	db/resolve.c db/resolve.h \
	db/row-batch.c db/row-batch.h \
	db/rows.c db/rows.h \
	db/schema.c db/schema.h \
	db/snapshot.c db/snapshot.h \
	db/sql.h \
	db/store.c db/store.h \
	db/step.c db/step.h \
	db/store-private.h \
	db/transaction.c db/transaction.h \
	db/wal.c db/wal.h \
	db/window.c db/window.h

DB_LIBS = libdb.a libbase.a $(SQLITE_LIBS) $(LZ4_LIBS) $(ZSTD_LIBS) $(XXHASH_LIBS) $(JANSSON_LIBS)

# The schema as a C string, included as "db/schema.sql.h".
BUILT_SOURCES += db/schema.sql.h
CLEANFILES += db/schema.sql.h
EXTRA_DIST += db/schema.sql
db/schema.sql.h: $(srcdir)/db/schema.sql
	@$(MKDIR_P) db
	$(AM_V_GEN)sed -e 's/ *--.*$$//' -e '/^$$/d' -e 's/\\/\\\\/g' -e 's/"/\\"/g' \
		-e 's/^/"/' -e 's/$$/\\n"/' $(srcdir)/db/schema.sql > $@.tmp && mv $@.tmp $@
# A target made alone does not make what BUILT_SOURCES names.
db/schema.$(OBJEXT): db/schema.sql.h
