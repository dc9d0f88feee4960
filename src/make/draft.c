// SPDX-License-Identifier: Apache-2.0
/*
 * A draft's life. Each object is entered in the manifest when it is complete, and completed only while the name is
 * still free. Whatever fails, what was begun is aborted and the reserved name given up.
 */
#include "config.h"

#include "draft_private.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog/stores.h>
#include <keepfs/codec/listing.h>
#include <keepfs/codec/name.h>

#include <assert.h>
#include <errno.h>
#include <string.h>

#define SUMS_NAME  "SHA256SUMS"
#define COPY_BYTES ((size_t)64 << 10)

void draft_describe(struct draft *d, const struct draft_options *options, char *path)
{
	const struct make_order *order = options->order;

	d->m.path = path;
	d->m.job = mem_strdup(options->is_pack ? TREE_PACKS : order->job->name);
	d->m.kind = mem_strdup(options->kind);
	d->m.target = mem_strdup(order->target->label);
	d->m.class = mem_strdup(order->target->class);
	d->m.triggered_by = mem_strdup(order->triggered_by);
	d->m.note = mem_strdup(order->note);
	d->m.keepfs_version = mem_strdup(KEEPFS_VERSION);
	d->m.partial = order->partial;
	d->m.is_directory = options->is_directory;
	d->m.run_id = order->run_id;
	d->m.started_at_us = options->started_at_us;
	if (options->is_pack) {
		d->m.tiers_known = true;
		return;
	}
	d->m.hold = mem_strdup(order->hold);
	if (order->keep_ms)
		d->m.keep_until_us = options->started_at_us + order->keep_ms * 1000;
}

int draft_new(const struct draft_options *options, struct draft **ret_draft, struct error *err)
{
	const struct make_order *order = options->order;
	const struct artifact_name name = {.directory = order->target->directory,
	                                   .stem = order->target->stem,
	                                   .suffix = options->suffix,
	                                   .at_us = options->started_at_us,
	                                   .store = options->store};
	_cleanup(store) struct store *opened = NULL;
	char *path = NULL;
	struct draft *d;
	int r = 0;

	if (order->whole)
		return draft_new_part(options, ret_draft, err);
	if (options->store != CATALOG_MAIN_STORE)
		r = repository_open_store(options->ctx->repository, options->store, &opened, err);
	if (r == 0)
		r = artifact_reserve(options->ctx->repository, &name, order->run_id, &path, err);
	if (r < 0)
		return r;
	d = mem_alloc(sizeof(*d));
	d->ctx = options->ctx;
	d->order = order;
	d->pool = options->ctx->pool;
	d->store = opened ? opened : repository_store(options->ctx->repository);
	d->opened = take_ptr(&opened);
	d->is_pack = options->is_pack;
	d->started_mono_us = clock_mono_us();
	pthread_mutex_init(&d->secrets_lock, NULL);
	d->rate = order->rate ? order->rate : rate_new(order->job->max_rate_bytes);
	draft_describe(d, options, path);
	r = options->is_plain ? 0 : draft_find_recipients(d, err);
	if (r < 0) {
		d->is_untouched = true;
		draft_free(d);
		return r;
	}
	r = draft_check_free(d, err);
	if (r < 0) {
		/* A run over a thousand tenants is not to ask a store again and again that has just not answered. */
		d->is_untouched = d->opened && r != -EEXIST;
		draft_free(d);
		return r;
	}
	*ret_draft = d;
	return 0;
}

static void take_back(struct draft *d)
{
	struct error err = {0};
	int r = 0;

	/* A manifest that is there before we published is another's, whatever it says. */
	if (!d->publishing)
		r = artifact_check_free(d->ctx->repository, d->m.path, NULL, &err);
	if (r == -EEXIST)
		return;
	if (r == 0)
		r = artifact_discard(d->ctx->repository, d->m.path, &err);
	if (r == 0)
		return;
	make_say(d->order, "warning: what is left of %s will be cleared up later: %s", d->m.path,
	         err.message);
	log_warning("what is left of %s will be cleared up later: %s", d->m.path, err.message);
}

