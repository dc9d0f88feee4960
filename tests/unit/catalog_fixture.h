// SPDX-License-Identifier: Apache-2.0
#pragma once
/* A catalog of its own for each test of the catalog, and artifacts to put into it; cmocka's headers come
 * before. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "../support/tree.h"

#include <keepfs/base/cleanup.h>
#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/codec/extents.h>
#include <keepfs/codec/hash.h>
#include <keepfs/codec/manifest.h>
#include <keepfs/codec/name.h>

#include "../support/manifests.h"

#define SECONDS INT64_C(1795140000) /* 2026-11-20T02:00:00Z */
#define AT_US   (SECONDS * US_PER_S)

struct fixture {
	char directory[64];
	struct catalog *catalog;
};

static inline int set_up(void **state)
{
	struct fixture *f = mem_alloc(sizeof(*f));

	str_copy(f->directory, sizeof(f->directory), "/tmp/keepfs-catalog-XXXXXX");
	assert_non_null(mkdtemp(f->directory));
	assert_int_equal(catalog_open(f->directory, &f->catalog, NULL), 0);
	*state = f;
	return 0;
}

static inline int tear_down(void **state)
{
	struct fixture *f = *state;

	catalog_free(f->catalog);
	remove_tree(f->directory);
	free(f);
	return 0;
}

static inline void reopen(struct fixture *f)
{
	catalog_free(take_ptr(&f->catalog));
	assert_int_equal(catalog_open(f->directory, &f->catalog, NULL), 0);
}

static inline char *file_path(const struct fixture *f, const char *name)
{
	return mem_printf("%s/%s", f->directory, name);
}

static inline void add_file(struct manifest *m, const char *name, uint32_t size)
{
	uint8_t digest[SHA256_BYTES];
	char hex[SHA256_HEX_BYTES];

	sha256_once(name, strlen(name), digest);
	hex_encode(digest, sizeof(digest), hex);
	manifest_put_file(m, name, size, size > 0, hex);
}

/* Finished one second after its name says it began. */
static inline void begin_at(struct manifest *m, const char *directory, int64_t sequence, const char *suffix,
                            int64_t run_id)
{
	char name[NAME_MAX_BYTES];
	_cleanup(free) char *path = NULL;
	uint8_t digest[SHA256_BYTES];

	name_format(sequence, suffix, name);
	path = mem_printf("%s/%s", directory, name);
	manifest_describe(m, path, run_id, "primary");
	m->started_at_us = sequence / 1000 * US_PER_S;
	m->finished_at_us = (sequence / 1000 + 1) * US_PER_S + 5;
	sha256_once(path, strlen(path), digest);
	hex_encode(digest, sizeof(digest), m->sha256);
}

/* A manifest of @size bytes. */
static inline void fill(struct manifest *m, const char *directory, int64_t sequence, int64_t run_id,
                        uint32_t size)
{
	char sha256[SHA256_HEX_BYTES];

	begin_at(m, directory, sequence, ".dump", run_id);
	str_copy(sha256, sizeof(sha256), m->sha256);
	manifest_put_own(m, size, 1, sha256);
	manifest_seal(m);
}

/* With two files beside it, of 3 and of 0 bytes. */
static inline void fill_beside(struct manifest *m, const char *directory, int64_t sequence, int64_t run_id,
                               uint32_t size)
{
	char name[NAME_MAX_BYTES];

	fill(m, directory, sequence, run_id, size);
	name_format(sequence, ".tables.csv", name);
	add_file(m, name, 3);
	name_format(sequence, ".globals.sql.gz", name);
	add_file(m, name, 0);
	manifest_seal(m);
}

/* A directory of @count files: "f0" of 1 byte, "f1" of 2, … */
static inline void fill_directory(struct manifest *m, const char *directory, int64_t sequence, int64_t run_id,
                                  uint32_t count)
{
	char name[NAME_MAX_BYTES];

	begin_at(m, directory, sequence, "", run_id);
	m->is_directory = true;
	for (uint32_t i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		add_file(m, name, i + 1);
		m->size_bytes += i + 1;
	}
	manifest_seal(m);
}

static inline int add(struct fixture *f, const char *directory, int64_t sequence, int64_t run_id,
                      uint32_t size)
{
	_cleanup(manifest) struct manifest m = {0};

	fill(&m, directory, sequence, run_id, size);
	return catalog_add_artifact(f->catalog, &m, NULL);
}

static inline uint64_t ino_at(const char *directory, int64_t sequence)
{
	char name[NAME_MAX_BYTES];
	_cleanup(free) char *path = NULL;

	name_format(sequence, ".dump", name);
	path = mem_printf("%s/%s", directory, name);
	return ino_of_artifact(path);
}

static inline struct catalog_entry entry_of(struct fixture *f, uint64_t ino)
{
	struct catalog_entry entry = {0};

	assert_int_equal(catalog_entry_by_ino(f->catalog, ino, &entry), 0);
	return entry;
}

static inline void collect_sums(void *arg, const char *line)
{
	str_appendf(arg, "%s\n", line);
}

static inline void directory_counts_are_true(struct fixture *f, const char *path, uint32_t files)
{
	_cleanup(str) struct str sums = {0};
	struct catalog_entry directory = entry_of(f, ino_of_directory(path));

	assert_int_equal(catalog_sums(f->catalog, directory.ino, CATALOG_SUMS_PLAIN, collect_sums, &sums), 0);
	assert_int_equal(directory.files, files);
	assert_int_equal(directory.sums_bytes, sums.len);
}

static inline int add_beside(struct fixture *f, const char *directory, int64_t sequence, uint32_t size)
{
	_cleanup(manifest) struct manifest m = {0};

	fill_beside(&m, directory, sequence, 1, size);
	return catalog_add_artifact(f->catalog, &m, NULL);
}

static inline int add_directory(struct fixture *f, const char *directory, int64_t sequence, uint32_t count)
{
	_cleanup(manifest) struct manifest m = {0};

	fill_directory(&m, directory, sequence, 1, count);
	return catalog_add_artifact(f->catalog, &m, NULL);
}

static inline void count_tomb(void *arg, uint64_t ino, const char *path)
{
	assert_string_equal(path, "backups/full/20261120T020000Z.dump");
	*(unsigned *)arg += 1;
}

#define MANY 10000 /* artifacts: more than one page, and more than a small disk holds */

static inline int add_for(struct fixture *f, const char *database, int64_t sequence, int64_t run_id)
{
	_cleanup(manifest) struct manifest m = {0};

	fill(&m, "backups/full", sequence, run_id, 10);
	mem_replace_string(&m.target, database);
	return catalog_add_artifact(f->catalog, &m, NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
