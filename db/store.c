/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making a store: everything else first, index.db last and by rename, because a
 * directory with an index.db is a store. What an init that was cut off left
 * behind is taken over.
 *
 * Opening one: how it can be accessed, the locks, then the proof: schema, uuid
 * and generation. The file `generation` is read before the index, which other
 * processes may be moving on meanwhile: the index is then the same or ahead.
 */
#include "config.h"

#include "db/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/fail.h"
#include "base/io.h"
#include "db/generation.h"
#include "db/index.h"
#include "db/lock.h"
#include "db/map-cache.h"
#include "db/pack-cache.h"
#include "db/reserve.h"
#include "db/rows.h"
#include "db/schema.h"
#include "db/sql.h"
#include "db/store-private.h"

static const char *const store_names[] = {
	"generation",	    "generation.tmp",	"holders", "index.db.new", "index.db.new-journal",
	"index.db.new-wal", "index.db.new-shm", "lock",	   "packs",	   "reserve",
};

static bool is_store_name(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(store_names); i++)
		if (strcmp(store_names[i], name) == 0)
			return true;
	return false;
}

/* -EEXIST where a store is, -ENOTEMPTY where other things are. */
static int check_unused(const char *path)
{
	char index_path[PATH_MAX];
	struct dirent *entry;
	DIR *dir = opendir(path);
	int r = 0;

	if (!dir)
		return fail_with(-errno, "%s: %s", path, strerror(errno));
	snprintf(index_path, sizeof(index_path), "%s/index.db", path);
	if (access(index_path, F_OK) == 0)
		r = fail_with(-EEXIST, "%s is a store already", path);
	while (r == 0 && (entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
		    strcmp(entry->d_name, "lost+found") == 0)
			continue;
		if (!is_store_name(entry->d_name))
			r = fail_with(-ENOTEMPTY,
				      "%s holds other files (%s): give an empty or a new directory",
				      path, entry->d_name);
	}
	closedir(dir);
	return r;
}

/* What an init that was cut off leaves has no packs; those of a store that lost its
 * index are not to be mixed with new ones. */
static int check_no_packs(const char *path)
{
	char packs[PATH_MAX];

	snprintf(packs, sizeof(packs), "%s/packs", path);
	if (rmdir(packs) < 0 && errno != ENOENT)
		return fail_with(-ENOTEMPTY,
				 "%s holds packs of a store that has lost its index.db: put that "
				 "back, or remove what is left",
				 path);
	return 0;
}

static int make_dir(const char *path)
{
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return fail_with(-errno, "%s: %s", path, strerror(errno));
	return 0;
}

/* Makes STORE/lock and keeps other inits out until *ret_fd is closed. */
static int lock_init(const char *path, int *ret_fd)
{
	char lock_path[PATH_MAX];
	AUTO_CLOSE int fd = -1;
	int r;

	snprintf(lock_path, sizeof(lock_path), "%s/lock", path);
	fd = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return fail_with(-errno, "%s: %s", lock_path, strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return fail_with(errno == EWOULDBLOCK ? -EBUSY : -errno,
				 "%s is being made by another process", path);
	*ret_fd = TAKE_FD(fd);
	r = check_unused(path); /* again: another init may just have ended */
	return r < 0 ? r : check_no_packs(path);
}

/* All but index.db, and the name of the new index in new_index. */
static int make_parts(const char *path, const uint8_t *uuid, char new_index[PATH_MAX])
{
	static const char *const suffixes[] = {"", "-journal", "-wal", "-shm"};
	char part[PATH_MAX + 16];
	int r;

	snprintf(part, sizeof(part), "%s/packs", path);
	r = make_dir(part);
	snprintf(part, sizeof(part), "%s/holders", path);
	if (r == 0)
		r = make_dir(part);
	if (r == 0)
		r = generation_write(path, uuid, 1);
	if (r < 0)
		return r;
	snprintf(new_index, PATH_MAX, "%s/index.db.new", path);
	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		snprintf(part, sizeof(part), "%s%s", new_index, suffixes[i]);
		unlink(part);
	}
	return schema_create(new_index, uuid);
}

