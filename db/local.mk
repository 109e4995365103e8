# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libdb.a
libdb_a_CFLAGS = $(AM_CFLAGS) $(SQLITE_CFLAGS) $(LZ4_CFLAGS) $(XXHASH_CFLAGS) $(JANSSON_CFLAGS)
libdb_a_SOURCES = \
	db/catalog.h \
	db/check.h \
	db/export.h \
	db/import.h \
	db/index.h \
	db/info.c db/info.h \
	db/map.c db/map.h \
	db/pages.h \
	db/snapshot.h \
	db/store.h

DB_LIBS = libdb.a libbase.a $(SQLITE_LIBS) $(LZ4_LIBS) $(XXHASH_LIBS) $(JANSSON_LIBS)

# The schema as a C string, included as "db/schema.sql.h".
BUILT_SOURCES += db/schema.sql.h
CLEANFILES += db/schema.sql.h
EXTRA_DIST += db/schema.sql
db/schema.sql.h: $(srcdir)/db/schema.sql
	@$(MKDIR_P) db
	$(AM_V_GEN)sed -e 's/ *--.*$$//' -e '/^$$/d' -e 's/\\/\\\\/g' -e 's/"/\\"/g' \
		-e 's/^/"/' -e 's/$$/\\n"/' $(srcdir)/db/schema.sql > $@.tmp && mv $@.tmp $@
