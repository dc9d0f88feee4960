// SPDX-License-Identifier: Apache-2.0
/* The catalog: what is listed, found, counted, hidden; runs and their rules; damaged, foreign and newer
 * files; a full disk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <keepfs/base/clock.h>
#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/workers.h>
#include <keepfs/catalog.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/audit.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/catalog/intents.h>
#include <keepfs/catalog/probes.h>
#include <keepfs/catalog/rebuild.h>
#include <keepfs/catalog/runs.h>
#include <keepfs/codec/manifest.h>
#include <keepfs/codec/name.h>

#include "catalog_test.h"

#define SECONDS INT64_C(1795140000) /* 2026-11-20T02:00:00Z */
#define AT_US   (SECONDS * US_PER_S)

struct fixture {
	char directory[64];
	struct catalog *catalog;
};

static int set_up(void **state)
{
	struct fixture *f = mem_alloc(sizeof(*f));

	str_copy(f->directory, sizeof(f->directory), "/tmp/keepfs-catalog-XXXXXX");
	assert_non_null(mkdtemp(f->directory));
	assert_int_equal(catalog_open(f->directory, &f->catalog, NULL), 0);
	*state = f;
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	catalog_free(f->catalog);
	nftw(f->directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	free(f);
	return 0;
}

static void reopen(struct fixture *f)
{
	catalog_free(take_ptr(&f->catalog));
	assert_int_equal(catalog_open(f->directory, &f->catalog, NULL), 0);
}

static char *file_path(const struct fixture *f, const char *name)
{
	return mem_printf("%s/%s", f->directory, name);
}

static void seal(struct manifest *m)
{
	size_t len;

	free(manifest_seal_extents(m, &len));
}

static void add_file(struct manifest *m, const char *name, uint32_t size)
{
	struct manifest_file *f = manifest_add_file(m, name);
	uint8_t digest[SHA256_BYTES];

	f->size_bytes = size;
	sha256_once(name, strlen(name), digest);
	hex_encode(digest, sizeof(digest), f->sha256);
	if (size > 0)
		extents_append(&f->extents, size, size);
}

/* A manifest of @size bytes, finished one second after its name says it began. */
static void fill(struct manifest *m, const char *directory, int64_t sequence, int64_t run_id, uint32_t size)
{
	char name[NAME_MAX_BYTES];
	uint8_t digest[SHA256_BYTES];

	name_format(sequence, ".dump", name);
	*m = (struct manifest){
	        .path = mem_printf("%s/%s", directory, name),
	        .job = mem_strdup("full"),
	        .kind = mem_strdup("dump"),
	        .database = mem_strdup("primary"),
	        .server_version = mem_strdup("15.18"),
	        .tool_version = mem_strdup("15.18"),
	        .triggered_by = mem_strdup("uid 0 (bash)"),
	        .format = mem_strdup("custom"),
	        .content = mem_strdup("full"),
	        .compression = mem_strdup("gzip"),
	        .keepfs_version = mem_strdup("0.1.0"),
	        .run_id = run_id,
	        .started_at_us = sequence / 1000 * US_PER_S,
	        .finished_at_us = (sequence / 1000 + 1) * US_PER_S + 5,
	        .size_bytes = size,
	        .stored_bytes = size,
	};
	sha256_once(m->path, strlen(m->path), digest);
	hex_encode(digest, sizeof(digest), m->sha256);
	hex_encode(digest, sizeof(digest), m->stored_sha256);
	extents_append(&m->extents, size, 0xabcdef01);
	seal(m);
}

/* With two files beside it, of 3 and of 0 bytes. */
static void fill_beside(struct manifest *m, const char *directory, int64_t sequence, int64_t run_id,
                        uint32_t size)
{
	char name[NAME_MAX_BYTES];

	fill(m, directory, sequence, run_id, size);
	name_format(sequence, ".tables.csv", name);
	add_file(m, name, 3);
	name_format(sequence, ".globals.sql.gz", name);
	add_file(m, name, 0);
	seal(m);
}

/* A directory of @count files: "f0" of 1 byte, "f1" of 2, … */
static void fill_directory(struct manifest *m, const char *directory, int64_t sequence, int64_t run_id,
                           uint32_t count)
{
	char name[NAME_MAX_BYTES];

	fill(m, directory, sequence, run_id, 1);
	name_format(sequence, "", name);
	free(m->path);
	m->path = mem_printf("%s/%s", directory, name);
	mem_replace_string(&m->format, "directory");
	m->is_directory = true;
	m->stored_bytes = m->size_bytes = 0;
	m->stored_sha256[0] = '\0';
	extents_finish(&m->extents);
	for (uint32_t i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		add_file(m, name, i + 1);
		m->size_bytes += i + 1;
	}
	seal(m);
}

static int add(struct fixture *f, const char *directory, int64_t sequence, int64_t run_id, uint32_t size)
{
	_cleanup(manifest) struct manifest m = {0};

	fill(&m, directory, sequence, run_id, size);
	return catalog_add_artifact(f->catalog, &m, NULL);
}

static uint64_t ino_at(const char *directory, int64_t sequence)
{
	char name[NAME_MAX_BYTES];
	_cleanup(free) char *path = NULL;

	name_format(sequence, ".dump", name);
	path = mem_printf("%s/%s", directory, name);
	return ino_of_artifact(path);
}

static struct catalog_entry entry_of(struct fixture *f, uint64_t ino)
{
	struct catalog_entry entry = {0};

	assert_int_equal(catalog_entry_by_ino(f->catalog, ino, &entry), 0);
	return entry;
}

static void files_are_for_their_owner_alone(void **state)
{
	static const char *const names[] = {"catalog.db", "catalog.db-wal", "catalog.db-shm"};
	struct fixture *f = *state;

	assert_int_equal(catalog_ensure_directory(f->catalog, "backups/full", AT_US, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup(free) char *path = file_path(f, names[i]);
		struct stat st;

		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 0777, 0600);
	}
}

static void directories_are_made_with_their_parents(void **state)
{
	struct fixture *f = *state;
	struct catalog_entry entry;

	assert_int_equal(entry_of(f, 0).subdirectories, 0);
	assert_int_equal(catalog_ensure_directory(f->catalog, "backups/tenants/acme", AT_US, NULL), 0);
	assert_int_equal(catalog_ensure_directory(f->catalog, "backups/tenants/acme", AT_US + 9, NULL), 0);
	assert_int_equal(catalog_ensure_directory(f->catalog, "backups/full", AT_US + 9, NULL), 0);
	assert_int_equal(entry_of(f, 0).subdirectories, 2);
	assert_int_equal(entry_of(f, 0).mtime_us, AT_US);
	assert_int_equal(catalog_entry_by_name(f->catalog, 0, "tenants", &entry), 0);
	assert_int_equal(entry.ino, ino_of_directory("backups/tenants"));
	assert_true(entry.is_directory);
	assert_int_equal(entry.subdirectories, 1);
	assert_int_equal(catalog_entry_by_name(f->catalog, entry.ino, "acme", &entry), 0);
	assert_int_equal(entry.parent_ino, ino_of_directory("backups/tenants"));
	assert_int_equal(entry.mtime_us, AT_US);
	assert_int_equal(catalog_entry_by_name(f->catalog, 0, "acme", &entry), -ENOENT);
	assert_int_equal(catalog_entry_by_ino(f->catalog, ino_of_directory("backups/other"), &entry),
	                 -ENOENT);
}

static void bad_directories_are_refused(void **state)
{
	static const char *const bad[] = {"",
	                                  "full",
	                                  "/backups/full",
	                                  "backups/",
	                                  "backups//full",
	                                  "backups/full/",
	                                  "backups/../full",
	                                  "backupsx/full",
	                                  "backups/.hidden"};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct error err = {0};

		assert_int_equal(catalog_ensure_directory(f->catalog, bad[i], AT_US, &err), -EINVAL);
		assert_int_equal(err.class, ERROR_USAGE);
	}
	assert_int_equal(entry_of(f, 0).subdirectories, 0);
}

static void empty_directories_are_dropped_unless_kept(void **state)
{
	static const char *const keep[] = {"backups/full", "backups/tenants/kept", NULL};
	static const char *const none[] = {NULL};
	struct fixture *f = *state;
	struct catalog_entry entry;

	assert_int_equal(catalog_ensure_directory(f->catalog, "backups/full", AT_US, NULL), 0);
	assert_int_equal(catalog_ensure_directory(f->catalog, "backups/tenants/kept", AT_US, NULL), 0);
	assert_int_equal(catalog_ensure_directory(f->catalog, "backups/old/a/b", AT_US, NULL), 0);
	assert_int_equal(add(f, "backups/tenants/used", SECONDS * 1000, 1, 10), 0);
	assert_int_equal(catalog_drop_empty_directories(f->catalog, keep, NULL), 0);
	assert_int_equal(catalog_entry_by_name(f->catalog, 0, "old", &entry), -ENOENT);
	assert_int_equal(entry_of(f, 0).subdirectories, 2);
	assert_int_equal(entry_of(f, ino_of_directory("backups/tenants")).subdirectories, 2);
	assert_int_equal(catalog_drop_empty_directories(f->catalog, none, NULL), 0);
	assert_int_equal(entry_of(f, 0).subdirectories, 1);
	assert_int_equal(entry_of(f, ino_of_directory("backups/tenants")).subdirectories, 1);
}

static void an_artifact_is_found_in_every_way(void **state)
{
	struct fixture *f = *state;
	uint64_t directory = ino_of_directory("backups/full"), ino = ino_at("backups/full", SECONDS * 1000);
	struct catalog_entry entry;
	_cleanup(free) char *path = NULL;

	assert_int_equal(add(f, "backups/full", SECONDS * 1000, 1, 77), 0);
	assert_int_equal(catalog_entry_by_name(f->catalog, directory, "20261120T020000Z.dump", &entry), 0);
	assert_int_equal(entry.ino, ino);
	assert_int_equal(entry.parent_ino, directory);
	assert_false(entry.is_directory);
	assert_int_equal(entry.size_bytes, 77);
	assert_int_equal(entry.mtime_us, AT_US + US_PER_S + 5);
	assert_int_equal(entry.sequence, SECONDS * 1000);
	assert_string_equal(entry_of(f, ino).name, "20261120T020000Z.dump");
	assert_int_equal(catalog_entry_latest(f->catalog, directory, &entry), 0);
	assert_int_equal(entry.ino, ino);
	assert_int_equal(catalog_entry_by_name(f->catalog, directory, "20261120T020000Z.tar", &entry),
	                 -ENOENT);
	assert_int_equal(catalog_entry_by_name(f->catalog, directory, "20261120T020001Z.dump", &entry),
	                 -ENOENT);
	path = catalog_path(f->catalog, ino);
	assert_string_equal(path, "backups/full/20261120T020000Z.dump");
	assert_int_equal(catalog_last_size(f->catalog, "backups/full"), 77);
	assert_int_equal(catalog_last_size(f->catalog, "backups/none"), 0);
	assert_null(catalog_path(f->catalog, ino ^ 1));
}