/* The entry of the store's own directory, which may be new. Where the directory above
 * may not be read it cannot be synced: it was made by someone else then. */
static int sync_above(const char *path)
{
	char above[PATH_MAX];
	int r;

	snprintf(above, sizeof(above), "%s/..", path); /* path may end in a slash */
	r = io_sync_dir(above);
	return r == -EACCES ? 0 : r;
}

int store_init(const char *path)
{
	char index_path[PATH_MAX];
	char new_index[PATH_MAX];
	uint8_t uuid[STORE_UUID_BYTES];
	AUTO_CLOSE int lock_fd = -1;
	int r;

	if (strlen(path) + 32 > PATH_MAX)
		return fail_with(-ENAMETOOLONG, "%.60s...: the path is too long", path);
	if (getrandom(uuid, sizeof(uuid), 0) != sizeof(uuid))
		return fail_with(-EIO, "the kernel gives no random bytes for an id");
	r = make_dir(path);
	if (r == 0)
		r = check_unused(path);
	if (r == 0)
		r = lock_init(path, &lock_fd);
	if (r == 0)
		r = make_parts(path, uuid, new_index);
	if (r < 0)
		return r;
	reserve_make(path);
	snprintf(index_path, sizeof(index_path), "%s/index.db", path);
	if (rename(new_index, index_path) < 0)
		return fail_with(-errno, "%s: %s", index_path, strerror(errno));
	r = io_sync_dir(path);
	if (r == 0)
		r = sync_above(path);
	return r < 0 ? fail_with(r, "%s: %s", path, strerror(-r)) : 0;
}

static int paths_set(struct store *store, const char *path)
{
	store->path = realpath(path, NULL);
	if (!store->path)
		return fail_with(-errno,
				 errno == ENOENT ? "no store at %s: make one with 'pagoda init'"
						 : "%s: cannot be reached",
				 path);
	if (strlen(store->path) + 32 > PATH_MAX)
		return fail_with(-ENAMETOOLONG, "%.60s...: the path is too long", path);
	if (asprintf(&store->index_path, "%s/index.db", store->path) < 0) {
		store->index_path = NULL;
		return fail_with(-ENOMEM, "out of memory");
	}
	return 0;
}

static bool is_there(const char *dir, const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return access(path, F_OK) == 0;
}

/* A directory without index.db: was there a store? */
static int no_index(const char *path)
{
	if (is_there(path, "generation") && is_there(path, "packs"))
		return fail_with(-EBADMSG,
				 "%s/index.db is missing: put it back from a copy (with its -wal), "
				 "or remove what is left of the store",
				 path);
	return fail_with(-ENOENT, "no store at %s: make one with 'pagoda init'", path);
}

/* Size of a file beside index.db; -1 where it is not there. */
static int64_t beside_size(const struct store *store, const char *suffix)
{
	char path[PATH_MAX];
	struct stat st;

	snprintf(path, sizeof(path), "%s%s", store->index_path, suffix);
	return stat(path, &st) < 0 ? -1 : (int64_t)st.st_size;
}

/*
 * Without the right to write, SQLite needs the file -shm of a connection that has
 * it. Where there is none, nobody has the store open; with an empty log index.db
 * then is all there is. With commits in the log there is no way to read them.
 */
