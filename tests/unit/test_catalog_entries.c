// SPDX-License-Identifier: Apache-2.0
/* The tree: directories, lookups of every kind, pages, sums. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <keepfs/base/cleanup.h>
#include <keepfs/base/clock.h>
#include <keepfs/base/error.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/catalog/rebuild.h>
#include <keepfs/catalog/retention.h>
#include <keepfs/codec/extents.h>
#include <keepfs/codec/hash.h>
#include <keepfs/codec/manifest.h>
#include <keepfs/codec/name.h>

#include "catalog_fixture.h"

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
	assert_int_equal(catalog_entry_latest(f->catalog, directory, ".dump", &entry), 0);
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

static uint64_t stored_bytes(struct fixture *f)
{
	struct catalog_totals totals;

	assert_int_equal(catalog_totals(f->catalog, NULL, &totals), 0);
	return totals.stored_bytes;
}

static void a_file_beside_is_found_in_every_way(void **state)
{
	struct fixture *f = *state;
	uint64_t directory = ino_of_directory("backups/full"), main = ino_at("backups/full", SECONDS * 1000),
	         ino = ino_of_artifact("backups/full/20261120T020000Z.tables.csv");
	_cleanup(free) char *path = NULL;
	_cleanup(manifest) struct manifest m = {0};
	_cleanup(manifest_object) struct manifest_object o = {0};
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
	assert_int_equal(catalog_object(f->catalog, ino, &o), 0);
	assert_int_equal(o.extents.total_bytes, 3);
	assert_int_equal(catalog_file_sha256(f->catalog, ino, sha256), 0);
	assert_int_equal(catalog_file_sha256(f->catalog, main, again), 0);
	assert_string_equal(again, m.sha256);
	assert_string_not_equal(sha256, again);
	assert_int_equal(catalog_file_sha256(f->catalog, ino ^ 1, sha256), -ENOENT);
	assert_int_equal(catalog_entry_by_name(f->catalog, directory, "20261120T020000Z.other", &entry),
	                 -ENOENT);
	assert_int_equal(catalog_entry_by_name(f->catalog, 0, "20261120T020000Z.tables.csv", &entry),
	                 -ENOENT);
	assert_int_equal(catalog_entry_latest(f->catalog, directory, ".dump", &entry), 0);
	assert_int_equal(entry.ino, main);
}

static void a_directory_artifact_is_found_in_every_way(void **state)
{
	struct fixture *f = *state;
	uint64_t directory = ino_of_directory("backups/full"),
	         artifact = ino_of_artifact("backups/full/20261120T020000Z"),
	         ino = ino_of_artifact("backups/full/20261120T020000Z/f2");
	_cleanup(free) char *path = NULL;
	_cleanup(manifest_object) struct manifest_object o = {0};
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
	assert_int_equal(catalog_object(f->catalog, ino, &o), 0);
	assert_int_equal(o.extents.total_bytes, 3);
	assert_int_equal(catalog_object(f->catalog, artifact, &o), -ENOENT);
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
	            m.files[1].sha256);
	str_appendf(&expected, "%s  20261120T020000Z.globals.sql.gz\n", m.files[2].sha256);
	str_appendf(&expected, "%s  20261120T020000Z-2/SHA256SUMS\n", unknown.sha256);
	assert_int_equal(catalog_add_artifact(f->catalog, &unknown, NULL), 0);
	manifest_finish(&unknown);
	fill_beside(&unknown, "backups/full", SECONDS * 1000 + 2, 1, 10);
	unknown.sha256[0] = unknown.files[2].sha256[0] = '\0';
	str_append(&expected, "# 20261120T020000Z-3.dump: not read back, so its SHA-256 is not known\n");
	str_appendf(&expected, "%s  20261120T020000Z-3.tables.csv\n", unknown.files[1].sha256);
	str_append(&expected,
	           "# 20261120T020000Z-3.globals.sql.gz: not read back, so its SHA-256 is not known\n");
	assert_int_equal(catalog_add_artifact(f->catalog, &unknown, NULL), 0);
	assert_int_equal(catalog_sums(f->catalog, directory, CATALOG_SUMS_PLAIN, collect_sums, &sums), 0);
	assert_string_equal(str_text(&sums), str_text(&expected));
	directory_counts_are_true(f, "backups/full", 3);
	assert_int_equal(stored_bytes(f), 13 + 100 * 101 / 2 + 13);

	assert_int_equal(catalog_add_artifact(f->catalog, &m, NULL), 0); /* again */
	directory_counts_are_true(f, "backups/full", 3);
	assert_int_equal(catalog_entomb_artifact(f->catalog, first, NULL, NULL), 0);
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
	struct manifest_object o;
	char sha256[SHA256_HEX_BYTES];

	assert_int_equal(add_beside(f, "backups/full", SECONDS * 1000, 10), 0);
	assert_int_equal(add_directory(f, "backups/full", SECONDS * 1000 + 1, 3), 0);
	assert_int_equal(entry_of(f, within).size_bytes, 1);
	assert_int_equal(
	        catalog_entomb_artifact(f->catalog, ino_at("backups/full", SECONDS * 1000), NULL, NULL), 0);
	assert_int_equal(entry_of(f, directory).subdirectories, 1);
	assert_int_equal(catalog_entomb_artifact(f->catalog, artifact, NULL, NULL), 0);
	assert_int_equal(entry_of(f, directory).subdirectories, 0);
	for (size_t i = 0; i < ARRAY_SIZE(beside); i++)
		assert_int_equal(catalog_entry_by_name(f->catalog, directory, beside[i], &entry), -ENOENT);
	assert_int_equal(catalog_entries(f->catalog, directory, CATALOG_FILE, -1, &entry, 1), 0);
	assert_int_equal(catalog_entries(f->catalog, artifact, CATALOG_FILE, -1, &entry, 1), 0);
	assert_int_equal(catalog_entry_by_ino(f->catalog, within, &entry), -ENOENT);
	assert_int_equal(catalog_entry_by_name(f->catalog, artifact, "f0", &entry), -ENOENT);
	assert_int_equal(catalog_manifest(f->catalog, within, &m), -ENOENT);
	assert_int_equal(catalog_object(f->catalog, within, &o), -ENOENT);
	assert_int_equal(catalog_file_sha256(f->catalog, within, sha256), -ENOENT);
	assert_int_equal(catalog_files(f->catalog, artifact, append_name, &seen), 0);
	assert_int_equal(catalog_sums(f->catalog, directory, CATALOG_SUMS_PLAIN, collect_sums, &seen), 0);
	assert_int_equal(seen.len, 0);
	assert_null(catalog_path(f->catalog, within));
	/* Their place is free again when the deletion has ended, and only then. */
	assert_int_equal(catalog_drop_artifact(f->catalog, artifact, NULL), 0);
	assert_int_equal(add_directory(f, "backups/full", SECONDS * 1000 + 1, 2), 0);
	assert_int_equal(entry_of(f, within).size_bytes, 1);
	assert_int_equal(entry_of(f, artifact).files, 2);
}