static void a_manifest_is_kept_whole(void **state)
{
	struct fixture *f = *state;
	_cleanup(manifest) struct manifest m = {0}, back = {0};
	_cleanup(extents) struct extents x = {0};
	_cleanup(str) struct str text = {0}, text_back = {0};
	uint64_t ino;

	fill(&m, "backups/full", SECONDS * 1000, 7, 4242);
	m.system_identifier = mem_strdup("7301234567890123456");
	m.note = mem_strdup("before the upgrade");
	mem_replace_string(&m.format, "plain");
	mem_replace_string(&m.content, "schema");
	mem_replace_string(&m.compression, "zstd:1");
	m.partial = true;
	m.verified_at_us = AT_US + 77;
	assert_int_equal(catalog_add_artifact(f->catalog, &m, NULL), 0);
	reopen(f);
	ino = ino_of_artifact(m.path);
	assert_int_equal(catalog_manifest(f->catalog, ino, &back), 0);
	assert_int_equal(catalog_extents(f->catalog, ino, &x), 0);
	back.extents = x;
	x = (struct extents){0};
	manifest_encode(&m, &text);
	manifest_encode(&back, &text_back);
	assert_string_equal(str_text(&text), str_text(&text_back));
	assert_int_equal(catalog_manifest(f->catalog, ino ^ 1, &back), -ENOENT);
	assert_int_equal(catalog_extents(f->catalog, ino ^ 1, &x), -ENOENT);
}

static void collect_sums(void *arg, const char *line)
{
	str_appendf(arg, "%s\n", line);
}

static void directory_counts_are_true(struct fixture *f, const char *path, uint32_t files)
{
	_cleanup(str) struct str sums = {0};
	struct catalog_entry directory = entry_of(f, ino_of_directory(path));

	assert_int_equal(catalog_sums(f->catalog, directory.ino, collect_sums, &sums), 0);
	assert_int_equal(directory.files, files);
	assert_int_equal(directory.sums_bytes, sums.len);
}

static uint64_t stored_bytes(struct fixture *f)
{
	struct catalog_totals totals;

	assert_int_equal(catalog_totals(f->catalog, NULL, &totals), 0);
	return totals.stored_bytes;
}

static int add_beside(struct fixture *f, const char *directory, int64_t sequence, uint32_t size)
{
	_cleanup(manifest) struct manifest m = {0};

	fill_beside(&m, directory, sequence, 1, size);
	return catalog_add_artifact(f->catalog, &m, NULL);
}

static int add_directory(struct fixture *f, const char *directory, int64_t sequence, uint32_t count)
{
	_cleanup(manifest) struct manifest m = {0};

	fill_directory(&m, directory, sequence, 1, count);
	return catalog_add_artifact(f->catalog, &m, NULL);
}

static void a_file_beside_is_found_in_every_way(void **state)
{
	struct fixture *f = *state;
	uint64_t directory = ino_of_directory("backups/full"), main = ino_at("backups/full", SECONDS * 1000),
	         ino = ino_of_artifact("backups/full/20261120T020000Z.tables.csv");
	_cleanup(free) char *path = NULL;
	_cleanup(manifest) struct manifest m = {0};
	_cleanup(extents) struct extents x = {0};
	struct catalog_entry entry;
	char sha256[SHA256_HEX_BYTES], again[SHA256_HEX_BYTES];

	assert_int_equal(add_beside(f, "backups/full", SECONDS * 1000, 10), 0);
	assert_int_equal(catalog_entry_by_name(f->catalog, directory, "20261120T020000Z.tables.csv", &entry),
	                 0);
	assert_int_equal(entry.ino, ino);
	assert_int_equal(entry.kind, CATALOG_FILE);
	assert_false(entry.is_directory);
	assert_int_equal(entry.parent_ino, directory);
	assert_int_equal(entry.artifact_ino, main);
	assert_int_equal(entry.size_bytes, 3);
	assert_int_equal(entry.mtime_us, AT_US + US_PER_S + 5);
	assert_string_equal(entry_of(f, ino).name, "20261120T020000Z.tables.csv");
	assert_int_equal(entry_of(f, main).kind, CATALOG_ARTIFACT);
	assert_int_equal(entry_of(f, main).artifact_ino, main);
	assert_int_equal(entry_of(f, directory).kind, CATALOG_DIRECTORY);
	path = catalog_path(f->catalog, ino);
	assert_string_equal(path, "backups/full/20261120T020000Z.tables.csv");
	assert_int_equal(catalog_manifest(f->catalog, ino, &m), 0);
	assert_string_equal(m.path, "backups/full/20261120T020000Z.dump");
	assert_int_equal(catalog_extents(f->catalog, ino, &x), 0);
	assert_int_equal(x.total_bytes, 3);
	assert_int_equal(catalog_file_sha256(f->catalog, ino, sha256), 0);
	assert_int_equal(catalog_file_sha256(f->catalog, main, again), 0);
	assert_string_equal(again, m.sha256);
	assert_string_not_equal(sha256, again);
	assert_int_equal(catalog_file_sha256(f->catalog, ino ^ 1, sha256), -ENOENT);
	assert_int_equal(catalog_entry_by_name(f->catalog, directory, "20261120T020000Z.other", &entry),
	                 -ENOENT);
	assert_int_equal(catalog_entry_by_name(f->catalog, 0, "20261120T020000Z.tables.csv", &entry),
	                 -ENOENT);
	assert_int_equal(catalog_entry_latest(f->catalog, directory, &entry), 0);
	assert_int_equal(entry.ino, main);
}

static void a_directory_artifact_is_found_in_every_way(void **state)
{
	struct fixture *f = *state;
	uint64_t directory = ino_of_directory("backups/full"),
	         artifact = ino_of_artifact("backups/full/20261120T020000Z"),
	         ino = ino_of_artifact("backups/full/20261120T020000Z/f2");
	_cleanup(free) char *path = NULL;
	_cleanup(extents) struct extents x = {0};
	struct catalog_entry entry;

	assert_int_equal(add_directory(f, "backups/full", SECONDS * 1000, 4), 0);
	assert_int_equal(catalog_entry_by_name(f->catalog, directory, "20261120T020000Z", &entry), 0);
	assert_int_equal(entry.ino, artifact);
	assert_int_equal(entry.kind, CATALOG_ARTIFACT);
	assert_true(entry.is_directory);
	assert_int_equal(entry.files, 4);
	assert_int_equal(entry.size_bytes, 10);
	assert_int_equal(entry_of(f, directory).subdirectories, 1);
	assert_int_equal(catalog_entry_by_name(f->catalog, artifact, "f2", &entry), 0);
	assert_int_equal(entry.ino, ino);
	assert_int_equal(entry.kind, CATALOG_FILE);
	assert_int_equal(entry.parent_ino, artifact);
	assert_int_equal(entry.artifact_ino, artifact);
	assert_int_equal(entry.sequence, 2);
	assert_int_equal(entry.size_bytes, 3);
	path = catalog_path(f->catalog, ino);
	assert_string_equal(path, "backups/full/20261120T020000Z/f2");
	assert_int_equal(catalog_extents(f->catalog, ino, &x), 0);
	assert_int_equal(x.total_bytes, 3);
	assert_int_equal(catalog_extents(f->catalog, artifact, &x), 0);
	assert_int_equal(x.count, 0);
	assert_int_equal(catalog_entry_by_name(f->catalog, artifact, "f4", &entry), -ENOENT);
	assert_int_equal(catalog_entry_by_name(f->catalog, directory, "f2", &entry), -ENOENT);
	/* What is in it is not in the directory that it is in. */
	assert_int_equal(catalog_entries(f->catalog, directory, CATALOG_FILE, -1, &entry, 1), 0);
	assert_int_equal(catalog_entries(f->catalog, artifact, CATALOG_ARTIFACT, -1, &entry, 1), 0);
	assert_int_equal(catalog_entries(f->catalog, artifact, CATALOG_DIRECTORY, -1, &entry, 1), 0);
}

static void append_name(void *arg, const char *name, uint64_t size_bytes, const char *sha256)
{
	assert_int_equal(strlen(sha256), SHA256_HEX_BYTES - 1);
	str_appendf(arg, "%s %" PRIu64 ";", name, size_bytes);
}

static void files_come_with_their_artifact(void **state)
{
	struct fixture *f = *state;
	_cleanup(str) struct str names = {0};
	uint64_t directory = ino_of_directory("backups/full"), first = ino_at("backups/full", SECONDS * 1000);
	struct catalog_entry page[8];

	/* In the order of the artifacts, however they came. */
	assert_int_equal(add_beside(f, "backups/full", SECONDS * 1000 + 2, 10), 0);
	assert_int_equal(add_beside(f, "backups/full", SECONDS * 1000, 10), 0);
	assert_int_equal(add_directory(f, "backups/full", SECONDS * 1000 + 1, 5), 0);
	assert_int_equal(catalog_entries(f->catalog, directory, CATALOG_FILE, -1, page, 8), 4);
	assert_string_equal(page[0].name, "20261120T020000Z.tables.csv");
	assert_string_equal(page[1].name, "20261120T020000Z.globals.sql.gz");
	assert_string_equal(page[2].name, "20261120T020000Z-3.tables.csv");
	assert_string_equal(page[3].name, "20261120T020000Z-3.globals.sql.gz");
	assert_int_equal(catalog_entries(f->catalog, directory, CATALOG_FILE, page[1].sequence, page, 1), 1);
	assert_string_equal(page[0].name, "20261120T020000Z-3.tables.csv");
	assert_int_equal(catalog_files(f->catalog, first, append_name, &names), 0);
	assert_string_equal(str_text(&names),
	                    "20261120T020000Z.tables.csv 3;20261120T020000Z.globals.sql.gz 0;");
	str_clear(&names);
	assert_int_equal(catalog_files(f->catalog, ino_of_artifact("backups/full/20261120T020000Z-2"),
	                               append_name, &names),
	                 0);
	assert_string_equal(str_text(&names), "f0 1;f1 2;f2 3;f3 4;f4 5;");
	str_clear(&names);
	assert_int_equal(catalog_files(f->catalog, directory, append_name, &names), 0);
	assert_int_equal(names.len, 0);
}

