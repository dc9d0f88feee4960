// SPDX-License-Identifier: Apache-2.0
/*
 * The base before, from which everything that did not change is taken. Its listing and its page sums are brought here as a whole, into unlinked files: a base of a terabyte has page sums of 1.5 GB.
 *
 * Nothing of it has to be there: whatever cannot be read, or is not as it should be, is said in the log of the run, which stores everything then.
 */
#include "cluster_private.h"

#include <keepfs/artifact.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/codec/base_facts.h>
#include <keepfs/codec/name.h>
#include <keepfs/mirror/object.h>

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define LISTED_PAGE  1000
#define PACK_PATH    TREE_PACKS "/%s/%s%s"
#define DIRECTORY_OF 16 /* characters of the name of a pack that are its directory's */

static char *path_of_pack(const struct cluster_parent *p, const char *pack)
{
	return mem_printf(PACK_PATH, p->order->job->name, pack, listing_pack_suffix(LISTING_BASE));
}

/* The listing. */

struct parent_place {
	uint64_t at; /* in the lines */
	uint32_t key_bytes, line_bytes;
};

struct parent_scan {
	struct cluster_parent *parent;
	struct listing_scan *scan;
	struct str key; /* the last one */
	struct str line;
	bool is_ours;
};

static int take_parent_head(void *arg, const struct listing_head *head, struct error *err)
{
	struct parent_scan *s = arg;

	(void)err;
	s->is_ours = head->format == LISTING_BASE && str_equal(head->job, s->parent->order->job->name);
	return 0;
}

static int keep_parent_line(struct parent_scan *s, const struct listing_entry *e, struct error *err)
{
	struct cluster_parent *p = s->parent;
	struct parent_place place = {.at = spool_size(p->lines), .key_bytes = (uint32_t)strlen(e->key) + 1};
	int r;

	if (s->key.len > 0 && strcmp(str_text(&s->key), e->key) >= 0)
		return error_set(err, ERROR_CORRUPT, EBADMSG,
		                 "its listing is not in order: %s is not behind %s", e->key,
		                 str_text(&s->key));
	str_clear(&s->key);
	str_append(&s->key, e->key);
	str_clear(&s->line);
	listing_entry_encode(e, &s->line);
	place.line_bytes = (uint32_t)s->line.len;
	r = spool_put(p->lines, e->key, place.key_bytes, err);
	if (r == 0)
		r = spool_put(p->lines, s->line.data, s->line.len, err);
	if (r == 0)
		r = spool_put(p->places, &place, sizeof(place), err);
	p->count += r == 0;
	return r;
}

static int take_parent_entry(void *arg, struct listing_entry *e, struct error *err)
{
	struct parent_scan *s = arg;

	for (size_t i = 0; i < e->run_count; i++)
		if (e->runs[i].pack)
			used_add(&s->parent->used, e->runs[i].pack, e->runs[i].bytes);
	return e->is_directory || e->sums_at == 0 ? 0 : keep_parent_line(s, e, err);
}

static int take_parent_listing(void *arg, const void *data, size_t len, struct error *err)
{
	return listing_scan_feed(((struct parent_scan *)arg)->scan, data, len, err);
}

static int take_parent_sums(void *arg, const void *data, size_t len, struct error *err)
{
	return spool_put(arg, data, len, err);
}

static int read_parent_listing(struct cluster_parent *p, const struct manifest *m, struct error *err)
{
	struct parent_scan s = {.parent = p};
	const struct listing_scan_to to = {.head = take_parent_head, .entry = take_parent_entry, .arg = &s};
	int r;

	p->lines = spool_new(p->ctx->conf->state_dir);
	p->places = spool_new(p->ctx->conf->state_dir);
	s.scan = listing_scan_new(&to);
	r = mirror_read_object(p->ctx, p->order->cancel, m, manifest_object_of_role(m, MANIFEST_ROLE_LISTING),
	                       take_parent_listing, &s, err);
	if (r == 0)
		r = listing_scan_end(s.scan, err);
	listing_scan_free(s.scan);
	str_finish(&s.key);
	str_finish(&s.line);
	return r == 0 && !s.is_ours ? error_set(err, ERROR_CORRUPT, EBADMSG, "its listing is another job's")
	                            : r;
}

static int read_parent_sums(struct cluster_parent *p, const struct manifest *m, uint64_t system_id,
                            struct error *err)
{
	uint8_t head[PAGE_SUMS_HEAD_BYTES];
	size_t len;
	int r;

	p->sums = spool_new(p->ctx->conf->state_dir);
	r = mirror_read_object(p->ctx, p->order->cancel, m,
	                       manifest_object_of_role(m, MANIFEST_ROLE_PAGE_SUMS), take_parent_sums, p->sums,
	                       err);
	if (r < 0)
		return r;
	len = spool_size(p->sums) < sizeof(head) ? (size_t)spool_size(p->sums) : sizeof(head);
	r = spool_get(p->sums, head, len, 0, err);
	if (r == 0)
		r = page_sums_head_decode(head, len, &p->head, err);
	return r == 0 && p->head.system_id != system_id
	               ? error_set(err, ERROR_CORRUPT, EBADMSG, "its page sums are of another cluster")
	               : r;
}

