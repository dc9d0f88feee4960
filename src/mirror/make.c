// SPDX-License-Identifier: Apache-2.0
/*
 * A run: the source, the state before, and what broken-off runs have left are walked side by side, in the order of their keys. What none of them has is got. All of it comes out of one queue in that
 * order, and becomes the listing of the new state, which is gathered in an unlinked file, since it is stored when all packs are durable.
 */
#include "mirror_private.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/mirror.h>
#include <keepfs/mirror/tree.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define TRIES         5  /* for an object that changes while it is got */
#define NAMES_TOLD    5  /* of objects that cannot be read */
#define FILES_AT_ONCE 16 /* small ones, by one thread: to read one takes less time than to wake a thread */

struct counts {
	uint64_t new, changed_before, unchanged, changed, vanished, unreadable, anew;
};

struct mirror {
	const struct make_context *ctx;
	const struct make_order *order;
	const struct conf_mirror *conf;
	struct store_call call;
	struct draft *draft;
	struct source *source;
	struct source_list *list;
	struct base base;
	struct rests rests;
	struct fetch *fetch;
	struct packer *packer;
	struct spool *spool; /* of the listing */
	struct listing_writer *listing;
	struct used used;
	struct counts counts;
	struct str unreadable;         /* the first of them */
	struct fetched_object *partly; /* of which pieces are still to be asked for; owned by its pieces */
	uint64_t partly_at;
	bool list_is_over;
};

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

/* The next piece of the object that is asked for. */
static void ask_for_piece(struct mirror *m)
{
	struct fetched_object *object = m->partly;
	uint64_t left = object->entry.bytes - m->partly_at;
	size_t len = left < fetch_piece_bytes(m->fetch) ? (size_t)left : fetch_piece_bytes(m->fetch);
	bool is_last = len == left || atomic_load(&object->is_given_up);

	m->partly = is_last ? NULL : object;
	fetch_add(m->fetch, object, m->partly_at, len, is_last);
	m->partly_at += len;
}

