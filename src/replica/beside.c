// SPDX-License-Identifier: Apache-2.0
/*
 * What lies beside backups in a store, and without which a copy of them proves nothing and tells no history: links of the chain of signatures, checkpoints,
 * records, the register of erasures, and the newest copies of the catalog. All of these have names that are never used again, and are never changed, so whatever the
 * further store does not have is put there, and what has another content there is another's, and is told.
 *
 * What the store of the catalog has no more stays there: whoever deletes links here must not have them deleted there. Only copies of the catalog go, when there are newer ones, and links of which a newer one tells,
 * signed, that they are needed no more.
 */
#include "replica_private.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/pool.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/locks.h>
#include <keepfs/catalog/replicas.h>
#include <keepfs/chain.h>
#include <keepfs/codec/checkpoint.h>
#include <keepfs/codec/copied.h>
#include <keepfs/codec/link.h>
#include <keepfs/store/proof.h>
#include <keepfs/stream.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_OBJECTS    1000
#define PIECE_BYTES     ((size_t)1 << 20)
#define PART_BYTES      ((uint64_t)5 << 20)
#define CATALOG_PREFIX  "catalog/"
#define POOL_PART_COUNT 4

static const struct {
	const char *prefix;
	bool is_proof;  /* locked, where the further store locks */
	bool is_newest; /* only the last ones by name */
} kinds[REPLICA_BESIDE_KINDS] = {
        {LINK_PREFIX, true, false},       {CHECKPOINT_PREFIX, true, false},
        {"records/audit/", false, false}, {"records/history/", false, false},
        {"erasures/", false, false},      {CATALOG_PREFIX, false, true},
};

struct besides {
	const struct replica_order *order;
	struct replica_beside *seen; /* NULL: all names are compared */
	struct store_call call;
	struct store *from, *to;
	bool to_failed;
	uint64_t copied, wrong; /* @wrong: that were known before */
	int64_t until_us;       /* what proves something outlives the copies that are locked there */
};

static int of_further_store(struct besides *b, int r)
{
	if (r < 0 && r != -ECANCELED)
		b->to_failed = true;
	return r;
}

/* One object. */

static int get_beside_piece(struct besides *b, struct store *store, const char *key, uint64_t at, void *data,
                            size_t len, struct error *err)
{
	const struct iovec iov = {data, len};

	return store_get(store, &b->call, key, at, &iov, 1, NULL, err);
}

#define BESIDE_DIFFERS 1
/* 0: the same bytes; BESIDE_DIFFERS; -ENOENT: it is gone from the store of the catalog. */
static int compare_beside(struct besides *b, const char *key, uint64_t bytes, struct error *err)
{
	_cleanup(free) uint8_t *here = mem_alloc(PIECE_BYTES), *there = mem_alloc(PIECE_BYTES);
	struct store_object object;
	int r = of_further_store(b, store_head(b->to, &b->call, key, &object, err));

	if (r == 0 && object.bytes != bytes)
		return BESIDE_DIFFERS;
	for (uint64_t at = 0; r == 0 && at < bytes; at += PIECE_BYTES) {
		size_t len = bytes - at < PIECE_BYTES ? (size_t)(bytes - at) : PIECE_BYTES;

		r = get_beside_piece(b, b->from, key, at, here, len, err);
		if (r == 0)
			r = of_further_store(b, get_beside_piece(b, b->to, key, at, there, len, err));
		if (r == 0 && memcmp(here, there, len) != 0)
			return BESIDE_DIFFERS;
	}
	return r;
}

static int note_wrong_beside(struct besides *b, const char *key, struct error *err)
{
	const struct replica_order *o = b->order;
	int r = catalog_note_beside(o->repository->catalog, o->store, key, clock_now_us(), err);

	if (r == 0)
		return 0;
	if (r > 0)
		log_error(
		        "%s in %s is not what [store] has of that name: it is left as it is. Find out who has written it; when it was moved away it is copied",
		        key, o->named->name);
	return r < 0 ? r : 0;
}

static int judge_beside(struct besides *b, const char *key, uint64_t bytes, struct error *err)
{
	const struct replica_order *o = b->order;
	int r = compare_beside(b, key, bytes, err);

	if (r == BESIDE_DIFFERS)
		return note_wrong_beside(b, key, err);
	if (r == 0 && b->wrong > 0)
		r = catalog_forget_beside(o->repository->catalog, o->store, key, err);
	return r;
}