static void sums_of_every_kind_are_counted(void **state)
{
	struct fixture *f = *state;
	_cleanup(manifest) struct manifest unknown = {0}, m = {0};
	_cleanup(str) struct str sums = {0}, expected = {0};
	uint64_t directory = ino_of_directory("backups/full"), first = ino_at("backups/full", SECONDS * 1000);

	fill_beside(&m, "backups/full", SECONDS * 1000, 1, 10);
	assert_int_equal(catalog_add_artifact(f->catalog, &m, NULL), 0);
	fill_directory(&unknown, "backups/full", SECONDS * 1000 + 1, 1, 100);
	str_appendf(&expected, "%s  20261120T020000Z.dump\n%s  20261120T020000Z.tables.csv\n", m.sha256,
	            m.files[0].sha256);
	str_appendf(&expected, "%s  20261120T020000Z.globals.sql.gz\n", m.files[1].sha256);
	str_appendf(&expected, "%s  20261120T020000Z-2/SHA256SUMS\n", unknown.sha256);
	assert_int_equal(catalog_add_artifact(f->catalog, &unknown, NULL), 0);
	manifest_finish(&unknown);
	fill_beside(&unknown, "backups/full", SECONDS * 1000 + 2, 1, 10);
	unknown.sha256[0] = unknown.files[1].sha256[0] = '\0';
	str_append(&expected, "# 20261120T020000Z-3.dump: not read back, so its SHA-256 is not known\n");
	str_appendf(&expected, "%s  20261120T020000Z-3.tables.csv\n", unknown.files[0].sha256);
	str_append(&expected,
	           "# 20261120T020000Z-3.globals.sql.gz: not read back, so its SHA-256 is not known\n");
	assert_int_equal(catalog_add_artifact(f->catalog, &unknown, NULL), 0);
	assert_int_equal(catalog_sums(f->catalog, directory, collect_sums, &sums), 0);
	assert_string_equal(str_text(&sums), str_text(&expected));
	directory_counts_are_true(f, "backups/full", 3);
	assert_int_equal(stored_bytes(f), 13 + 100 * 101 / 2 + 13);

	assert_int_equal(catalog_add_artifact(f->catalog, &m, NULL), 0); /* again */
	directory_counts_are_true(f, "backups/full", 3);
	assert_int_equal(catalog_entomb_artifact(f->catalog, first, false, NULL), 0);
	directory_counts_are_true(f, "backups/full", 2);
	assert_int_equal(stored_bytes(f), 100 * 101 / 2 + 13);
	assert_int_equal(catalog_drop_artifact(f->catalog, first, NULL), 0);
	assert_int_equal(
	        catalog_drop_artifact(f->catalog, ino_of_artifact("backups/full/20261120T020000Z-2"), NULL),
	        0);
	directory_counts_are_true(f, "backups/full", 1);
	assert_int_equal(stored_bytes(f), 13);
}

static void files_are_hidden_with_their_artifact(void **state)
{
	static const char *const beside[] = {"20261120T020000Z.tables.csv",
	                                     "20261120T020000Z.globals.sql.gz"};
	struct fixture *f = *state;
	uint64_t directory = ino_of_directory("backups/full"),
	         artifact = ino_of_artifact("backups/full/20261120T020000Z-2"),
	         within = ino_of_artifact("backups/full/20261120T020000Z-2/f0");
	_cleanup(str) struct str seen = {0};
	struct catalog_entry entry;
	struct manifest m;
	struct extents x = {0};
	char sha256[SHA256_HEX_BYTES];

	assert_int_equal(add_beside(f, "backups/full", SECONDS * 1000, 10), 0);
	assert_int_equal(add_directory(f, "backups/full", SECONDS * 1000 + 1, 3), 0);
	assert_int_equal(entry_of(f, within).size_bytes, 1);
	assert_int_equal(
	        catalog_entomb_artifact(f->catalog, ino_at("backups/full", SECONDS * 1000), false, NULL), 0);
	assert_int_equal(entry_of(f, directory).subdirectories, 1);
	assert_int_equal(catalog_entomb_artifact(f->catalog, artifact, false, NULL), 0);
	assert_int_equal(entry_of(f, directory).subdirectories, 0);
	for (size_t i = 0; i < ARRAY_SIZE(beside); i++)
		assert_int_equal(catalog_entry_by_name(f->catalog, directory, beside[i], &entry), -ENOENT);
	assert_int_equal(catalog_entries(f->catalog, directory, CATALOG_FILE, -1, &entry, 1), 0);
	assert_int_equal(catalog_entries(f->catalog, artifact, CATALOG_FILE, -1, &entry, 1), 0);
	assert_int_equal(catalog_entry_by_ino(f->catalog, within, &entry), -ENOENT);
	assert_int_equal(catalog_entry_by_name(f->catalog, artifact, "f0", &entry), -ENOENT);
	assert_int_equal(catalog_manifest(f->catalog, within, &m), -ENOENT);
	assert_int_equal(catalog_extents(f->catalog, within, &x), -ENOENT);
	assert_int_equal(catalog_file_sha256(f->catalog, within, sha256), -ENOENT);
	assert_int_equal(catalog_files(f->catalog, artifact, append_name, &seen), 0);
	assert_int_equal(catalog_sums(f->catalog, directory, collect_sums, &seen), 0);
	assert_int_equal(seen.len, 0);
	assert_null(catalog_path(f->catalog, within));
	/* Their place is free again when the deletion has ended, and only then. */
	assert_int_equal(catalog_drop_artifact(f->catalog, artifact, NULL), 0);
	assert_int_equal(add_directory(f, "backups/full", SECONDS * 1000 + 1, 2), 0);
	assert_int_equal(entry_of(f, within).size_bytes, 1);
	assert_int_equal(entry_of(f, artifact).files, 2);
}

static void files_that_cannot_be_listed_are_refused(void **state)
{
	struct fixture *f = *state;
	_cleanup(manifest) struct manifest many = {0}, unloaded = {0}, within = {0}, artifact = {0};
	struct catalog_entry entry;
	struct error err = {0};

	fill(&many, "backups/full", SECONDS * 1000, 1, 10);
	for (int i = 0; i <= MANIFEST_BESIDE_MAX; i++) {
		char name[64];

		snprintf(name, sizeof(name), "20261120T020000Z.%d", i);
		add_file(&many, name, 1);
	}
	seal(&many);
	assert_int_equal(catalog_add_artifact(f->catalog, &many, &err), -EINVAL);
	fill_beside(&unloaded, "backups/full", SECONDS * 1000, 1, 10);
	extents_finish(&unloaded.files[0].extents);
	assert_int_equal(catalog_add_artifact(f->catalog, &unloaded, &err), -EINVAL);
	assert_int_equal(catalog_entry_by_name(f->catalog, 0, "full", &entry), -ENOENT);

	/* A database that is called like a backup: two files, one path. */
	fill(&artifact, "backups/full/20261120T020000Z", SECONDS * 1000, 1, 10);
	assert_int_equal(catalog_add_artifact(f->catalog, &artifact, NULL), 0);
	fill_directory(&within, "backups/full", SECONDS * 1000, 1, 3);
	add_file(&within, "20261120T020000Z.dump", 1);
	within.size_bytes++;
	seal(&within);
	assert_int_equal(catalog_add_artifact(f->catalog, &within, &err), -EEXIST);
	assert_non_null(strstr(err.message, "backups/full/20261120T020000Z/20261120T020000Z.dump"));
	assert_int_equal(catalog_drop_artifact(f->catalog, ino_of_artifact(artifact.path), NULL), 0);
	assert_int_equal(catalog_add_artifact(f->catalog, &within, NULL), 0);
	assert_int_equal(catalog_add_artifact(f->catalog, &artifact, &err), -EEXIST);
	assert_int_equal(entry_of(f, ino_of_artifact(artifact.path)).kind, CATALOG_FILE);
}

#define MANY_FILES 5000

static void a_large_directory_comes_in_pages(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) struct catalog_entry *page = mem_array(256, sizeof(*page));
	uint64_t artifact = ino_of_artifact("backups/full/20261120T020000Z");
	int64_t after = -1, seen = 0;
	ssize_t n;

	assert_int_equal(add_directory(f, "backups/full", SECONDS * 1000, MANY_FILES), 0);
	while ((n = catalog_entries(f->catalog, artifact, CATALOG_FILE, after, page, 256)) > 0) {
		for (ssize_t i = 0; i < n; i++) {
			assert_int_equal(page[i].sequence, seen);
			seen++;
			assert_int_equal(page[i].size_bytes, seen);
			after = page[i].sequence;
		}
	}
	assert_int_equal(n, 0);
	assert_int_equal(seen, MANY_FILES);
	assert_int_equal(catalog_begin_rebuild(f->catalog, NULL), 0);
	assert_int_equal(catalog_end_rebuild(f->catalog, true, NULL), 0);
	assert_int_equal(catalog_entries(f->catalog, artifact, CATALOG_FILE, -1, page, 256), 0);
	assert_int_equal(add_directory(f, "backups/full", SECONDS * 1000, MANY_FILES), 0);
	assert_int_equal(catalog_drop_artifact(f->catalog, artifact, NULL), 0);
	assert_int_equal(add_directory(f, "backups/full", SECONDS * 1000, 1), 0);
	assert_int_equal(catalog_entries(f->catalog, artifact, CATALOG_FILE, -1, page, 256), 1);
}

static int add_partial(struct fixture *f, int64_t sequence, uint32_t size)
{
	_cleanup(manifest) struct manifest m = {0};

	fill(&m, "backups/full", sequence, 1, size);
	m.partial = true;
	return catalog_add_artifact(f->catalog, &m, NULL);
}

static void a_partial_one_stands_in_for_none(void **state)
{
	struct fixture *f = *state;
	uint64_t directory = ino_of_directory("backups/full");
	struct catalog_entry entry;
	struct catalog_totals totals;
	struct error err = {0};

	assert_int_equal(add_partial(f, SECONDS * 1000, 1), 0);
	assert_int_equal(catalog_entry_latest(f->catalog, directory, &entry), 0);
	assert_int_equal(entry.size_bytes, 1);
	assert_int_equal(catalog_last_size(f->catalog, "backups/full"), 0);
	assert_int_equal(catalog_totals(f->catalog, "full", &totals), 0);
	assert_int_equal(totals.newest_whole_at_us, 0);
	assert_int_equal(totals.newest_at_us, AT_US + US_PER_S + 5);
	/* The last of all is kept, partial or not. */
	assert_int_equal(
	        catalog_entomb_artifact(f->catalog, ino_at("backups/full", SECONDS * 1000), true, NULL),
	        -EPERM);

	assert_int_equal(add(f, "backups/full", (SECONDS + 1) * 1000, 1, 20), 0);
	assert_int_equal(add_partial(f, (SECONDS + 2) * 1000, 3), 0);
	assert_int_equal(catalog_entry_latest(f->catalog, directory, &entry), 0);
	assert_int_equal(entry.size_bytes, 20);
	assert_int_equal(catalog_last_size(f->catalog, "backups/full"), 20);
	assert_int_equal(catalog_totals(f->catalog, "full", &totals), 0);
	assert_int_equal(totals.newest_whole_at_us, AT_US + 2 * US_PER_S + 5);
	assert_int_equal(totals.newest_at_us, AT_US + 3 * US_PER_S + 5);
	assert_int_equal(
	        catalog_entomb_artifact(f->catalog, ino_at("backups/full", (SECONDS + 1) * 1000), true, &err),
	        -EPERM);
	assert_non_null(strstr(err.message, "(the others are partial)"));
	assert_int_equal(
	        catalog_entomb_artifact(f->catalog, ino_at("backups/full", (SECONDS + 2) * 1000), true, NULL),
	        0);
	assert_int_equal(
	        catalog_entomb_artifact(f->catalog, ino_at("backups/full", SECONDS * 1000), true, NULL), 0);
}

