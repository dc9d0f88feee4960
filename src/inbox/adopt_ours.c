// SPDX-License-Identifier: Apache-2.0
/*
 * What keepfs itself has put somewhere is a backup already, with a manifest of its own: adopted it would be a second one of the same bytes, which loses them when the first is removed, and with
 * remove_adopted takes them from it. Such a store may be the place itself, or lie somewhere in it, as one prefix of a bucket in which others have put files, too; a store of copies has no lease. So what
 * lies below a name that keepfs gives is looked at for the manifests that would be beside it.
 */
#include "adopt.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/manifest.h>
#include <keepfs/codec/name.h>

#include <errno.h>
#include <string.h>

/* A keepfs that writes to a store has this there. */
#define LEASE_KEY "state/lease.json"

static int has_lease(struct adopting *a, const char *root, struct error *err)
{
	_cleanup(free) char *key = mem_printf("%s" LEASE_KEY, root);
	struct store_object lease;
	int r;

	a->asked++;
	r = store_head(a->store, &a->call, key, &lease, err);
	return r == -ENOENT ? 0 : r < 0 ? r : 1;
}

static int has_manifests(struct adopting *a, const char *root, const char *of, struct error *err)
{
	_cleanup(free) char *prefix = mem_printf("%smanifests/%s/", root, of);
	_cleanup(free) struct store_object *objects = NULL;
	size_t count = 0;
	bool more;
	int r;

	a->asked++;
	r = store_list(a->store, &a->call, prefix, NULL, 1, &objects, &count, &more, err);
	return r < 0 ? r : count > 0;
}

int adopt_is_keepfs(struct adopting *a, const char *root, struct error *err)
{
	int r = has_lease(a, root, err);

	for (size_t i = 0; r == 0 && i < tree_roots_count; i++)
		r = has_manifests(a, root, tree_roots[i].name, err);
	return r;
}

/* What lies in a store, in the order of a listing, is below one of these names at first. */
static bool is_name_of_ours(const char *part)
{
	static const char *const names[] = {MANIFEST_ADOPTED, "catalog/", "manifests/", "state/"};
	size_t len = strcspn(part, "/");

	if (part[len] == '\0')
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (str_starts(part, names[i]))
			return true;
	for (size_t i = 0; i < tree_roots_count; i++)
		if (strlen(tree_roots[i].name) == len && strncmp(part, tree_roots[i].name, len) == 0)
			return true;
	return false;
}

/* Only the place is the operator's business: what he gives keepfs for it need not open what is around it. */
static int is_store_above(struct adopting *a, const char *url, struct error *err)
{
	struct store *place = a->store;
	int r = stores_open_above(a->ctx->repository->stores, a->place, url, &a->store, err);

	if (r == 0) {
		r = adopt_is_keepfs(a, "", err);
		store_free(a->store);
	}
	a->store = place;
	return r == -EACCES || r == -EPERM ? 0 : r;
}

int adopt_is_within_keepfs(struct adopting *a, struct error *err)
{
	_cleanup(free) char *url = mem_printf("%s/", conf_find_store(a->conf, a->place)->store.url);
	const char *root = strstr(url, "://"),
	           *part = root ? strchr(root + strlen("://"), '/') : strchr(url, '/');
	int r = 0;

	for (; r == 0 && part && part[1]; part = strchr(part + 1, '/')) {
		_cleanup(free) char *above = NULL;

		if (!is_name_of_ours(part + 1))
			continue;
		above = mem_printf("%.*s", (int)(part > url && part[-1] != ':' ? part - url : part + 1 - url),
		                   url);
		r = is_store_above(a, above, err);
	}
	return r;
}

static int ask_about_root(struct adopting *a, const char *root, size_t nested, struct error *err)
{
	int r;

	if (nested < ADOPT_NESTED && str_equal(a->not_ours[nested], root))
		return 0;
	r = adopt_is_keepfs(a, root, err);
	if (r == 0 && nested < ADOPT_NESTED)
		mem_replace_string(&a->not_ours[nested], root);
	if (r <= 0)
		return r;
	mem_replace_string(&a->ours, root);
	make_warn(a->order,
	          "%s is a store of keepfs: what it has are backups already, and all of it is left alone",
	          *root ? root : a->place);
	return 1;
}

int adopt_is_ours(struct adopting *a, const char *key, struct error *err)
{
	size_t nested = 0;
	int r = a->ours && str_starts(key, a->ours);

	for (const char *part = key; r == 0 && *part; part += strcspn(part, "/"), part += *part == '/') {
		_cleanup(free) char *root = NULL;

		if (!is_name_of_ours(part))
			continue;
		root = mem_printf("%.*s", (int)(part - key), key);
		r = ask_about_root(a, root, nested++, err);
	}
	return r;
}

bool adopt_is_elsewhere(struct adopting *a, const char *key)
{
	const char *within = stores_place_within(a->conf, a->place, key);

	if (!within)
		return false;
	if (a->elsewhere != within)
		make_say(a->order, "%s lies in [store %s], and is left to 'keepfs adopt %s'", key, within,
		         within);
	a->elsewhere = within;
	return true;
}

void adopt_forget_ours(struct adopting *a)
{
	free(a->ours);
	for (size_t i = 0; i < ARRAY_SIZE(a->not_ours); i++)
		free(a->not_ours[i]);
}
