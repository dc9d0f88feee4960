// SPDX-License-Identifier: Apache-2.0
/* A state whose listing was brought here, as a whole, into an unlinked file; and the target of what is brought back. */
#include "back_private.h"
#include "mirror_private.h"

#include <keepfs/base/mem.h>
#include <keepfs/codec/manifest.h>
#include <keepfs/conf.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* The listing. */

struct bringing {
	struct mirror_back *b;
	struct listing_scan *scan;
};

static int spool_brought(void *arg, const void *data, size_t len, struct error *err)
{
	struct bringing *g = arg;
	int r = spool_put(g->b->listing, data, len, err);

	return r < 0 ? r : listing_scan_feed(g->scan, data, len, err);
}

static int take_brought_head(void *arg, const struct listing_head *head, struct error *err)
{
	struct bringing *g = arg;

	(void)err;
	g->b->head = (struct listing_head){.job = mem_strdup(head->job),
	                                   .source = mem_strdup(head->source),
	                                   .taken_at_us = head->taken_at_us};
	return 0;
}

/* The scan holds each line against the format. */
static int pass_brought(void *arg, struct listing_entry *e, struct error *err)
{
	(void)arg;
	(void)e;
	(void)err;
	return 0;
}

static int read_back_spooled(void *arg, struct cancel *cancel, uint64_t at, void *buf, size_t len,
                             struct error *err)
{
	(void)cancel;
	return spool_get(arg, buf, len, at, err);
}

static int take_index(void *arg, const void *data, size_t len, struct error *err)
{
	(void)err;
	str_append_bytes(arg, data, len);
	return 0;
}

static int bring_index(struct mirror_back *b, const struct manifest *m, const struct manifest_object *o,
                       struct error *err)
{
	const struct mirror_tree_source source = {.read = read_back_spooled, .arg = b->listing};
	_cleanup(str) struct str text = {0};
	_cleanup(listing_index) struct listing_index index = {0};
	int r = mirror_read_object(b->options.ctx, b->options.cancel, m, o, take_index, &text, err);

	if (r == 0)
		r = listing_index_decode(str_text(&text), text.len, &index, err);
	if (r == 0 && index.format != LISTING_MIRROR)
		r = error_set(
		        err, ERROR_USAGE, EINVAL,
		        "%s is a base backup, whose files are no objects: 'keepfs restore' brings the cluster back, and so does a copy of its directory in the mount",
		        b->options.path);
	return r < 0 ? r : mirror_tree_new(&index, &source, 0, &b->tree, err);
}

static int bring_listing(struct mirror_back *b, const struct manifest *m, const struct manifest_object *o,
                         struct error *err)
{
	struct bringing g = {.b = b};
	const struct listing_scan_to to = {.head = take_brought_head, .entry = pass_brought, .arg = &g};
	int r;

	b->listing = spool_new(b->options.ctx->conf->state_dir);
	g.scan = listing_scan_new(&to);
	r = mirror_read_object(b->options.ctx, b->options.cancel, m, o, spool_brought, &g, err);
	if (r == 0)
		r = listing_scan_end(g.scan, err);
	listing_scan_free(g.scan);
	return r;
}

/* @part: NULL: the state is the backup itself. Keys do not tell, since those of what was rewrapped have other endings. */
static const struct manifest_object *find_listing_object(const struct manifest *m, const char *role,
                                                         const char *part)
{
	for (size_t i = 0; i < m->object_count; i++) {
		const struct manifest_part *of = manifest_part_of_object(m, i);

		if (str_equal(m->objects[i].role, role) && str_equal(of ? of->name : NULL, part))
			return &m->objects[i];
	}
	return NULL;
}

static int bring_state(struct mirror_back *b, struct error *err)
{
	const struct mirror_back_options *o = &b->options;
	_cleanup(manifest) struct manifest m = {0};
	const struct manifest_object *listing, *index;
	int r = artifact_read_manifest_anywhere(o->ctx->repository, o->path, o->cancel, &m, err);

	if (r < 0)
		return r;
	listing = find_listing_object(&m, MANIFEST_ROLE_LISTING, o->part);
	index = find_listing_object(&m, MANIFEST_ROLE_LISTING_INDEX, o->part);
	if (!listing || !index)
		return error_set(err, ERROR_USAGE, EINVAL, "%s%s%s is no state of a mirror", o->path,
		                 o->part ? "/" : "", str_or_empty(o->part));
	r = bring_listing(b, &m, listing, err);
	return r < 0 ? r : bring_index(b, &m, index, err);
}

int mirror_back_open(const struct mirror_back_options *options, struct mirror_back **ret, struct error *err)
{
	_cleanup(mirror_back) struct mirror_back *b = mem_alloc(sizeof(*b));
	int r;

	b->options = *options;
	b->call.cancel = options->cancel;
	b->is_directory = options->to && str_starts(str_or_empty(options->to->url), "dir:");
	r = options->to ? source_open(options->to, options->connections, &b->target, err) : 0;
	if (r == 0)
		r = bring_state(b, err);
	if (r == 0)
		*ret = take_ptr(&b);
	return r;
}

