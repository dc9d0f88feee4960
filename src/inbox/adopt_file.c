// SPDX-License-Identifier: Apache-2.0
/*
 * One file of others that is to become a backup where it lies. What is not known is read once, from beginning to end, past the check of its content, and a manifest in our own store says where it is and what it is:
 *
 *   known already? → first bytes: what is it? → read whole: is it whole? extents, SHA-256, counts → is the same there already? → draft, with an object elsewhere → published
 */
#include "adopt.h"
#include "content.h"
#include "describe.h"
#include "looks.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/adopted.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/audit.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/codec/name.h>
#include <keepfs/keyring.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define PIECE_BUFFERS ((size_t)4) /* that one request brings, at most */

struct candidate {
	struct adopting *a;
	const struct source_object *o;
	char *key;  /* in the place */
	char *base; /* its last part: what others called it */
	char *line; /* the key, for people */
	char *was;  /* the backup that a file of this name became before; NULL: none */
	struct inbox_look look;
	struct inbox_content *content;
	struct stream_object *sums;
	struct stream_facts facts;
	void *buffers[PIECE_BUFFERS];
	size_t buffer_count;
};

/* What is told of a file. */

static void note_adopt_failure(const struct candidate *c, int r, const struct error *why)
{
	struct adopting *a = c->a;

	a->failed++;
	make_say(a->order, "%s: %s", c->line, why->message);
	if (a->result < 0)
		return;
	a->result = r;
	a->first = *why;
	error_prefix(&a->first, "%s", c->line);
}

static int note_looked_at(const struct candidate *c, const char *path, const char *why, struct error *err)
{
	const struct catalog_adopted row = {.place = c->a->place,
	                                    .key = c->key,
	                                    .bytes = c->o->bytes,
	                                    .etag = c->o->etag,
	                                    .path = (char *)path,
	                                    .why = (char *)why};

	return c->a->plans ? 0 : catalog_note_adopted(c->a->ctx->repository->catalog, &row, err);
}

/* What was there under this name before, and has other bytes, is what another backup was made of. */
static void tell_replaced(const struct candidate *c)
{
	struct catalog *catalog = c->a->ctx->repository->catalog;
	_cleanup(free) char *key = NULL, *etag = NULL, *own = manifest_adopted_key(c->a->place, c->key);
	uint64_t ino = c->was ? ino_of_artifact(c->was) : 0, bytes;

	if (!c->was || catalog_adopted_object(catalog, ino, &key, &etag, &bytes) < 0 ||
	    !str_equal(key, own) || catalog_is_damaged(catalog, ino))
		return;
	make_warn(
	        c->a->order,
	        "%s was replaced since it became %s, whose bytes are gone: a name that is written again and again is nothing to be adopted, copy such files into the inbox",
	        c->line, c->was);
	(void)catalog_mark_damaged(catalog, ino, "the file that was adopted has been replaced by another one",
	                           NULL);
}

/* It is not looked at again as long as it is the same. */
static int refuse_candidate(const struct candidate *c, struct error *why)
{
	int r;

	tell_replaced(c);
	r = note_looked_at(c, "", why->message, NULL);
	note_adopt_failure(c, -EBADMSG, why);
	return r;
}

/* What is not to be taken whatever is in it. */

/* Nothing can be noted of it, so it is told each time, and fails nothing. */
static void warn_of_candidate(const struct candidate *c, const char *why)
{
	c->a->others++;
	make_warn(c->a->order, "%s: %s", c->line, why);
}

static bool is_named_impossibly(const struct candidate *c, struct error *why)
{
	_cleanup(free) char *key = manifest_adopted_key(c->a->place, c->key);

	if (!key)
		error_set(
		        why, ERROR_USAGE, EINVAL,
		        "it cannot be adopted under this name, which is too long, or has a part that is no name of a file: rename it");
	return !key || store_key_check(c->key, why) < 0 || store_key_check(key, why) < 0;
}

/* A directory of pg_dump -Fd is one dump in many files. */
static int is_known_candidate(struct candidate *c, struct error *err);

