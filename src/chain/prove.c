// SPDX-License-Identifier: Apache-2.0
/*
 * Reading a store to prove it. Links come first, since they say which keys signed when another one did: those whose key is not known yet are read again when it is. Manifests are
 * read a page of the listing at a time, by several threads.
 */
#include "prove_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <keepfs/base/mem.h>
#include <keepfs/base/workers.h>

#define PAGE_OBJECTS 1000
#define PIECE_BYTES  ((size_t)1 << 20)
#define TRIES        3

static const char *const kind_names[PROVE_KINDS] = {"missing", "added", "replayed", "changed",
                                                    "moved",   "cut",   "object"};

const char *prove_kind_name(enum prove_kind kind)
{
	return kind_names[kind];
}

void prove_result_finish(struct prove_result *r)
{
	free(r->keys);
	*r = (struct prove_result){0};
}

void proof_find(struct proof *p, enum prove_kind kind, const char *fmt, ...)
{
	_cleanup(str) struct str text = {0};
	va_list args;

	va_start(args, fmt);
	str_vappendf(&text, fmt, args);
	va_end(args);
	pthread_mutex_lock(&p->lock);
	p->findings = mem_resize(p->findings, p->finding_count + 1, sizeof(*p->findings));
	p->findings[p->finding_count++] = (struct finding){kind, str_take(&text)};
	p->result.problems[kind]++;
	p->result.problem_count++;
	pthread_mutex_unlock(&p->lock);
}

static void fail_proof(struct proof *p, int r, const struct error *why)
{
	pthread_mutex_lock(&p->lock);
	if (p->failed == 0) {
		p->failed = r;
		p->error = *why;
	}
	pthread_mutex_unlock(&p->lock);
}

static void from_hex(const char *hex, uint8_t ret[static SHA256_BYTES])
{
	for (size_t i = 0; i < SHA256_BYTES; i++) {
		const char *digits = "0123456789abcdef";
		const char *high = hex[0] ? strchr(digits, hex[2 * i]) : NULL,
		           *low = high ? strchr(digits, hex[2 * i + 1]) : NULL;

		ret[i] = high && low ? (uint8_t)((high - digits) << 4 | (low - digits)) : 0;
	}
}

/* Keys. */

static struct prove_key *key_named(struct proof *p, const char *id)
{
	for (size_t i = 0; i < p->result.key_count; i++)
		if (strcmp(p->result.keys[i].key.id, id) == 0)
			return &p->result.keys[i];
	return NULL;
}

static bool add_prove_key(struct proof *p, const struct sign_public *key, bool is_given)
{
	if (key_named(p, key->id))
		return false;
	p->result.keys = mem_resize(p->result.keys, p->result.key_count + 1, sizeof(*p->result.keys));
	p->result.keys[p->result.key_count++] = (struct prove_key){.key = *key, .is_given = is_given};
	return true;
}

static void count_key(struct prove_key *k, int64_t sequence)
{
	if (k->count++ == 0 || sequence < k->first)
		k->first = sequence;
	if (sequence > k->last)
		k->last = sequence;
}

/* What was read. */

static void note_seen(struct proof *p, const char *key, const struct chain_place *place, int64_t at_us,
                      bool is_link)
{
	struct seen *s;

	if ((p->seen_count & (p->seen_count - 1)) == 0)
		p->seen = mem_resize(p->seen, p->seen_count ? 2 * p->seen_count : 1, sizeof(*p->seen));
	s = &p->seen[p->seen_count++];
	*s = (struct seen){
	        .sequence = place->sequence, .at_us = at_us, .key = mem_strdup(key), .is_link = is_link};
	from_hex(place->hash, s->hash);
	from_hex(place->previous, s->previous);
}

static void note_told(struct proof *p, const struct link *l, const struct link_entry *e)
{
	struct told *t;

	if ((p->told_count & (p->told_count - 1)) == 0)
		p->told = mem_resize(p->told, p->told_count ? 2 * p->told_count : 1, sizeof(*p->told));
	t = &p->told[p->told_count++];
	*t = (struct told){.sequence = e->sequence,
	                   .by = l->place.sequence,
	                   .is_rewritten = l->type == LINK_REWRITTEN,
	                   .is_void = l->type == LINK_VOID};
	from_hex(e->hash, t->hash);
	from_hex(e->now, t->now);
}