/* A directory with directories in it, as a base backup has. */
static void files_may_lie_deeper(void **state)
{
	struct fixture *f = *state;
	uint64_t artifact = ino_of_artifact("backups/full/20261120T020000Z"),
	         base = ino_of_artifact("backups/full/20261120T020000Z/base"),
	         one = ino_of_artifact("backups/full/20261120T020000Z/base/1"),
	         file = ino_of_artifact("backups/full/20261120T020000Z/base/1/2619"),
	         none = ino_of_artifact("backups/full/20261120T020000Z/none");
	_cleanup(manifest) struct manifest m = {0};
	_cleanup(manifest_object) struct manifest_object o = {0};
	_cleanup(free) char *path = NULL;
	_cleanup(str) struct str names = {0};
	struct catalog_entry entry, page[8];
	struct manifest_file *unknown;

	fill_directory(&m, "backups/full", SECONDS * 1000, 1, 1); /* f0, of one byte */
	add_file(&m, "base/1/2619", 7);
	add_file(&m, "base/1/2620", 8);
	add_file(&m, "base/x", 9);
	manifest_add_file(&m, "none/");
	unknown = manifest_add_file(&m, "unknown"); /* kept in a way that is not known */
	unknown->size_bytes = 5;
	str_copy(unknown->sha256, sizeof(unknown->sha256), m.sha256);
	m.size_bytes += 7 + 8 + 9 + 5;
	manifest_seal(&m);
	assert_int_equal(catalog_add_artifact(f->catalog, &m, NULL), 0);

	assert_int_equal(entry_of(f, artifact).subdirectories, 2);
	assert_int_equal(catalog_entries(f->catalog, artifact, CATALOG_FILE, -1, page, 8), 4);
	assert_string_equal(page[0].name, "f0");
	assert_string_equal(page[1].name, "base");
	assert_true(page[1].is_directory);
	assert_int_equal(page[1].subdirectories, 1);
	assert_string_equal(page[2].name, "none");
	assert_string_equal(page[3].name, "unknown");
	assert_int_equal(catalog_entries(f->catalog, artifact, CATALOG_FILE, page[0].sequence, page, 1), 1);
	assert_string_equal(page[0].name, "base");
	assert_int_equal(catalog_entries(f->catalog, base, CATALOG_FILE, -1, page, 8), 2);
	assert_string_equal(page[0].name, "1");
	assert_string_equal(page[1].name, "x");
	assert_int_equal(catalog_entries(f->catalog, one, CATALOG_FILE, -1, page, 8), 2);
	assert_int_equal(page[0].ino, file);
	assert_int_equal(page[0].size_bytes, 7);
	assert_int_equal(page[0].parent_ino, one);
	assert_int_equal(page[0].artifact_ino, artifact);
	assert_int_equal(catalog_entries(f->catalog, none, CATALOG_FILE, -1, page, 8), 0);
	assert_true(entry_of(f, none).is_directory);

	assert_int_equal(catalog_entry_by_name(f->catalog, artifact, "base", &entry), 0);
	assert_int_equal(entry.ino, base);
	assert_int_equal(entry.parent_ino, artifact);
	assert_int_equal(catalog_entry_by_name(f->catalog, base, "1", &entry), 0);
	assert_int_equal(catalog_entry_by_name(f->catalog, one, "2619", &entry), 0);
	assert_int_equal(entry.ino, file);
	assert_int_equal(catalog_entry_by_name(f->catalog, artifact, "2619", &entry), -ENOENT);
	assert_int_equal(catalog_entry_by_name(f->catalog, one, "x", &entry), -ENOENT);
	path = catalog_path(f->catalog, file);
	assert_string_equal(path, "backups/full/20261120T020000Z/base/1/2619");
	assert_int_equal(catalog_object(f->catalog, file, &o), 0);
	assert_string_equal(o.key, path);
	assert_int_equal(catalog_object(f->catalog, base, &o), -ENOENT);
	assert_int_equal(
	        catalog_object(f->catalog, ino_of_artifact("backups/full/20261120T020000Z/unknown"), &o),
	        -ENOENT);
	assert_int_equal(catalog_files(f->catalog, artifact, append_name, &names), 0);
	assert_string_equal(str_text(&names), "f0 1;base/1/2619 7;base/1/2620 8;base/x 9;unknown 5;");

	assert_int_equal(catalog_drop_artifact(f->catalog, artifact, NULL), 0);
	assert_int_equal(catalog_entry_by_ino(f->catalog, file, &entry), -ENOENT);
	assert_int_equal(catalog_entry_by_ino(f->catalog, one, &entry), -ENOENT);
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

struct decided {
	size_t count;
	char last[64];
};

static void count_decided(void *arg, const char *path, const struct catalog_retention *state)
{
	struct decided *decided = arg;

	decided->count++;
	str_copy(decided->last, sizeof(decided->last), path);
}

static void what_was_decided_is_found_by_directory(void **state)
{
	static const char *const paths[] = {
	        "backups/full",         "backups/full-2",       "backups/full.d/a",
	        "backups/fullmost",     "backups/tenants/acme", "backups/tenants/beta",
	        "backups/tenants0/all", "exports/acme",         "exports/beta"};
	static const struct {
		const char *scope;
		size_t count;
		const char *last;
	} scopes[] = {{NULL, 9, "exports/beta"},
	              {"backups/full", 1, "backups/full"},
	              {"backups/tenants", 2, "backups/tenants/beta"},
	              {"backups/full.d", 1, "backups/full.d/a"},
	              {"backups/tenant", 0, ""},
	              {"exports", 2, "exports/beta"},
	              {"exports/acme", 1, "exports/acme"},
	              {"", 0, ""}};
	const struct catalog_retention kept = {.rules = "x", .kept = 1};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		assert_int_equal(catalog_ensure_directory(f->catalog, paths[i], AT_US, NULL), 0);
		assert_int_equal(catalog_set_retention(f->catalog, ino_of_directory(paths[i]), &kept, NULL),
		                 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(scopes); i++) {
		struct decided decided = {0};

		assert_int_equal(catalog_each_retention(f->catalog, scopes[i].scope, count_decided, &decided),
		                 0);
		assert_int_equal(decided.count, scopes[i].count);
		assert_string_equal(decided.last, scopes[i].last);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(directories_are_made_with_their_parents),
	        TEST(bad_directories_are_refused),
	        TEST(empty_directories_are_dropped_unless_kept),
	        TEST(an_artifact_is_found_in_every_way),
	        TEST(a_file_beside_is_found_in_every_way),
	        TEST(a_directory_artifact_is_found_in_every_way),
	        TEST(files_come_with_their_artifact),
	        TEST(sums_of_every_kind_are_counted),
	        TEST(files_are_hidden_with_their_artifact),
	        TEST(files_may_lie_deeper),
	        TEST(a_large_directory_comes_in_pages),
	        TEST(pages_hold_every_entry_once_in_order),
	        TEST(what_was_decided_is_found_by_directory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
