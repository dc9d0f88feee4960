// SPDX-License-Identifier: Apache-2.0
/*
 * Packs of copies. A state of a mirror is nothing without the packs that it needs: so these are copied before it, each once for all states, and it is whole there when all of them are. They stay as long as a copy there
 * needs them, whatever becomes of the states here.
 */
#include "replica_private.h"

#include <keepfs/artifact/stored.h>
#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/copy_needs.h>
#include <keepfs/codec/name.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_PACKS 256

/* Page after page. */
struct pack_pages {
	struct catalog *catalog;
	uint64_t store;
	const char *path; /* of the artifact whose copy needs them; of those that nobody needs NULL */
	int64_t until_us; /* of those that are to be locked */
	char after[REPLICA_PATH_BYTES];
};
typedef ssize_t page_of_packs_fn(struct pack_pages *pages, struct catalog_pack_path *ret);

static ssize_t page_to_copy(struct pack_pages *p, struct catalog_pack_path *ret)
{
	return catalog_packs_to_copy(p->catalog, p->path, p->store, p->after, ret, PAGE_PACKS);
}

static ssize_t page_to_bring_back(struct pack_pages *p, struct catalog_pack_path *ret)
{
	return catalog_packs_to_bring_back(p->catalog, p->path, p->store, p->after, ret, PAGE_PACKS);
}

static ssize_t page_of_copy(struct pack_pages *p, struct catalog_pack_path *ret)
{
	return catalog_packs_of_copy(p->catalog, p->path, p->store, p->after, ret, PAGE_PACKS);
}

static ssize_t page_to_lock(struct pack_pages *p, struct catalog_pack_path *ret)
{
	return catalog_packs_to_lock(p->catalog, p->path, p->store, p->until_us, p->after, ret, PAGE_PACKS);
}

static ssize_t page_unneeded(struct pack_pages *p, struct catalog_pack_path *ret)
{
	return catalog_unneeded_copies(p->catalog, p->store, p->after, ret, PAGE_PACKS);
}

/* What @each returns ends it, if it is not 0. */
static int each_pack(struct pack_pages *p, page_of_packs_fn *page,
                     int (*each)(void *arg, const char *pack, struct error *err), void *arg,
                     struct error *err)
{
	_cleanup(free) struct catalog_pack_path *packs = mem_array(PAGE_PACKS, sizeof(*packs));
	ssize_t count;
	int r = 0;

	while (r == 0 && (count = page(p, packs)) > 0) {
		for (ssize_t i = 0; r == 0 && i < count; i++)
			r = each(arg, packs[i].path, err);
		str_copy(p->after, sizeof(p->after), packs[count - 1].path);
	}
	return r == 0 && count < 0 ? error_system(err, (int)-count, "the catalog cannot be read") : r;
}

/* Made. */

struct packs_being_made {
	const struct replica_order *order;
	bool *target_failed;
};

static int make_needed_pack(void *arg, const char *pack, struct error *err)
{
	struct packs_being_made *p = arg;
	struct error why = {0};
	int r = replica_make(p->order, pack, p->target_failed, &why);

	if (r == 0)
		return 0;
	if (err) {
		*err = why;
		error_prefix(err, "%s, which it needs", pack);
	}
	return r < 0 ? r : -EEXIST;
}

int replica_make_packs(const struct replica_order *o, const char *path, bool *target_failed,
                       struct error *err)
{
	struct catalog *catalog = o->repository->catalog;
	struct packs_being_made made = {.order = o, .target_failed = target_failed};
	struct pack_pages pages = {.catalog = o->repository->catalog, .store = o->store, .path = path};
	uint64_t missing = 0;
	int r = catalog_note_copy_needs(catalog, path, o->store, err);

	if (r == 0)
		r = each_pack(&pages, page_to_copy, make_needed_pack, &made, err);
	if (r < 0)
		return r;
	r = catalog_missing_copies(catalog, path, o->store, &missing);
	if (r < 0)
		return error_system(err, -r, "the catalog cannot be read");
	if (missing == 0)
		return 0;
	return error_set(
	        err, ERROR_NOT_FOUND, ENOENT,
	        "%llu of the packs that %s needs are not listed, so there is nothing to copy: 'keepfs verify' of it says more",
	        (unsigned long long)missing, path);
}

/* Brought back. */

static int bring_pack_back(void *arg, const char *pack, struct error *err)
{
	const struct replica_order *o = arg;
	bool repair = replica_is_listed_now(o->repository->catalog, pack);
	int r = replica_bring_back(o, pack, repair, err);

	if (r != 0)
		error_prefix(err, "%s, which it needs", pack);
	return r > 0 ? -EEXIST : r;
}

struct pinning {
	struct repository *repository;
	struct str *pinned;
};