static void note_bare(struct bares *list, const char *path, int64_t run_id, uint64_t size_bytes,
                      const char *sha256)
{
	struct bare *b;

	if ((list->count & (list->count - 1)) == 0)
		list->items =
		        mem_resize(list->items, list->count ? 2 * list->count : 1, sizeof(*list->items));
	b = &list->items[list->count++];
	*b = (struct bare){.path = mem_strdup(path), .run_id = run_id, .size_bytes = size_bytes};
	str_copy(b->sha256, sizeof(b->sha256), sha256);
}

static void free_bares(struct bares *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->items[i].path);
	free(list->items);
	*list = (struct bares){0};
}

/* Links. */

static void note_entries(struct proof *p, const struct link *l)
{
	for (size_t i = 0; i < l->count; i++) {
		const struct link_entry *e = &l->entries[i];

		if (l->type == LINK_BEGUN)
			note_bare(&p->before, e->path, e->run_id, e->size_bytes, e->hash);
		else if (e->sequence)
			note_told(p, l, e);
		else
			note_bare(&p->before_gone, e->path, e->run_id, 0, "");
	}
}

static bool is_of_chain(struct proof *p, const char *key, const char *id)
{
	if (!p->result.id[0])
		str_copy(p->result.id, sizeof(p->result.id), id);
	if (strcmp(p->result.id, id) == 0)
		return true;
	proof_find(p, PROVE_ADDED, "%s: it is signed, but of another chain, %s", key, id);
	return false;
}

/* Another key goes on; it is believed because one that is believed says so, and has signed this. Both ways need both signatures. */
static bool take_rotation(struct proof *p, const struct link *l, const char *text, size_t len)
{
	bool by_new = link_is_signed_by(&l->signature, &l->key, text, len),
	     by_old = link_is_signed_by(&l->second, &l->old, text, len);
	bool knows_new = key_named(p, l->key.id) != NULL, knows_old = key_named(p, l->old.id) != NULL;

	if (!by_new || !by_old || (!knows_new && !knows_old))
		return false;
	return (!knows_new && add_prove_key(p, &l->key, false)) ||
	       (!knows_old && add_prove_key(p, &l->old, false));
}

struct reading_links {
	int64_t *unknown; /* whose key was not known when they were read */
	size_t unknown_count;
	bool has_new_key;
};

static void judge_link(struct proof *p, struct reading_links *rl, const char *key, int64_t sequence,
                       const char *text, size_t len)
{
	_cleanup(link) struct link l = {0};
	struct error why = {0};
	struct prove_key *by;

	if (link_decode(key, text, len, &l, &why) < 0) {
		proof_find(p, PROVE_CHANGED, "%s", why.message);
		return;
	}
	if (l.type == LINK_ROTATED && take_rotation(p, &l, text, len))
		rl->has_new_key = true;
	by = key_named(p, l.signature.key);
	if (!by) {
		rl->unknown = mem_resize(rl->unknown, rl->unknown_count + 1, sizeof(*rl->unknown));
		rl->unknown[rl->unknown_count++] = sequence;
	} else if (!link_is_signed_by(&l.signature, &by->key, text, len)) {
		proof_find(p, PROVE_CHANGED, "%s: its signature does not fit", key);
	} else if (l.place.sequence != sequence) {
		proof_find(p, PROVE_MOVED, "%s: it is number %" PRId64, key, l.place.sequence);
	} else if (is_of_chain(p, key, l.place.id)) {
		count_key(by, sequence);
		p->result.links++;
		if (l.type == LINK_BEGUN)
			p->result.begun_at_us = l.at_us;
		note_seen(p, key, &l.place, l.at_us, true);
		note_entries(p, &l);
	}
}

static int read_link(struct proof *p, struct reading_links *rl, const char *key, struct error *err)
{
	_cleanup(free) char *text = NULL;
	int64_t sequence = link_sequence_of_key(key);
	size_t len = 0;
	int r;

	if (!sequence) {
		proof_find(p, PROVE_ADDED, "%s: not the name of a link", key);
		return 0;
	}
	r = store_get_all(p->store, &p->call, key, LINK_MAX_BYTES, &text, &len, err);
	if (r == -EFBIG)
		proof_find(p, PROVE_CHANGED, "%s: it is longer than any link", key);
	if (r == -EFBIG || r == -ENOENT)
		return 0;
	if (r == 0)
		judge_link(p, rl, key, sequence, text, len);
	return r;
}

typedef int (*page_fn)(struct proof *p, void *arg, const struct store_object *objects, size_t count,
                       struct error *err);