static int put_small(struct besides *b, const char *key, size_t bytes, bool is_proof, struct error *err)
{
	const struct store_put_options options = {.only_if_absent = true};
	_cleanup(free) char *data = NULL;
	struct store_proof proof;
	size_t len;
	int r = store_get_all(b->from, &b->call, key, bytes, &data, &len, err);

	if (r == 0 && rate_take(b->order->rate, len, b->order->cancel) < 0)
		r = error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled");
	if (r < 0)
		return r;
	proof = (struct store_proof){.key = key, .data = data, .len = len, .until_us = b->until_us};
	r = is_proof ? store_put_proof(b->to, &b->call, &proof, err)
	             : store_put_bytes(b->to, &b->call, key, data, len, &options, err);
	return r == STORE_EXISTS ? 0 : of_further_store(b, r);
}

static int stream_pieces(struct besides *b, struct stream_object *object, const char *key, uint64_t bytes,
                         struct error *err)
{
	_cleanup(free) uint8_t *piece = mem_alloc(PIECE_BYTES);
	int r = 0;

	for (uint64_t at = 0; r == 0 && at < bytes; at += PIECE_BYTES) {
		size_t len = bytes - at < PIECE_BYTES ? (size_t)(bytes - at) : PIECE_BYTES;

		r = get_beside_piece(b, b->from, key, at, piece, len, err);
		if (r == 0 && rate_take(b->order->rate, len, b->order->cancel) < 0)
			r = error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled");
		if (r == 0)
			r = of_further_store(b, stream_object_write(object, piece, len, err));
	}
	return r;
}

static int stream_beside(struct besides *b, struct pool *pool, const char *key, uint64_t bytes,
                         struct error *err)
{
	const struct stream_object_options options = {.store = b->to,
	                                              .pool = pool,
	                                              .key = key,
	                                              .part_bytes = PART_BYTES,
	                                              .no_sums = true,
	                                              .cancel = b->order->cancel};
	_cleanup(stream_object) struct stream_object *object = NULL;
	struct stream_facts facts = {0};
	int r = of_further_store(b, stream_object_new(&options, &object, err));

	if (r == 0)
		r = stream_pieces(b, object, key, bytes, err);
	if (r == 0)
		r = of_further_store(b, stream_object_finish(object, NULL, &facts, err));
	extents_finish(&facts.extents);
	return r;
}

static int lock_beside(struct besides *b, const char *key, struct error *err)
{
	const struct store_lock unlocked = {0};
	struct store_lock lock;
	int r = store_lock_proof(b->to, b->until_us, &lock, err);

	if (r > 0)
		r = store_lock_extend(b->to, &b->call, key, &unlocked, &lock, err);
	return of_further_store(b, r);
}

static int put_large(struct besides *b, const char *key, uint64_t bytes, bool is_proof, struct error *err)
{
	struct store_object there;
	struct error why = {0};
	struct pool *pool;
	int r = store_head(b->to, &b->call, key, &there, &why);

	if (r == 0)
		return 0;
	if (r != -ENOENT) {
		if (err)
			*err = why;
		return of_further_store(b, r);
	}
	pool = pool_new(POOL_PART_COUNT * PART_BYTES + PART_BYTES);
	if (!pool)
		return error_system(err, ENOMEM, "there is no memory for copying %s", key);
	r = stream_beside(b, pool, key, bytes, err);
	pool_free(pool);
	return r == 0 && is_proof ? lock_beside(b, key, err) : r;
}

/* What is gone meanwhile was an old copy of the catalog. */
static int copy_beside(struct besides *b, const struct store_object *object, bool is_proof, struct error *err)
{
	struct error why = {0};
	int r = object->bytes <= PIECE_BYTES
	                ? put_small(b, object->key, (size_t)object->bytes, is_proof, &why)
	                : put_large(b, object->key, object->bytes, is_proof, &why);

	if (r == 0)
		r = judge_beside(b, object->key, object->bytes, &why);
	if (r == 0)
		b->copied++;
	if (r == -ENOENT && !b->to_failed)
		return 0;
	if (r < 0 && err)
		*err = why;
	return r;
}

/* All names of one kind, held against one another. */

struct names {
	struct store *store;
	const char *prefix;
	struct store_object *page; /* heap */
	size_t count, at;
	bool more;
	char after[STORE_KEY_BYTES];
};