static int access_find(struct store *store)
{
	struct statvfs fs;
	struct stat st;
	int error = stat(store->index_path, &st) < 0 ? errno : 0;

	if (error && error != ENOENT && error != ENOTDIR)
		return fail_with(-error, "%s: %s", store->index_path, strerror(error));
	if (error || !S_ISREG(st.st_mode))
		return no_index(store->path);
	if (statvfs(store->path, &fs) < 0)
		return fail_with(-errno, "%s: %s", store->path, strerror(errno));
	if (!(fs.f_flag & ST_RDONLY) && faccessat(AT_FDCWD, store->path, W_OK, AT_EACCESS) == 0 &&
	    faccessat(AT_FDCWD, store->index_path, R_OK | W_OK, AT_EACCESS) == 0)
		store->access = STORE_WRITABLE;
	else if (faccessat(AT_FDCWD, store->index_path, R_OK, AT_EACCESS) < 0)
		return fail_with(-errno, "%s: %s", store->index_path, strerror(errno));
	else if (beside_size(store, "-shm") > 0)
		store->access = STORE_READABLE;
	else if (beside_size(store, "-wal") <= 0)
		store->access = STORE_IMMUTABLE;
	else
		return fail_with(-EROFS,
				 "%s-wal holds commits that cannot be read without writing: "
				 "open the store once where it can be written",
				 store->index_path);
	return 0;
}

static int check_identity(struct store *store, struct index *index, const uint8_t *uuid,
			  uint64_t generation)
{
	AUTO_RESET sqlite3_stmt *query = NULL;
	int r = sql_get(index, "SELECT uuid, generation FROM store WHERE id = 1", &query);

	if (r == 0)
		r = sql_step(index, query);
	if (r < 0)
		return r;
	if (r == 0 || sqlite3_column_bytes(query, 0) != STORE_UUID_BYTES)
		return fail_with(-EBADMSG, "index.db: the row of table store is missing");
	if (memcmp(sqlite3_column_blob(query, 0), uuid, STORE_UUID_BYTES) != 0)
		return fail_with(-EBADMSG, "index.db belongs to another store than the file "
					   "generation beside it");
	if (sql_column(query, 1) < generation)
		return fail_with(-EBADMSG,
				 "index.db has lost commits: it is at generation %" PRIu64
				 ", the store was at %" PRIu64
				 " (copied without its -wal, or an old one put back)",
				 sql_column(query, 1), generation);
	memcpy(store->uuid, uuid, STORE_UUID_BYTES);
	return 0;
}

static int prove(struct store *store)
{
	AUTO(index_close_at) struct index *index = NULL;
	uint8_t uuid[STORE_UUID_BYTES];
	uint64_t generation;
	int r = generation_read(store->path, uuid, &generation);

	if (r == 0)
		r = index_open(store, &index);
	if (r == 0)
		r = schema_check(index);
	if (r == 0)
		r = check_identity(store, index, uuid, generation);
	return r;
}

int store_open(const char *path, struct store **ret_store)
{
	AUTO(store_close_at) struct store *store = calloc(1, sizeof(*store));
	int r = store ? paths_set(store, path) : fail_with(-ENOMEM, "out of memory");

	if (r == 0)
		r = access_find(store);
	if (r == 0)
		r = locks_open(store->path, store->access == STORE_WRITABLE, &store->locks);
	if (r == 0)
		r = row_cache_new(&store->row_cache);
	if (r == 0)
		r = map_cache_new(&store->map_cache);
	if (r == 0)
		r = pack_cache_new(&store->pack_cache);
	if (r == 0)
		r = prove(store);
	if (r < 0)
		return r;
	*ret_store = TAKE_PTR(store);
	return 0;
}

void store_close(struct store *store)
{
	if (!store)
		return;
	pack_cache_free(store->pack_cache);
	map_cache_free(store->map_cache);
	row_cache_free(store->row_cache);
	locks_close(store->locks);
	free(store->index_path);
	free(store->path);
	free(store);
}

const char *store_path(const struct store *store)
{
	return store->path;
}

const uint8_t *store_uuid(const struct store *store)
{
	return store->uuid;
}

bool store_is_writable(const struct store *store)
{
	return store->access == STORE_WRITABLE;
}

void store_set_holder(struct store *store, const char *command)
{
	locks_set_command(store->locks, command);
}