struct mirror_back *mirror_back_free(struct mirror_back *b)
{
	if (!b)
		return NULL;
	source_free(b->target);
	mirror_tree_free(b->tree);
	spool_free(b->listing);
	listing_head_finish(&b->head);
	free(b);
	return NULL;
}

const char *mirror_back_target(const struct mirror_back *b)
{
	return b->options.to ? b->options.to->url : NULL;
}

const char *mirror_back_source(const struct mirror_back *b)
{
	return b->head.source;
}

/* The plan. */

static int count_found(void *arg, enum back_found what, const struct listing_entry *e,
                       const struct source_object *o, const struct error *why, struct error *err)
{
	struct mirror_back_counts *c = arg;
	struct mirror_back_names *const names[] = {
	        [BACK_MISSING] = &c->missing, [BACK_DIFFERENT] = &c->different, [BACK_UNSURE] = &c->unsure,
	        [BACK_SAME] = &c->same,       [BACK_EXTRA] = &c->extra,         [BACK_REFUSED] = &c->refused};

	(void)why;
	(void)err;
	if (what == BACK_EXTRA)
		back_note_extra(names[what], o);
	else
		back_note(names[what], e->key, e->bytes);
	return 0;
}

int mirror_back_plan(struct mirror_back *b, struct mirror_back_counts *ret, struct error *err)
{
	const struct back_walker walker = {.found = count_found, .arg = ret};
	uint64_t before = source_requests(b->target);
	int r;

	*ret = (struct mirror_back_counts){0};
	r = back_walk(b, &walker, err);
	ret->requests = source_requests(b->target) - before;
	b->extra_count = ret->extra.count;
	b->extra_digest = ret->extra.digest;
	if (r < 0)
		mirror_back_counts_finish(ret);
	return r;
}

void mirror_back_counts_finish(struct mirror_back_counts *c)
{
	struct mirror_back_names *const all[] = {&c->missing, &c->different, &c->unsure,  &c->same,
	                                         &c->extra,   &c->refused,   &c->written, &c->removed,
	                                         &c->left,    &c->failed};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		str_finish(&all[i]->first);
	*c = (struct mirror_back_counts){0};
}

static void tell_names(const struct make_order *order, const char *what, const struct mirror_back_names *n)
{
	char size[16];

	if (n->count > 0)
		make_say(order, "%s: %" PRIu64 " objects (%s): %s%s", what, n->count,
		         str_format_bytes(size, sizeof(size), n->bytes), str_text(&n->first),
		         n->count > 5 ? ", …" : "");
}

void mirror_back_tell(const struct make_order *order, const struct mirror_back_counts *c)
{
	char size[16];

	make_say(order, "the same: %" PRIu64 " objects (%s)", c->same.count,
	         str_format_bytes(size, sizeof(size), c->same.bytes));
	tell_names(order, "missing", &c->missing);
	tell_names(order, "different", &c->different);
	tell_names(order, "of the same size, to be compared", &c->unsure);
	tell_names(order, "only there", &c->extra);
	tell_names(order, "cannot be there", &c->refused);
	tell_names(order, "written", &c->written);
	tell_names(order, "removed", &c->removed);
	tell_names(order, "left as they are", &c->left);
	tell_names(order, "failed", &c->failed);
}

/* Where to. */

static int refuse_back_place(const char *url, struct error *err)
{
	return error_set(
	        err, ERROR_USAGE, EINVAL,
	        "to=%.200s is no place for objects: write to=s3://bucket/prefix or to=dir:/absolute/path",
	        url);
}

int mirror_back_place(const struct conf *conf, const char *job, const char *url, struct conf_store *ret,
                      struct error *err)
{
	const struct conf_job *own = conf_find_job(conf, job);
	bool is_mirror = own && own->kind == CONF_JOB_MIRROR;

	if (!url && !is_mirror)
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "the configuration has no [mirror %s], whose bucket would be written: say where to with to=s3://bucket/prefix or to=dir:/directory",
		        job);
	if (!url && str_equal(own->mirror.from.url, CONF_MIRROR_NONE))
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "[mirror %s] has url = none: say where to with to=s3://bucket/prefix or to=dir:/directory",
		        job);
	if (url && !str_starts(url, "dir:/") && (!str_starts(url, "s3://") || !url[strlen("s3://")]))
		return refuse_back_place(url, err);
	/* The section of a directory has no credentials. */
	if (is_mirror && url && str_starts(url, "s3://") &&
	    !str_starts(str_or_empty(own->mirror.from.url), "s3://"))
		is_mirror = false;
	*ret = is_mirror ? own->mirror.from : conf->store;
	if (url)
		ret->url = (char *)url;
	return 0;
}
