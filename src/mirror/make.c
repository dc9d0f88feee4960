// SPDX-License-Identifier: Apache-2.0
/* A run: what comes of its walk (walk.c) becomes the listing of the new state, which is gathered in an unlinked file, since it is stored when all packs are durable. */
#include "make_private.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/mirror.h>
#include <keepfs/mirror/tree.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define FILES_AT_ONCE 16 /* small ones, by one thread: to read one takes less time than to wake a thread */

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
	const struct mirror_counts *c = &m->counts;

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
	const struct mirror_counts *c = &m->counts;
	const struct source_left *left = source_list_left(m->list);
	char size[16];

	make_say(m->order,
	         "mirrored %s: %" PRIu64 " objects (%s): %" PRIu64 " new, %" PRIu64 " changed, %" PRIu64
	         " as before, %" PRIu64 " removed; %" PRIu64 " packs, %" PRIu64 " requests to the source",
	         m->conf->from.url, listing_writer_count(m->listing),
	         str_format_bytes(size, sizeof(size), listing_writer_bytes(m->listing)), c->new,
	         c->changed_before, c->unchanged, m->base.passed, packer_count(m->packer),
	         source_requests(m->source));
	copying_say(&m->copying, m->order);
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
	const struct packs_told told = {.copied = mirror_told_copied, .arg = m};
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
	packer_tell(m->packer, &told);
	copying_init(&m->copying, m->ctx, m->order, m->draft, m->source);
	m->list = source_list_new(m->source, &m->call);
	begin_listing(m, started_at_us);
	return 0;
}

static int make_state(struct mirror *m, struct manifest *ret, struct error *err)
{
	int r = open_all(m, make_now_us(m->ctx), err);

	if (r == 0)
		r = mirror_walk(m, err);
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
	source_object_finish(&m.held);
	late_finish(&m.late);
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