static int refuse_dump_directory(struct candidate *c, struct error *err)
{
	struct error why = {0};
	int r = is_known_candidate(c, err);

	if (r != 0)
		return r < 0 ? r : 0;
	error_set(
	        &why, ERROR_USAGE, EINVAL,
	        "its directory is a dump of pg_dump -Fd, which is many files, and is not adopted: write it into the inbox once, by pg_restore -f - DIRECTORY, or keep it as a state of a [mirror NAME]");
	return refuse_candidate(c, &why);
}

static int look_for_contents(struct candidate *c, bool *ret, struct error *err)
{
	struct adopting *a = c->a;
	const char *slash = strrchr(c->o->key, '/');
	_cleanup(free) char *directory =
	        slash ? mem_printf("%.*s", (int)(slash + 1 - c->o->key), c->o->key) : mem_strdup("");
	_cleanup(free) char *contents = mem_printf("%s%stoc.dat", a->prefix, directory);
	struct store_object found;
	int r = 0;

	if (!str_equal(directory, a->directory)) {
		a->asked++;
		r = store_head(a->store, &a->call, contents, &found, err);
		if (r < 0 && r != -ENOENT)
			return r;
		a->is_dump = r == 0;
		mem_replace_string(&a->directory, directory);
		r = a->is_dump ? refuse_dump_directory(c, err) : 0;
	}
	*ret = a->is_dump;
	return r;
}

/* It was no backup of its own, as another file had the same content, and that backup has lost its bytes since. */
static bool is_known_by_a_lost_one(const struct candidate *c, const char *path)
{
	struct catalog *catalog = c->a->ctx->repository->catalog;
	_cleanup(free) char *key = NULL, *etag = NULL, *own = manifest_adopted_key(c->a->place, c->key);
	uint64_t ino = ino_of_artifact(path), bytes;
	struct catalog_entry entry;

	return *path && catalog_entry_by_ino(catalog, ino, &entry) == 0 && catalog_is_damaged(catalog, ino) &&
	       !(catalog_adopted_object(catalog, ino, &key, &etag, &bytes) == 0 && str_equal(key, own));
}

/* 1: nothing has changed since it was looked at. */
static int is_known_candidate(struct candidate *c, struct error *err)
{
	_cleanup(catalog_adopted) struct catalog_adopted was = {0};
	struct adopting *a = c->a;
	int r = catalog_get_adopted(a->ctx->repository->catalog, a->place, c->key, &was);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return error_system(err, -r, "the catalog cannot be read");
	if (was.bytes == c->o->bytes && str_equal(was.etag, c->o->etag)) {
		if ((!*was.path && a->all) || is_known_by_a_lost_one(c, was.path))
			return 0;
		*(*was.path ? &a->known : &a->refused_before) += 1;
		return 1;
	}
	/* It may have been moved, or touched: its bytes tell. */
	if (*was.path)
		c->was = take_ptr(&was.path);
	return 0;
}

/* Its bytes. */

static int take_adopt_buffers(struct candidate *c, struct error *err)
{
	struct pool *pool = c->a->ctx->pool;
	size_t most = pool_buffers(pool) / 4, count = most < PIECE_BUFFERS ? most : PIECE_BUFFERS;
	int r;

	count = count > 0 ? count : 1;
	r = pool_reserve(pool, count, c->a->order->cancel);
	if (r < 0)
		return error_system(err, -r, "there is no memory to read it");
	for (size_t i = 0; i < count; i++)
		c->buffers[i] = pool_take(pool);
	c->buffer_count = count;
	return 0;
}

static void give_adopt_buffers(struct candidate *c)
{
	struct pool *pool = c->a->ctx->pool;

	for (size_t i = 0; i < c->buffer_count; i++)
		pool_give(pool, c->buffers[i]);
	if (c->buffer_count > 0)
		pool_unreserve(pool, c->buffer_count);
	c->buffer_count = 0;
}