struct draft *draft_free(struct draft *d)
{
	if (!d)
		return NULL;
	if (d->is_untouched)
		artifact_withdraw(d->ctx->repository, d->m.path);
	else if (!d->published && !d->whole)
		take_back(d);
	store_free(d->opened);
	spool_free(d->sums);
	for (size_t i = 0; i < d->pinned_count; i++) {
		artifact_unpin_packs(d->ctx->repository, d->pinned[i]);
		free(d->pinned[i]);
	}
	free(d->pinned);
	if (d->rate != d->order->rate)
		rate_free(d->rate);
	pool_free(d->aside);
	manifest_finish(&d->m);
	draft_forget_secrets(d);
	if (!d->whole)
		age_recipients_free(d->recipients);
	pthread_mutex_destroy(&d->secrets_lock);
	free(d);
	return NULL;
}

struct manifest *draft_manifest(struct draft *d)
{
	return &d->m;
}

bool draft_is_part(const struct draft *d)
{
	return d->whole != NULL;
}

bool draft_is_encrypted(const struct draft *d)
{
	return d->recipients != NULL;
}

void draft_pin_packs(struct draft *d, const char *job)
{
	struct draft *whole = d->whole ? d->whole : d;

	artifact_pin_packs(d->ctx->repository, job);
	whole->pinned = mem_resize(whole->pinned, whole->pinned_count + 1, sizeof(*whole->pinned));
	whole->pinned[whole->pinned_count++] = mem_strdup(job);
}

int draft_pace(struct draft *d, uint64_t bytes, struct error *err)
{
	if (d->order->progress)
		atomic_fetch_add(&d->order->progress->read_bytes, bytes);
	if (rate_take(d->rate, bytes, d->order->cancel) < 0)
		return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled");
	return 0;
}

int draft_check_free(struct draft *d, struct error *err)
{
	const struct draft *reserved = d->whole ? d->whole : d;

	return artifact_check_free(d->ctx->repository, reserved->m.path, d->order->cancel, err);
}

char *draft_file_name(const struct draft *d, const char *what)
{
	_cleanup(free) char *stem = manifest_stem(d->m.path);

	return d->m.is_directory ? mem_strdup(what) : mem_printf("%s.%s", strrchr(stem, '/') + 1, what);
}

static const char *ending_of_keys(const struct draft *d)
{
	return d->recipients ? MANIFEST_SEALED_SUFFIX : "";
}

char *draft_key(const struct draft *d, const char *name)
{
	const char *slash = strrchr(d->m.path, '/'), *ending = ending_of_keys(d);

	if (!name)
		return mem_printf("%s%s", d->m.path, ending);
	if (d->m.is_directory)
		return mem_printf("%s/%s%s", d->m.path, name, ending);
	return mem_printf("%.*s/%s%s", (int)(slash - d->m.path), d->m.path, name, ending);
}

/* Objects. */

static int open_draft_object(struct draft *d, const char *key, size_t head_bytes,
                             struct stream_object **ret_object, struct error *err)
{
	const struct conf_store *store = &d->ctx->conf->store;
	struct make_progress *progress = d->order->progress;
	_cleanup(draft_stage) struct draft_stage *stage = NULL;
	struct stream_object_options options = {
	        .store = d->store,
	        .pool = d->pool,
	        .key = key,
	        .part_bytes = store->part_bytes,
	        .max_parts = store->max_parts > 0 ? (unsigned)store->max_parts : 0,
	        .head_bytes = head_bytes,
	        .no_digest = d->is_pack && !d->recipients && draft_job(d)->verify == CONF_VERIFY_READBACK,
	        .cancel = d->order->cancel,
	        .sent_bytes = progress ? &progress->sent_bytes : NULL,
	};

	int r = draft_stage_new(d, key, &stage, err);

	options.stage = draft_stage_of(stage);
	return r < 0 ? r : stream_object_new(&options, ret_object, err);
}

int draft_open(struct draft *d, const char *name, size_t head_bytes, struct stream_object **ret_object,
               struct error *err)
{
	_cleanup(free) char *key = draft_key(d, name);

	return open_draft_object(d, key, head_bytes, ret_object, err);
}

/* All tables are in memory until they are published: thousands of files are not to have as many extents each as one
 * file may have. */
