// SPDX-License-Identifier: Apache-2.0
/*
 * The state before, from which everything that did not change is taken. Its listing is brought here as a whole, into an unlinked file: a state of a million objects is some dozens of
 * megabytes.
 */
#include "mirror_private.h"

#include <keepfs/artifact/sealed.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/codec/name.h>

#include <errno.h>
#include <string.h>

#define THIN_PART 4 /* a pack of which less than a quarter is needed is stored anew */

int mirror_read_object(const struct make_context *ctx, struct cancel *cancel, const struct manifest *m,
                       const struct manifest_object *o,
                       int (*take)(void *arg, const void *data, size_t len, struct error *err), void *arg,
                       struct error *err)
{
	_cleanup(store) struct store *store = NULL;
	struct sealed_digests digests;
	int r = repository_reading_store_of_ino(ctx->repository, ino_of_artifact(m->path), &store, err);
	const struct sealed_reading reading = {.of = {.repo = ctx->repository,
	                                              .store = store,
	                                              .object = o,
	                                              .what = m->path,
	                                              .encrypted_to = m->encrypted_to,
	                                              .cancel = cancel},
	                                       .pool = ctx->pool,
	                                       .take = take,
	                                       .arg = arg};

	return r < 0 ? r : sealed_read(&reading, &digests, err);
}

static int read_spool(void *arg, uint64_t at, void *buf, size_t len, struct error *err)
{
	return spool_get(arg, buf, len, at, err);
}

struct scanning { /* one listing of an artifact that may have several */
	struct base *base;
	struct spool *spool;
	struct listing_scan *scan;
	bool is_ours;
	struct used used;
};

static int take_listing(void *arg, const void *data, size_t len, struct error *err)
{
	struct scanning *s = arg;
	int r = spool_put(s->spool, data, len, err);

	return r < 0 ? r : listing_scan_feed(s->scan, data, len, err);
}

static int take_base_head(void *arg, const struct listing_head *head, struct error *err)
{
	struct scanning *s = arg;

	(void)err;
	s->is_ours = str_equal(head->job, s->base->order->job->name);
	return 0;
}

static int count_listed(void *arg, struct listing_entry *e, struct error *err)
{
	struct scanning *s = arg;

	(void)err;
	if (s->is_ours)
		used_add(&s->used, e->pack, e->bytes);
	return 0;
}

static int take_index_text(void *arg, const void *data, size_t len, struct error *err)
{
	(void)err;
	str_append_bytes(arg, data, len);
	return 0;
}

bool mirror_leaves_pack(struct catalog *catalog, const struct pack_needed *needed)
{
	_cleanup(manifest) struct manifest m = {0};
	uint64_t ino = ino_of_artifact(needed->path);
	int64_t all_bytes = 0;

	if (catalog_manifest(catalog, ino, &m) < 0 || catalog_is_damaged(catalog, ino) ||
	    (needed->is_encrypted && !m.encrypted_to))
		return true;
	return m.facts && json_get_int(m.facts, needed->fact, &all_bytes) && all_bytes > 0 &&
	       needed->bytes < (uint64_t)all_bytes / THIN_PART;
}

static bool is_pack_to_leave(const struct base *b, const struct used_pack *pack)
{
	_cleanup(free) char *path = mem_printf(TREE_PACKS "/%s/%s.tar", b->order->job->name, pack->name);

	return mirror_leaves_pack(b->ctx->repository->catalog,
	                          &(struct pack_needed){.path = path,
	                                                .fact = "content_bytes",
	                                                .bytes = pack->bytes,
	                                                .is_encrypted = b->is_encrypted});
}

static int take_base_over(struct base *b, struct scanning *s, const struct str *index, struct error *err)
{
	int r = listing_index_decode(str_text(index), index->len, &b->index, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < s->used.count; i++)
		if (is_pack_to_leave(b, &s->used.packs[i]))
			used_add(&b->thin, s->used.packs[i].name, 1);
	b->listing = take_ptr(&s->spool);
	b->source = (struct listing_source){.read = read_spool, .arg = b->listing};
	b->reader = listing_reader_new(&b->index, &b->source);
	return 0;
}

