// SPDX-License-Identifier: Apache-2.0
/*
 * The listing of a base is brought here as a whole, into an unlinked file, and walked twice: to find out what is wanted of it, side by side with what is in the directory, and to order it. Of each line there is one bit in
 * memory.
 */
#include "back_private.h"

#include <keepfs/artifact/sealed.h>
#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/codec/name.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#define CANDIDATES_AT_ONCE 1024U
#define NAMES_SHOWN        5U
#define NAME_POSTGRES_CONF "postgresql.conf"

/* The listing. */

int refill_read_object(const struct cluster_back *b, const char *path, const char *encrypted_to,
                       const struct manifest_object *object,
                       int (*take)(void *arg, const void *data, size_t len, struct error *err), void *arg,
                       struct error *err)
{
	const struct cluster_back_options *o = &b->options;
	struct repository *repository = o->ctx->repository;
	_cleanup(store) struct store *store = NULL;
	struct sealed_digests digests;
	int r = repository_reading_store_of_ino(repository, ino_of_artifact(path), &store, err);
	const struct sealed_reading reading = {.of = {.repo = repository,
	                                              .store = store,
	                                              .object = object,
	                                              .what = path,
	                                              .encrypted_to = encrypted_to,
	                                              .cancel = o->order->cancel},
	                                       .pool = o->ctx->pool,
	                                       .take = take,
	                                       .arg = arg};

	if (r == 0 && !sealed_is_known(object))
		r = sealed_refuse_unknown(object, path, err);
	return r < 0 ? r : sealed_read(&reading, &digests, err);
}

struct bringing_base {
	struct cluster_back *b;
	struct listing_scan *scan;
};

static int spool_listing_bytes(void *arg, const void *data, size_t len, struct error *err)
{
	struct bringing_base *g = arg;
	int r = spool_put(g->b->listing, data, len, err);

	return r < 0 ? r : listing_scan_feed(g->scan, data, len, err);
}

static int take_listing_head(void *arg, const struct listing_head *head, struct error *err)
{
	struct bringing_base *g = arg;

	if (head->format != LISTING_BASE)
		return error_set(err, ERROR_USAGE, EINVAL, "it is no listing of a base backup");
	g->b->job = mem_strdup(head->job);
	return 0;
}

static bool is_plain_path(const char *key)
{
	while (*key) {
		size_t len = strcspn(key, "/");

		if (len == 0 || (len == 2 && key[0] == '.' && key[1] == '.') || (len == 1 && *key == '.'))
			return false;
		key += len;
		if (*key == '/' && !*++key)
			return false;
	}
	return true;
}

/* The scan holds each line against the format; a name must not lead out of the directory, either. */
static int check_base_entry(void *arg, struct listing_entry *e, struct error *err)
{
	(void)arg;
	if (refill_is_root(e) || is_plain_path(e->key))
		return 0;
	return error_set(err, ERROR_CORRUPT, EBADMSG, "'%.200s' is no name of a file in a data directory",
	                 e->key);
}

static int bring_base_listing(struct cluster_back *b, const struct manifest_object *o, struct error *err)
{
	struct bringing_base g = {.b = b};
	const struct listing_scan_to to = {.head = take_listing_head, .entry = check_base_entry, .arg = &g};
	int r;

	b->listing = spool_new(b->options.ctx->conf->state_dir);
	g.scan = listing_scan_new(&to);
	r = refill_read_object(b, b->options.path, b->m.encrypted_to, o, spool_listing_bytes, &g, err);
	if (r == 0)
		r = listing_scan_end(g.scan, err);
	listing_scan_free(g.scan);
	return r;
}

static int append_index_text(void *arg, const void *data, size_t len, struct error *err)
{
	(void)err;
	str_append_bytes(arg, data, len);
	return 0;
}

static int read_listing_bytes(void *arg, uint64_t at, void *buf, size_t len, struct error *err)
{
	return spool_get(arg, buf, len, at, err);
}

static int bring_base_index(struct cluster_back *b, const struct manifest_object *o, struct error *err)
{
	_cleanup(str) struct str text = {0};
	int r = refill_read_object(b, b->options.path, b->m.encrypted_to, o, append_index_text, &text, err);

	b->source = (struct listing_source){.read = read_listing_bytes, .arg = b->listing};
	return r < 0 ? r : listing_index_decode(str_text(&text), text.len, &b->index, err);
}

