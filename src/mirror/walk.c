// SPDX-License-Identifier: Apache-2.0
/*
 * The walk of a run: the source, the state before, and what broken-off runs have left are walked side by side, in the order of their keys. What none of them has is got. All of it comes out of one queue in
 * that order, and becomes the listing of the new state.
 *
 * Of an object that the server is to copy (copying.c) only its beginning and its end are got. Its digest is known when its pack was read back, beside what comes next: what is to be listed behind it waits
 * meanwhile (late.c).
 */
#include "make_private.h"

#include <keepfs/base/mem.h>

#include <errno.h>
#include <string.h>

#define TRIES     5    /* for an object that changes while it is got */
#define LATE_MOST 4096 /* objects whose lines wait: about as many as are on their way */

/* What is known. */

static bool is_unchanged(const struct listing_entry *e, const struct source_object *o)
{
	return e->bytes == o->bytes && str_equal(e->etag, o->etag);
}

enum known {
	KNOWN_NOT,
	KNOWN_BYTES, /* but it was written anew since, with the same bytes: its metadata may be others */
	KNOWN_WHOLE,
};

static enum known how_known(struct mirror *m, const struct listing_entry *e, const struct source_object *o)
{
	if (e->modified_us == o->modified_us) {
		m->counts.unchanged++;
		return KNOWN_WHOLE;
	}
	m->counts.changed_before++;
	return KNOWN_BYTES;
}

/* An enum known, or negative; then @ret is what is known of it. */
static int find_known(struct mirror *m, const struct source_object *o, struct listing_entry *ret,
                      struct error *err)
{
	_cleanup(listing_entry) struct listing_entry before = {0};
	int found = base_find(&m->base, o->key, &before, err), r;

	if (found < 0)
		return found;
	if (found > 0 && is_unchanged(&before, o) && !base_is_thin(&m->base, &before)) {
		*ret = before;
		before = (struct listing_entry){0};
		return (int)how_known(m, ret, o);
	}
	if (found > 0 && is_unchanged(&before, o))
		m->counts.anew++;
	else if (found > 0)
		m->counts.changed_before++;
	else
		m->counts.new ++;
	r = rests_find(&m->rests, o, ret, err);
	return r > 0 ? (int)KNOWN_WHOLE : r;
}

static void note_unreadable_object(struct mirror *m, const char *key, const char *why)
{
	make_say(m->order, "cannot be read: %s: %s", key, why);
	if (m->counts.unreadable++ < NAMES_TOLD)
		str_appendf(&m->unreadable, "%s%s (%s)", m->unreadable.len ? ", " : "", key, why);
}

static void add_unchanged(struct mirror *m, struct listing_entry *known)
{
	struct fetched_object *object = mem_alloc(sizeof(*object));

	object->entry = *known;
	*known = (struct listing_entry){0};
	object->is_known = true;
	fetch_add(m->fetch, object, 0, 0, true);
}

static void ask_what_is_told(struct mirror *m, struct listing_entry *known, const struct source_object *o)
{
	struct fetched_object *object = mem_alloc(sizeof(*object));

	object->entry = *known;
	*known = (struct listing_entry){0};
	object->entry.modified_us = o->modified_us;
	object->etag = mem_strdup(o->etag);
	object->is_told_anew = true;
	fetch_add(m->fetch, object, 0, o->bytes > 0 ? 1 : 0, true);
}

/* The next piece of the object that is asked for; what the server copies is passed over. */
static void ask_for_piece(struct mirror *m)
{
	struct fetched_object *object = m->partly;
	uint64_t at = m->partly_at, end = at < object->copied_at ? object->copied_at : object->entry.bytes,
	         left = atomic_load(&object->is_given_up) ? 0 : end - at;
	size_t len = left < fetch_piece_bytes(m->fetch) ? (size_t)left : fetch_piece_bytes(m->fetch);
	bool is_last = len == left && end != object->copied_at;

	m->partly_at += len;
	if (m->partly_at == object->copied_at)
		m->partly_at += object->copied_bytes;
	m->partly = is_last || left == 0 ? NULL : object;
	fetch_add(m->fetch, object, at, len, !m->partly);
}

