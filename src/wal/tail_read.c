// SPDX-License-Identifier: Apache-2.0
/*
 * A tail as a server in recovery wants it: under the name of the segment, as long as a segment, zeros behind what is known, which a recovery takes for the end of the log. So it is only handed out where nothing comes behind it: in the
 * middle of an archive it would hide a gap.
 */
#include "tail.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LIST_PAGE 1000

struct placing { /* the bytes of a piece go behind those that are there */
	struct pages *pages;
	uint64_t skip; /* bytes of it that are there already */
};

static int place_bytes(void *arg, const void *data, size_t len, struct error *err)
{
	struct placing *p = arg;
	size_t skip = p->skip < len ? (size_t)p->skip : len;

	p->skip -= skip;
	if (pages_append(p->pages, (const char *)data + skip, len - skip) < 0)
		return error_set(err, ERROR_CORRUPT, EBADMSG, "it is longer than its segment");
	return 0;
}

static int load_piece(struct wal_tail_loading *l, const struct wal_tail *t,
                      const struct wal_tail_piece *piece, struct error *err)
{
	_cleanup(free) char *key = wal_tail_key_format(t, piece);
	struct placing placing = {.pages = &l->pages, .skip = l->pages.bytes - piece->begin};
	struct wal_fetching f = l->how;
	int r;

	f.key = key;
	f.pool = l->pool;
	f.stored_bytes = piece->stored_bytes;
	r = wal_fetch(&f, place_bytes, &placing, err);
	if (r == -ENOENT || r == -ERANGE)
		return error_set(err, ERROR_CONFLICT, ESTALE, "%s was replaced meanwhile", key);
	if (r == 0 && l->pages.bytes != piece->end)
		return error_set(err, ERROR_CORRUPT, EBADMSG, "%s is not as long as its name says", key);
	return r;
}

/* How long segments are is in the first page. */
static int learn_segment_bytes(const struct wal_tail_loading *l, const struct wal_tail *t, uint32_t *ret,
                               struct error *err)
{
	_cleanup(free) char *key = wal_tail_key_format(t, &t->pieces[0]);
	const struct wal_first_page_expected expected = {.system_id = t->system_id};
	struct wal_fetching f = l->how;
	struct wal_page_header page;
	struct wal_sums sums;
	int r;

	f.key = key;
	f.stored_bytes = t->pieces[0].stored_bytes;
	r = wal_fetch_sums(&f, &sums, err);
	if (r == -ENOENT)
		return error_set(err, ERROR_CONFLICT, ESTALE, "%s was replaced meanwhile", key);
	if (r == 0)
		r = wal_first_page_check(sums.head, sizeof(sums.head), &t->name, &expected, &page, err);
	if (r == 0)
		*ret = page.segment_bytes;
	return r;
}

static size_t largest_piece(const struct wal_tail *t)
{
	uint64_t most = 0;

	for (size_t i = 0; i < t->count; i++)
		most = t->pieces[i].stored_bytes > most ? t->pieces[i].stored_bytes : most;
	return pages_for(most);
}

static int reserve_tail(struct wal_tail_loading *l, const struct wal_tail *t, uint32_t segment_bytes,
                        struct error *err)
{
	int r = pool_branch_wait(l->how.pool, pages_for(segment_bytes) + largest_piece(t), l->how.cancel,
	                         &l->pool);

	if (r == 0)
		r = pages_reserve(&l->pages, l->pool, segment_bytes, 0, l->how.cancel);
	if (r == -ECANCELED)
		return error_set(err, ERROR_CANCELLED, -r, "cancelled");
	if (r < 0)
		return error_set(err, ERROR_USAGE, ENOMEM,
		                 "a segment of %u MiB needs as many buffers: [keepfs] memory has to be more",
		                 (unsigned)(segment_bytes >> 20));
	return 0;
}

static void pad_tail(struct pages *p, uint64_t bytes)
{
	static const char zeros[65536];

	while (p->bytes < bytes) {
		uint64_t left = bytes - p->bytes;

		(void)pages_append(p, zeros, left < sizeof(zeros) ? (size_t)left : sizeof(zeros));
	}
}