static int bring_base(struct cluster_back *b, struct error *err)
{
	const struct cluster_back_options *o = &b->options;
	const struct manifest_object *listing, *index;
	int r = artifact_read_manifest_anywhere(o->ctx->repository, o->path, o->order->cancel, &b->m, err);

	if (r < 0)
		return r;
	listing = manifest_object_of_role(&b->m, MANIFEST_ROLE_LISTING);
	index = manifest_object_of_role(&b->m, MANIFEST_ROLE_LISTING_INDEX);
	if (!str_equal(b->m.kind, LISTING_KIND_BASE) || !listing || !index)
		return error_set(err, ERROR_USAGE, EINVAL, "%s is no base backup", o->path);
	r = base_facts_get(&b->m, &b->facts, err);
	if (r == 0)
		r = bring_base_listing(b, listing, err);
	if (r == 0)
		r = bring_base_index(b, index, err);
	if (r < 0)
		error_prefix(err, "the listing of %s", o->path);
	return r;
}

int cluster_back_open(const struct cluster_back_options *options, struct cluster_back **ret,
                      struct error *err)
{
	_cleanup(cluster_back) struct cluster_back *b = mem_alloc(sizeof(*b));
	int r;

	b->options = *options;
	b->dir_fd = -1;
	r = bring_base(b, err);
	if (r == 0)
		*ret = take_ptr(&b);
	return r;
}

struct cluster_back *cluster_back_free(struct cluster_back *b)
{
	if (!b)
		return NULL;
	manifest_finish(&b->m);
	spool_free(b->listing);
	listing_index_finish(&b->index);
	free(b->job);
	free(b->wanted);
	sorter_free(b->removed);
	if (b->dir_fd >= 0)
		close(b->dir_fd);
	free(b);
	return NULL;
}

const struct base_facts *cluster_back_facts(const struct cluster_back *b)
{
	return &b->facts;
}

const struct manifest *cluster_back_manifest(const struct cluster_back *b)
{
	return &b->m;
}

const char *cluster_back_job(const struct cluster_back *b)
{
	return b->job;
}

struct base_walk refill_base_walk(const struct cluster_back *b)
{
	return (struct base_walk){.reader = listing_reader_new(&b->index, &b->source)};
}

int base_walk_next(struct base_walk *w, struct error *err)
{
	listing_entry_finish(&w->entry);
	w->entry = (struct listing_entry){0};
	w->number += w->is_begun;
	w->is_begun = true;
	return listing_reader_next(w->reader, &w->entry, err);
}

void base_walk_finish(struct base_walk *w)
{
	listing_entry_finish(&w->entry);
	listing_reader_free(w->reader);
}

bool refill_is_root(const struct listing_entry *e)
{
	return e->is_directory && (!*e->key || str_equal(e->key, "."));
}

bool refill_is_left_out(const char *key)
{
	static const char *const names[] = {"recovery.signal", "standby.signal", "postmaster.pid",
	                                    "postmaster.opts", CLUSTER_BACK_MARK};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (str_equal(key, names[i]))
			return true;
	return false;
}

bool refill_expected_crc(const struct listing_entry *e, uint32_t *ret)
{
	if (!e->crc32c[0])
		return false;
	*ret = (uint32_t)strtoul(e->crc32c, NULL, 16);
	return true;
}

/* What is wanted. */

struct refill_planning {
	struct cluster_back *b;
	struct cluster_back_plan *plan;
	struct sorter *local;
	const struct local_record *next; /* NULL: there are no more */
	struct refill_candidate candidates[CANDIDATES_AT_ONCE];
	size_t candidate_count;
};

static void want_file(const struct refill_planning *p, uint64_t number, uint64_t bytes)
{
	p->b->wanted[number / 8] |= (uint8_t)(1U << (number % 8));
	p->plan->fetched++;
	p->plan->fetched_bytes += bytes;
}

/* What is written is always a new file: somebody may have the old one open, or linked it elsewhere. */
static int make_way(const struct refill_planning *p, const char *path, struct error *err)
{
	return sorter_add(p->b->removed, path, strlen(path) + 1, NULL, 0, err);
}

static int replace_there(const struct refill_planning *p, const char *path, uint64_t number, uint64_t bytes,
                         struct error *err)
{
	want_file(p, number, bytes);
	p->plan->replaced++;
	return make_way(p, path, err);
}