/* @x: the index that belongs to it. Nothing happens when it is another job's. */
static int try_listing(struct base *b, const struct manifest *m, const struct manifest_object *listing,
                       const struct manifest_object *x, struct error *err)
{
	struct scanning s = {.base = b, .spool = spool_new(b->ctx->conf->state_dir)};
	const struct listing_scan_to to = {.head = take_base_head, .entry = count_listed, .arg = &s};
	_cleanup(str) struct str index = {0};
	int r;

	s.scan = listing_scan_new(&to);
	r = mirror_read_object(b->ctx, b->order->cancel, m, listing, take_listing, &s, err);
	if (r == 0)
		r = listing_scan_end(s.scan, err);
	if (r == 0 && s.is_ours)
		r = mirror_read_object(b->ctx, b->order->cancel, m, x, take_index_text, &index, err);
	if (r == 0 && s.is_ours)
		r = take_base_over(b, &s, &index, err);
	listing_scan_free(s.scan);
	spool_free(s.spool);
	used_finish(&s.used);
	return r;
}

static const struct manifest_object *next_of_role(const struct manifest *m, const char *role, size_t *at)
{
	for (; *at < m->object_count; (*at)++)
		if (str_equal(m->objects[*at].role, role))
			return &m->objects[(*at)++];
	return NULL;
}

static int find_listing(struct base *b, const struct manifest *m, struct error *err)
{
	const struct manifest_object *listing, *x;
	size_t at = 0, index_at = 0;
	int r = 0;

	while (r == 0 && !b->reader && (listing = next_of_role(m, MANIFEST_ROLE_LISTING, &at)) &&
	       (x = next_of_role(m, MANIFEST_ROLE_LISTING_INDEX, &index_at)))
		r = try_listing(b, m, listing, x, err);
	return r;
}

int base_open(struct base *b, const struct draft *draft, const struct make_context *ctx,
              const struct make_order *order, struct error *err)
{
	_cleanup(manifest) struct manifest m = {0};
	struct error why = {0};
	int r;

	*b = (struct base){
	        .ctx = ctx, .order = order, .is_encrypted = draft_is_encrypted(draft), .at_end = true};
	r = catalog_newest_with_needs(ctx->repository->catalog, order->job->name, &b->newest);
	if (r < 0)
		return r == -ENOENT ? 0 : error_system(err, -r, "the catalog cannot be read");
	r = artifact_keep(ctx->repository, b->newest.ino, order->run_id, "read for the next state", err);
	b->is_kept = r == 0;
	if (r == 0)
		r = artifact_read_manifest(ctx->repository, b->newest.path, order->cancel, &m, &why);
	if (r == 0)
		r = find_listing(b, &m, &why);
	if (r == -ECANCELED) {
		if (err)
			*err = why;
		return r;
	}
	if (r < 0)
		make_warn(order, "the listing of %s cannot be read, so all objects are stored anew: %s",
		          b->newest.path, why.message);
	b->at_end = !b->reader;
	return 0;
}

void base_close(struct base *b)
{
	if (b->is_kept)
		artifact_let_go(b->ctx->repository, b->newest.ino, b->order->run_id);
	listing_reader_free(b->reader);
	listing_index_finish(&b->index);
	listing_entry_finish(&b->next);
	spool_free(b->listing);
	used_finish(&b->thin);
}

static int look_at_next(struct base *b, struct error *err)
{
	int r;

	if (b->next.key || b->at_end)
		return 0;
	r = listing_reader_next(b->reader, &b->next, err);
	b->at_end = r == 0;
	return r < 0 ? r : 0;
}

int base_find(struct base *b, const char *key, struct listing_entry *ret, struct error *err)
{
	int r;

	while ((r = look_at_next(b, err)) == 0 && b->next.key && strcmp(b->next.key, key) < 0) {
		listing_entry_finish(&b->next);
		b->passed++;
	}
	if (r < 0 || !b->next.key || strcmp(b->next.key, key) != 0)
		return r;
	*ret = b->next;
	b->next = (struct listing_entry){0};
	return 1;
}

int base_pass(struct base *b, struct error *err)
{
	int r;

	while ((r = look_at_next(b, err)) == 0 && b->next.key) {
		listing_entry_finish(&b->next);
		b->passed++;
	}
	return r;
}

bool base_is_thin(const struct base *b, const struct listing_entry *e)
{
	return used_find(&b->thin, e->pack) != NULL;
}