static void counts_follow_every_change(void **state)
{
	struct fixture *f = *state;
	uint64_t first = ino_at("backups/full", SECONDS * 1000);
	struct catalog_totals totals;

	assert_int_equal(add(f, "backups/full", SECONDS * 1000, 1, 10), 0);
	assert_int_equal(add(f, "backups/full", SECONDS * 1000 + 1, 2, 20), 0);
	directory_counts_are_true(f, "backups/full", 2);
	assert_int_equal(add(f, "backups/full", SECONDS * 1000, 1, 15), 0); /* the same path again */
	directory_counts_are_true(f, "backups/full", 2);
	assert_int_equal(catalog_totals(f->catalog, NULL, &totals), 0);
	assert_int_equal(totals.artifacts, 2);
	assert_int_equal(totals.stored_bytes, 35);
	assert_int_equal(totals.oldest_at_us, AT_US + US_PER_S + 5);
	assert_int_equal(catalog_entomb_artifact(f->catalog, first, true, NULL), 0);
	directory_counts_are_true(f, "backups/full", 1);
	assert_int_equal(catalog_drop_artifact(f->catalog, first, NULL), 0);
	directory_counts_are_true(f, "backups/full", 1);
	assert_int_equal(catalog_totals(f->catalog, "full", &totals), 0);
	assert_int_equal(totals.artifacts, 1);
	assert_int_equal(totals.stored_bytes, 20);
	assert_int_equal(catalog_totals(f->catalog, "other", &totals), 0);
	assert_int_equal(totals.artifacts, 0);
	assert_int_equal(totals.newest_at_us, 0);
}

static void count_tomb(void *arg, uint64_t ino, const char *path)
{
	assert_string_equal(path, "backups/full/20261120T020000Z.dump");
	*(unsigned *)arg += 1;
}

static void what_is_entombed_is_hidden(void **state)
{
	struct fixture *f = *state;
	uint64_t directory = ino_of_directory("backups/full"), ino = ino_at("backups/full", SECONDS * 1000);
	struct catalog_entry entry;
	struct manifest m;
	struct extents x = {0};
	int64_t before = clock_now_us();
	unsigned tombs = 0;

	assert_int_equal(add(f, "backups/full", SECONDS * 1000, 1, 10), 0);
	assert_int_equal(catalog_entomb_artifact(f->catalog, ino, false, NULL), 0);
	assert_int_equal(catalog_entry_by_ino(f->catalog, ino, &entry), -ENOENT);
	assert_int_equal(catalog_entry_by_name(f->catalog, directory, "20261120T020000Z.dump", &entry),
	                 -ENOENT);
	assert_int_equal(catalog_entry_latest(f->catalog, directory, &entry), -ENOENT);
	assert_int_equal(catalog_entries(f->catalog, directory, CATALOG_ARTIFACT, -1, &entry, 1), 0);
	assert_int_equal(catalog_manifest(f->catalog, ino, &m), -ENOENT);
	assert_int_equal(catalog_extents(f->catalog, ino, &x), -ENOENT);
	assert_null(catalog_path(f->catalog, ino));
	assert_int_equal(catalog_entomb_artifact(f->catalog, ino, false, NULL), -ENOENT);
	assert_true(catalog_sequence_taken(f->catalog, "backups/full", SECONDS * 1000));
	if (before > AT_US + US_PER_S + 5) /* a directory's time never goes back */
		assert_true(entry_of(f, directory).mtime_us >= before);
	assert_int_equal(catalog_tombs(f->catalog, count_tomb, &tombs), 0);
	assert_int_equal(tombs, 1);
	assert_int_equal(catalog_drop_artifact(f->catalog, ino, NULL), 0);
	tombs = 0;
	assert_int_equal(catalog_tombs(f->catalog, count_tomb, &tombs), 0);
	assert_int_equal(tombs, 0);
	assert_false(catalog_sequence_taken(f->catalog, "backups/full", SECONDS * 1000));
}

static void the_last_one_is_kept(void **state)
{
	struct fixture *f = *state;
	uint64_t first = ino_at("backups/full", SECONDS * 1000),
	         second = ino_at("backups/full", SECONDS * 1000 + 1);
	struct error err = {0};

	assert_int_equal(add(f, "backups/full", SECONDS * 1000, 1, 10), 0);
	assert_int_equal(add(f, "backups/other", SECONDS * 1000, 1, 10), 0);
	assert_int_equal(catalog_entomb_artifact(f->catalog, first, true, &err), -EPERM);
	assert_int_equal(err.class, ERROR_DENIED);
	assert_non_null(strstr(err.message, "backups/full/20261120T020000Z.dump is the last"));
	assert_int_equal(add(f, "backups/full", SECONDS * 1000 + 1, 2, 10), 0);
	assert_int_equal(catalog_entomb_artifact(f->catalog, first, true, NULL), 0);
	/* A tomb does not count: the other one is the last now. */
	assert_int_equal(catalog_entomb_artifact(f->catalog, second, true, NULL), -EPERM);
	assert_int_equal(entry_of(f, second).ino, second);
}

static void count_damaged(void *arg, uint64_t ino, const char *path, const char *reason)
{
	assert_string_equal(path, "backups/full/20261120T020000Z-2.dump");
	assert_string_equal(reason, "flipped bits");
	(*(unsigned *)arg)++;
}

static void a_damaged_one_is_not_good(void **state)
{
	struct fixture *f = *state;
	uint64_t first = ino_at("backups/full", SECONDS * 1000),
	         second = ino_at("backups/full", SECONDS * 1000 + 1);
	const struct catalog_run made = {.job = "full", .kind = "dump", .triggered_by = "test"};
	struct catalog_run run;
	int64_t id;
	struct catalog_entry latest;
	struct catalog_totals totals;
	unsigned damaged = 0;
	int64_t good_at_us;

	for (int i = 0; i < 2; i++) {
		assert_int_equal(catalog_add_run(f->catalog, &made, &id, NULL), 0);
		assert_int_equal(catalog_finish_run(f->catalog, id, RUN_COMPLETED, NULL, NULL), 0);
	}
	assert_int_equal(add(f, "backups/full", SECONDS * 1000, 1, 10), 0);
	assert_int_equal(catalog_totals(f->catalog, NULL, &totals), 0);
	good_at_us = totals.newest_whole_at_us;
	assert_int_equal(add(f, "backups/full", SECONDS * 1000 + 1, 2, 10), 0);
	assert_int_equal(catalog_mark_damaged(f->catalog, second, "flipped bits", NULL), 0);
	assert_int_equal(catalog_mark_damaged(f->catalog, second, "later", NULL), 0);
	assert_true(catalog_is_damaged(f->catalog, second));
	assert_false(catalog_is_damaged(f->catalog, first));
	assert_int_equal(catalog_run(f->catalog, 2, &run), 0);
	assert_string_equal(run.damaged, "20261120T020000Z-2.dump: flipped bits");
	assert_int_equal(catalog_run(f->catalog, 1, &run), 0);
	assert_string_equal(run.damaged, "");
	assert_int_equal(catalog_damaged(f->catalog, count_damaged, &damaged), 0);
	assert_int_equal(damaged, 1);
	/* The older one is what "latest" and the newest whole backup mean now. */
	assert_int_equal(catalog_entry_by_ino(f->catalog, first, &latest), 0);
	assert_int_equal(catalog_entry_latest(f->catalog, latest.parent_ino, &latest), 0);
	assert_int_equal(latest.ino, first);
	assert_int_equal(catalog_totals(f->catalog, "full", &totals), 0);
	assert_int_equal(totals.newest_whole_at_us, good_at_us);
	/* The older one is the last that is good; the damaged one need not be kept. */
	assert_int_equal(catalog_entomb_artifact(f->catalog, first, true, NULL), -EPERM);
	assert_int_equal(catalog_mark_damaged(f->catalog, first, "too short", NULL), 0);
	assert_int_equal(catalog_totals(f->catalog, "full", &totals), 0);
	assert_int_equal(totals.newest_whole_at_us, 0);
	assert_int_equal(catalog_entry_latest(f->catalog, latest.parent_ino, &latest), 0);
	assert_int_equal(latest.ino, second);
	assert_int_equal(catalog_entomb_artifact(f->catalog, second, true, NULL), 0);
	assert_int_equal(catalog_entomb_artifact(f->catalog, first, true, NULL), 0);
	assert_false(catalog_damaged(f->catalog, count_damaged, &damaged) < 0);
	assert_int_equal(damaged, 1);
}

static int64_t verified_at(struct fixture *f, uint64_t ino)
{
	_cleanup(manifest) struct manifest m = {0};

	assert_int_equal(catalog_manifest(f->catalog, ino, &m), 0);
	return m.verified_at_us;
}

static void reading_the_whole_verifies(void **state)
{
	struct fixture *f = *state;
	uint64_t first = ino_at("backups/full", SECONDS * 1000),
	         second = ino_at("backups/full", SECONDS * 1000 + 1);
	int64_t later = INT64_C(4000000000) * US_PER_S;

	assert_int_equal(add(f, "backups/full", SECONDS * 1000, 1, 10), 0);
	assert_int_equal(add(f, "backups/full", SECONDS * 1000 + 1, 2, 10), 0);
	assert_int_equal(catalog_set_verified(f->catalog, first, later, NULL), 0);
	assert_int_equal(verified_at(f, first), later);
	assert_true(verified_at(f, second) < later);
	/* Never back, never of a damaged one, and not of one that is gone. */
	assert_int_equal(catalog_set_verified(f->catalog, first, later - 1, NULL), 0);
	assert_int_equal(verified_at(f, first), later);
	assert_int_equal(catalog_mark_damaged(f->catalog, second, "flipped bits", NULL), 0);
	assert_int_equal(catalog_set_verified(f->catalog, second, later, NULL), 0);
	assert_true(verified_at(f, second) < later);
	assert_int_equal(catalog_set_verified(f->catalog, 12345, later, NULL), 0);
}

static void append_damaged(void *arg, uint64_t ino, const char *path, const char *reason)
{
	assert_int_equal(ino, ino_of_artifact(path));
	str_appendf(arg, "%s: %s;", path, reason);
}

