-- SPDX-License-Identifier: Apache-2.0
--
-- The index of a Pagoda store: STORE/index.db, SQLite 3 in WAL mode.
--
-- This file is the reference for who opens index.db with the sqlite3 shell
-- (`sqlite3 -readonly`: no other program may write, see pagoda-store(5)).
-- A store whose schema is not these very words is refused.
--
-- Units: sizes and offsets are bytes, pgno is a guest page number (byte offset
-- in the image / 4096), counts are pages, times are nanoseconds since 1970 UTC.

PRAGMA application_id = 0x5061676f; -- "Pago"
-- The format number: newer is refused. The transaction that writes the first page of
-- another codec than LZ4 makes it 2, and nothing else differs: a program that does not
-- know codecs refuses the store then, and has no need to before.
PRAGMA user_version = 1;

-- One row. uuid is also in the file `generation` and in every pack, so that
-- files of two stores never mix. generation counts the commits that changed
-- what exists; the file holds the same number, and an index behind it has
-- lost commits.
CREATE TABLE store (
	id INTEGER PRIMARY KEY CHECK (id = 1),
	uuid BLOB NOT NULL CHECK (length(uuid) = 16),
	generation INTEGER NOT NULL,
	created_ns INTEGER NOT NULL
) STRICT;

-- state: 0 importing (invisible, leased by its importer), 1 draft, 2 sealed.
-- An id is never used twice: it is part of inode numbers and lock offsets.
-- digest (XXH3-128) is over, page by page in order, a kind byte and 8 bytes: 1
-- and the page's hash for data, 0 and zeros for zero; absent in every layer
-- counts as zero; then size and page_size (8 bytes each). All little-endian.
-- layer_digest is the same over this layer alone, where absent is kind 2.
-- Both are NULL until the snapshot is sealed.
-- The counts after them: data_pages of the merged image; of this layer
-- layer_data pages with data and layer_zero explicit zero pages; of its data
-- stored_pages were new to the store when it was imported (stored_bytes in
-- packs), and the rest was shared. The last two are history: nothing depends on
-- them, and check does not prove them.
CREATE TABLE snapshot (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	name TEXT NOT NULL UNIQUE,
	parent INTEGER REFERENCES snapshot (id),
	size INTEGER NOT NULL,
	page_size INTEGER NOT NULL,
	state INTEGER NOT NULL,
	created_ns INTEGER NOT NULL,
	note TEXT NOT NULL DEFAULT '',
	digest BLOB,
	layer_digest BLOB,
	data_pages INTEGER NOT NULL DEFAULT 0,
	layer_data INTEGER NOT NULL DEFAULT 0,
	layer_zero INTEGER NOT NULL DEFAULT 0,
	stored_pages INTEGER NOT NULL DEFAULT 0,
	stored_bytes INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Imports under way, or cut off and not yet swept.
CREATE INDEX importing ON snapshot (id) WHERE state = 0;

-- A run of guest pages of one layer: pgno first .. first+count-1. page is the
-- id of the first stored page and ids are consecutive along the run; NULL is a
-- run of zero pages. A guest page in no extent of a layer belongs to the parent.
CREATE TABLE extent (
	snapshot INTEGER NOT NULL REFERENCES snapshot (id),
	first INTEGER NOT NULL,
	count INTEGER NOT NULL,
	page INTEGER,
	PRIMARY KEY (snapshot, first)
) STRICT, WITHOUT ROWID;

-- One stored page of 4096 bytes, at `offset` of packs/<pack>.pack. length is bytes +
-- 65536 * codec: codec 0 is an LZ4 block, or the plain bytes where there are 4096; codec
-- 1 (format 2) a zstd frame without its magic number, shorter than 4096 bytes. hash is
-- XXH3-64 of the plain bytes. Several rows may name one place in a pack: an alias keeps a run's
-- ids consecutive where a page is shared.
CREATE TABLE page (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	hash INTEGER NOT NULL,
	pack INTEGER NOT NULL,
	offset INTEGER NOT NULL,
	length INTEGER NOT NULL
) STRICT;

-- For de-duplication. A match is a hint: bytes are compared before sharing.
CREATE INDEX page_hash ON page (hash);

-- Packs in use and which import (snapshot id) wrote each. A doomed pack may be
-- dropped: no import shares its pages any more, and once it is proved that no
-- extent needs one, its rows go in steps, then the file. A number is never used
-- twice.
CREATE TABLE pack (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	maker INTEGER NOT NULL,
	doomed INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Pages of a draft made durable by a small fsync, moved to a pack later; each is
-- newer than an extent that covers it. data is empty for a zero page, else the
-- hash of the plain page (8 bytes, little-endian) and the page as in a pack, codec 0.
CREATE TABLE pending (
	snapshot INTEGER NOT NULL REFERENCES snapshot (id),
	pgno INTEGER NOT NULL,
	data BLOB NOT NULL,
	PRIMARY KEY (snapshot, pgno)
) STRICT, WITHOUT ROWID;

-- Small files kept with a snapshot: `vmstate` as given (a draft without one has
-- its parent's), `workingset`, and of what is or was a draft `changed`: 16 bytes,
-- little-endian, a version that grows with each change, and when that was.
CREATE TABLE attachment (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	snapshot INTEGER NOT NULL REFERENCES snapshot (id),
	name TEXT NOT NULL,
	hash INTEGER NOT NULL, -- XXH3-64 of data
	data BLOB NOT NULL,
	UNIQUE (snapshot, name)
) STRICT;