static int each_page(struct proof *p, const char *prefix, page_fn take, void *arg, struct error *err)
{
	char after[STORE_KEY_BYTES] = "";
	bool more = true;
	int r = 0;

	while (r == 0 && more) {
		_cleanup(free) struct store_object *objects = NULL;
		size_t count = 0;

		r = store_list(p->store, &p->call, prefix, after[0] ? after : NULL, PAGE_OBJECTS, &objects,
		               &count, &more, err);
		if (r < 0 || count == 0)
			break;
		str_copy(after, sizeof(after), objects[count - 1].key);
		r = take(p, arg, objects, count, err);
		if (r == 0 && cancel_is_set(p->call.cancel))
			r = error_set(err, ERROR_CANCELLED, ECANCELED, "verifying was cancelled");
	}
	return r;
}

static int read_link_page(struct proof *p, void *arg, const struct store_object *objects, size_t count,
                          struct error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i++)
		r = read_link(p, arg, objects[i].key, err);
	return r;
}

/* Those whose key was not known, once more with what was learnt meanwhile. */
static int read_unknown(struct proof *p, struct reading_links *rl, struct error *err)
{
	int r = 0;

	while (r == 0 && rl->has_new_key && rl->unknown_count > 0) {
		struct reading_links again = {0};

		for (size_t i = 0; r == 0 && i < rl->unknown_count; i++) {
			_cleanup(free) char *key = link_key(rl->unknown[i]);

			r = read_link(p, &again, key, err);
		}
		free(rl->unknown);
		*rl = again;
	}
	return r;
}

static int read_links(struct proof *p, struct error *err)
{
	struct reading_links rl = {0};
	int r = each_page(p, LINK_PREFIX, read_link_page, &rl, err);

	if (r == 0)
		r = read_unknown(p, &rl, err);
	for (size_t i = 0; r == 0 && i < rl.unknown_count; i++)
		proof_find(
		        p, PROVE_ADDED,
		        LINK_PREFIX
		        "%012" PRId64
		        ".json: it is signed with a key that was not given, and for which none of those has vouched",
		        rl.unknown[i]);
	free(rl.unknown);
	return r;
}

/* Objects. */

static bool hash_object(struct proof *p, const struct manifest_object *o,
                        char ret_hex[static SHA256_HEX_BYTES], struct error *err, int *ret_failure)
{
	_cleanup(free) uint8_t *piece = mem_alloc(PIECE_BYTES);
	struct sha256 *h = sha256_new();
	uint8_t digest[SHA256_BYTES];
	uint64_t at = 0;
	int r = 0;

	while (r == 0 && at < o->stored_bytes) {
		size_t len =
		        o->stored_bytes - at < PIECE_BYTES ? (size_t)(o->stored_bytes - at) : PIECE_BYTES;
		const struct iovec iov = {piece, len};

		r = store_get(p->store, &p->call, o->key, at, &iov, 1, NULL, err);
		if (r == 0)
			sha256_update(h, piece, len);
		at += len;
	}
	sha256_final(h, digest);
	sha256_free(h);
	hex_encode(digest, sizeof(digest), ret_hex);
	*ret_failure = r;
	return r == 0;
}

static int prove_object(struct proof *p, const struct manifest *m, const struct manifest_object *o,
                        struct error *err)
{
	char hex[SHA256_HEX_BYTES];
	struct store_object there;
	int failure, r = store_head(p->store, &p->call, o->key, &there, err);

	if (r == -ENOENT) {
		proof_find(p, PROVE_OBJECT, "%s: %s is not there", m->path, o->key);
		return 0;
	}
	if (r < 0)
		return r;
	if (there.bytes != o->stored_bytes) {
		proof_find(p, PROVE_OBJECT, "%s: %s has %" PRIu64 " bytes, and should have %" PRIu64, m->path,
		           o->key, there.bytes, o->stored_bytes);
		return 0;
	}
	if (!hash_object(p, o, hex, err, &failure))
		return failure;
	if (o->stored_sha256[0] && strcmp(hex, o->stored_sha256) != 0)
		proof_find(
		        p, PROVE_OBJECT,
		        "%s: %s has other bytes than those that were signed: its SHA-256 is %s, and should be %s",
		        m->path, o->key, hex, o->stored_sha256);
	pthread_mutex_lock(&p->lock);
	p->result.objects++;
	p->result.object_bytes += o->stored_bytes;
	pthread_mutex_unlock(&p->lock);
	return 0;
}

