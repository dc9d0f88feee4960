// SPDX-License-Identifier: Apache-2.0
/* Where the exports of a tenant go: the store of all, or one of its own. And do those work? */
#include "export.h"

#include <keepfs/base/mem.h>
#include <keepfs/catalog/stores.h>
#include <keepfs/stores.h>

#include <errno.h>
#include <string.h>

#define TRY_MS        INT64_C(15000)
#define TROUBLES_TOLD 10
#define SHARED_TOLD   3

static int choose_store(const struct make_context *ctx, const struct export_tenant *t,
                        struct catalog_store *ret, struct error *err)
{
	const struct stores_wanted wanted = {
	        .tenant = t->slug,
	        .class = t->class,
	        .store = t->place[EXPORT_STORE],
	        .url = t->place[EXPORT_STORE_URL],
	        .bucket = t->place[EXPORT_STORE_BUCKET],
	        .endpoint = t->place[EXPORT_STORE_ENDPOINT],
	        .region = t->place[EXPORT_STORE_REGION],
	        .credentials = t->place[EXPORT_STORE_CREDENTIALS],
	        .provider = t->place[EXPORT_STORE_PROVIDER],
	};
	const struct conf *conf = make_conf_ref(ctx);
	int r = stores_choose(conf, &wanted, ret, err);

	make_conf_unref(ctx, conf);
	return r;
}

int export_store_of(const struct make_context *ctx, const struct export_tenant *t, uint64_t *ret_id,
                    struct error *err)
{
	_cleanup(catalog_store) struct catalog_store at = {0};
	int r = choose_store(ctx, t, &at, err);

	if (r < 0) {
		error_prefix(err, "where the exports of %s go", t->slug);
		return r;
	}
	*ret_id = CATALOG_MAIN_STORE;
	return at.url ? catalog_note_store(ctx->repository->catalog, &at, ret_id, err) : 0;
}

/* Trying all of them. */

struct tried {
	struct catalog_store at;
	const char *tenant; /* the first whose it is; NULL: nobody's now */
	size_t tenants;
};

struct trying {
	const struct make_context *ctx;
	const struct make_findings *findings;
	struct tried *items;
	size_t count;
	size_t failed, told;
};

static bool is_same_store(const struct catalog_store *a, const struct catalog_store *b)
{
	return str_equal(a->url, b->url) && str_equal(a->endpoint, b->endpoint) &&
	       str_equal(a->name, b->name) && str_equal(a->tenant, b->tenant) &&
	       str_equal(a->credentials, b->credentials);
}

static void tell_store_trouble(struct trying *t, const char *what, const char *why)
{
	_cleanup(free) char *name = mem_printf("export store %s", what);

	t->failed++;
	if (t->told++ < TROUBLES_TOLD)
		make_found(t->findings, false, name, "%s", why);
}

/* Takes *@at. */
static void add_tried(struct trying *t, struct catalog_store *at, const char *tenant)
{
	/* The room for them is a power of two. */
	if ((t->count & (t->count - 1)) == 0)
		t->items = mem_resize(t->items, t->count ? 2 * t->count : 1, sizeof(*t->items));
	t->items[t->count++] = (struct tried){.at = *at, .tenant = tenant};
	*at = (struct catalog_store){0};
}

static void gather_store(struct trying *t, const struct export_tenant *tenant)
{
	struct catalog_store at = {0};
	struct error why = {0};
	size_t i = 0;

	if (choose_store(t->ctx, tenant, &at, &why) < 0) {
		tell_store_trouble(t, tenant->slug, why.message);
		return;
	}
	if (!at.url) /* the store of all */
		return;
	while (i < t->count && !is_same_store(&t->items[i].at, &at))
		i++;
	if (i == t->count)
		add_tried(t, &at, tenant->slug);
	t->items[i].tenants++;
	catalog_store_finish(&at);
}

/* A section that no tenant has now may be one's tomorrow. */
static void gather_section(struct trying *t, const struct conf_named_store *named)
{
	struct catalog_store at;

	for (size_t i = 0; i < t->count; i++)
		if (str_equal(t->items[i].at.name, named->name))
			return;
	stores_at_section(named, &at);
	add_tried(t, &at, NULL);
}