static void begin_object(struct mirror *m, const struct source_object *o)
{
	struct fetched_object *object = mem_alloc(sizeof(*object));

	object->entry = (struct listing_entry){.key = mem_strdup(o->key),
	                                       .bytes = o->bytes,
	                                       .etag = mem_strdup(o->etag),
	                                       .modified_us = o->modified_us};
	object->etag = mem_strdup(o->etag);
	m->partly = object;
	m->partly_at = 0;
	ask_for_piece(m);
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

static int ask_for_more(struct mirror *m, struct error *err)
{
	int r = 0;

	while (r == 0 && fetch_has_room(m->fetch) && (m->partly || !m->list_is_over)) {
		if (m->partly)
			ask_for_piece(m);
		else
			r = look_at_source(m, err);
	}
	return r;
}

/* What came. */

static int list_known_object(struct mirror *m, const struct listing_entry *e, struct error *err)
{
	used_add(&m->used, e->pack, e->bytes);
	return listing_writer_add(m->listing, e, err);
}

static int list_packed_object(struct mirror *m, const struct listing_entry *e, struct error *err)
{
	used_add(&m->used, e->pack, e->bytes);
	return listing_writer_add_line(m->listing, e, packer_line(m->packer), err);
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
		r = packer_end(m->packer, &object->entry, err);
	return r < 0 || !p->is_last ? r : list_packed_object(m, &object->entry, err);
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

static int on_changed(struct mirror *m, struct fetched_object *object, struct error *err)
{
	int r = -ESTALE;

	m->counts.changed++;
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

/* @r: of a get, with @why. */
static int on_failed(struct mirror *m, struct fetched_object *object, int r, const struct error *why,
                     struct error *err)
{
	struct error now = *why;
	int spoilt;

	atomic_store(&object->is_given_up, true);
	spoilt = spoil(m, object, err);
	if (spoilt < 0)
		return spoilt;
	if (r == -ESTALE)
		r = on_changed(m, object, &now);
	if (r == -ENOENT) {
		m->counts.vanished++;
		return spoil(m, object, err);
	}
	if (r < 0 && is_get_refused(r)) {
		note_unreadable_object(m, object->entry.key, now.message);
		return spoil(m, object, err);
	}
	if (r < 0 && err)
		*err = now;
	return r;
}

static int take_got_piece(struct mirror *m, struct piece *p, struct error *err)
{
	struct fetched_object *object = p->object;

	if (object->is_known)
		return list_known_object(m, &object->entry, err);
	if (atomic_load(&object->is_given_up))
		return 0;
	if (p->result < 0)
		return on_failed(m, object, p->result, &p->error, err);
	if (p->offset == 0)
		take_source_facts(&object->entry, &p->facts);
	return object->is_told_anew ? list_known_object(m, &object->entry, err)
	                            : pack_piece(m, object, p, err);
}

static int walk_source(struct mirror *m, struct error *err)
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

/* The state. */

static int spool_listing(void *arg, const void *data, size_t len, struct error *err)
{
	return spool_put(arg, data, len, err);
}

static void begin_listing(struct mirror *m, int64_t taken_at_us)
{
	struct listing_head head = {
	        .job = m->order->job->name, .source = m->conf->from.url, .taken_at_us = taken_at_us};
	struct listing_out out;

	m->spool = spool_new(m->ctx->conf->state_dir);
	out = (struct listing_out){.write = spool_listing, .arg = m->spool};
	m->listing = listing_writer_new(&head, &out);
}

static int add_mirrored_sum(void *arg, const struct mirror_item *item, struct error *err)
{
	return draft_add_sum(((struct mirror *)arg)->draft, item->entry.sha256, item->path, err);
}

static int read_spooled(void *arg, struct cancel *cancel, uint64_t at, void *buf, size_t len,
                        struct error *err)
{
	(void)cancel;
	return spool_get(((struct mirror *)arg)->spool, buf, len, at, err);
}

/* The list of a bundle has all that is in it, by the names that are shown. */
static int add_sums_to_whole(struct mirror *m, const struct str *index, struct error *err)
{
	const struct mirror_tree_source source = {.read = read_spooled, .arg = m};
	const struct mirror_each each = {.item = add_mirrored_sum, .arg = m};
	_cleanup(listing_index) struct listing_index x = {0};
	_cleanup(mirror_tree) struct mirror_tree *tree = NULL;
	int r = listing_index_decode(str_text(index), index->len, &x, err);

	if (r == 0)
		r = mirror_tree_new(&x, &source, 0, &tree, err);
	return r < 0 ? r : mirror_tree_each(tree, m->order->cancel, &each, err);
}

static int store_listing(struct mirror *m, struct error *err)
{
	_cleanup(free) char *key = draft_contents_key(m->draft),
	                    *index_key = draft_contents_index_key(m->draft);
	_cleanup(str) struct str index = {0};
	int r = listing_writer_finish(m->listing, &index, err);

	if (r == 0)
		r = mirror_sums_digest(m->spool, &index, m->order->cancel, draft_manifest(m->draft)->sha256,
		                       err);
	if (r == 0)
		r = draft_put_spool(m->draft, MANIFEST_ROLE_LISTING, key, m->spool, err);
	if (r == 0 && draft_is_part(m->draft))
		r = add_sums_to_whole(m, &index, err);
	return r < 0 ? r
	             : draft_put_object(m->draft, MANIFEST_ROLE_LISTING_INDEX, index_key, index.data,
	                                index.len, err);
}

static void describe_mirrored(struct mirror *m)
{
	struct manifest *made = draft_manifest(m->draft);
	const struct source_left *left = source_list_left(m->list);
	const struct counts *c = &m->counts;

	manifest_set_fact(made, "source", m->conf->from.url);
	manifest_set_fact_int(made, "objects", (int64_t)listing_writer_count(m->listing));
	manifest_set_fact_int(made, "content_bytes", (int64_t)listing_writer_bytes(m->listing));
	manifest_set_fact_int(made, "new", (int64_t)c->new);
	manifest_set_fact_int(made, "changed", (int64_t)(c->changed_before + c->changed));
	manifest_set_fact_int(made, "unchanged", (int64_t)c->unchanged);
	manifest_set_fact_int(made, "removed", (int64_t)m->base.passed);
	manifest_set_fact_int(made, "vanished", (int64_t)c->vanished);
	manifest_set_fact_int(made, "unreadable", (int64_t)(c->unreadable + left->unreadable));
	manifest_set_fact_int(made, "left_out", (int64_t)(left->links + left->others));
	manifest_set_fact_int(made, "packs", (int64_t)packer_count(m->packer));
	manifest_set_fact_int(made, "requests", (int64_t)source_requests(m->source));
	made->size_bytes += listing_writer_bytes(m->listing);
	made->needs = used_needs(&m->used, m->order->job->name);
}

static void say_counts(const struct mirror *m)
{
	const struct counts *c = &m->counts;
	const struct source_left *left = source_list_left(m->list);
	char size[16];

	make_say(m->order,
	         "mirrored %s: %" PRIu64 " objects (%s): %" PRIu64 " new, %" PRIu64 " changed, %" PRIu64
	         " as before, %" PRIu64 " removed; %" PRIu64 " packs, %" PRIu64 " requests to the source",
	         m->conf->from.url, listing_writer_count(m->listing),
	         str_format_bytes(size, sizeof(size), listing_writer_bytes(m->listing)), c->new,
	         c->changed_before, c->unchanged, m->base.passed, packer_count(m->packer),
	         source_requests(m->source));
	if (c->changed + c->vanished > 0)
		make_say(m->order, "%" PRIu64 " objects changed and %" PRIu64 " vanished while they were got",
		         c->changed, c->vanished);
	if (c->anew > 0)
		make_say(m->order,
		         "%" PRIu64 " objects that did not change were stored anew, so that old packs can go",
		         c->anew);
	if (left->links + left->others > 0)
		make_say(m->order, "left out: %" PRIu64 " symbolic links, %" PRIu64 " that are no files",
		         left->links, left->others);
}

/* Otherwise the states that are right would be let go, one for each run, by rules that count states. */
static int judge_empty(const struct mirror *m, struct error *err)
{
	if (listing_writer_count(m->listing) > 0 || m->base.passed == 0)
		return 0;
	if (!m->conf->allow_empty)
		return error_set(
		        err, ERROR_USAGE, ENODATA,
		        "%s is empty, and had %" PRIu64
		        " objects in the state before, so no state is made: is it the right one, and is everything mounted there? If it is meant to be empty, set allow_empty = yes in [mirror %s], or for one run: trigger '%s allow_empty=yes'",
		        m->conf->from.url, m->base.passed, m->order->job->name, m->order->job->name);
	make_warn(m->order, "%s is empty, and had %" PRIu64 " objects in the state before", m->conf->from.url,
	          m->base.passed);
	return 0;
}

/* Unless they are to be left out, a state without them is none. */
static int judge_unreadable(struct mirror *m, struct error *err)
{
	const struct source_left *left = source_list_left(m->list);
	uint64_t count = m->counts.unreadable + left->unreadable;

	if (left->unreadable > 0)
		str_appendf(&m->unreadable, "%s%s", m->unreadable.len ? ", " : "", left->first);
	if (count == 0)
		return 0;
	if (m->conf->skip_unreadable == CONF_UNREADABLE_FAIL)
		return error_set(
		        err, ERROR_DENIED, EACCES,
		        "%" PRIu64
		        " objects cannot be read: %s%s; give keepfs the right to, or set unreadable = skip in [mirror %s]",
		        count, str_text(&m->unreadable), count > NAMES_TOLD ? ", and others" : "",
		        m->order->job->name);
	make_warn(m->order, "%" PRIu64 " objects cannot be read, and are not in this state: %s%s", count,
	          str_text(&m->unreadable), count > NAMES_TOLD ? ", and others" : "");
	return 0;
}

static int open_mirrored_source(struct mirror *m, unsigned connections, struct error *err)
{
	_cleanup(free) char *section = mem_printf("[mirror %s]", m->order->job->name);
	int r = source_open(&m->conf->from, connections, &m->source, err);

	if (r == 0)
		source_set_section(m->source, section);
	return r;
}

static int open_all(struct mirror *m, int64_t started_at_us, struct error *err)
{
	const struct draft_options options = {.ctx = m->ctx,
	                                      .order = m->order,
	                                      .kind = mirror_kind.name,
	                                      .suffix = "",
	                                      .is_directory = true,
	                                      .started_at_us = started_at_us};
	struct fetch_options fetch = {.pool = m->ctx->pool,
	                              .connections = (unsigned)m->conf->connections,
	                              .buffers = make_turns_buffers(m->ctx),
	                              .cancel = m->order->cancel};
	int r = draft_new(&options, &m->draft, err);

	if (r == 0)
		draft_pin_packs(m->draft, m->order->job->name);
	if (r == 0)
		r = open_mirrored_source(m, fetch.connections, err);
	if (r == 0)
		r = base_open(&m->base, m->draft, m->ctx, m->order, err);
	if (r == 0)
		r = rests_load(&m->rests, m->draft, m->ctx, m->order, m->base.newest.run_id, err);
	fetch.source = m->source;
	fetch.at_once = r == 0 && source_is_local(m->source) ? FILES_AT_ONCE : 1;
	if (r == 0)
		r = fetch_new(&fetch, &m->fetch, err);
	if (r < 0)
		return r;
	m->packer = packer_new(m->ctx, m->order, draft_job(m->draft), started_at_us, m->conf->from.url);
	m->list = source_list_new(m->source, &m->call);
	begin_listing(m, started_at_us);
	return 0;
}

static int make_state(struct mirror *m, struct manifest *ret, struct error *err)
{
	int r = open_all(m, make_now_us(m->ctx), err);

	if (r == 0)
		r = walk_source(m, err);
	if (r == 0)
		r = base_pass(&m->base, err);
	m->fetch = fetch_free(m->fetch);
	/* Also when the run fails: what is whole in a pack need not be got again. */
	if (m->packer && (r == 0 || r != -ECANCELED)) {
		struct error why = {0};
		int finished = packer_finish(m->packer, r == 0 ? err : &why);

		r = r == 0 ? finished : r;
	}
	if (r == 0)
		r = judge_unreadable(m, err);
	if (r == 0)
		r = judge_empty(m, err);
	if (r == 0)
		r = store_listing(m, err);
	if (r < 0)
		return r;
	say_counts(m);
	describe_mirrored(m);
	return draft_publish(m->draft, NULL, ret, err);
}

static int make_mirror(const struct make_context *ctx, const struct make_order *order, struct manifest *ret,
                       struct error *err)
{
	struct mirror m = {
	        .ctx = ctx, .order = order, .conf = &order->job->mirror, .call = {.cancel = order->cancel}};
	struct error spare = {0};
	int r;

	r = make_state(&m, ret, err ? err : &spare);
	source_list_free(m.list);
	fetch_free(m.fetch);
	packer_free(m.packer);
	listing_writer_free(m.listing);
	spool_free(m.spool);
	if (m.base.ctx)
		base_close(&m.base);
	rests_finish(&m.rests);
	source_free(m.source);
	used_finish(&m.used);
	str_finish(&m.unreadable);
	draft_free(m.draft);
	return r;
}

static int mirror_accepts(const struct make_context *ctx, const struct conf_job *job,
                          const struct make_wanted *wanted, struct error *err)
{
	(void)ctx;
	if (!wanted->database && !wanted->class)
		return 0;
	return error_set(err, ERROR_USAGE, EINVAL,
	                 "%s: [mirror %s] mirrors a bucket, and has no databases; leave this key out",
	                 wanted->database ? "database" : "class", job->name);
}

static int mirror_targets(const struct make_context *ctx, const struct conf_job *job,
                          const struct make_wanted *wanted, struct make_targets *ret, struct error *err)
{
	struct make_target *all;

	(void)ctx;
	(void)wanted;
	(void)err;
	if (str_equal(job->mirror.from.url, CONF_MIRROR_NONE)) {
		make_targets_note(
		        ret, "url = none: the objects are somebody else's to keep, and nothing is mirrored");
		return 0;
	}
	all = make_targets_add(ret);
	all->label = mem_strdup(job->mirror.from.url);
	all->directory = make_directory_of(job, NULL);
	return 0;
}

static void mirror_look_around(const struct make_context *ctx, const struct conf_job *job,
                               const struct make_target *made, struct cancel *cancel)
{
	(void)ctx;
	(void)job;
	(void)made;
	(void)cancel;
}

const struct make_kind mirror_kind = {
        .name = LISTING_KIND_MIRROR,
        .targets_name = "buckets",
        .accepts = mirror_accepts,
        .targets = mirror_targets,
        .make = make_mirror,
        .look_around = mirror_look_around,
        .check = mirror_check,
};