static void hold_object(struct mirror *m, const struct listing_entry *e)
{
	m->held = (struct source_object){.key = mem_strdup(e->key),
	                                 .bytes = e->bytes,
	                                 .etag = mem_strdup(e->etag),
	                                 .modified_us = e->modified_us};
}

static void begin_object(struct mirror *m, const struct source_object *o)
{
	struct fetched_object *object = mem_alloc(sizeof(*object));

	object->entry = (struct listing_entry){.key = mem_strdup(o->key),
	                                       .bytes = o->bytes,
	                                       .etag = mem_strdup(o->etag),
	                                       .modified_us = o->modified_us};
	object->etag = mem_strdup(o->etag);
	copying_plan(&m->copying, object);
	m->partly = object;
	m->partly_at = 0;
	ask_for_piece(m);
}

static void begin_held_object(struct mirror *m)
{
	begin_object(m, &m->held);
	source_object_finish(&m->held);
}

/* By it alone keepfs knows that all pieces are of one object, and that the next run need not get it. */
static int demand_etag(const struct mirror *m, const struct source_object *o, struct error *err)
{
	return *str_or_empty(o->etag)
	               ? 0
	               : error_set(
	                         err, ERROR_USAGE, EPROTO,
	                         "%s: the server tells no ETag of %s, so nobody can tell whether its bytes are still the same: such a bucket cannot be mirrored",
	                         source_name(m->source), o->key);
}

static int look_at_source(struct mirror *m, struct error *err)
{
	_cleanup(source_object) struct source_object o = {0};
	_cleanup(listing_entry) struct listing_entry known = {0};
	int r = source_list_next(m->list, &o, err);

	m->list_is_over = r == 0;
	if (r <= 0)
		return r;
	r = demand_etag(m, &o, err);
	if (r == 0)
		r = find_known(m, &o, &known, err);
	if (r < 0)
		return r;
	if (r == KNOWN_WHOLE || (r == KNOWN_BYTES && source_is_archived(&o)))
		add_unchanged(m, &known);
	else if (r == KNOWN_BYTES)
		ask_what_is_told(m, &known, &o);
	else if (source_is_archived(&o))
		note_unreadable_object(m, o.key, "it is in an archive of its storage class");
	else
		begin_object(m, &o);
	return 0;
}

static bool has_more_to_ask(const struct mirror *m)
{
	return m->partly || (!copying_must_wait(&m->copying) && (m->held.key || !m->list_is_over));
}

static int ask_for_more(struct mirror *m, struct error *err)
{
	int r = 0;

	while (r == 0 && fetch_has_room(m->fetch) && has_more_to_ask(m)) {
		if (m->partly)
			ask_for_piece(m);
		else if (m->held.key)
			begin_held_object(m);
		else
			r = look_at_source(m, err);
	}
	return r;
}

/* What came. */

static int list_mirrored(struct mirror *m, const struct listing_entry *e, const struct str *line,
                         struct error *err)
{
	return line && line->len > 0 ? listing_writer_add_line(m->listing, e, line, err)
	                             : listing_writer_add(m->listing, e, err);
}

int mirror_told_copied(void *arg, const struct listing_entry *e, const struct str *line, struct error *err)
{
	struct mirror *m = arg;
	int r = 0;

	late_told(&m->late, e, line);
	while (r == 0) {
		_cleanup(late_line) struct late_line *late = late_take(&m->late);

		if (!late)
			break;
		r = list_mirrored(m, &late->entry, &late->line, err);
	}
	return r;
}

/* Behind an object whose digest is not known it has to wait. @e: it may be taken. */
static int list_in_turn(struct mirror *m, struct listing_entry *e, const struct str *line, struct error *err)
{
	int r = m->late.count >= LATE_MOST ? packer_settle(m->packer, err) : 0;

	if (r < 0 || m->late.count == 0)
		return r < 0 ? r : list_mirrored(m, e, line, err);
	late_add(&m->late, e, line, false);
	return 0;
}

static int list_known_object(struct mirror *m, struct listing_entry *e, struct error *err)
{
	used_add(&m->used, e->pack, e->bytes);
	return list_in_turn(m, e, NULL, err);
}

