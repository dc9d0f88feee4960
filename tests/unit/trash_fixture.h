// SPDX-License-Identifier: Apache-2.0
#pragma once
/* What was removed, in the repository of artifact_fixture.h. */
#include <keepfs/catalog/trash.h>

#define MARK_OF "trash/backups/full/20261120T020000Z.dump.json"
#define FIRST   "backups/full/20261120T020000Z.dump"

static inline void make_three(struct fixture *f)
{
	for (int i = 0; i < 3; i++)
		free(make_dump(f, i + 1, AT_US + i * 60 * US_PER_S));
}

static inline struct catalog_removal to_trash(int64_t until_us)
{
	return (struct catalog_removal){
	        .min_keep = 1, .trash_until_us = until_us, .by = "uid 0 (rm)", .reason = "by hand"};
}

static inline int put_away(struct fixture *f, const char *path, int64_t until_us, struct error *err)
{
	struct catalog_removal how = to_trash(until_us);

	return artifact_remove(&f->repo, ino_of_artifact(path), &how, err);
}

/* A catalog that knows nothing, over the same store. */
static inline void lose_catalog(struct fixture *f)
{
	struct artifact_rebuild io = {.threads = 2};

	catalog_free(f->catalog);
	remove_tree(f->state_dir);
	assert_int_equal(catalog_open(f->state_dir, &f->catalog, NULL), 0);
	f->repo.catalog = f->catalog;
	assert_int_equal(artifact_rebuild(&f->repo, &io, NULL, NULL), 0);
	assert_int_equal(io.problems, 0);
}

static inline bool is_trashed(struct fixture *f, const char *path)
{
	struct catalog_trashed t;

	return catalog_trash_find(f->catalog, ino_of_artifact(path), &t) == 0;
}

/* A mark of the trash, as it is written. */
static inline void put_mark(struct fixture *f, int64_t run_id, const char *started)
{
	_cleanup(free) char *text = mem_printf(
	        "{\"path\": \"" FIRST "\", \"run\": %d, %s\"removed_at\": \"2026-11-20T03:00:00.000000Z\","
	        " \"until\": \"2099-01-01T00:00:00.000000Z\", \"by\": \"uid 0 (rm)\", \"reason\": \"by hand\"}",
	        (int)run_id, started);

	put_text(f, MARK_OF, text);
}