int wal_tail_load(struct wal_tail_loading *l, struct wal_tail *t, struct error *err)
{
	uint32_t segment_bytes = 0;
	int r;

	if (wal_tail_cover(t) == 0)
		return -ENOENT;
	r = learn_segment_bytes(l, t, &segment_bytes, err);
	if (r == 0)
		r = reserve_tail(l, t, segment_bytes, err);
	for (size_t i = 0; r == 0 && i < t->count; i++)
		r = load_piece(l, t, &t->pieces[i], err);
	if (r == 0)
		pad_tail(&l->pages, segment_bytes);
	else
		wal_tail_unload(l);
	return r;
}

void wal_tail_unload(struct wal_tail_loading *l)
{
	pages_finish(&l->pages);
	l->pool = pool_free(l->pool);
}

/* From the store alone. */

struct locating {
	struct store *store;
	const struct store_call *call;
	struct wal_tail *tail;
	bool is_followed; /* a segment comes behind it */
};

static void take_located(struct locating *l, const struct store_object *object, const struct wal_name *name)
{
	struct wal_tail_piece piece;
	struct wal_tail tail;
	struct wal_name found;
	struct wal_key key;

	if (wal_tail_key_parse(object->key, &tail, &piece) == 0) {
		piece.stored_bytes = object->bytes;
		if (wal_name_compare(&tail.name, name) != 0)
			return;
		if (l->tail->count == 0)
			*l->tail = tail;
		l->tail->pieces = mem_resize(l->tail->pieces, l->tail->count + 1, sizeof(*l->tail->pieces));
		l->tail->pieces[l->tail->count++] = piece;
	} else if (wal_key_parse(object->key, &key) == 0) {
		(void)wal_name_parse(key.name, &found);
		l->is_followed |= found.kind == WAL_NAME_SEGMENT;
	}
}

/* All that is behind @from in what begins with @prefix, until it is known that something follows. */
static int locate_behind(struct locating *l, const char *prefix, const char *from,
                         const struct wal_name *name, struct error *err)
{
	char after[STORE_KEY_BYTES];
	bool more = true;
	int r = 0;

	str_copy(after, sizeof(after), from);
	while (r == 0 && more && !l->is_followed) {
		_cleanup(free) struct store_object *objects = NULL;
		size_t count = 0;

		r = store_list(l->store, l->call, prefix, after, LIST_PAGE, &objects, &count, &more, err);
		for (size_t i = 0; r == 0 && i < count; i++)
			take_located(l, &objects[i], name);
		if (r == 0 && count)
			str_copy(after, sizeof(after), objects[count - 1].key);
		more &= count > 0;
	}
	return r;
}

int wal_tail_locate(struct store *store, const struct store_call *call, const char *job,
                    const struct wal_name *name, struct wal_tail *ret, struct error *err)
{
	_cleanup(free) char *cluster = NULL;
	char text[WAL_NAME_BYTES];
	int r = 0;

	wal_name_format(name, text);
	for (const char *after = NULL;;) {
		_cleanup(wal_tail) struct wal_tail tail = {0};
		struct locating l = {.store = store, .call = call, .tail = &tail};
		_cleanup(free) char *next = NULL, *prefix = NULL, *from = NULL, *behind = NULL;

		r = wal_next_cluster(store, call, job, after, &next, err);
		if (r < 0)
			return r;
		prefix = mem_printf("%s%.8s", next, text); /* of its timeline */
		from = mem_printf("%s%s", next, text);
		r = locate_behind(&l, prefix, from, name, err);
		if (r < 0)
			return r;
		if (tail.count && !l.is_followed) {
			*ret = tail;
			tail = (struct wal_tail){0};
			return 0;
		}
		behind = mem_printf("%s~", next);
		free(cluster);
		cluster = take_ptr(&behind);
		after = cluster;
	}
}

static int open_tail_once(struct wal *w, const char *job, const struct wal_name *name,
                          struct wal_tail_loading *l, struct error *err)
{
	_cleanup(wal_tail) struct wal_tail tail = {0};
	int r = wal_tail_known(w, job, name, true, l->how.cancel, &tail, err);

	return r < 0 ? r : wal_tail_load(l, &tail, err);
}

int wal_tail_open(struct wal *w, const char *job, const char *text, struct cancel *cancel,
                  struct wal_content **ret, struct error *err)
{
	struct wal_tail_loading l = {0};
	struct catalog_wal row = {.bytes = CATALOG_WAL_UNKNOWN};
	struct wal_name name;
	int r = wal_name_parse(text, &name);

