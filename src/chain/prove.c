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
	if (p->finding_count < PROVE_TEXTS_MAX) {
		p->findings = mem_resize(p->findings, p->finding_count + 1, sizeof(*p->findings));
		p->findings[p->finding_count++] = (struct finding){kind, str_take(&text)};
	}
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

void proof_hash(const char *hex, uint8_t ret[static SHA256_BYTES])
{
	for (size_t i = 0; i < SHA256_BYTES; i++) {
		const char *digits = "0123456789abcdef";
		const char *high = hex[0] ? strchr(digits, hex[2 * i]) : NULL,
		           *low = high ? strchr(digits, hex[2 * i + 1]) : NULL;

		ret[i] = high && low ? (uint8_t)((high - digits) << 4 | (low - digits)) : 0;
	}
}

/* Keys. */

struct prove_key *proof_key(struct proof *p, const char *id)
{
	for (size_t i = 0; i < p->result.key_count; i++)
		if (strcmp(p->result.keys[i].key.id, id) == 0)
			return &p->result.keys[i];
	return NULL;
}

bool proof_add_key(struct proof *p, const struct sign_public *key, bool is_given)
{
	if (proof_key(p, key->id))
		return false;
	p->result.keys = mem_resize(p->result.keys, p->result.key_count + 1, sizeof(*p->result.keys));
	p->result.keys[p->result.key_count++] = (struct prove_key){.key = *key, .is_given = is_given};
	return true;
}

void proof_count_key(struct prove_key *k, int64_t sequence)
{
	if (k->count++ == 0 || sequence < k->first)
		k->first = sequence;
	if (sequence > k->last)
		k->last = sequence;
}

/* What was read. */

static void note_record(struct proof *p, struct sorter *sorter, const void *head, size_t len,
                        const char *text)
{
	struct error err = {0};
	int r = sorter_add(sorter, head, len, text, text ? strlen(text) + 1 : 0, &err);

	if (r < 0 && p->failed == 0) {
		p->failed = r;
		p->error = err;
	}
}

void proof_note_seen(struct proof *p, const char *key, const struct chain_place *place, int64_t at_us,
                     bool is_link)
{
	struct seen s = {.sequence = place->sequence, .at_us = at_us, .is_link = is_link};

	proof_hash(place->hash, s.hash);
	proof_hash(place->previous, s.previous);
	note_record(p, p->seen, &s, sizeof(s), key);
}

void proof_note_told(struct proof *p, const struct told *told)
{
	note_record(p, p->told, told, sizeof(*told), NULL);
}

void proof_note_bare(struct proof *p, const char *path, const struct bare *bare)
{
	note_record(p, p->bares, bare, sizeof(*bare), path);
}

int proof_each_page(struct proof *p, const char *prefix, page_fn take, void *arg, struct error *err)
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

/* Manifests. */

struct page {
	struct proof *p;
	const struct store_object *objects;
	size_t count, next; /* next: the proof's lock */
};

/* False: it is of another chain. */
static bool note_signed(struct proof *p, const char *key, const struct manifest *m, struct prove_key *by)
{
	bool is_ours;

	pthread_mutex_lock(&p->lock);
	if (!p->result.id[0])
		str_copy(p->result.id, sizeof(p->result.id), m->chain.id);
	is_ours = strcmp(p->result.id, m->chain.id) == 0;
	if (is_ours) {
		p->result.manifests++;
		proof_count_key(by, m->chain.sequence);
		proof_note_seen(p, key, &m->chain, m->finished_at_us, false);
	}
	pthread_mutex_unlock(&p->lock);
	return is_ours;
}

/* Whether it is one whose objects are worth looking at. */
static bool judge_signed(struct proof *p, const char *key, const struct manifest *m, const char *text,
                         size_t len)
{
	struct prove_key *by = proof_key(p, m->signature.key);

	if (!by)
		proof_find(
		        p, PROVE_ADDED,
		        "%s: it is signed with the key %s, which was not given, and for which no other has vouched",
		        key, m->signature.key);
	else if (!manifest_is_signed_by(m, &by->key, text, len))
		proof_find(p, PROVE_CHANGED, "%s: its signature does not fit: somebody has changed it", key);
	else if (!note_signed(p, key, m, by))
		proof_find(p, PROVE_ADDED, "%s: it is signed, but of another chain, %s", key, m->chain.id);
	else
		return true;
	return false;
}

static void note_bare_manifest(struct proof *p, const struct manifest *m, const char *text, size_t len)
{
	struct bare b = {.kind = BARE_FOUND, .run_id = m->run_id, .size_bytes = m->size_bytes};

	str_copy(b.sha256, sizeof(b.sha256), str_or_empty(m->sha256));
	sign_hash(text, len, b.manifest);
	pthread_mutex_lock(&p->lock);
	p->read_unsigned++;
	proof_note_bare(p, m->path, &b);
	pthread_mutex_unlock(&p->lock);
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
		note_bare_manifest(p, &m, text, len);
	}
	return is_worth ? proof_read_objects(p, &m, err) : 0;
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
		p->options->progress(p->options->arg, p->result.manifests + p->read_unsigned);
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
	int r = proof_each_page(p, LINK_PREFIX, add_to_mark, ret, err);

	if (r == 0 && p->options->copy)
		r = proof_each_page(p, COPIED_KEY, add_to_mark, ret, err);
	return r < 0 ? r : proof_each_page(p, "manifests/", add_to_mark, ret, err);
}

static void proof_finish(struct proof *p)
{
	for (size_t i = 0; i < p->finding_count; i++)
		free(p->findings[i].text);
	free(p->findings);
	free(p->range.kept);
	copied_finish(&p->copied);
	sorter_free(p->seen);
	sorter_free(p->told);
	sorter_free(p->bares);
	prove_result_finish(&p->result);
	pthread_mutex_destroy(&p->lock);
}

static void proof_init(struct proof *p, struct store *store, const struct prove_options *options)
{
	*p = (struct proof){.store = store, .options = options, .call = {.cancel = options->cancel}};
	pthread_mutex_init(&p->lock, NULL);
	p->seen = sorter_new(options->directory, proof_by_sequence);
	p->told = sorter_new(options->directory, proof_by_told);
	p->bares = sorter_new(options->directory, proof_by_path);
	for (size_t i = 0; i < options->key_count; i++)
		proof_add_key(p, &options->keys[i], true);
}

static int read_all(struct proof *p, struct error *err)
{
	int r = proof_read_links(p, err);

	if (r == 0)
		r = proof_read_copied(p, err);
	if (r == 0)
		r = proof_each_page(p, "manifests/", read_manifest_page, NULL, err);
	if (r == 0 && p->failed < 0) {
		r = p->failed;
		if (err)
			*err = p->error;
	}
	return r < 0 ? r : proof_judge(p, err);
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