static size_t enter_object(struct draft *d, const char *key, struct stream_facts *facts, bool limited)
{
	size_t index = manifest_add_object(&d->m, key);
	struct manifest_object *object = &d->m.objects[index];

	if (limited)
		extents_limit(&facts->extents, d->extents < EXTENTS_MAX ? EXTENTS_MAX - d->extents : 0);
	d->extents += facts->extents.count;
	if (d->recipients)
		object->cipher = mem_strdup(MANIFEST_CIPHER_AGE);
	object->stored_bytes = facts->stored_bytes;
	object->extents_count = facts->extents.count;
	object->extents = facts->extents;
	facts->extents = (struct extents){0};
	str_copy(object->stored_sha256, sizeof(object->stored_sha256), facts->stored_sha256);
	return index;
}

static void enter_file_at(struct draft *d, const char *name, const char *key, struct stream_facts *facts)
{
	const char *own = strrchr(d->m.path, '/') + 1;
	struct manifest_file *file = manifest_add_file(&d->m, name ? name : own);

	file->size_bytes = facts->bytes;
	str_copy(file->sha256, sizeof(file->sha256), facts->sha256);
	/* Nothing comes before the own file, whose table is as long as it has become. */
	file->object = enter_object(d, key, facts, name != NULL);
}

static void enter_file(struct draft *d, const char *name, struct stream_facts *facts)
{
	_cleanup(free) char *key = draft_key(d, name);

	enter_file_at(d, name, key, facts);
}

int draft_enter_adopted(struct draft *d, const char *key, struct stream_facts *facts, struct error *err)
{
	int r = draft_check_free(d, err);

	if (r == 0)
		enter_file_at(d, NULL, key, facts);
	return r;
}

void draft_enter(struct draft *d, const char *name, struct stream_facts *facts)
{
	enter_file(d, name, facts);
}

void draft_keep_secret(struct draft *d, const char *name)
{
	if (!name)
		name = strrchr(d->m.path, '/') + 1;
	for (size_t i = 0; i < d->m.file_count; i++)
		if (str_equal(d->m.files[i].name, name))
			d->m.files[i].secret = true;
}

int draft_finish(struct draft *d, const char *name, struct stream_object *object, const void *head,
                 struct error *err)
{
	struct stream_facts facts = {0};
	int r = draft_check_free(d, err);

	if (r == 0)
		r = stream_object_finish(object, head, &facts, err);
	assert(facts.copied_bytes == 0);
	if (r == 0)
		enter_file(d, name, &facts);
	return r;
}

int draft_finish_copied(struct draft *d, const char *name, struct stream_object **object,
                        const struct draft_check *check, struct error *err)
{
	struct stream_facts facts = {0};
	int r = draft_check_free(d, err);

	assert(d->m.object_count == 0);
	if (r == 0)
		r = stream_object_finish(*object, NULL, &facts, err);
	*object = stream_object_free(*object);
	if (r < 0)
		return r;
	d->copied_at = facts.copied_at;
	d->copied_bytes = facts.copied_bytes;
	enter_file(d, name, &facts);
	return draft_read_copied(d, check, err);
}

int draft_put(struct draft *d, const char *name, const void *data, size_t len, struct error *err)
{
	_cleanup(stream_object) struct stream_object *object = NULL;
	int r = draft_open(d, name, 0, &object, err);

	if (r == 0)
		r = stream_object_write(object, data, len, err);
	return r < 0 ? r : draft_finish(d, name, object, NULL, err);
}

/* Heap: under which key an object lies that no file shows. */
static char *object_key(const struct draft *d, const char *key)
{
	_cleanup(free) char *below = d->whole ? draft_part_object_key(d, key) : NULL;

	return mem_printf("%s%s", below ? below : key, ending_of_keys(d));
}

int draft_open_object(struct draft *d, const char *key, struct stream_object **ret_object, struct error *err)
{
	_cleanup(free) char *own = object_key(d, key);

	return open_draft_object(d, own, 0, ret_object, err);
}

int draft_finish_object(struct draft *d, const char *role, const char *key, struct stream_object *object,
                        struct error *err)
{
	_cleanup(free) char *own = object_key(d, key);
	struct stream_facts facts = {0};
	size_t index;
	int r = draft_check_free(d, err);

	if (r == 0)
		r = stream_object_finish(object, NULL, &facts, err);
	if (r < 0)
		return r;
	index = enter_object(d, own, &facts, true);
	d->m.objects[index].role = mem_strdup(role);
	return 0;
}

int draft_put_object(struct draft *d, const char *role, const char *key, const void *data, size_t len,
                     struct error *err)
{
	_cleanup(stream_object) struct stream_object *object = NULL;
	int r = draft_open_object(d, key, &object, err);