static int next_beside(struct besides *b, struct names *n, const struct store_object **ret, struct error *err)
{
	*ret = NULL;
	while (n->at == n->count && n->more) {
		struct store_object *page = NULL;
		int r = store_list(n->store, &b->call, n->prefix, n->after[0] ? n->after : NULL, PAGE_OBJECTS,
		                   &page, &n->count, &n->more, err);

		if (r < 0) {
			n->count = n->at = 0;
			return n->store == b->to ? of_further_store(b, r) : r;
		}
		free(n->page);
		n->page = page;
		n->at = 0;
		n->more = n->more && n->count > 0;
		if (n->count > 0)
			str_copy(n->after, sizeof(n->after), page[n->count - 1].key);
	}
	if (n->at < n->count)
		*ret = &n->page[n->at++];
	return 0;
}

static void remember_last(struct besides *b, size_t kind, const char *key)
{
	if (b->seen)
		str_copy(b->seen->after[kind], sizeof(b->seen->after[kind]), key);
}

static int see_beside(struct besides *b, size_t kind, const struct store_object *here,
                      const struct store_object *there, struct error *err)
{
	bool is_there = there && strcmp(there->key, here->key) == 0;
	bool is_right = is_there && there->bytes == here->bytes;
	int known = 0, r = 0;

	if (is_right && b->wrong > 0)
		known = catalog_is_beside(b->order->repository->catalog, b->order->store, here->key);
	if (!is_there)
		r = copy_beside(b, here, kinds[kind].is_proof, err);
	else if (!is_right || known)
		r = judge_beside(b, here->key, here->bytes, err);
	if (r == 0)
		remember_last(b, kind, here->key);
	return r;
}

static int compare_names(struct besides *b, size_t kind, struct error *err)
{
	struct names here = {.store = b->from, .prefix = kinds[kind].prefix, .more = true},
	             there = {.store = b->to, .prefix = kinds[kind].prefix, .more = true};
	const struct store_object *h = NULL, *t = NULL;
	int r = next_beside(b, &there, &t, err);

	while (r == 0) {
		r = next_beside(b, &here, &h, err);
		if (r < 0 || !h)
			break;
		while (r == 0 && t && strcmp(t->key, h->key) < 0)
			r = next_beside(b, &there, &t, err);
		if (r == 0)
			r = see_beside(b, kind, h, t, err);
	}
	free(here.page);
	free(there.page);
	return r;
}

/* What has come since. */
static int copy_new_names(struct besides *b, size_t kind, struct error *err)
{
	struct names here = {.store = b->from, .prefix = kinds[kind].prefix, .more = true};
	const struct store_object *h = NULL;
	int r = 0;

	str_copy(here.after, sizeof(here.after), b->seen->after[kind]);
	while (r == 0) {
		r = next_beside(b, &here, &h, err);
		if (r < 0 || !h)
			break;
		r = copy_beside(b, h, kinds[kind].is_proof, err);
		if (r == 0)
			remember_last(b, kind, h->key);
	}
	free(here.page);
	return r;
}

/* Copies of the catalog. */

static int list_catalog_copies(struct besides *b, struct store *store, struct names *ret, struct error *err)
{
	int r = store_list(store, &b->call, CATALOG_PREFIX, NULL, PAGE_OBJECTS, &ret->page, &ret->count,
	                   &ret->more, err);

	return store == b->to ? of_further_store(b, r) : r;
}

/* Of so many days as [keepfs] catalog_copies says there is one each, mostly; what it has of another keepfs is not told apart. */
static int drop_old_catalogs(struct besides *b, const char *newest, struct error *err)
{
	int64_t keep = b->order->conf->catalog_copies > 1 ? b->order->conf->catalog_copies : 1;
	struct names there = {0};
	int r = list_catalog_copies(b, b->to, &there, err);

	for (size_t i = 0; r == 0 && (int64_t)(there.count - i) > keep; i++) {
		struct error why = {0};

		/* Who may write there need not be who may delete. */
		if (strcmp(there.page[i].key, newest) < 0 &&
		    store_remove(b->to, &b->call, there.page[i].key, &why) < 0)
			log_warning("an old copy of the catalog stays in %s: %s", b->order->named->name,
			            why.message);
	}
	free(there.page);
	return r;
}