/* Packs. */

static bool is_parent_pack_to_leave(const struct cluster_parent *p, const struct used_pack *pack)
{
	_cleanup(free) char *path = path_of_pack(p, pack->name);

	return mirror_leaves_pack(p->ctx->repository->catalog,
	                          &(struct pack_needed){.path = path,
	                                                .fact = "plain_bytes",
	                                                .bytes = pack->bytes,
	                                                .is_encrypted = p->is_encrypted});
}

static void leave_parent_packs(struct cluster_parent *p)
{
	for (size_t i = 0; i < p->used.count; i++)
		if (is_parent_pack_to_leave(p, &p->used.packs[i]))
			used_add(&p->leaves, p->used.packs[i].name, 1);
	if (p->leaves.count > 0)
		make_say(
		        p->order,
		        "of the %zu packs of the base before %zu are hardly needed, or cannot be: what is in them is stored anew",
		        p->used.count, p->leaves.count);
}

const char *cluster_parent_pack(const struct cluster_parent *p, const char *pack)
{
	const struct used_pack *found = used_find(&p->used, pack);

	return found && !used_find(&p->leaves, pack) ? found->name : NULL;
}

/* The whole. */

static int read_parent(struct cluster_parent *p, uint64_t system_id, struct error *err)
{
	_cleanup(manifest) struct manifest m = {0};
	struct base_facts facts;
	int r = artifact_read_manifest(p->ctx->repository, p->newest.path, p->order->cancel, &m, err);

	if (r == 0)
		r = base_facts_get(&m, &facts, err);
	if (r < 0)
		return r;
	if (facts.system_id != system_id)
		return error_set(err, ERROR_CONFLICT, EEXIST, "it is of another cluster");
	if (!manifest_object_of_role(&m, MANIFEST_ROLE_LISTING) ||
	    !manifest_object_of_role(&m, MANIFEST_ROLE_PAGE_SUMS))
		return error_set(err, ERROR_NOT_FOUND, ENODATA, "it has no page sums");
	r = read_parent_listing(p, &m, err);
	if (r == 0)
		r = read_parent_sums(p, &m, system_id, err);
	if (r < 0)
		return r;
	p->is_usable = true;
	leave_parent_packs(p);
	return 0;
}

int cluster_parent_open(struct cluster_parent *p, const struct make_context *ctx,
                        const struct make_order *order, bool is_encrypted, uint64_t system_id,
                        struct error *err)
{
	struct error why = {0};
	int r;

	*p = (struct cluster_parent){.ctx = ctx, .order = order, .is_encrypted = is_encrypted};
	r = catalog_newest_with_needs(ctx->repository->catalog, order->job->name, &p->newest);
	if (r < 0)
		return r == -ENOENT ? 0 : error_system(err, -r, "the catalog cannot be read");
	r = artifact_keep(ctx->repository, p->newest.ino, order->run_id, "read for the next base", &why);
	p->is_kept = r == 0;
	if (r == 0)
		r = read_parent(p, system_id, &why);
	if (r == -ECANCELED) {
		if (err)
			*err = why;
		return r;
	}
	if (r == -ENODATA)
		make_say(order, "%s has no page sums: everything is stored", p->newest.path);
	else if (r < 0)
		make_warn(order, "everything is stored, since %s cannot be built upon: %s", p->newest.path,
		          why.message);
	return 0;
}

void cluster_parent_close(struct cluster_parent *p)
{
	if (p->is_kept)
		artifact_let_go(p->ctx->repository, p->newest.ino, p->order->run_id);
	spool_free(p->lines);
	spool_free(p->places);
	spool_free(p->sums);
	used_finish(&p->used);
	used_finish(&p->leaves);
	*p = (struct cluster_parent){0};
}

/* How @key and that of a line compare, as strcmp() says it. */
static int compare_parent_key(struct cluster_parent *p, const char *key, uint64_t number,
                              struct parent_place *ret, int *ret_order, struct error *err)
{
	_cleanup(free) char *there = NULL;
	int r = spool_get(p->places, ret, sizeof(*ret), number * sizeof(*ret), err);

	if (r < 0)
		return r;
	there = mem_alloc(ret->key_bytes);
	r = spool_get(p->lines, there, ret->key_bytes, ret->at, err);
	*ret_order = r == 0 ? strcmp(key, there) : 0;
	return r;
}

/* 1: @ret is where it is; 0: there is none. Files come in the order of the server's directories, and so anywhere in that of the keys. */
static int find_parent_line(struct cluster_parent *p, const char *key, struct parent_place *ret,
                            struct error *err)
{
	uint64_t low = 0, high = p->count;