static int prove_extents(struct proof *p, const struct manifest *m, struct error *err)
{
	_cleanup(free) char *data = NULL;
	char hex[SHA256_HEX_BYTES];
	size_t len = 0;
	int r;

	if (!m->extents_key)
		return 0;
	r = store_get_all(p->store, &p->call, m->extents_key, MANIFEST_MAX_BYTES, &data, &len, err);
	if (r < 0 && r != -ENOENT && r != -EFBIG)
		return r;
	if (r == 0)
		sign_hash(data, len, hex);
	if (r < 0 || strcmp(hex, m->extents_sha256) != 0)
		proof_find(p, PROVE_OBJECT, "%s: %s is not there, or not the one that was signed", m->path,
		           m->extents_key);
	return 0;
}

static int prove_objects(struct proof *p, const struct manifest *m, struct error *err)
{
	int r = p->options->objects ? prove_extents(p, m, err) : 0;

	for (size_t i = 0; r == 0 && p->options->objects && i < m->object_count; i++)
		r = prove_object(p, m, &m->objects[i], err);
	return r;
}

/* Manifests. */

struct page {
	struct proof *p;
	const struct store_object *objects;
	size_t count, next; /* next: the proof's lock */
};

/* Whether it is one whose objects are worth looking at. With the lock. */
static bool note_signed(struct proof *p, const char *key, const struct manifest *m, struct prove_key *by)
{
	p->result.manifests++;
	count_key(by, m->chain.sequence);
	note_seen(p, key, &m->chain, m->finished_at_us, false);
	return true;
}

static bool judge_signed(struct proof *p, const char *key, const struct manifest *m, const char *text,
                         size_t len)
{
	struct prove_key *by = key_named(p, m->signature.key);
	bool noted;

	if (!by) {
		proof_find(
		        p, PROVE_ADDED,
		        "%s: it is signed with the key %s, which was not given, and for which no other has vouched",
		        key, m->signature.key);
		return false;
	}
	if (!manifest_is_signed_by(m, &by->key, text, len)) {
		proof_find(p, PROVE_CHANGED, "%s: its signature does not fit: somebody has changed it", key);
		return false;
	}
	if (p->result.id[0] && strcmp(p->result.id, m->chain.id) != 0) {
		proof_find(p, PROVE_ADDED, "%s: it is signed, but of another chain, %s", key, m->chain.id);
		return false;
	}
	pthread_mutex_lock(&p->lock);
	if (!p->result.id[0])
		str_copy(p->result.id, sizeof(p->result.id), m->chain.id);
	noted = note_signed(p, key, m, by);
	pthread_mutex_unlock(&p->lock);
	return noted;
}

static int judge_manifest(struct proof *p, const char *key, const char *path, const char *text, size_t len,
                          struct error *err)
{
	_cleanup(manifest) struct manifest m = {0};
	struct error why = {0};
	bool is_worth = true;

	if (manifest_decode(key, text, len, &m, &why) < 0) {
		proof_find(p, PROVE_CHANGED, "%s", why.message);
		return 0;
	}
	if (strcmp(m.path, path) != 0) {
		proof_find(p, PROVE_MOVED, "%s: it is the manifest of %s", key, m.path);
		return 0;
	}
	if (m.chain.sequence) {
		is_worth = judge_signed(p, key, &m, text, len);
	} else {
		pthread_mutex_lock(&p->lock);
		note_bare(&p->found, m.path, m.run_id, m.size_bytes, m.sha256);
		pthread_mutex_unlock(&p->lock);
	}
	return is_worth ? prove_objects(p, &m, err) : 0;
}

static int read_for_proof(struct proof *p, const char *key, struct error *err)
{
	_cleanup(free) char *path = manifest_path_of_key(key), *text = NULL;
	size_t len = 0;
	int r;

	if (!path && manifest_is_beside_any(key))
		return 0;
	if (!path) {
		proof_find(p, PROVE_ADDED, "%s: not the name of a manifest", key);
		return 0;
	}
	r = store_get_all(p->store, &p->call, key, MANIFEST_MAX_BYTES, &text, &len, err);
	if (r == -EFBIG)
		proof_find(p, PROVE_CHANGED, "%s: it is longer than any manifest", key);
	if (r == -EFBIG || r == -ENOENT)
		return 0;
	return r < 0 ? r : judge_manifest(p, key, path, text, len, err);
}

