// SPDX-License-Identifier: Apache-2.0
/*
 * Adopting: files that others have put somewhere become backups of an inbox, where they lie. The place is listed, and each file of it considered (adopt_file.c). Nothing is written there, ever. What fails with
 * one file is no reason to leave the others.
 */
#include "adopt.h"
#include "describe.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/adopted.h>
#include <keepfs/keyring.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define CONNECTIONS 2

/* The words. */

static const char *adopt_pair(const struct command_line *line, const char *key)
{
	for (size_t i = 0; i < line->pair_count; i++)
		if (str_equal(line->pairs[i].key, key))
			return line->pairs[i].value;
	return NULL;
}

static int take_adopt_yes(const struct command_line *line, const char *key, bool *ret, struct error *err)
{
	const char *value = adopt_pair(line, key);

	*ret = value && str_equal(value, "yes");
	if (!value || *ret || str_equal(value, "no"))
		return 0;
	return error_set(err, ERROR_USAGE, EINVAL, "%s=%.20s: allowed are yes and no", key, value);
}

static int check_adopt_pairs(const struct command_line *line, struct error *err)
{
	static const char *const allowed[] = {"job", "plan", "all", "note"};

	for (size_t i = 0; i < line->pair_count; i++) {
		bool is_known = false;

		for (size_t k = 0; k < ARRAY_SIZE(allowed); k++)
			is_known |= str_equal(line->pairs[i].key, allowed[k]);
		if (!is_known)
			return error_set(err, ERROR_USAGE, EINVAL,
			                 "%.40s=%.40s: allowed are job, plan, all and note",
			                 line->pairs[i].key, line->pairs[i].value);
	}
	if (line->word_count != 1)
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "name one place: s3://BUCKET/PREFIX, dir:/DIRECTORY, or the NAME of a [store NAME]");
	return 0;
}

static void append_inboxes(const struct conf *conf, struct str *out)
{
	for (size_t i = 0; i < conf->job_count; i++)
		if (conf->jobs[i].kind == CONF_JOB_INBOX)
			str_appendf(out, "%s%s", out->len > 0 ? ", " : "", conf->jobs[i].name);
}

static int find_adopting_job(struct adopting *a, const char *name, struct error *err)
{
	_cleanup(str) struct str have = {0};

	a->job = name ? conf_find_job(a->conf, name) : NULL;
	if (a->job && a->job->kind == CONF_JOB_INBOX)
		return 0;
	append_inboxes(a->conf, &have);
	if (have.len == 0)
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "what is adopted belongs to an inbox, whose rules say how long it is kept: add a section [inbox NAME] to the configuration, and say job=NAME");
	return error_set(err, ERROR_USAGE, EINVAL, "job=%.100s: %s; there is %s", name ? name : "",
	                 name ? "that is no [inbox NAME] of the configuration"
	                      : "say which inbox it is to belong to",
	                 str_text(&have));
}

static int take_adopt_words(struct adopting *a, const struct command_line *line, struct error *err)
{
	int r = check_adopt_pairs(line, err);

	if (r == 0)
		r = take_adopt_yes(line, "plan", &a->plans, err);
	if (r == 0)
		r = take_adopt_yes(line, "all", &a->all, err);
	if (r == 0)
		r = find_adopting_job(a, adopt_pair(line, "job"), err);
	if (r < 0)
		return r;
	a->place = stores_place_of_url(a->conf, line->words[0], &a->prefix, err);
	return a->place ? 0 : -EINVAL;
}

static void adopting_finish(struct adopting *a)
{
	rate_free(a->rate);
	store_free(a->store);
	stores_source_free(a->opened);
	free(a->place);
	free(a->prefix);
	free(a->directory);
	adopt_forget_ours(a);
	make_conf_unref(a->ctx, a->conf);
}

static void cleanup_adopting(struct adopting *a)
{
	adopting_finish(a);
}

static int adopt_accepts(const struct make_context *ctx, const struct conf_job *job,
                         const struct make_wanted *wanted, struct error *err)
{
	_cleanup(adopting) struct adopting a = {.ctx = ctx, .conf = make_conf_ref(ctx)};

	return take_adopt_words(&a, wanted->line, err);
}

static int adopt_targets(const struct make_context *ctx, const struct conf_job *job,
                         const struct make_wanted *wanted, struct make_targets *ret, struct error *err)
{
	_cleanup(adopting) struct adopting a = {.ctx = ctx, .conf = make_conf_ref(ctx)};
	struct make_target *target;
	int r = take_adopt_words(&a, wanted->line, err);

	if (r < 0)
		return r;
	target = make_targets_add(ret);
	target->label = mem_strdup(wanted->line->words[0]);
	target->directory = make_directory_of(a.job, NULL);
	return 0;
}