static void a_damaged_file_damages_the_directory_it_is_in(void **state)
{
	struct fixture *f = *state;
	_cleanup(str) struct str seen = {0};
	uint64_t beside = ino_of_artifact("backups/full/20261120T020000Z.tables.csv"),
	         within = ino_of_artifact("backups/full/20261120T020000Z-2/f1"),
	         artifact = ino_of_artifact("backups/full/20261120T020000Z-2"),
	         main = ino_at("backups/full", SECONDS * 1000);

	assert_int_equal(add_beside(f, "backups/full", SECONDS * 1000, 10), 0);
	assert_int_equal(add_directory(f, "backups/full", SECONDS * 1000 + 1, 3), 0);
	assert_int_equal(catalog_mark_damaged(f->catalog, beside, "flipped bits", NULL), 0);
	assert_int_equal(catalog_mark_damaged(f->catalog, within, "too short", NULL), 0);
	assert_int_equal(catalog_mark_damaged(f->catalog, within, "later", NULL), 0);
	assert_true(catalog_is_damaged(f->catalog, beside));
	assert_false(catalog_is_damaged(f->catalog, main));
	assert_true(catalog_is_damaged(f->catalog, within));
	assert_true(catalog_is_damaged(f->catalog, artifact));
	assert_int_equal(catalog_damaged(f->catalog, append_damaged, &seen), 0);
	assert_string_equal(str_text(&seen), "backups/full/20261120T020000Z-2: f1: too short;"
	                                     "backups/full/20261120T020000Z.tables.csv: flipped bits;");
	/* The dump is good; the directory is not. */
	assert_int_equal(catalog_entomb_artifact(f->catalog, main, true, NULL), -EPERM);
	assert_int_equal(catalog_entomb_artifact(f->catalog, artifact, true, NULL), 0);
}

static void the_store_is_remembered(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *none = catalog_store_url(f->catalog), *url = NULL;

	assert_null(none);
	assert_int_equal(catalog_set_store_url(f->catalog, "dir:/a", NULL), 0);
	assert_int_equal(catalog_set_store_url(f->catalog, "s3://b/c", NULL), 0);
	url = catalog_store_url(f->catalog);
	assert_string_equal(url, "s3://b/c");
}

static void another_at_the_same_place_is_refused(void **state)
{
	struct fixture *f = *state;
	_cleanup(manifest) struct manifest m = {0};
	struct error err = {0};

	assert_int_equal(add(f, "backups/full", SECONDS * 1000, 1, 10), 0);
	fill(&m, "backups/full", SECONDS * 1000, 1, 10);
	free(m.path);
	m.path = mem_strdup("backups/full/20261120T020000Z.tar");
	assert_int_equal(catalog_add_artifact(f->catalog, &m, &err), -EEXIST);
	assert_non_null(strstr(err.message, "20261120T020000Z.dump"));
	directory_counts_are_true(f, "backups/full", 1);
}

static void an_unloaded_table_is_refused(void **state)
{
	struct fixture *f = *state;
	_cleanup(manifest) struct manifest m = {0};
	struct catalog_entry entry;

	fill(&m, "backups/full", SECONDS * 1000, 1, 10);
	extents_finish(&m.extents);
	assert_int_equal(catalog_add_artifact(f->catalog, &m, NULL), -EINVAL);
	/* Nothing of the transaction is left, not even the directory. */
	assert_int_equal(catalog_entry_by_name(f->catalog, 0, "full", &entry), -ENOENT);
}

#define MANY 10000

static void add_many(struct fixture *f, int64_t count)
{
	assert_int_equal(catalog_begin_rebuild(f->catalog, NULL), 0);
	for (int64_t i = 0; i < count; i++)
		assert_int_equal(
		        add(f, "backups/full", (SECONDS + i / 3) * 1000 + i % 3, i + 1, 1 + (uint32_t)i), 0);
	assert_int_equal(catalog_end_rebuild(f->catalog, true, NULL), 0);
}

static void pages_hold_every_entry_once_in_order(void **state)
{
	struct fixture *f = *state;
	struct catalog_entry *page = mem_array(256, sizeof(*page));
	uint64_t directory = ino_of_directory("backups/full");
	int64_t after = -1, seen = 0;
	ssize_t n;

	add_many(f, MANY);
	while ((n = catalog_entries(f->catalog, directory, CATALOG_ARTIFACT, after, page, 256)) > 0) {
		for (ssize_t i = 0; i < n; i++) {
			assert_true(page[i].sequence > after);
			assert_int_equal(page[i].sequence, name_sequence(page[i].name));
			after = page[i].sequence;
			seen++;
			assert_int_equal(page[i].size_bytes, seen);
		}
	}
	assert_int_equal(n, 0);
	assert_int_equal(seen, MANY);
	directory_counts_are_true(f, "backups/full", MANY);
	assert_int_equal(catalog_entries(f->catalog, 0, CATALOG_ARTIFACT, -1, page, 256), 0);
	assert_int_equal(catalog_entries(f->catalog, 0, CATALOG_DIRECTORY, -1, page, 256), 1);
	assert_int_equal(page[0].ino, directory);
	assert_int_equal(catalog_entries(f->catalog, 0, CATALOG_DIRECTORY, page[0].sequence, page, 256), 0);
	free(page);
}

static void intents_hold_their_place(void **state)
{
	struct fixture *f = *state;
	struct error err = {0};

	assert_false(catalog_sequence_taken(f->catalog, "backups/full", SECONDS * 1000));
	assert_int_equal(catalog_add_intent(f->catalog, 1, "backups/full/20261120T020000Z.dump", NULL), 0);
	assert_true(catalog_sequence_taken(f->catalog, "backups/full", SECONDS * 1000));
	assert_false(catalog_sequence_taken(f->catalog, "backups/other", SECONDS * 1000));
	assert_int_equal(catalog_add_intent(f->catalog, 2, "backups/full/20261120T020000Z.tar", &err),
	                 -EEXIST);
	assert_int_equal(catalog_add_intent(f->catalog, 2, "backups/full/latest.dump", &err), -EINVAL);
	assert_int_equal(catalog_drop_intent(f->catalog, "backups/full/20261120T020000Z.dump", NULL), 0);
	assert_false(catalog_sequence_taken(f->catalog, "backups/full", SECONDS * 1000));
	assert_int_equal(add(f, "backups/full", SECONDS * 1000, 1, 10), 0);
	assert_int_equal(catalog_add_intent(f->catalog, 2, "backups/full/20261120T020000Z.dump", &err),
	                 -EEXIST);
}

static void count_intent(void *arg, int64_t run_id, const char *path)
{
	*(int64_t *)arg += run_id;
}

static void listing_ends_the_intent(void **state)
{
	struct fixture *f = *state;
	int64_t run_ids = 0;

	assert_int_equal(catalog_add_intent(f->catalog, 5, "backups/full/20261120T020000Z.dump", NULL), 0);
	assert_int_equal(catalog_intents(f->catalog, count_intent, &run_ids), 0);
	assert_int_equal(run_ids, 5);
	assert_int_equal(add(f, "backups/full", SECONDS * 1000, 5, 10), 0);
	run_ids = 0;
	assert_int_equal(catalog_intents(f->catalog, count_intent, &run_ids), 0);
	assert_int_equal(run_ids, 0);
}

static void generation_counts_changes(void **state)
{
	struct fixture *f = *state;
	uint64_t before = catalog_generation(f->catalog);

	assert_int_equal(catalog_ensure_directory(f->catalog, "backups/full", AT_US, NULL), 0);
	assert_int_equal(catalog_generation(f->catalog), before + 1);
	assert_int_equal(catalog_ensure_directory(f->catalog, "backups/full", AT_US, NULL), 0);
	assert_int_equal(catalog_drop_intent(f->catalog, "backups/full/20261120T020000Z.dump", NULL), 0);
	assert_int_equal(catalog_ensure_directory(f->catalog, "nowhere", AT_US, NULL), -EINVAL);
	assert_int_equal(catalog_generation(f->catalog), before + 1);
}

/* Rebuild. */

static void a_rebuild_replaces_all_or_nothing(void **state)
{
	struct fixture *f = *state;
	struct catalog_entry entry;

	assert_int_equal(add(f, "backups/full", SECONDS * 1000, 1, 10), 0);
	assert_int_equal(catalog_begin_rebuild(f->catalog, NULL), 0);
	assert_int_equal(add(f, "backups/full", SECONDS * 1000 + 1, 2, 10), 0);
	/* Readers see the catalog as it was. */
	assert_int_equal(entry_of(f, ino_at("backups/full", SECONDS * 1000)).size_bytes, 10);
	assert_int_equal(catalog_end_rebuild(f->catalog, false, NULL), 0);
	directory_counts_are_true(f, "backups/full", 1);
	assert_int_equal(entry_of(f, ino_at("backups/full", SECONDS * 1000)).size_bytes, 10);

	assert_int_equal(catalog_begin_rebuild(f->catalog, NULL), 0);
	assert_int_equal(add(f, "backups/full", SECONDS * 1000 + 1, 2, 10), 0);
	assert_int_equal(catalog_end_rebuild(f->catalog, true, NULL), 0);
	directory_counts_are_true(f, "backups/full", 1);
	assert_int_equal(catalog_entry_by_ino(f->catalog, ino_at("backups/full", SECONDS * 1000), &entry),
	                 -ENOENT);
}

static void a_refused_artifact_does_not_end_a_rebuild(void **state)
{
	struct fixture *f = *state;
	_cleanup(manifest) struct manifest m = {0};

	assert_int_equal(catalog_begin_rebuild(f->catalog, NULL), 0);
	assert_int_equal(add(f, "backups/full", SECONDS * 1000, 1, 10), 0);
	fill(&m, "backups/full", SECONDS * 1000, 1, 10);
	free(m.path);
	m.path = mem_strdup("backups/full/20261120T020000Z.tar");
	assert_int_equal(catalog_add_artifact(f->catalog, &m, NULL), -EEXIST);
	assert_int_equal(add(f, "backups/full", SECONDS * 1000 + 1, 2, 10), 0);
	assert_int_equal(catalog_end_rebuild(f->catalog, true, NULL), 0);
	directory_counts_are_true(f, "backups/full", 2);
}

static void a_rebuild_gives_the_same_times(void **state)
{
	struct fixture *f = *state;
	int64_t root, tenants, acme, empty;

	assert_int_equal(catalog_ensure_directory(f->catalog, "backups/empty", 1000, NULL), 0);
	assert_int_equal(catalog_ensure_directory(f->catalog, "backups/tenants/acme", 2000, NULL), 0);
	assert_int_equal(add(f, "backups/tenants/acme", SECONDS * 1000, 1, 10), 0);
	assert_int_equal(add(f, "backups/tenants/acme", (SECONDS + 60) * 1000, 2, 10), 0);
	root = entry_of(f, 0).mtime_us;
	tenants = entry_of(f, ino_of_directory("backups/tenants")).mtime_us;
	acme = entry_of(f, ino_of_directory("backups/tenants/acme")).mtime_us;
	empty = entry_of(f, ino_of_directory("backups/empty")).mtime_us;
	assert_int_equal(acme, AT_US + 61 * US_PER_S + 5);
	assert_int_equal(root, acme);
	assert_int_equal(empty, 1000);

	assert_int_equal(catalog_begin_rebuild(f->catalog, NULL), 0);
	assert_int_equal(add(f, "backups/tenants/acme", (SECONDS + 60) * 1000, 2, 10), 0);
	assert_int_equal(add(f, "backups/tenants/acme", SECONDS * 1000, 1, 10), 0);
	assert_int_equal(catalog_end_rebuild(f->catalog, true, NULL), 0);
	assert_int_equal(entry_of(f, 0).mtime_us, root);
	assert_int_equal(entry_of(f, ino_of_directory("backups/tenants")).mtime_us, tenants);
	assert_int_equal(entry_of(f, ino_of_directory("backups/tenants/acme")).mtime_us, acme);
	assert_int_equal(entry_of(f, ino_of_directory("backups/empty")).mtime_us, empty);
}