static int look_at_next_local(struct refill_planning *p, struct error *err)
{
	const void *record = NULL;
	int r = p->local ? sorter_next(p->local, &record, err) : 0;

	p->next = r > 0 ? record : NULL;
	return r < 0 ? r : 0;
}

static int judge_candidates(struct refill_planning *p, struct error *err)
{
	int r = refill_compare(p->b, p->candidates, p->candidate_count, err);

	for (size_t i = 0; i < p->candidate_count; i++) {
		const struct refill_candidate *c = &p->candidates[i];

		if (r == 0 && !c->is_same)
			r = replace_there(p, c->path, c->number, c->bytes, err);
		free(c->path);
	}
	p->candidate_count = 0;
	return r;
}

static int add_candidate(struct refill_planning *p, const struct base_walk *w, struct error *err)
{
	struct refill_candidate *c = &p->candidates[p->candidate_count];

	*c = (struct refill_candidate){
	        .path = mem_strdup(w->entry.key), .number = w->number, .bytes = w->entry.bytes};
	(void)refill_expected_crc(&w->entry, &c->crc32c);
	return ++p->candidate_count == CANDIDATES_AT_ONCE ? judge_candidates(p, err) : 0;
}

static int note_only_there(const struct refill_planning *p, const char *path, struct error *err)
{
	struct cluster_back_plan *plan = p->plan;

	if (plan->removed++ < NAMES_SHOWN)
		str_appendf(&plan->first_removed, "%s%s", plan->first_removed.len > 0 ? ", " : "", path);
	return make_way(p, path, err);
}

/*
 * Files that end with a CRC-32C of what is before it: all of one length have the same CRC-32C, whatever is in them. They are small.
 */
static bool has_own_crc(const char *key)
{
	static const char *const directories[] = {"pg_twophase/", "pg_logical/", "pg_replslot/"};
	const char *slash = strrchr(key, '/');

	for (size_t i = 0; i < ARRAY_SIZE(directories); i++)
		if (str_starts(key, directories[i]))
			return true;
	return str_equal(key, PG_CONTROL_NAME) || str_equal(slash ? slash + 1 : key, "pg_filenode.map");
}

/* A CRC-32C alone would take one change in four thousand million for none: only what was not written since, by its time, is held against it. */
static bool may_be_same(const struct local_record *there, const struct listing_entry *e)
{
	uint32_t crc;

	return there->is_regular && there->bytes == e->bytes && e->modified_us > 0 &&
	       there->modified_s == e->modified_us / US_PER_S && refill_expected_crc(e, &crc) &&
	       !has_own_crc(e->key);
}

/* Both have something of that name. */
static int judge_both(struct refill_planning *p, const struct base_walk *w, struct error *err)
{
	const struct local_record *there = p->next;
	const struct listing_entry *e = &w->entry;

	if (e->is_directory && there->is_directory)
		return refill_check_link(p->b, e->key, there->is_link, err);
	if (e->is_directory)
		return note_only_there(p, e->key, err);
	if (may_be_same(there, e))
		return add_candidate(p, w, err);
	return replace_there(p, e->key, w->number, e->bytes, err);
}

static int judge_entry(struct refill_planning *p, const struct base_walk *w, struct error *err)
{
	const struct listing_entry *e = &w->entry;
	int r = 0;

	/* What is before it in the order is not in the base. */
	while (r == 0 && p->next && strcmp(local_path(p->next), e->key) < 0) {
		r = note_only_there(p, local_path(p->next), err);
		if (r == 0)
			r = look_at_next_local(p, err);
	}
	if (!e->is_directory) {
		p->plan->files++;
		p->plan->bytes += e->bytes;
		p->plan->has_configuration |= str_equal(e->key, NAME_POSTGRES_CONF);
	}
	if (r < 0)
		return r;
	if (!p->next || !str_equal(local_path(p->next), e->key)) {
		if (!e->is_directory)
			want_file(p, w->number, e->bytes);
		return 0;
	}
	r = judge_both(p, w, err);
	return r < 0 ? r : look_at_next_local(p, err);
}

static int plan_all(struct refill_planning *p, struct error *err)
{
	_cleanup(base_walk) struct base_walk w = refill_base_walk(p->b);
	int r = look_at_next_local(p, err), more = 0;

	while (r == 0 && (more = base_walk_next(&w, err)) > 0)
		if (!refill_is_root(&w.entry) && !refill_is_left_out(w.entry.key))
			r = judge_entry(p, &w, err);
	while (r == 0 && more == 0 && p->next) {
		r = note_only_there(p, local_path(p->next), err);
		if (r == 0)
			r = look_at_next_local(p, err);
	}
	if (r == 0)
		r = more;
	return r < 0 ? r : judge_candidates(p, err);
}