/* From @offset on, as much as there is room for, but @most. */
static int get_adopt_piece(struct candidate *c, uint64_t offset, uint64_t most, struct iovec *iov,
                           int *ret_count, uint64_t *ret_bytes, struct error *err)
{
	struct adopting *a = c->a;
	uint64_t left = c->o->bytes - offset, want = left < most ? left : most;
	int count = 0;

	*ret_bytes = 0;
	for (size_t i = 0; i < c->buffer_count && want > 0; i++) {
		size_t len = want < POOL_BUFFER_BYTES ? (size_t)want : POOL_BUFFER_BYTES;

		iov[count++] = (struct iovec){.iov_base = c->buffers[i], .iov_len = len};
		*ret_bytes += len;
		want -= len;
	}
	*ret_count = count;
	if (a->order->progress)
		atomic_fetch_add(&a->order->progress->read_bytes, *ret_bytes);
	if (rate_take(a->rate, *ret_bytes, a->order->cancel) < 0)
		return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled");
	return source_get(a->source, &a->call, c->o->key, c->o->etag, offset, iov, count, NULL, err);
}

static int pass_adopt_piece(struct candidate *c, const struct iovec *iov, int count, struct error *err)
{
	int r = 0;

	for (int i = 0; r == 0 && i < count; i++) {
		r = inbox_content_feed(c->content, iov[i].iov_base, iov[i].iov_len, err);
		if (r == 0)
			r = stream_object_write(c->sums, iov[i].iov_base, iov[i].iov_len, err);
	}
	return r;
}

/* 1: it is nothing to be taken. */
static int begin_candidate(struct candidate *c, const void *head, size_t len, struct error *err)
{
	struct adopting *a = c->a;
	_cleanup(free) char *what = NULL;
	char iso[CLOCK_ISO_BYTES], size[16];
	int r;

	inbox_look_at(head, len < INBOX_HEAD_BYTES ? len : INBOX_HEAD_BYTES, c->base, &c->look);
	/* "2024-01-05_0230/shop.sql.gz" */
	if (!c->look.has_time)
		c->look.has_time = inbox_time_in_name(c->key, &c->look.local_s, &c->look.is_utc);
	what = inbox_look_text(&c->look);
	if (c->look.shape == INBOX_OTHER && !a->all) {
		a->others++;
		make_say(a->order, "%s is %s, and is left alone; all=yes takes it, too", c->line, what);
		r = note_looked_at(c, "", "it is of a kind that is not known here", err);
		return r < 0 ? r : 1;
	}
	if (!a->plans)
		return 0;
	a->taken++;
	a->taken_bytes += c->o->bytes;
	make_say(a->order, "%s, %s, would become a backup of %s: %s", c->line,
	         str_format_bytes(size, sizeof(size), c->o->bytes),
	         clock_format_iso(inbox_time_of(&c->look, conf_zone_name(a->conf, a->job), c->o->modified_us,
	                                        make_now_us(a->ctx)),
	                          iso),
	         what);
	return 1;
}

/* 1: it is nothing to be taken, and that was told. */
static int read_candidate(struct candidate *c, struct error *err)
{
	struct iovec iov[PIECE_BUFFERS];
	uint64_t offset = 0, bytes = 0;
	int count, r = 0;

	while (r == 0 && offset < c->o->bytes) {
		uint64_t most = offset == 0 && c->a->plans ? INBOX_HEAD_BYTES : UINT64_MAX;

		r = get_adopt_piece(c, offset, most, iov, &count, &bytes, err);
		if (r == 0 && offset == 0) {
			r = begin_candidate(c, iov[0].iov_base, iov[0].iov_len, err);
			if (r != 0)
				return r;
			c->content = inbox_content_new(&c->look, c->a->ctx->conf->state_dir);
			c->sums = stream_object_sums();
		}
		if (r == 0)
			r = pass_adopt_piece(c, iov, count, err);
		offset += bytes;
	}
	if (r == 0)
		r = inbox_content_end(c->content, err);
	return r < 0 ? r : stream_object_finish(c->sums, NULL, &c->facts, err);
}

/* What becomes of it. */