static void a_rebuild_keeps_tombs(void **state)
{
	struct fixture *f = *state;
	unsigned tombs = 0;

	assert_int_equal(add(f, "backups/full", SECONDS * 1000, 1, 10), 0);
	assert_int_equal(
	        catalog_entomb_artifact(f->catalog, ino_at("backups/full", SECONDS * 1000), false, NULL), 0);
	assert_int_equal(catalog_begin_rebuild(f->catalog, NULL), 0);
	assert_int_equal(add(f, "backups/full", SECONDS * 1000, 1, 10), CATALOG_ENTOMBED);
	assert_int_equal(catalog_end_rebuild(f->catalog, true, NULL), 0);
	directory_counts_are_true(f, "backups/full", 0);
	assert_int_equal(catalog_tombs(f->catalog, count_tomb, &tombs), 0);
	assert_int_equal(tombs, 1);
}

static int add_for(struct fixture *f, const char *database, int64_t sequence, int64_t run_id)
{
	_cleanup(manifest) struct manifest m = {0};

	fill(&m, "backups/full", sequence, run_id, 10);
	mem_replace_string(&m.database, database);
	return catalog_add_artifact(f->catalog, &m, NULL);
}

static void a_rebuild_makes_unknown_runs(void **state)
{
	struct fixture *f = *state;
	struct catalog_run run;
	int64_t known;

	assert_int_equal(catalog_add_run(f->catalog, run_of("other", "cron"), &known, NULL), 0);
	assert_int_equal(known, 1);
	assert_int_equal(catalog_begin_rebuild(f->catalog, NULL), 0);
	assert_int_equal(add_for(f, "a", SECONDS * 1000, 1), 0); /* number 1 is another's */
	assert_int_equal(add_for(f, "a", SECONDS * 1000 + 1, 9), 0);
	assert_int_equal(add_for(f, "b", (SECONDS + 5) * 1000, 9), 0);
	assert_int_equal(add_for(f, "a", (SECONDS + 9) * 1000, 9),
	                 0); /* the same database: a number used twice */
	assert_int_equal(catalog_end_rebuild(f->catalog, true, NULL), 0);

	assert_int_equal(catalog_run(f->catalog, 1, &run), 0);
	assert_string_equal(run.job, "other");
	assert_int_equal(run.state, RUN_PENDING);
	assert_int_equal(run.targets, 0);
	assert_int_equal(catalog_run(f->catalog, 9, &run), 0);
	assert_string_equal(run.job, "full");
	assert_string_equal(run.triggered_by, "uid 0 (bash)");
	assert_int_equal(run.state, RUN_COMPLETED);
	assert_int_equal(run.targets, 2);
	assert_int_equal(run.size_bytes, 20);
	assert_string_equal(run.sha256, "");
	assert_int_equal(run.started_at_us, AT_US);
	assert_int_equal(run.finished_at_us, AT_US + 6 * US_PER_S + 5);
	assert_int_equal(catalog_add_run(f->catalog, run_of("full", "cron"), &known, NULL), 0);
	assert_int_equal(known, 10);
}

/* Runs. */

static int64_t new_run(struct fixture *f, const char *job)
{
	int64_t id = 0;

	assert_int_equal(catalog_add_run(f->catalog, run_of(job, "uid 0 (bash)"), &id, NULL), 0);
	return id;
}

static void a_job_has_one_run_at_a_time(void **state)
{
	struct fixture *f = *state;
	struct error err = {0};
	int64_t first = new_run(f, "full"), other = new_run(f, "media"), id = -1;

	assert_int_not_equal(first, other);
	assert_int_equal(catalog_add_run(f->catalog, run_of("full", "x"), &id, &err), -EBUSY);
	assert_int_equal(err.class, ERROR_CONFLICT);
	assert_non_null(strstr(err.message, "run 1 is pending"));
	assert_int_equal(catalog_start_run(f->catalog, first, NULL), 0);
	assert_int_equal(catalog_add_run(f->catalog, run_of("full", "x"), &id, &err), -EBUSY);
	assert_non_null(strstr(err.message, "run 1 is running"));
	assert_int_equal(id, -1);
	assert_int_equal(catalog_finish_run(f->catalog, first, RUN_FAILED, "pg_dump: no", NULL), 0);
	assert_int_equal(new_run(f, "full"), 3);
}

struct run_totals {
	uint64_t full[RUN_STATES], media[RUN_STATES];
	int64_t full_ended[RUN_STATES];
};

static void take_run_total(void *arg, const char *job, enum run_state state, uint64_t runs, int64_t ended_us)
{
	struct run_totals *totals = arg;

	if (strcmp(job, "full") == 0) {
		totals->full[state] = runs;
		totals->full_ended[state] = ended_us;
	} else {
		assert_string_equal(job, "media");
		totals->media[state] = runs;
	}
}

static void runs_are_counted_by_state(void **state)
{
	struct fixture *f = *state;
	struct run_totals none = {0}, live = {0}, ended = {0};
	struct catalog_run run;
	int64_t id = new_run(f, "full"), last = 0;

	assert_int_equal(catalog_run_totals(f->catalog, take_run_total, &none), 0);
	assert_int_equal(none.full[RUN_PENDING], 1);
	assert_int_equal(catalog_start_run(f->catalog, id, NULL), 0);
	new_run(f, "media");
	assert_int_equal(catalog_run_totals(f->catalog, take_run_total, &live), 0);
	assert_int_equal(live.full[RUN_PENDING], 0);
	assert_int_equal(live.full[RUN_RUNNING], 1);
	assert_int_equal(live.full_ended[RUN_RUNNING], 0);
	assert_int_equal(live.media[RUN_PENDING], 1);
	assert_int_equal(catalog_finish_run(f->catalog, id, RUN_FAILED, "no", NULL), 0);
	for (int i = 0; i < 2; i++) {
		last = new_run(f, "full");
		assert_int_equal(catalog_start_run(f->catalog, last, NULL), 0);
		assert_int_equal(catalog_finish_run(f->catalog, last, RUN_COMPLETED, NULL, NULL), 0);
	}
	assert_int_equal(catalog_finish_run(f->catalog, new_run(f, "full"), RUN_CANCELLED, NULL, NULL), 0);
	assert_int_equal(catalog_run_totals(f->catalog, take_run_total, &ended), 0);
	assert_int_equal(ended.full[RUN_RUNNING], 0);
	assert_int_equal(ended.full[RUN_COMPLETED], 2);
	assert_int_equal(ended.full[RUN_FAILED], 1);
	assert_int_equal(ended.full[RUN_CANCELLED], 1);
	assert_int_equal(catalog_run(f->catalog, last, &run), 0);
	assert_int_equal(ended.full_ended[RUN_COMPLETED], run.finished_at_us);
	assert_int_equal(catalog_run(f->catalog, id, &run), 0);
	assert_int_equal(ended.full_ended[RUN_FAILED], run.finished_at_us);
}

/* A run that is made of two manifests counts once, and ended when the later one did. */
static void runs_of_a_rebuild_are_counted(void **state)
{
	struct fixture *f = *state;
	struct run_totals totals = {0};

	assert_int_equal(catalog_begin_rebuild(f->catalog, NULL), 0);
	assert_int_equal(add_for(f, "b", (SECONDS + 5) * 1000, 9), 0);
	assert_int_equal(add_for(f, "a", SECONDS * 1000, 9), 0);
	assert_int_equal(add_for(f, "a", (SECONDS + 60) * 1000, 10), 0);
	assert_int_equal(catalog_end_rebuild(f->catalog, true, NULL), 0);
	assert_int_equal(catalog_run_totals(f->catalog, take_run_total, &totals), 0);
	assert_int_equal(totals.full[RUN_COMPLETED], 2);
	assert_int_equal(totals.full_ended[RUN_COMPLETED], AT_US + 61 * US_PER_S + 5);
}

static void a_run_keeps_what_its_trigger_said(void **state)
{
	struct fixture *f = *state;
	struct catalog_run asked = {.job = "full",
	                            .kind = "dump",
	                            .triggered_by = "uid 7 (sh)",
	                            .note = "before the upgrade",
	                            .options = "format=plain content=schema"};
	struct catalog_run run;
	int64_t id = 0;

	assert_int_equal(catalog_add_run(f->catalog, &asked, &id, NULL), 0);
	assert_int_equal(catalog_run(f->catalog, id, &run), 0);
	assert_string_equal(run.triggered_by, "uid 7 (sh)");
	assert_string_equal(run.note, "before the upgrade");
	assert_string_equal(run.options, "format=plain content=schema");
	assert_string_equal(run.warning, "");
	assert_int_equal(catalog_warn_run(f->catalog, id, "slow", NULL), 0);
	assert_int_equal(catalog_warn_run(f->catalog, id, "no room soon", NULL), 0);
	assert_int_equal(catalog_warn_run(f->catalog, 99, "x", NULL), -ENOENT);
	assert_int_equal(catalog_runs(f->catalog, "full", 0, &run, 1), 1);
	assert_string_equal(run.warning, "slow; no room soon");
}

static void states_go_forward_only(void **state)
{
	struct fixture *f = *state;
	struct catalog_run run;
	int64_t id = new_run(f, "full");

	assert_int_equal(catalog_start_run(f->catalog, id, NULL), 0);
	assert_int_equal(catalog_start_run(f->catalog, id, NULL), -ENOENT);
	assert_int_equal(catalog_finish_run(f->catalog, id, RUN_COMPLETED, NULL, NULL), 0);
	assert_int_equal(catalog_finish_run(f->catalog, id, RUN_FAILED, "late", NULL), -ENOENT);
	assert_int_equal(catalog_start_run(f->catalog, 99, NULL), -ENOENT);
	assert_int_equal(catalog_run(f->catalog, id, &run), 0);
	assert_int_equal(run.state, RUN_COMPLETED);
	assert_string_equal(run.error, "");
	assert_true(run.queued_at_us > 0 && run.started_at_us >= run.queued_at_us);
	assert_true(run.finished_at_us >= run.started_at_us);
	assert_int_equal(catalog_run(f->catalog, 99, &run), -ENOENT);
}