static void pin_needed_packs(void *arg, const char *job)
{
	const struct pinning *p = arg;

	artifact_pin_packs(p->repository, job);
	str_appendf(p->pinned, "%s\n", job);
}

int replica_pin_packs(const struct replica_order *o, const char *path, struct str *ret)
{
	struct pinning p = {.repository = o->repository, .pinned = ret};

	return catalog_each_job_of_needs(o->repository->catalog, path, o->store, pin_needed_packs, &p);
}

/* What the catalog says by now may be something else, and one pin too many taken away would be that of a run. */
void replica_unpin_packs(const struct replica_order *o, const struct str *pinned)
{
	for (const char *at = str_text(pinned); *at; at += strcspn(at, "\n") + 1) {
		_cleanup(free) char *job = mem_printf("%.*s", (int)strcspn(at, "\n"), at);

		artifact_unpin_packs(o->repository, job);
	}
}

int replica_bring_back_packs(const struct replica_order *o, const char *path, struct error *err)
{
	struct pack_pages pages = {.catalog = o->repository->catalog, .store = o->store, .path = path};
	uint64_t missing = 0;
	int r = catalog_missing_packs(o->repository->catalog, path, o->store, &missing);

	if (r < 0)
		return error_system(err, -r, "the catalog cannot be read");
	if (missing > 0)
		return error_set(err, ERROR_NOT_FOUND, ENOENT,
		                 "%llu of the packs that %s needs are neither in %s nor listed here",
		                 (unsigned long long)missing, path, o->named->name);
	return each_pack(&pages, page_to_bring_back, bring_pack_back, (void *)o, err);
}

/* Read. */

static int verify_needed_pack(void *arg, const char *pack, struct error *err)
{
	int r = replica_verify(arg, pack, err);

	if (r < 0)
		error_prefix(err, "%s, which it needs", pack);
	return r;
}

int replica_verify_packs(const struct replica_order *o, const char *path, struct error *err)
{
	struct pack_pages pages = {.catalog = o->repository->catalog, .store = o->store, .path = path};
	uint64_t missing = 0;
	int r = each_pack(&pages, page_of_copy, verify_needed_pack, (void *)o, err);

	if (r == 0)
		r = catalog_missing_copies(o->repository->catalog, path, o->store, &missing) < 0
		            ? error_system(err, EIO, "the catalog cannot be read")
		            : 0;
	if (r < 0 || missing == 0)
		return r;
	return error_set(err, ERROR_CORRUPT, EBADMSG, "%llu of the packs that it needs are not in %s",
	                 (unsigned long long)missing, o->named->name);
}

void replica_pack_is_not_right(const struct repository *repository, const struct catalog_replica *row)
{
	struct error err = {0};

	if (!tree_is_pack(row->path) || row->state == REPLICA_WHOLE || row->state == REPLICA_REMOVED)
		return;
	if (catalog_copies_lack_pack(repository->catalog, row->path, row->store, clock_now_us(), &err) < 0)
		log_warning("that copies need %s, which is not right, could not be noted: %s", row->path,
		            err.message);
}

int replica_each_pack_of_copy(struct catalog *catalog, const char *path, uint64_t store,
                              int (*each)(void *arg, const char *pack, struct error *err), void *arg,
                              struct error *err)
{
	struct pack_pages pages = {.catalog = catalog, .store = store, .path = path};

	return each_pack(&pages, page_of_copy, each, arg, err);
}

/* Locked. */

int replica_each_pack_to_lock(const struct replica_order *o, const char *path, int64_t until_us,
                              int (*each)(void *arg, const char *pack, struct error *err), void *arg,
                              struct error *err)
{
	struct pack_pages pages = {
	        .catalog = o->repository->catalog, .store = o->store, .path = path, .until_us = until_us};

	return each_pack(&pages, page_to_lock, each, arg, err);
}

/* Removed. */

struct packs_going {
	const struct replica_order *order;
	int (*remove)(void *arg, const char *pack, struct error *err);
	void *arg;
};

/* A copy that needs it may have come since the page was read. */
static int remove_unneeded_pack(void *arg, const char *pack, struct error *err)
{
	struct packs_going *g = arg;

	if (!catalog_is_unneeded_copy(g->order->repository->catalog, pack, g->order->store))
		return 0;
	return g->remove(g->arg, pack, err);
}

int replica_each_unneeded_pack(const struct replica_order *o,
                               int (*remove)(void *arg, const char *pack, struct error *err), void *arg,
                               struct error *err)
{
	struct packs_going going = {.order = o, .remove = remove, .arg = arg};
	struct pack_pages pages = {.catalog = o->repository->catalog, .store = o->store};

	/* What is there and nobody knows what it needs might need any. */
	if (!catalog_copies_are_known(o->repository->catalog, o->store))
		return 0;
	return each_pack(&pages, page_unneeded, remove_unneeded_pack, &going, err);
}