/* What was wrong when it was last listed is over. What is wrong now is a finding, of which health tells by itself. */
static void note_well(const struct trying *t, const struct catalog_store *at)
{
	struct catalog *catalog = t->ctx->repository->catalog;
	uint64_t id;

	if (catalog && catalog_note_store(catalog, at, &id, NULL) == 0)
		catalog_set_store_trouble(catalog, id, NULL, NULL);
}

static void try_store(struct trying *t, struct stores *stores, const struct tried *item)
{
	_cleanup(store) struct store *store = NULL;
	struct store_tried tried;
	struct error why = {0};
	int r = stores_open_at(stores, &item->at, &store, &why);

	if (r == 0)
		r = store_try(store, TRY_MS, NULL, &tried, &why);
	if (r == 0) {
		note_well(t, &item->at);
		return;
	}
	if (item->tenants == 1 && *item->at.name)
		error_prefix(&why, "%s", item->tenant);
	if (item->tenants > 1)
		error_prefix(&why, "%s and %zu more tenants", item->tenant, item->tenants - 1);
	tell_store_trouble(t, *item->at.name ? item->at.name : item->tenant, why.message);
}

/* Two tenants may share a bucket, since each has a directory there. With keys of their own each could read what is the other's. */
static void tell_shared(const struct trying *t)
{
	size_t told = 0;

	for (size_t i = 1; i < t->count; i++) {
		for (size_t j = 0; j < i && told < SHARED_TOLD; j++) {
			const struct tried *a = &t->items[j], *b = &t->items[i];

			if (!str_equal(a->at.url, b->at.url) || !str_equal(a->at.endpoint, b->at.endpoint))
				continue;
			told += a->tenant && b->tenant;
			if (!a->tenant || !b->tenant)
				continue;
			make_found(
			        t->findings, true, "export stores",
			        "warning: the exports of %s and %s go to %s with different credentials: who has one of them can probably read both",
			        a->tenant, b->tenant, b->at.url);
		}
	}
}

static void gather_sections(struct trying *t)
{
	const struct conf *conf = make_conf_ref(t->ctx);

	for (size_t i = 0; i < conf->store_count; i++)
		gather_section(t, &conf->stores[i]);
	make_conf_unref(t->ctx, conf);
}

static void try_all_stores(struct trying *t)
{
	const struct conf *conf = make_conf_ref(t->ctx);
	struct stores *stores = stores_new(&(struct stores_options){
	        .conf = conf, .catalog = t->ctx->repository->catalog, .retry_deadline_ms = TRY_MS});

	for (size_t i = 0; i < t->count; i++)
		try_store(t, stores, &t->items[i]);
	stores_free(stores);
	make_conf_unref(t->ctx, conf);
}

void export_try_stores(const struct make_context *ctx, const struct export_shared *shared,
                       const struct make_findings *findings)
{
	struct trying t = {.ctx = ctx, .findings = findings};

	for (size_t i = 0; i < shared->count; i++)
		gather_store(&t, &shared->tenants[i]);
	gather_sections(&t);
	try_all_stores(&t);
	tell_shared(&t);
	if (t.failed > TROUBLES_TOLD)
		make_found(findings, false, "export stores", "%zu more stores of tenants do not work",
		           t.failed - TROUBLES_TOLD);
	if (t.count > 0 && t.failed == 0)
		make_found(findings, true, "export stores",
		           "%zu stores of tenants: written, read back, deleted", t.count);
	for (size_t i = 0; i < t.count; i++)
		catalog_store_finish(&t.items[i].at);
	free(t.items);
}

int export_note_stores(const struct make_context *ctx, const struct conf_job *job, char **ret_problem,
                       struct error *err)
{
	_cleanup(make_targets) struct make_targets targets = {0};
	const struct export_shared *shared;
	int r = export_targets(ctx, job, &(struct make_wanted){0}, &targets, err);

	*ret_problem = NULL;
	if (r < 0)
		return r;
	shared = targets.shared;
	for (size_t i = 0; i < shared->count; i++) {
		struct error why = {0};
		uint64_t ignored;

		if (export_store_of(ctx, &shared->tenants[i], &ignored, &why) < 0 && !*ret_problem)
			*ret_problem = mem_strdup(why.message);
	}
	return 0;
}