static void a_run_sums_up_its_targets(void **state)
{
	struct fixture *f = *state;
	int64_t id = new_run(f, "full");
	struct catalog_target bad = {
	        .database = "b", .state = RUN_FAILED, .size_bytes = 5, .error = "no such role"};
	struct catalog_target good = {.database = "a", .state = RUN_RUNNING};
	struct catalog_target targets[4];
	struct catalog_run run;

	assert_int_equal(catalog_set_target(f->catalog, id, &good, NULL), 0);
	assert_int_equal(catalog_set_target(f->catalog, id, &bad, NULL), 0);
	assert_int_equal(add_for(f, "a", SECONDS * 1000, id), 0);
	good.state = RUN_COMPLETED;
	good.size_bytes = 10;
	str_copy(good.path, sizeof(good.path), "backups/full/20261120T020000Z.dump");
	assert_int_equal(catalog_set_target(f->catalog, id, &good, NULL), 0);
	assert_int_equal(catalog_run(f->catalog, id, &run), 0);
	assert_int_equal(run.targets, 2);
	assert_int_equal(run.targets_failed, 1);
	assert_int_equal(run.size_bytes, 10);
	assert_int_equal(strlen(run.sha256), 64);
	assert_int_equal(catalog_run_targets(f->catalog, id, 0, targets, 4), 2);
	assert_string_equal(targets[0].database, "a");
	assert_string_equal(targets[0].path, "backups/full/20261120T020000Z.dump");
	assert_string_equal(targets[1].error, "no such role");
	assert_int_equal(catalog_run_targets(f->catalog, id, 1, targets, 4), 1);
	assert_string_equal(targets[0].database, "b");
	assert_int_equal(catalog_run_targets(f->catalog, id, 2, targets, 4), 0);
	assert_int_equal(catalog_set_target(f->catalog, 99, &good, NULL), -ENOENT);
}

static void put_target(struct fixture *f, int64_t id, const char *database, enum run_state state)
{
	struct catalog_target target = {.state = state};

	str_copy(target.database, sizeof(target.database), database);
	if (state == RUN_FAILED)
		str_copy(target.error, sizeof(target.error), "no such role");
	assert_int_equal(catalog_set_target(f->catalog, id, &target, NULL), 0);
}

/* What could not be kept of a database while it was known is kept with the end of its run. */
static void expect_settled(struct fixture *f, const char *job, enum run_state state, const char *error)
{
	int64_t id = new_run(f, job), other = new_run(f, "other");
	struct catalog_target targets[5];
	struct catalog_run run;

	put_target(f, id, "a", RUN_COMPLETED);
	put_target(f, id, "b", RUN_FAILED);
	put_target(f, id, "c", RUN_RUNNING);
	put_target(f, id, "d", RUN_PENDING);
	put_target(f, other, "c", RUN_RUNNING);
	assert_int_equal(catalog_finish_run(f->catalog, id, state, error, NULL), 0);
	assert_int_equal(catalog_run_targets(f->catalog, id, 0, targets, 5), 4);
	assert_int_equal(targets[0].state, RUN_COMPLETED);
	assert_string_equal(targets[0].error, "");
	assert_int_equal(targets[1].state, RUN_FAILED);
	assert_string_equal(targets[1].error, "no such role");
	for (int i = 2; i < 4; i++) {
		assert_int_equal(targets[i].state, state);
		assert_string_equal(targets[i].error, error);
	}
	assert_int_equal(catalog_run(f->catalog, id, &run), 0);
	assert_int_equal(run.targets_failed, state == RUN_FAILED ? 3 : 1);
	assert_int_equal(catalog_run_targets(f->catalog, other, 0, targets, 5), 1);
	assert_int_equal(targets[0].state, RUN_RUNNING);
	/* Nor does a second end change anything. */
	assert_int_equal(catalog_finish_run(f->catalog, other, RUN_COMPLETED, NULL, NULL), 0);
	assert_int_equal(catalog_finish_run(f->catalog, other, RUN_FAILED, "late", NULL), -ENOENT);
	assert_int_equal(catalog_run_targets(f->catalog, other, 0, targets, 5), 1);
	assert_int_equal(targets[0].state, RUN_COMPLETED);
	assert_string_equal(targets[0].error, "");
}

static void the_end_of_a_run_is_that_of_its_targets(void **state)
{
	expect_settled(*state, "full", RUN_FAILED, "2 of 4 databases failed");
	expect_settled(*state, "media", RUN_CANCELLED, "cancelled");
}

static void a_listed_artifact_is_noted_at_its_run(void **state)
{
	struct fixture *f = *state;
	int64_t id = new_run(f, "full"), other = new_run(f, "other");
	struct catalog_run run;

	assert_int_equal(add_for(f, "a", SECONDS * 1000, id), 0);
	assert_int_equal(add_for(f, "a", SECONDS * 1000 + 1, other), 0); /* another job's run: not noted */
	assert_int_equal(catalog_run(f->catalog, id, &run), 0);
	assert_int_equal(run.targets, 1);
	assert_int_equal(run.size_bytes, 10);
	assert_int_equal(catalog_run(f->catalog, other, &run), 0);
	assert_int_equal(run.targets, 0);
}

static void runs_come_newest_first(void **state)
{
	struct fixture *f = *state;
	struct catalog_run runs[4];

	for (int i = 0; i < 5; i++)
		assert_int_equal(catalog_finish_run(f->catalog, new_run(f, i % 2 ? "b" : "a"), RUN_COMPLETED,
		                                    NULL, NULL),
		                 0);
	assert_int_equal(catalog_runs(f->catalog, NULL, 0, runs, 4), 4);
	assert_int_equal(runs[0].id, 5);
	assert_int_equal(runs[3].id, 2);
	assert_int_equal(catalog_runs(f->catalog, NULL, 2, runs, 4), 1);
	assert_int_equal(runs[0].id, 1);
	assert_int_equal(catalog_runs(f->catalog, "b", 0, runs, 4), 2);
	assert_int_equal(runs[0].id, 4);
	assert_int_equal(catalog_runs(f->catalog, "c", 0, runs, 4), 0);
}

static void sum_ids(void *arg, const struct catalog_run *run)
{
	*(int64_t *)arg += run->id;
}

static void unfinished_runs_survive_a_restart(void **state)
{
	struct fixture *f = *state;
	int64_t a = new_run(f, "a"), b = new_run(f, "b"), c = new_run(f, "c"), ids = 0;

	assert_int_equal(catalog_start_run(f->catalog, b, NULL), 0);
	assert_int_equal(catalog_finish_run(f->catalog, c, RUN_CANCELLED, "cancelled", NULL), 0);
	reopen(f);
	assert_int_equal(catalog_unfinished_runs(f->catalog, sum_ids, &ids), 0);
	assert_int_equal(ids, a + b);
}

struct log_seen {
	unsigned lines;
	char first[32], last[32];
};

static void see_line(void *arg, int64_t at_us, const char *line)
{
	struct log_seen *seen = arg;

	if (seen->lines++ == 0)
		str_copy(seen->first, sizeof(seen->first), line);
	str_copy(seen->last, sizeof(seen->last), line);
}

static void a_run_keeps_its_last_2000_lines(void **state)
{
	struct fixture *f = *state;
	struct log_seen seen = {0};
	int64_t id = new_run(f, "full");

	/* One transaction around all of them: a commit each would only wear the disk. */
	assert_int_equal(catalog_begin_rebuild(f->catalog, NULL), 0);
	for (int i = 1; i <= 2005; i++) {
		char line[32];

		snprintf(line, sizeof(line), "line %d", i);
		assert_int_equal(catalog_log_run(f->catalog, id, line, NULL), 0);
	}
	assert_int_equal(catalog_end_rebuild(f->catalog, true, NULL), 0);
	assert_int_equal(catalog_run_log(f->catalog, id, see_line, &seen), 0);
	assert_int_equal(seen.lines, 2000);
	assert_string_equal(seen.first, "line 6");
	assert_string_equal(seen.last, "line 2005");
}

/* Audit and probes. */

static void see_audit(void *arg, const struct catalog_audit *entry)
{
	str_appendf(arg, "%" PRId64 " %" PRId64 " %s %s %s %s %s;", entry->uid, entry->pid, entry->command,
	            entry->action, entry->object, entry->result, entry->detail);
}

static void the_audit_is_newest_first(void **state)
{
	struct fixture *f = *state;
	_cleanup(str) struct str seen = {0};
	struct catalog_audit entry = {.at_us = AT_US,
	                              .uid = 1000,
	                              .pid = 7,
	                              .command = "rm",
	                              .action = "remove",
	                              .object = "backups/full/x",
	                              .result = "denied",
	                              .detail = "the last"};

	assert_int_equal(catalog_add_audit(f->catalog, &entry, NULL), 0);
	entry.uid = entry.pid = -1;
	str_copy(entry.result, sizeof(entry.result), "ok");
	assert_int_equal(catalog_add_audit(f->catalog, &entry, NULL), 0);
	assert_int_equal(catalog_audits(f->catalog, see_audit, &seen), 0);
	assert_string_equal(str_text(&seen), "-1 -1 rm remove backups/full/x ok the last;"
	                                     "1000 7 rm remove backups/full/x denied the last;");
}

static void a_probe_replaces_the_last(void **state)
{
	struct fixture *f = *state;
	struct catalog_probe probes[3] = {
	        {.check = "store", .ok = true, .at_us = AT_US, .detail = "fine"},
	        {.check = "database full", .ok = false, .at_us = AT_US, .detail = "no such role"},
	};

	assert_int_equal(catalog_store_verified(f->catalog, "s3://a"), 0);
	assert_int_equal(catalog_set_probes(f->catalog, "s3://a", probes, 2, NULL), 0);
	assert_int_equal(catalog_store_verified(f->catalog, "s3://a"), AT_US);
	assert_int_equal(catalog_store_verified(f->catalog, "s3://b"), 0);
	probes[0].ok = false;
	probes[0].at_us++;
	assert_int_equal(catalog_set_probes(f->catalog, "s3://a", probes, 1, NULL), 0);
	assert_int_equal(catalog_probes(f->catalog, probes, 3), 1);
	assert_string_equal(probes[0].check, "store");
	assert_false(probes[0].ok);
	assert_int_equal(probes[0].at_us, AT_US + 1);
	assert_int_equal(catalog_store_verified(f->catalog, "s3://a"), AT_US);
}

/* Files that are no catalog of this keepfs. Positions are those of SQLite's file header. */

#define HEADER_USER_VERSION   60
#define HEADER_APPLICATION_ID 68

static void patch(struct fixture *f, const void *data, size_t len, off_t offset)
{
	_cleanup(free) char *path = file_path(f, "catalog.db");
	_cleanup(fd) int fd = -1;

	catalog_free(take_ptr(&f->catalog));
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(fd_pwrite_all(fd, data, len, offset), 0);
}

static void assert_not_opened(struct fixture *f, int errnum, const char *word)
{
	struct error err = {0};

	assert_int_equal(catalog_open(f->directory, &f->catalog, &err), -errnum);
	assert_null(f->catalog);
	assert_int_equal(err.errnum, errnum);
	if (!strstr(err.message, word) || !strstr(err.message, "keepfs rebuild"))
		fail_msg("message: %s", err.message);
}