static void note_adopt_in_audit(const struct candidate *c, const char *path)
{
	struct catalog_audit entry = {.at_us = make_now_us(c->a->ctx),
	                              .uid = -1,
	                              .pid = -1,
	                              .command = "keepfs",
	                              .action = "adopt",
	                              .result = "ok"};
	_cleanup(free) char *detail = mem_printf("run %" PRId64 ": %s", c->a->order->run_id, path);
	_cleanup(free) char *from = mem_printf("%s/%s", source_name(c->a->source), c->o->key);
	struct error err = {0};

	str_cut(entry.object, sizeof(entry.object), from);
	str_cut(entry.detail, sizeof(entry.detail), detail);
	if (catalog_add_audit(c->a->ctx->repository->catalog, &entry, &err) < 0)
		log_warning("that %s was adopted could not be noted in the audit: %s", from, err.message);
}

/* 1: @ret_path (heap) has it already. */
static int find_same_content(const struct candidate *c, const char *directory, char **ret_path,
                             struct error *err)
{
	int r = catalog_find_content(c->a->ctx->repository->catalog, directory, c->facts.sha256,
	                             c->facts.bytes, false, ret_path);

	if (r == -ENOENT)
		return 0;
	return r < 0 ? error_system(err, -r, "the catalog cannot be read") : 1;
}

/* As whoever reads it will find it, and removes it: it must be what was read. A bucket has one etag for both; of a file the one that it was listed with tells more. */
static int see_it_there(const struct candidate *c, const char *key, struct store_object *ret,
                        struct error *err)
{
	struct adopting *a = c->a;
	_cleanup(source_object) struct source_object still = {0};
	int r;

	a->asked++;
	r = store_head(repository_store(a->ctx->repository), &a->call, key, ret, err);
	if (r == 0 && ret->bytes == c->facts.bytes && str_equal(ret->etag, c->o->etag))
		return 0;
	if (r == 0)
		r = source_head(a->source, &a->call, c->o->key, &still, err);
	if (r == 0 && (ret->bytes != c->facts.bytes || !str_equal(still.etag, c->o->etag)))
		return error_set(err, ERROR_CONFLICT, ESTALE, "it was changed while it was read");
	return r;
}

static int publish_candidate(struct candidate *c, const struct make_order *order, const char *key,
                             const char *etag, struct error *err)
{
	struct adopting *a = c->a;
	const struct draft_options options = {.ctx = a->ctx,
	                                      .order = order,
	                                      .kind = inbox_kind_of(&c->look),
	                                      .suffix = c->look.suffix,
	                                      .is_plain = true,
	                                      .started_at_us =
	                                              inbox_time_of(&c->look, conf_zone_name(a->conf, a->job),
	                                                            c->o->modified_us, make_now_us(a->ctx))};
	_cleanup(draft) struct draft *draft = NULL;
	_cleanup(free) char *from = mem_printf("%s/%s", source_name(a->source), c->o->key);
	_cleanup(manifest) struct manifest made = {0};
	int r = draft_new(&options, &draft, err);

	if (r == 0)
		r = draft_enter_adopted(draft, key, &c->facts, err);
	if (r < 0)
		return r;
	inbox_describe(draft_manifest(draft), &c->look, c->content, c->base, "modified");
	manifest_set_fact(draft_manifest(draft), "adopted_from", from);
	manifest_set_fact(draft_manifest(draft), "adopted_etag", c->o->etag);
	manifest_set_fact(draft_manifest(draft), "adopted_object", etag);
	draft_manifest(draft)->keep_until_us = make_now_us(a->ctx) + INBOX_STAYS_US;
	r = inbox_put_counts(draft, c->content, keyring_is_encrypting(a->conf, a->job), err);
	if (r == 0)
		r = draft_publish(draft, NULL, &made, err);
	if (r == 0)
		r = note_looked_at(c, made.path, "", err);
	if (r < 0)
		return r;
	a->taken++;
	a->taken_bytes += made.size_bytes;
	make_say(order, "%s is %s now", c->line, made.path);
	note_adopt_in_audit(c, made.path);
	return 0;
}