static int copy_newest_catalog(struct besides *b, size_t kind, bool all, struct error *err)
{
	struct names here = {0};
	const struct store_object *newest;
	int r = list_catalog_copies(b, b->from, &here, err);

	newest = r == 0 && here.count > 0 ? &here.page[here.count - 1] : NULL;
	if (newest && (all || !b->seen || !str_equal(b->seen->after[kind], newest->key))) {
		r = copy_beside(b, newest, false, err);
		if (r == 0)
			r = drop_old_catalogs(b, newest->key, err);
		if (r == 0)
			remember_last(b, kind, newest->key);
	}
	free(here.page);
	return r;
}

/* What a crash has left open there. Nobody else puts these, and we do so one after the other. */
static int drop_cut_uploads(struct besides *b, const char *prefix, struct error *err)
{
	struct store_upload_info *left = NULL;
	size_t count = 0;
	int r = store_upload_list(b->to, &b->call, prefix, &left, &count, err);

	for (size_t i = 0; r == 0 && i < count; i++)
		r = store_upload_abort(b->to, &b->call, left[i].key, left[i].upload_id, err);
	store_upload_list_free(left, count);
	return of_further_store(b, r);
}

static int copy_kind(struct besides *b, size_t kind, bool all, struct error *err)
{
	bool is_first = all || !b->seen || !b->seen->after[kind][0];
	int r = b->order->wait ? b->order->wait(b->order->arg, err) : 0;

	if (r == 0 && is_first)
		r = drop_cut_uploads(b, kinds[kind].prefix, err);
	if (r < 0)
		return r;
	if (kinds[kind].is_newest)
		return copy_newest_catalog(b, kind, all, err);
	return is_first ? compare_names(b, kind, err) : copy_new_names(b, kind, err);
}

static int copy_besides(struct besides *b, bool all, struct error *err)
{
	const struct replica_order *o = b->order;
	_cleanup(store) struct store *to = NULL;
	struct chain_at copy = {.id = o->store, .call = &b->call};
	int r = of_further_store(b, repository_open_store(o->repository, o->store, &to, err));

	b->from = repository_store(o->repository);
	b->to = copy.store = to;
	if (r == 0)
		r = catalog_count_beside(o->repository->catalog, o->store, &b->wrong, err);
	if (r == 0 && catalog_locked_until(o->repository->catalog, o->store, &b->until_us) < 0)
		r = error_system(err, EIO, "the catalog cannot be read");
	for (size_t i = 0; r == 0 && i < REPLICA_BESIDE_KINDS; i++)
		r = copy_kind(b, i, all, err);
	if (r == 0)
		r = of_further_store(b, chain_say_copied(o->repository->chain, &copy, o->named->store.url,
		                                         b->seen ? b->seen->said : NULL, err));
	return r < 0 ? r : 0;
}

int replica_make_beside(const struct replica_order *o, struct replica_beside *seen, bool all,
                        bool *target_failed, struct error *err)
{
	struct besides b = {.order = o, .seen = seen, .call = {.cancel = o->cancel}};
	/* What it says that it has must not be older than what somebody else has just said. */
	int r = replica_claim(COPIED_KEY, o->store, o->cancel, err);

	if (r < 0)
		return r;
	r = copy_besides(&b, all, err);
	replica_end_claim(COPIED_KEY, o->store);
	if (target_failed)
		*target_failed = b.to_failed;
	if (b.copied > 0)
		log_debug("%llu objects beside backups are copied to %s", (unsigned long long)b.copied,
		          o->named->name);
	return r;
}

/* Links that are needed no more. */

/* A row that is there, in whatever state, says that something of it may be. */
static bool copy_is_held(void *arg, const char *path)
{
	const struct replica_order *o = arg;
	struct catalog_replica row;

	return catalog_replica(o->repository->catalog, path, o->store, &row) != -ENOENT;
}

int replica_follow_chain(const struct replica_order *o, bool *target_failed, struct error *err)
{
	const struct store_call call = {.cancel = o->cancel};
	_cleanup(store) struct store *to = NULL;
	struct chain_copy copy = {.main = repository_store(o->repository),
	                          .call = &call,
	                          .holds = copy_is_held,
	                          .arg = (void *)o};
	uint64_t removed = 0;
	int r = repository_open_store(o->repository, o->store, &to, err);

	*target_failed = r < 0 && r != -ECANCELED;
	copy.store = to;
	if (r == 0)
		r = chain_compact_copy(o->repository->chain, &copy, &removed, err);
	if (removed > 0)
		log_info("%s: %llu links of the chain are removed, as in [store]", o->named->name,
		         (unsigned long long)removed);
	return r;
}