static int list_packed_object(struct mirror *m, struct fetched_object *object, struct error *err)
{
	struct listing_entry *e = &object->entry;

	used_add(&m->used, e->pack, e->bytes);
	if (object->copied_bytes == 0)
		return list_in_turn(m, e, packer_line(m->packer), err);
	copying_done(&m->copying, object);
	late_add(&m->late, e, NULL, true);
	return 0;
}

static void take_source_facts(struct listing_entry *e, struct source_facts *f)
{
	free(e->type);
	free(e->version_id);
	json_free(e->meta);
	e->type = take_ptr(&f->type);
	e->version_id = take_ptr(&f->version_id);
	e->meta = take_ptr(&f->meta);
}

static int pack_piece(struct mirror *m, struct fetched_object *object, const struct piece *p,
                      struct error *err)
{
	int r = p->offset == 0 ? packer_begin(m->packer, &object->entry, err) : 0;

	object->is_begun = true;
	if (r == 0)
		r = packer_write(m->packer, p->data, p->len, err);
	if (r == 0 && p->is_last)
		r = packer_end(m->packer, &object->entry, object->etag_is_md5, err);
	return r < 0 || !p->is_last ? r : list_packed_object(m, object, err);
}

static bool is_get_refused(int r)
{
	return r == -EACCES || r == -EPERM;
}

/* One after the other: it is what changes just now. */
static int get_again(struct mirror *m, struct fetched_object *object, struct error *err)
{
	struct listing_entry *e = &object->entry;
	_cleanup(source_object) struct source_object now = {0};
	int r = source_head(m->source, &m->call, e->key, &now, err);

	object->copied_at = object->copied_bytes = 0;
	if (r < 0)
		return r;
	mem_replace_string(&e->etag, now.etag);
	e->bytes = now.bytes;
	e->modified_us = now.modified_us;
	for (uint64_t at = 0; r == 0 && (at == 0 || at < e->bytes);) {
		uint64_t left = e->bytes - at;
		size_t len = left < fetch_piece_bytes(m->fetch) ? (size_t)left : fetch_piece_bytes(m->fetch);
		struct piece p = {.offset = at, .len = len, .is_last = len == left};
		const struct iovec iov = {.iov_base = p.data = mem_resize(NULL, len + 1, 1), .iov_len = len};

		r = source_get(m->source, &m->call, e->key, e->etag, at, &iov, len > 0 ? 1 : 0,
		               at == 0 ? &p.facts : NULL, err);
		if (r == 0 && at == 0)
			take_source_facts(e, &p.facts);
		if (r == 0)
			r = pack_piece(m, object, &p, err);
		source_facts_finish(&p.facts);
		free(p.data);
		at += len;
		if (len == 0)
			break;
	}
	return r;
}

static int spoil(struct mirror *m, struct fetched_object *object, struct error *err)
{
	int r = object->is_begun ? packer_spoil(m->packer, err) : 0;

	object->is_begun = false;
	return r;
}

static int get_while_it_changes(struct mirror *m, struct fetched_object *object, struct error *err)
{
	int r = -ESTALE;

	for (int i = 0; r == -ESTALE && i < TRIES; i++) {
		struct error spoilt = {0};

		r = get_again(m, object, err);
		if (r == -ESTALE && spoil(m, object, &spoilt) < 0) {
			*err = spoilt;
			return -spoilt.errnum;
		}
	}
	if (r == -ESTALE)
		error_prefix(
		        err,
		        "an object changed %d times while it was got; the next run tries it again, and goes on from what this one has packed",
		        TRIES + 1);
	return r;
}

/* What has come of getting it once more, in *@now. */
static int settle_object(struct mirror *m, struct fetched_object *object, int r, const struct error *now,
                         struct error *err)
{
	if (r == -ENOENT) {
		m->counts.vanished++;
		return spoil(m, object, err);
	}
	if (r < 0 && is_get_refused(r)) {
		note_unreadable_object(m, object->entry.key, now->message);
		return spoil(m, object, err);
	}
	if (r < 0 && err)
		*err = *now;
	return r;
}

static int give_up_object(struct mirror *m, struct fetched_object *object, struct error *err)
{
	atomic_store(&object->is_given_up, true);
	return spoil(m, object, err);
}