static int adopt_read_file(struct candidate *c, struct error *err)
{
	struct adopting *a = c->a;
	struct make_target target = *a->order->target;
	struct make_order order = *a->order;
	_cleanup(free) char *key = manifest_adopted_key(a->place, c->key), *same = NULL;
	struct store_object there = {0};
	int r = find_same_content(c, target.directory, &same, err);

	if (r > 0 && str_equal(same, c->was)) {
		a->known++;
		return note_looked_at(c, same, "", err);
	}
	if (r >= 0)
		tell_replaced(c);
	if (r > 0) {
		a->same++;
		make_say(a->order, "%s has the same content as %s: it is one backup", c->line, same);
		return note_looked_at(c, same, "", err);
	}
	if (r == 0)
		r = see_it_there(c, key, &there, err);
	if (r < 0)
		return r;
	target.label = c->base;
	order.target = &target;
	order.job = a->job;
	return publish_candidate(c, &order, key, there.etag, err);
}

static void cleanup_candidate(struct candidate *c)
{
	give_adopt_buffers(c);
	inbox_content_free(c->content);
	stream_object_free(c->sums);
	extents_finish(&c->facts.extents);
	free(c->key);
	free(c->base);
	free(c->line);
	free(c->was);
}

/* 0, also when it was refused, and that was told; negative: it is another trouble than the file's own. */
static int adopt_content(struct candidate *c, struct error *err)
{
	struct error why = {0};
	int r = take_adopt_buffers(c, err);

	if (r < 0)
		return r;
	r = read_candidate(c, &why);
	give_adopt_buffers(c);
	if (r == 0)
		return adopt_read_file(c, err);
	if (r == -EBADMSG)
		return refuse_candidate(c, &why);
	if (r < 0 && err)
		*err = why;
	return r < 0 ? r : 0;
}

static int consider_candidate(struct candidate *c, struct error *err)
{
	struct error why = {0};
	bool is_part = false;
	int r;

	if (is_named_impossibly(c, &why)) {
		warn_of_candidate(c, why.message);
		return 0;
	}
	r = adopt_is_ours(c->a, c->key, err);
	if (r != 0) {
		c->a->others += r > 0;
		return r < 0 ? r : 0;
	}
	if (inbox_name_is_temporary(c->base)) {
		c->a->others++;
		make_say(c->a->order,
		         "%s is left alone: by its name somebody is still writing it, or it is hidden",
		         c->line);
		return 0;
	}
	r = look_for_contents(c, &is_part, err);
	if (r < 0 || is_part)
		return r;
	r = is_known_candidate(c, err);
	if (r != 0)
		return r < 0 ? r : 0;
	if (c->o->bytes == 0) {
		error_set(&why, ERROR_CORRUPT, EBADMSG, "the file is empty: it is no backup");
		return refuse_candidate(c, &why);
	}
	if (source_is_archived(c->o)) {
		error_set(
		        &why, ERROR_USAGE, EINVAL,
		        "it is in the storage class %s, from which it has to be restored before it can be read",
		        c->o->storage_class);
		warn_of_candidate(c, why.message);
		return 0;
	}
	return adopt_content(c, err);
}

static char *last_part_of(const char *key)
{
	const char *slash = strrchr(key, '/');

	return mem_strdup(slash ? slash + 1 : key);
}

void adopt_consider(struct adopting *a, const struct source_object *o)
{
	_cleanup(candidate) struct candidate c = {.a = a, .o = o};
	_cleanup(str) struct str line = {0};
	struct error why = {0};
	int r;

	/* What a console shows as a folder. */
	if (o->bytes == 0 && (!*o->key || str_ends(o->key, "/")))
		return;
	c.key = mem_printf("%s%s", a->prefix, o->key);
	if (adopt_is_elsewhere(a, c.key))
		return;
	c.base = last_part_of(o->key);
	str_append_line(&line, c.key);
	c.line = str_take(&line);
	r = consider_candidate(&c, &why);
	if (r < 0 && !cancel_is_set(a->order->cancel))
		note_adopt_failure(&c, r, &why);
}