	if (r == 0)
		r = stream_object_write(object, data, len, err);
	return r < 0 ? r : draft_finish_object(d, role, key, object, err);
}

static int copy_spooled(const struct spool *spool, struct stream_object *object, struct error *err)
{
	_cleanup(free) char *buf = mem_alloc(COPY_BYTES);
	uint64_t size = spool ? spool_size(spool) : 0;
	int r = 0;

	for (uint64_t at = 0; r == 0 && at < size;) {
		size_t len = size - at < COPY_BYTES ? (size_t)(size - at) : COPY_BYTES;

		r = spool_get(spool, buf, len, at, err);
		if (r == 0)
			r = stream_object_write(object, buf, len, err);
		at += len;
	}
	return r;
}

int draft_put_spool(struct draft *d, const char *role, const char *key, const struct spool *spool,
                    struct error *err)
{
	_cleanup(stream_object) struct stream_object *object = NULL;
	int r = draft_open_object(d, key, &object, err);

	if (r == 0)
		r = copy_spooled(spool, object, err);
	return r < 0 ? r : draft_finish_object(d, role, key, object, err);
}

size_t draft_file_count(const struct draft *d)
{
	return d->m.file_count;
}

int draft_drop_files(struct draft *d, size_t keep, struct error *err)
{
	const struct store_call call = {.cancel = d->order->cancel};

	while (d->m.file_count > keep) {
		const struct manifest_object *object = &d->m.objects[d->m.object_count - 1];
		int r = store_remove(d->store, &call, object->key, err);

		if (r < 0)
			return r;
		d->extents -= object->extents_count;
		manifest_drop_last_file(&d->m);
	}
	return 0;
}

/* The end. */

static int compare_files(const void *a, const void *b)
{
	const struct manifest_file *x = a, *y = b;

	return strcmp(x->name, y->name);
}

/* @own: of the files; what listings of parts have may be any number. */
static int put_sums(struct draft *d, const struct str *own, struct error *err)
{
	_cleanup(stream_object) struct stream_object *object = NULL;
	int r = draft_open(d, SUMS_NAME, 0, &object, err);

	if (r == 0)
		r = stream_object_write(object, own->data, own->len, err);
	if (r == 0)
		r = copy_spooled(d->sums, object, err);
	return r < 0 ? r : draft_finish(d, SUMS_NAME, object, NULL, err);
}

/* The files of a directory, and the list of their digests, whose own is the artifact's. */
static int close_directory(struct draft *d, struct error *err)
{
	_cleanup(str) struct str sums = {0};
	int r;

	/* All that is in it is in its listing, from which its digests are shown. */
	if (d->m.file_count == 0 && manifest_object_of_role(&d->m, MANIFEST_ROLE_LISTING))
		return 0;
	/* The files of each part stay together. */
	if (d->m.part_count == 0)
		qsort(d->m.files, d->m.file_count, sizeof(*d->m.files), compare_files);
	for (size_t i = 0; i < d->m.file_count; i++)
		if (d->m.files[i].sha256[0]) /* a part that nobody has read back may have none */
			str_appendf(&sums, "%s  %s\n", d->m.files[i].sha256, d->m.files[i].name);
	r = put_sums(d, &sums, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < d->m.file_count; i++)
		d->m.size_bytes += d->m.files[i].size_bytes;
	str_copy(d->m.sha256, sizeof(d->m.sha256), d->m.files[d->m.file_count - 1].sha256);
	return 0;
}

void draft_say_done(const struct draft *d)
{
	int64_t taken_us = clock_mono_us() - d->started_mono_us;
	double seconds = (double)(taken_us > 0 ? taken_us : 1) / (double)US_PER_S;
	char size[16], rate[16];

	str_format_bytes(size, sizeof(size), d->m.size_bytes);
	str_format_bytes(rate, sizeof(rate), (unsigned long long)((double)d->m.size_bytes / seconds));
	make_say(d->order, "done: %s, %s in %.1f s (%s/s), sha256 %s", d->m.path, size, seconds, rate,
	         d->m.sha256[0] ? d->m.sha256 : "not known");
}

/* The own file comes first in listings, whenever it was entered. */
static void put_own_first(struct draft *d)
{
	const char *own = strrchr(d->m.path, '/') + 1;

	for (size_t i = 1; i < d->m.file_count; i++) {
		struct manifest_file file = d->m.files[i];

		if (strcmp(file.name, own) != 0)
			continue;
		memmove(&d->m.files[1], &d->m.files[0], i * sizeof(file));
		d->m.files[0] = file;
	}
}