/* @r: of a get, with @why. */
static int on_failed(struct mirror *m, struct fetched_object *object, int r, const struct error *why,
                     struct error *err)
{
	struct error now = *why;
	int spoilt = give_up_object(m, object, err);

	copying_given_up(&m->copying, object);
	if (spoilt < 0)
		return spoilt;
	if (r == -ESTALE) {
		m->counts.changed++;
		r = get_while_it_changes(m, object, &now);
	}
	return settle_object(m, object, r, &now, err);
}

/* What is wrong with the server shows when keepfs reads and writes, too. The first one is asked for in the ordinary way: nothing behind it was yet. */
static int on_not_copied(struct mirror *m, struct fetched_object *object, const struct error *why,
                         struct error *err)
{
	struct error now = {0};
	int r = give_up_object(m, object, err);

	if (r < 0)
		return r;
	if (copying_refuse(&m->copying, object, m->order, why)) {
		hold_object(m, &object->entry);
		return 0;
	}
	r = get_while_it_changes(m, object, &now);
	return settle_object(m, object, r, &now, err);
}

/* Not every server compares the ETag while it copies. */
static int check_copied_is_listed(struct mirror *m, const struct fetched_object *object, struct error *err)
{
	_cleanup(source_object) struct source_object now = {0};
	int r = source_head(m->source, &m->call, object->entry.key, &now, err);

	if (r == 0 && !str_equal(now.etag, object->etag))
		r = error_set(err, ERROR_CONFLICT, ESTALE, "%s/%s: the object is another one now",
		              source_name(m->source), object->entry.key);
	return r;
}

static int have_object_copied(struct mirror *m, const struct fetched_object *object, struct error *err)
{
	_cleanup(free) char *key = NULL;
	const char *bucket = source_copied_from(m->source, object->entry.key, &key);
	const struct store_range from = {.bucket = bucket,
	                                 .key = key,
	                                 .offset = object->copied_at,
	                                 .bytes = object->copied_bytes,
	                                 .if_match = object->etag};
	int r = packer_copy(m->packer, &from, err);

	return r < 0 ? r : check_copied_is_listed(m, object, err);
}

static int copy_listed_object(struct mirror *m, struct fetched_object *object, struct error *err)
{
	struct error why = {0};
	int r = have_object_copied(m, object, &why);

	/* It may be gone, or the upload is: that is told when it is asked for once more. */
	if (r == -ESTALE || r == -ENOENT || r == -ERANGE)
		return on_failed(m, object, -ESTALE, &why, err);
	if (r < 0 && r != -ECANCELED)
		return on_not_copied(m, object, &why, err);
	if (r < 0 && err)
		*err = why;
	return r;
}

static bool is_copied_behind(const struct fetched_object *object, const struct piece *p)
{
	return object->copied_bytes > 0 && p->offset + p->len == object->copied_at;
}

static int take_got_piece(struct mirror *m, struct piece *p, struct error *err)
{
	struct fetched_object *object = p->object;
	int r;

	if (object->is_known)
		return list_known_object(m, &object->entry, err);
	if (atomic_load(&object->is_given_up))
		return 0;
	if (p->result < 0)
		return on_failed(m, object, p->result, &p->error, err);
	if (p->offset == 0)
		object->etag_is_md5 = p->facts.etag_is_md5;
	if (p->offset == 0)
		take_source_facts(&object->entry, &p->facts);
	if (object->is_told_anew)
		return list_known_object(m, &object->entry, err);
	r = pack_piece(m, object, p, err);
	return r == 0 && is_copied_behind(object, p) ? copy_listed_object(m, object, err) : r;
}

int mirror_walk(struct mirror *m, struct error *err)
{
	int r = ask_for_more(m, err);

	while (r == 0) {
		_cleanup(piece) struct piece *p = fetch_take(m->fetch);

		if (!p)
			break;
		r = take_got_piece(m, p, err);
		/* Its pieces may be all that holds the object. */
		if (r == 0 && m->partly == p->object && p->object->pieces == 1)
			ask_for_piece(m);
		if (r == 0)
			r = ask_for_more(m, err);
		if (r == 0 && cancel_is_set(m->order->cancel))
			r = error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled");
	}
	return r;
}