/* The run. */

/* What another keepfs has there are backups already, with manifests of their own. */
static int refuse_store_of_keepfs(struct adopting *a, struct error *err)
{
	int r = stores_open_place(a->ctx->repository->stores, a->place, &a->store, err);

	if (r == 0)
		r = adopt_is_keepfs(a, "", err);
	if (r == 0)
		r = adopt_is_within_keepfs(a, err);
	if (r < 0)
		return r;
	if (r == 0 && !stores_is_place_ours(a->conf, a->place, a->prefix))
		return 0;
	return error_set(
	        err, ERROR_USAGE, EINVAL,
	        "[store %s] is a store of keepfs, or lies in one: what it has are backups already, and 'keepfs rebuild' with that as [store] lists them",
	        a->place);
}

static int open_adopting(struct adopting *a, struct error *err)
{
	struct stores *stores = a->ctx->repository->stores;
	int r = refuse_store_of_keepfs(a, err);

	if (r == 0)
		r = stores_open_source(stores, a->place, a->prefix, CONNECTIONS, &a->opened, err);
	if (r == 0)
		r = catalog_learn_adopted(a->ctx->repository->catalog, a->place, err);
	if (r < 0)
		return r;
	a->source = stores_source(a->opened);
	a->rate = rate_new(a->job->max_rate_bytes);
	return 0;
}

static void tell_left_by_listing(const struct adopting *a, const struct source_left *left)
{
	if (left->links + left->others > 0)
		make_say(a->order, "left alone: %" PRIu64 " symbolic links, %" PRIu64 " that are no files",
		         left->links, left->others);
	if (left->unreadable > 0)
		make_warn(a->order, "%" PRIu64 " could not be looked at; the first: %s", left->unreadable,
		          left->first);
}

static int consider_place(struct adopting *a, struct error *err)
{
	_cleanup(source_list) struct source_list *list = source_list_new(a->source, &a->call);
	int r = 1;

	while (r > 0 && !cancel_is_set(a->order->cancel)) {
		_cleanup(source_object) struct source_object o = {0};

		r = source_list_next(list, &o, err);
		if (r > 0)
			adopt_consider(a, &o);
	}
	if (r >= 0)
		tell_left_by_listing(a, source_list_left(list));
	if (cancel_is_set(a->order->cancel))
		return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled");
	return r;
}

static void tell_adopt_sums(const struct adopting *a)
{
	char size[16];

	make_say(a->order,
	         "%s: %" PRIu64 " files (%s) %s; %" PRIu64 " were known, %" PRIu64
	         " have the content of another backup, %" PRIu64 " are no dumps, %" PRIu64
	         " were refused before, %" PRIu64 " could not be taken; %" PRIu64 " requests",
	         a->order->target->label, a->taken, str_format_bytes(size, sizeof(size), a->taken_bytes),
	         a->plans ? "would become backups" : "became backups", a->known, a->same, a->others,
	         a->refused_before, a->failed, a->asked + source_requests(a->source));
}

static int adopt_all(struct adopting *a, struct error *err)
{
	int r = take_adopt_words(a, a->order->line, err);

	if (r == 0)
		r = open_adopting(a, err);
	if (r == 0)
		r = consider_place(a, err);
	if (r < 0)
		return r;
	tell_adopt_sums(a);
	if (a->taken > 0 && !a->plans)
		inbox_prune(a->ctx, a->conf, a->order);
	if (a->result == 0)
		return 0;
	*err = a->first;
	if (a->failed > 1)
		error_prefix(err, "%" PRIu64 " files could not be taken; the first", a->failed);
	return a->result;
}

static int adopt_make(const struct make_context *ctx, const struct make_order *order, struct manifest *ret,
                      struct error *err)
{
	_cleanup(adopting) struct adopting a = {
	        .ctx = ctx, .order = order, .conf = make_conf_ref(ctx), .call = {.cancel = order->cancel}};

	return adopt_all(&a, err);
}

static enum make_lane adopt_lane(const struct command_line *line)
{
	return MAKE_LANE_VERIFY;
}

const struct make_kind inbox_adopt = {
        .name = "adopt",
        .targets_name = "places",
        .names_none = true,
        .lane = adopt_lane,
        .accepts = adopt_accepts,
        .targets = adopt_targets,
        .make = adopt_make,
};