void draft_sum_up(struct draft *d)
{
	if (d->m.is_directory)
		return;
	d->m.size_bytes = d->m.files[0].size_bytes;
	str_copy(d->m.sha256, sizeof(d->m.sha256), d->m.files[0].sha256);
}

/* Whether it is the first of its day, of its week, and so on, is a help: a backup that does not know is a backup. */
static void tag(struct draft *d)
{
	const struct conf *conf = make_conf_ref(d->ctx);
	const struct conf_job *job = d->order->job;
	const char *name = conf_zone_name(conf, job);
	_cleanup(zone) struct zone *zone = NULL;
	struct retention_rules rules;
	struct error err = {0};
	int r = zone_load(name, &zone, &err);

	conf_policy_rules(job, &job->policy, &rules);
	if (r == 0)
		r = artifact_tag(d->ctx->repository, &rules, zone, &d->m, &err);
	make_conf_unref(d->ctx, conf);
	if (r < 0)
		make_say(d->order, "of which periods it is the first backup is found out later: %s",
		         err.message);
}

/* What names tables must not stand in the manifest, which anybody can read who reads the store. */
static int hide_facts(struct draft *d, struct error *err)
{
	_cleanup(free) char *key = manifest_facts_key(d->m.path);
	_cleanup(str) struct str hidden = {0};

	if (!d->recipients || !manifest_hide_facts(&d->m, &hidden))
		return 0;
	return draft_put_object(d, MANIFEST_ROLE_FACTS, key, hidden.data, hidden.len, err);
}

int draft_close(struct draft *d, struct error *err)
{
	int r = 0;

	if (d->m.is_directory)
		r = close_directory(d, err);
	else
		put_own_first(d);
	return r < 0 ? r : hide_facts(d, err);
}

const struct conf_job *draft_job(const struct draft *d)
{
	return d->whole ? d->whole->order->job : d->order->job;
}

/* One that is not locked is a backup all the same: it is published, and locked later. */
static int lock_draft(struct draft *d, struct error *ret_err)
{
	const struct conf *conf = make_conf_ref(d->ctx);
	const struct conf_job *job = d->order->job;
	_cleanup(zone) struct zone *zone = NULL;
	struct retention_rules rules;
	struct conf_policy policy;
	struct artifact_lock_order order = {.rules = &rules,
	                                    .forever = d->order->target->stem != NULL && !d->is_pack};
	struct error err = {0};
	int r = zone_load(conf_zone_name(conf, job), &zone, &err);

	conf_policy_of(conf, job, str_or_empty(d->m.class), &policy);
	conf_policy_rules(job, &policy, &rules);
	order.zone = zone;
	if (r == 0)
		r = artifact_lock_at_birth(d->ctx->repository, &order, &d->m, d->order->cancel, &err);
	make_conf_unref(d->ctx, conf);
	if (r == -EBADMSG) {
		if (ret_err)
			*ret_err = err;
		return r;
	}
	if (r < 0)
		make_warn(d->order, "it could not be locked in the store, which is tried again later: %s",
		          err.message);
	else if (r == ARTIFACT_LOCK_DOUBTFUL)
		make_warn(d->order, "for how long it is to be locked is not known: %s", err.message);
	return 0;
}

int draft_publish(struct draft *d, const struct draft_check *check, struct manifest *ret, struct error *err)
{
	int r = draft_close(d, err);

	if (r == 0 && draft_job(d)->verify == CONF_VERIFY_READBACK)
		r = draft_read_back(d, check, err);
	draft_forget_secrets(d);
	if (r < 0)
		return r;
	draft_sum_up(d);
	d->m.finished_at_us = make_now_us(d->ctx);
	if (d->whole)
		return draft_join(d, err);
	if (!d->is_pack)
		tag(d);
	r = lock_draft(d, err);
	if (r < 0)
		return r;
	d->publishing = true;
	r = artifact_publish(d->ctx->repository, &d->m, d->order->cancel, err);
	d->published = r >= 0;
	if (r != 0)
		return r == ARTIFACT_UNLISTED ? -EIO : r;
	draft_say_done(d);
	*ret = d->m;
	d->m = (struct manifest){0};
	return 0;
}