	while (low < high) {
		uint64_t middle = low + (high - low) / 2;
		int order, r = compare_parent_key(p, key, middle, ret, &order, err);

		if (r < 0 || order == 0)
			return r < 0 ? r : 1;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return 0;
}

static int read_parent_line(struct cluster_parent *p, const struct parent_place *place,
                            struct listing_entry *ret, struct error *err)
{
	_cleanup(free) char *line = mem_alloc(place->line_bytes);
	int r = spool_get(p->lines, line, place->line_bytes, place->at + place->key_bytes, err);

	if (r == 0)
		r = listing_entry_decode(line, place->line_bytes, ret, err);
	return r < 0 ? r : 1;
}

int cluster_parent_find(struct cluster_parent *p, const char *key, struct listing_entry *ret,
                        struct error *err)
{
	_cleanup(listing_entry) struct listing_entry e = {0};
	struct parent_place place;
	uint64_t size;
	int r = p->is_usable ? find_parent_line(p, key, &place, err) : 0;

	if (r == 1)
		r = read_parent_line(p, &place, &e, err);
	if (r <= 0)
		return r;
	size = spool_size(p->sums);
	if (e.sums_at > size || page_sums_bytes(e.bytes) > size - e.sums_at)
		return 0;
	*ret = e;
	e = (struct listing_entry){0};
	return 1;
}

/* Are they still there? */

struct packs_there {
	const struct cluster_parent *parent;
	const struct used *used;
	const char *own;
	struct used found;
	struct store *store;
};

static bool is_as_it_was_stored(const struct packs_there *t, const char *pack,
                                const struct store_object *object)
{
	_cleanup(free) char *path = path_of_pack(t->parent, pack);
	_cleanup(manifest_object) struct manifest_object stored = {0};

	return catalog_object(t->parent->ctx->repository->catalog, ino_of_artifact(path), &stored) == 0 &&
	       str_equal(stored.key, object->key) && stored.stored_bytes == object->bytes;
}

/* "packs/main/20261120T020000Z/00001.tar.zst" is the pack "20261120T020000Z/00001". */
static void look_at_listed(struct packs_there *t, size_t head, const struct store_object *object)
{
	const char *name = object->key + head;
	_cleanup(free) char *pack = mem_printf("%.*s", (int)strcspn(name, "."), name);

	if (used_find(t->used, pack) && is_as_it_was_stored(t, pack, object))
		used_add(&t->found, pack, 1);
}

static int list_directory_of_packs(struct packs_there *t, const char *directory, struct error *err)
{
	const struct make_order *order = t->parent->order;
	const struct store_call call = {.cancel = order->cancel};
	_cleanup(free) char *prefix = mem_printf(TREE_PACKS "/%s/%s/", order->job->name, directory);
	size_t head = strlen(prefix) - DIRECTORY_OF - 1;
	_cleanup(free) struct store_object *page = NULL;
	size_t count = 0;
	bool more = true;
	int r = 0;

	while (r == 0 && more) {
		_cleanup(free) struct store_object *before = take_ptr(&page);
		const char *after = before && count > 0 ? before[count - 1].key : NULL;

		r = store_list(t->store, &call, prefix, after, LISTED_PAGE, &page, &count, &more, err);
		for (size_t i = 0; r == 0 && i < count; i++)
			look_at_listed(t, head, &page[i]);
		more = more && count > 0;
	}
	return r;
}

/* Packs of one directory are side by side nowhere in @used: each directory is listed when its first one is met. */
static int list_older_packs(struct packs_there *t, struct error *err)
{
	_cleanup(used) struct used listed = {0};
	int r = 0;

	for (size_t i = 0; r == 0 && i < t->used->count; i++) {
		_cleanup(free) char *directory = mem_printf("%.*s", DIRECTORY_OF, t->used->packs[i].name);

		if (str_equal(directory, t->own) || used_find(&listed, directory))
			continue;
		used_add(&listed, directory, 1);
		r = list_directory_of_packs(t, directory, err);
	}
	return r;
}

static int tell_first_gone(const struct packs_there *t, struct error *err)
{
	for (size_t i = 0; i < t->used->count; i++) {
		const char *pack = t->used->packs[i].name;

		if (strncmp(pack, t->own, DIRECTORY_OF) == 0 || used_find(&t->found, pack))
			continue;
		error_set(err, ERROR_NOT_FOUND, ENOENT,
		          "the store does not have the pack %s of an earlier base, as long as it was", pack);
		return CLUSTER_PACKS_GONE;
	}
	return 0;
}

int cluster_parent_check(const struct cluster_parent *p, const struct used *used, const char *own,
                         struct error *err)
{
	struct packs_there t = {.parent = p, .used = used, .own = own};
	int r;

	if (!p->is_usable)
		return 0;
	r = repository_store_of_ino(p->ctx->repository, p->newest.ino, &t.store, err);
	if (r == 0)
		r = list_older_packs(&t, err);
	if (r == 0)
		r = tell_first_gone(&t, err);
	store_free(t.store);
	used_finish(&t.found);
	return r;
}