static const char *next_of_page(struct page *page)
{
	struct proof *p = page->p;
	const char *key = NULL;

	pthread_mutex_lock(&p->lock);
	if (p->failed == 0 && !cancel_is_set(p->call.cancel) && page->next < page->count)
		key = page->objects[page->next++].key;
	pthread_mutex_unlock(&p->lock);
	return key;
}

static void read_from_page(void *arg)
{
	struct page *page = arg;
	const char *key;

	while ((key = next_of_page(page))) {
		struct error why = {0};
		int r = read_for_proof(page->p, key, &why);

		if (r < 0)
			fail_proof(page->p, r, &why);
	}
}

static int read_manifest_page(struct proof *p, void *arg, const struct store_object *objects, size_t count,
                              struct error *err)
{
	struct page page = {.p = p, .objects = objects, .count = count};
	unsigned threads = p->options->threads > 1 ? p->options->threads : 1;
	struct workers *workers = count > 1 ? workers_new("verify", threads) : NULL;

	for (unsigned i = 0; workers && i < threads; i++)
		workers_add(workers, read_from_page, &page);
	if (!workers)
		read_from_page(&page);
	workers_free(workers); /* when they are done */
	if (p->failed < 0 && err)
		*err = p->error;
	if (p->options->progress)
		p->options->progress(p->options->arg, p->result.manifests + p->found.count);
	return p->failed;
}

/* What lies there, as a number: has anything changed? */
static int add_to_mark(struct proof *p, void *arg, const struct store_object *objects, size_t count,
                       struct error *err)
{
	uint64_t *mark = arg;

	for (size_t i = 0; i < count; i++) {
		_cleanup(free) char *text = mem_printf("%s\n%s", objects[i].key, objects[i].etag);

		*mark += hash64(text);
	}
	return 0;
}

static int mark_store(struct proof *p, uint64_t *ret, struct error *err)
{
	int r = each_page(p, LINK_PREFIX, add_to_mark, ret, err);

	if (r == 0 && p->options->copy)
		r = each_page(p, COPIED_KEY, add_to_mark, ret, err);
	return r < 0 ? r : each_page(p, "manifests/", add_to_mark, ret, err);
}

static void proof_finish(struct proof *p)
{
	for (size_t i = 0; i < p->seen_count; i++)
		free(p->seen[i].key);
	for (size_t i = 0; i < p->finding_count; i++)
		free(p->findings[i].text);
	free(p->seen);
	free(p->told);
	free(p->findings);
	free_bares(&p->found);
	free_bares(&p->before);
	free_bares(&p->before_gone);
	copied_finish(&p->copied);
	prove_result_finish(&p->result);
	pthread_mutex_destroy(&p->lock);
}

static void proof_init(struct proof *p, struct store *store, const struct prove_options *options)
{
	*p = (struct proof){.store = store, .options = options, .call = {.cancel = options->cancel}};
	pthread_mutex_init(&p->lock, NULL);
	for (size_t i = 0; i < options->key_count; i++)
		add_prove_key(p, &options->keys[i], true);
}

static int read_all(struct proof *p, struct error *err)
{
	int r = read_links(p, err);

	if (r == 0)
		r = proof_read_copied(p, err);
	if (r == 0)
		r = each_page(p, "manifests/", read_manifest_page, NULL, err);
	if (r == 0)
		proof_judge(p);
	return r;
}

static void tell_findings(struct proof *p, struct prove_result *ret)
{
	for (size_t i = 0; i < p->finding_count; i++)
		p->options->problem(p->options->arg, p->findings[i].kind, p->findings[i].text);
	*ret = p->result;
	p->result = (struct prove_result){0};
}

/* 1: something is wrong, and the store was changed while it was read. */
static int try_to_prove(struct store *store, const struct prove_options *options, bool is_last,
                        struct prove_result *ret, struct error *err)
{
	uint64_t before = 0, after = 0;
	struct proof p;
	int r;

	proof_init(&p, store, options);
	r = mark_store(&p, &before, err);
	if (r == 0)
		r = read_all(&p, err);
	if (r == 0 && p.finding_count > 0 && !is_last)
		r = mark_store(&p, &after, err) ?: before != after;
	if (r == 0)
		tell_findings(&p, ret);
	proof_finish(&p);
	return r;
}

int chain_prove(struct store *store, const struct prove_options *options, struct prove_result *ret,
                struct error *err)
{
	int r = 1;

	for (unsigned i = 1; r == 1 && i <= TRIES; i++)
		r = try_to_prove(store, options, i == TRIES, ret, err);
	return r;
}