	str_copy(row.job, sizeof(row.job), job);
	wal_fetching_of(w, &row, cancel, &l.how);
	/* Each time it is replaced it is longer, or there is the segment. */
	while (r == 0 && (r = open_tail_once(w, job, &name, &l, err)) == -ESTALE)
		r = cancel_is_set(cancel) ? -ECANCELED : 0;
	if (r == 0)
		*ret = wal_content_of_tail(w, &l);
	return r;
}

/* Finding. */

static bool is_followed_by_segment(struct wal *w, const char *job, const struct wal_name *name)
{
	struct catalog_wal row;
	char first[WAL_NAME_BYTES], last[WAL_NAME_BYTES];

	wal_name_format(name, first);
	snprintf(last, sizeof(last), "%.8sFFFFFFFFFFFFFFFF", first);
	return catalog_wal_last_segment(w->options.repository->catalog, job, first, last, &row) != -ENOENT;
}

int wal_tail_known(struct wal *w, const char *job, const struct wal_name *name, bool may_wait,
                   struct cancel *cancel, struct wal_tail *ret, struct error *err)
{
	const struct store_call call = {.cancel = cancel};
	int r;

	if (name->kind != WAL_NAME_SEGMENT || is_followed_by_segment(w, job, name))
		return -ENOENT;
	if (w->options.conf->role != CONF_READER)
		return wal_tails_find(w, job, name, ret);
	if (!may_wait)
		return -EAGAIN;
	r = wal_tail_locate(repository_store(w->options.repository), &call, job, name, ret, err);
	if (r < 0)
		return r == -EAGAIN ? -EIO : r;
	for (size_t i = 0; i < ret->count; i++)
		wal_tails_note(w, ret, &ret->pieces[i]);
	return 0;
}

static int tell_tail(struct wal *w, struct wal_tail *t, struct wal_tail_facts *ret)
{
	struct catalog_wal_cluster cluster = {0};
	struct wal_tail_facts facts = {.number = t->number, .system_id = t->system_id};
	int r = catalog_wal_cluster(w->options.repository->catalog, t->job, &cluster);

	facts.bytes = wal_tail_cover(t);
	str_copy(facts.job, sizeof(facts.job), t->job);
	wal_name_format(&t->name, facts.name);
	facts.segment_bytes = r == 0 ? cluster.segment_bytes : 0;
	if (facts.segment_bytes)
		facts.end_lsn = wal_name_lsn(&t->name, facts.segment_bytes) + facts.bytes;
	*ret = facts;
	return 0;
}

int wal_tail_find(struct wal *w, const char *job, const char *text, bool may_wait, struct cancel *cancel,
                  struct wal_tail_facts *ret, struct error *err)
{
	_cleanup(wal_tail) struct wal_tail tail = {0}, noted = {0};
	struct wal_name name;
	int r = wal_name_parse(text, &name);

	if (r < 0)
		return -ENOENT;
	r = wal_tail_known(w, job, &name, may_wait, cancel, &tail, err);
	if (r == 0)
		r = wal_tails_find(w, job, &name, &noted);
	if (r == 0)
		r = tell_tail(w, &noted, ret);
	return r == 0 && ret->bytes == 0 ? -ENOENT : r;
}

int wal_tail_by_number(struct wal *w, int64_t number, struct wal_tail_facts *ret)
{
	_cleanup(wal_tail) struct wal_tail tail = {0};
	int r = wal_tails_next(w, NULL, number - 1, &tail);

	if (r < 0 || tail.number != number)
		return -ENOENT;
	return tell_tail(w, &tail, ret);
}

int wal_tail_newest(struct wal *w, const char *job, struct wal_tail_facts *ret)
{
	struct wal_tail_facts facts, best = {0};
	int64_t after = 0;

	for (;;) {
		_cleanup(wal_tail) struct wal_tail tail = {0};

		if (wal_tails_next(w, job, after, &tail) < 0)
			break;
		after = tail.number;
		if (is_followed_by_segment(w, job, &tail.name) || tell_tail(w, &tail, &facts) < 0)
			continue;
		if (facts.bytes && (!best.bytes || strcmp(facts.name, best.name) > 0))
			best = facts;
	}
	if (!best.bytes)
		return -ENOENT;
	*ret = best;
	return 0;
}