static void an_empty_file_becomes_a_catalog(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *path = file_path(f, "catalog.db");

	catalog_free(take_ptr(&f->catalog));
	assert_int_equal(truncate(path, 0), 0);
	assert_int_equal(catalog_open(f->directory, &f->catalog, NULL), 0);
	assert_int_equal(add(f, "backups/full", SECONDS * 1000, 1, 10), 0);
}

static void open_anew(void *arg)
{
	struct fixture *f = arg;
	_cleanup(catalog) struct catalog *c = NULL;

	assert_int_equal(catalog_open(f->directory, &c, NULL), 0);
}

static void many_may_be_the_first_to_open(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *path = file_path(f, "catalog.db");
	struct workers *workers = workers_new("opener", 4);

	catalog_free(take_ptr(&f->catalog));
	assert_int_equal(truncate(path, 0), 0);
	for (int i = 0; i < 8; i++)
		workers_add(workers, open_anew, f);
	workers_free(workers);
	assert_int_equal(catalog_open(f->directory, &f->catalog, NULL), 0);
}

static void a_newer_format_is_refused(void **state)
{
	patch(*state, "\0\0\0\x63", 4, HEADER_USER_VERSION);
	assert_not_opened(*state, ENOTSUP, "format 99");
}

static void another_programs_file_is_refused(void **state)
{
	patch(*state, "\1\2\3\4", 4, HEADER_APPLICATION_ID);
	assert_not_opened(*state, EBADMSG, "no catalog");
}

static void garbage_is_refused(void **state)
{
	char garbage[4096];

	memset(garbage, 'x', sizeof(garbage));
	patch(*state, garbage, sizeof(garbage), 0);
	assert_not_opened(*state, EBADMSG, "damaged");
}

static void damage_is_told(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *path = file_path(f, "catalog.db");
	char garbage[4096];
	struct error err = {0};
	struct stat st;
	int r = 0;

	add_many(f, 100);
	reopen(f);
	assert_int_equal(stat(path, &st), 0);
	memset(garbage, 0xa5, sizeof(garbage));
	for (off_t at = 4096; at < st.st_size;
	     at += 4096) /* all but the first page, which holds the schema */
		patch(f, garbage, sizeof(garbage), at);
	r = catalog_open(f->directory, &f->catalog, &err);
	assert_int_equal(r, -EBADMSG);
	assert_non_null(strstr(err.message, "run 'keepfs rebuild', which puts it aside"));
}

static void a_lock_names_its_holder(void **state)
{
	struct fixture *f = *state;
	struct error err = {0};
	char pid[32];
	int fd = -1, other = -1;

	snprintf(pid, sizeof(pid), "pid %jd)", (intmax_t)getpid());
	assert_int_equal(catalog_lock(f->directory, &fd, NULL), 0);
	assert_int_equal(catalog_lock(f->directory, &other, &err), -EBUSY);
	assert_non_null(strstr(err.message, pid));
	assert_non_null(strstr(err.message, f->directory));
	assert_non_null(strstr(err.message, "'keepfs trigger --wait JOB'"));
	assert_int_equal(other, -1);
	close(fd);
	assert_int_equal(catalog_lock(f->directory, &fd, NULL), 0);
	close(fd);
}

/* A small file system of this process's own; false where the system does not let us have one. */
static bool mount_small(const char *directory)
{
	if (unshare(CLONE_NEWNS) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		return false;
	/* In a chroot, "/" is no mount (EINVAL); the test unmounts in any case. */
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 && errno != EINVAL)
		return false;
	return mount("tmpfs", directory, "tmpfs", 0, "size=1m,mode=0700") == 0;
}

/* Write runs until it fails; a run each, as the daemon does. */
static int fill_disk(struct fixture *f, struct error *err)
{
	int r = 0;

	for (int64_t i = 0; r == 0 && i < MANY; i++) {
		_cleanup(manifest) struct manifest m = {0};

		fill(&m, "backups/full", (SECONDS + i) * 1000, i + 1, 10);
		r = catalog_add_artifact(f->catalog, &m, err);
	}
	return r;
}

static void a_full_disk_is_told_and_survived(void **state)
{
	struct fixture *f = *state;
	struct error err = {0};
	struct catalog_entry before, after;
	_cleanup(free) char *ballast = file_path(f, "ballast");
	_cleanup(fd) int fd = -1;

	catalog_free(take_ptr(&f->catalog));
	if (!mount_small(f->directory))
		skip();
	fd = open(ballast, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(posix_fallocate(fd, 0, 512 << 10), 0);
	assert_int_equal(catalog_open(f->directory, &f->catalog, NULL), 0);
	assert_int_equal(fill_disk(f, &err), -ENOSPC);
	assert_int_equal(err.class, ERROR_NO_SPACE);
	assert_non_null(strstr(err.message, f->directory));
	/* What was there is served; what failed left nothing; with room it goes on. */
	before = entry_of(f, ino_of_directory("backups/full"));
	assert_int_equal(add(f, "backups/late", SECONDS * 1000, 1, 10), -ENOSPC);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(add(f, "backups/late", SECONDS * 1000, 1, 10), 0);
	reopen(f);
	after = entry_of(f, ino_of_directory("backups/full"));
	assert_true(before.files > 0);
	assert_int_equal(after.files, before.files);
	directory_counts_are_true(f, "backups/full", after.files);
	catalog_free(take_ptr(&f->catalog));
	assert_int_equal(umount2(f->directory, MNT_DETACH), 0);
}

/* Readers and a writer. */

#define THREADS 24 /* more than there are connections for */
#define WRITES  60

struct race {
	struct fixture *f;
	_Atomic bool done;
	_Atomic unsigned finished;
};

static void read_until_done(void *arg)
{
	struct race *race = arg;
	struct catalog *c = race->f->catalog;
	uint64_t directory = ino_of_directory("backups/full"), last = 0;
	struct catalog_entry page[16], entry;

	do {
		struct catalog_totals totals;
		ssize_t n = catalog_entries(c, directory, CATALOG_ARTIFACT, -1, page, ARRAY_SIZE(page));

		assert_true(n >= 1);
		for (ssize_t i = 0; i < n; i++)
			assert_int_equal(catalog_entry_by_ino(c, page[i].ino, &entry), 0);
		assert_int_equal(catalog_entry_by_ino(c, directory, &entry), 0);
		assert_true(entry.files >= last);
		last = entry.files;
		assert_int_equal(catalog_totals(c, NULL, &totals), 0);
		assert_true(totals.artifacts >= last);
	} while (!race->done);
	race->finished++;
}

static void readers_and_a_writer_do_not_disturb(void **state)
{
	struct race race = {.f = *state};
	struct workers *workers;

	assert_int_equal(add(race.f, "backups/full", SECONDS * 1000, 1, 10), 0);
	workers = workers_new("reader", THREADS);
	assert_non_null(workers);
	for (int i = 0; i < THREADS; i++)
		workers_add(workers, read_until_done, &race);
	for (int i = 1; i <= WRITES; i++)
		assert_int_equal(add(race.f, "backups/full", SECONDS * 1000 + i, i, 10), 0);
	race.done = true;
	workers_free(workers);
	assert_int_equal(race.finished, THREADS);
	directory_counts_are_true(race.f, "backups/full", WRITES + 1);
}

static void write_some(void *arg)
{
	struct race *race = arg;
	int64_t number = 1000 * (int64_t)(++race->finished);

	for (int i = 0; i < 10; i++)
		assert_int_equal(add(race->f, "backups/full", SECONDS * 1000 + number + i, 1, 10), 0);
}

static void writers_wait_for_each_other_and_for_a_rebuild(void **state)
{
	struct race race = {.f = *state};
	struct workers *workers = workers_new("writer", 4);

	assert_non_null(workers);
	assert_int_equal(catalog_begin_rebuild(race.f->catalog, NULL), 0);
	for (int i = 0; i < 4; i++)
		workers_add(workers, write_some, &race);
	for (int i = 0; i < 10; i++)
		assert_int_equal(add(race.f, "backups/full", SECONDS * 1000 + i, 1, 10), 0);
	assert_int_equal(catalog_end_rebuild(race.f->catalog, false, NULL), 0);
	workers_free(workers);
	directory_counts_are_true(race.f, "backups/full", 40);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(files_are_for_their_owner_alone),
	        TEST(directories_are_made_with_their_parents),
	        TEST(bad_directories_are_refused),
	        TEST(empty_directories_are_dropped_unless_kept),
	        TEST(an_artifact_is_found_in_every_way),
	        TEST(a_manifest_is_kept_whole),
	        TEST(a_file_beside_is_found_in_every_way),
	        TEST(a_directory_artifact_is_found_in_every_way),
	        TEST(files_come_with_their_artifact),
	        TEST(sums_of_every_kind_are_counted),
	        TEST(files_are_hidden_with_their_artifact),
	        TEST(files_that_cannot_be_listed_are_refused),
	        TEST(a_large_directory_comes_in_pages),
	        TEST(a_partial_one_stands_in_for_none),
	        TEST(counts_follow_every_change),
	        TEST(what_is_entombed_is_hidden),
	        TEST(the_last_one_is_kept),
	        TEST(a_damaged_one_is_not_good),
	        TEST(reading_the_whole_verifies),
	        TEST(a_damaged_file_damages_the_directory_it_is_in),
	        TEST(the_store_is_remembered),
	        TEST(another_at_the_same_place_is_refused),
	        TEST(an_unloaded_table_is_refused),
	        TEST(pages_hold_every_entry_once_in_order),
	        TEST(intents_hold_their_place),
	        TEST(listing_ends_the_intent),
	        TEST(generation_counts_changes),
	        TEST(a_rebuild_replaces_all_or_nothing),
	        TEST(a_refused_artifact_does_not_end_a_rebuild),
	        TEST(a_rebuild_gives_the_same_times),
	        TEST(a_rebuild_keeps_tombs),
	        TEST(a_rebuild_makes_unknown_runs),
	        TEST(a_job_has_one_run_at_a_time),
	        TEST(runs_are_counted_by_state),
	        TEST(runs_of_a_rebuild_are_counted),
	        TEST(a_run_keeps_what_its_trigger_said),
	        TEST(states_go_forward_only),
	        TEST(a_run_sums_up_its_targets),
	        TEST(the_end_of_a_run_is_that_of_its_targets),
	        TEST(a_listed_artifact_is_noted_at_its_run),
	        TEST(runs_come_newest_first),
	        TEST(unfinished_runs_survive_a_restart),
	        TEST(a_run_keeps_its_last_2000_lines),
	        TEST(the_audit_is_newest_first),
	        TEST(a_probe_replaces_the_last),
	        TEST(an_empty_file_becomes_a_catalog),
	        TEST(many_may_be_the_first_to_open),
	        TEST(a_newer_format_is_refused),
	        TEST(another_programs_file_is_refused),
	        TEST(garbage_is_refused),
	        TEST(damage_is_told),
	        TEST(a_lock_names_its_holder),
	        TEST(a_full_disk_is_told_and_survived),
	        TEST(readers_and_a_writer_do_not_disturb),
	        TEST(writers_wait_for_each_other_and_for_a_rebuild),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