/* What is below a directory comes before it. */
static int compare_removed(const void *a, const void *b)
{
	return strcmp(b, a);
}

int cluster_back_plan(struct cluster_back *b, struct cluster_back_plan *ret, struct error *err)
{
	_cleanup(free) struct refill_planning *p = mem_alloc(sizeof(*p));
	int r;

	*ret = (struct cluster_back_plan){0};
	*p = (struct refill_planning){.b = b, .plan = ret};
	free(b->wanted);
	sorter_free(b->removed);
	b->wanted = mem_alloc((size_t)(b->index.objects / 8) + 1);
	b->removed = sorter_new(b->options.ctx->conf->state_dir, compare_removed);
	r = refill_look(b, ret, err);
	if (r == 0)
		r = refill_check_spaces(b, ret->is_going_on, err);
	if (r == 0 && b->dir_fd >= 0)
		r = refill_list_local(b, ret, &p->local, err);
	if (r == 0)
		r = plan_all(p, err);
	for (size_t i = 0; i < p->candidate_count; i++)
		free(p->candidates[i].path);
	sorter_free(p->local);
	return r;
}

void cluster_back_plan_finish(struct cluster_back_plan *p)
{
	str_finish(&p->first_removed);
	str_finish(&p->kept_links);
}

/* Doing it. */

static int compare_runs(const void *a, const void *b)
{
	const struct run_record *first = a, *second = b;
	/* By the directory's name, which is a time, and then by number: numbers have five digits, or more. */
	int order = strncmp(first->pack, second->pack, strcspn(first->pack, "/") + 1);

	if (order == 0)
		order = (first->pack_number > second->pack_number) -
		        (first->pack_number < second->pack_number);
	return order ? order : (first->place > second->place) - (first->place < second->place);
}

static int add_file_runs(struct sorter *runs, const struct base_walk *w, struct error *err)
{
	const struct listing_entry *e = &w->entry;
	struct run_record record = {
	        .number = w->number, .file_bytes = e->bytes, .mode = e->mode, .modified_us = e->modified_us};
	char directory[17];
	int r = 0;

	record.has_crc = refill_expected_crc(e, &record.crc32c);
	for (size_t i = 0; i < e->run_count; i++)
		record.runs += e->runs[i].pack != NULL;
	for (size_t i = 0; r == 0 && i < e->run_count; i++) {
		const struct listing_run *run = &e->runs[i];

		if (!run->pack) {
			record.zeros_before += run->bytes;
			continue;
		}
		(void)listing_pack_split(run->pack, directory, &record.pack_number);
		str_copy(record.pack, sizeof(record.pack), run->pack);
		record.place = run->place;
		record.at = run->at;
		record.bytes = run->bytes;
		record.zeros_behind = record.run + 1 == record.runs ? e->bytes - run->at - run->bytes : 0;
		r = sorter_add(runs, &record, sizeof(record), e->key, strlen(e->key) + 1, err);
		record.run++;
		record.zeros_before = 0;
	}
	return r;
}

static bool has_packs(const struct listing_entry *e)
{
	for (size_t i = 0; i < e->run_count; i++)
		if (e->runs[i].pack)
			return true;
	return false;
}

static int order_runs(struct cluster_back *b, struct sorter *runs, struct error *err)
{
	_cleanup(base_walk) struct base_walk w = refill_base_walk(b);
	int r = 0, more;

	while (r == 0 && (more = base_walk_next(&w, err)) != 0) {
		if (more < 0)
			return more;
		if (w.entry.is_directory || !refill_is_wanted(b, w.number))
			continue;
		r = has_packs(&w.entry) ? add_file_runs(runs, &w, err) : refill_file_empty(b, &w.entry, err);
	}
	return r < 0 ? r : sorter_end(runs, err);
}

int cluster_back_run(struct cluster_back *b, const struct recovery_settings *settings, struct error *err)
{
	_cleanup(sorter) struct sorter *runs = sorter_new(b->options.ctx->conf->state_dir, compare_runs);
	int r = refill_begin(b, err);

	if (r == 0)
		r = order_runs(b, runs, err);
	if (r == 0)
		r = refill_fetch(b, runs, err);
	return r < 0 ? r : refill_end(b, settings, err);
}
