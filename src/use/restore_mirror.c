// SPDX-License-Identifier: Apache-2.0
/*
 * The plan is made by every run, also by one that does not stop at it: so what would be replaced or removed is known, and told, before anything is.
 */
#include "restore_mirror.h"

#include "restore_files.h"
#include "restore_hook.h"
#include "words.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/audit.h>
#include <keepfs/codec/json.h>
#include <keepfs/codec/shown_name.h>
#include <keepfs/mirror/back.h>
#include <keepfs/codec/listing.h>
#include <keepfs/stream/rate.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define CONNECTIONS 32

struct bringing_back {
	const struct restore_mirror *m;
	const struct conf *conf;
	struct conf_store to;
	struct rate *rate;
	char *path; /* of the artifact */
	const char *part;
	struct str below; /* a key */
	struct mirror_back *back;
};

/* Names. */

bool restore_mirror_is(const struct backup *b)
{
	return str_equal(b->m.kind, LISTING_KIND_MIRROR);
}

bool restore_mirror_is_one(struct catalog *c, const struct catalog_entry *entry)
{
	_cleanup(manifest) struct manifest m = {0};
	struct catalog_part part;
	int r = entry->kind == CATALOG_ARTIFACT ? catalog_manifest(c, entry->ino, &m)
	                                        : catalog_part(c, entry->ino, &part, &m);

	return r == 0 && str_equal(m.kind, LISTING_KIND_MIRROR);
}

int restore_mirror_find(struct catalog *c, const char *path, struct catalog_entry *ret, char **ret_below)
{
	size_t len = strlen(path);

	while (len > 0) {
		_cleanup(free) char *above = NULL;
		int r;

		while (len > 0 && path[len - 1] != '/')
			len--;
		if (len == 0)
			break;
		above = mem_printf("%.*s", (int)--len, path);
		r = words_find_backup(c, above, ret);
		if (r == 0)
			*ret_below = mem_strdup(path + len + 1);
		if (r != -ENOENT)
			return r;
	}
	return -ENOENT;
}

/* @ret_alone: the object a, and not what is below a/, too: "a%=" */
static int take_below(const struct restore_mirror *m, struct str *ret, bool *ret_alone, struct error *err)
{
	_cleanup(free) char *name = m->below ? mem_strdup(m->below) : NULL;
	size_t len = name ? strlen(name) : 0;

	*ret_alone = false;
	if (!name)
		return 0;
	*ret_alone = str_ends(name, SHOWN_OBJECT);
	if (*ret_alone)
		name[len - strlen(SHOWN_OBJECT)] = '\0';
	else if (len > 0 && name[len - 1] == '/')
		name[len - 1] = '\0';
	if (shown_name_key(name, ret) == 0 || shown_name_prefix(name, ret) == 0)
		return 0;
	return error_set(err, ERROR_USAGE, EINVAL,
	                 "%s has nothing that is called %.200s: write names as the mount shows them",
	                 m->backup->path, m->below);
}

static const char *job_of(const struct restore_mirror *m)
{
	const char *slash = m->backup->is_part ? strrchr(m->backup->path, '/') : NULL;

	/* A part is called after its job. */
	return slash ? slash + 1 : m->backup->m.job;
}

/* Looking. */

static int check_mirror_words(const struct restore_mirror *m, struct error *err)
{
	static const char *const allowed[] = {"to",       "plan",      "dry-run", "confirm", "delete", "rate",
	                                      "pre_hook", "post_hook", "note",    "run",     NULL};
	int r = m->wanted->of_whole ? 0 : words_check_pairs(m->wanted->line, allowed, err);

	if (r == 0 && m->wanted->to)
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "%s is a state of a mirror, which goes to another place with to=s3://bucket/prefix or to=dir:%s",
		        m->backup->path, m->wanted->to);
	return r;
}

static int check_place_confirmed(const struct restore_mirror *m, const char *url, struct error *err)
{
	const char *confirm = m->wanted->confirm;

	if (!confirm || str_equal(confirm, url))
		return 0;
	return error_set(err, ERROR_USAGE, EINVAL,
	                 "confirm=%.200s: it would be brought back into %s, so nothing was done", confirm,
	                 url);
}

static int check_mirror_place(const struct restore_mirror *m, const char *url, struct error *err)
{
	int r = str_starts(url, "dir:") ? restore_files_check_place(m->ctx->conf, url + strlen("dir:"), err)
	                                : 0;

	return r < 0 ? r : check_place_confirmed(m, url, err);
}

/* What could not be read when the state was made is not in it, and looks like what has come since. Nobody has another copy of it. */
static int check_removal_is_safe(const struct restore_mirror *m, struct error *err)
{
	const struct manifest *made = &m->backup->m;
	int64_t unreadable = 0;

	if (!m->wanted->remove || !made->facts || !json_get_int(made->facts, "unreadable", &unreadable) ||
	    unreadable == 0)
		return 0;
	return error_set(
	        err, ERROR_USAGE, EINVAL,
	        "delete=yes would remove what is not in %s, and %" PRId64
	        " objects or directories of its source, which could not be read when it was made, are not: so nothing was changed. Leave delete=yes out, or take a state that lacks nothing",
	        m->backup->path, unreadable);
}

int restore_mirror_look(const struct restore_mirror *m, char **ret_claim, struct error *err)
{
	const struct conf *conf = make_conf_ref(m->ctx);
	_cleanup(str) struct str below = {0};
	bool alone;
	struct conf_store to = {0};
	int r = check_mirror_words(m, err);

	if (r == 0)
		r = take_below(m, &below, &alone, err);
	if (r == 0)
		r = mirror_back_place(conf, job_of(m), m->wanted->place, &to, err);
	if (r == 0)
		r = check_mirror_place(m, to.url, err);
	if (r == 0 && !m->wanted->plan)
		r = check_removal_is_safe(m, err);
	if (r == 0)
		*ret_claim = mem_printf("the objects of %s", to.url);
	make_conf_unref(m->ctx, conf);
	return r;
}

/* The plan. */

static uint64_t mirror_changes(const struct restore_mirror *m, const struct mirror_back_counts *plan)
{
	return plan->different.count + (m->wanted->remove ? plan->extra.count : 0);
}

static int check_allowed(const struct bringing_back *g, const struct mirror_back_counts *plan,
                         struct error *err)
{
	const struct restore_order *wanted = g->m->wanted;
	int r = check_removal_is_safe(g->m, err);

	if (r < 0)
		return r;
	if (wanted->confirm || mirror_changes(g->m, plan) == 0)
		return 0;
	return error_set(err, ERROR_CONFLICT, EEXIST,
	                 "nothing was changed: %" PRIu64 " objects of %s would be replaced%s%s, and %" PRIu64
	                 " removed%s%s; to do that write confirm=%s",
	                 plan->different.count, g->to.url, plan->different.count > 0 ? ": " : "",
	                 str_text(&plan->different.first), wanted->remove ? plan->extra.count : 0,
	                 wanted->remove && plan->extra.count > 0 ? ": " : "",
	                 wanted->remove ? str_text(&plan->extra.first) : "", g->to.url);
}

static void tell_mirror_plan(const struct bringing_back *g, const struct mirror_back_counts *plan)
{
	const struct make_order *order = g->m->order;
	struct error why = {0};

	if (check_allowed(g, plan, &why) < 0)
		make_say(order, "it would be refused: %s", why.message);
	if (plan->extra.count > 0)
		make_say(order, "what is only there %s",
		         g->m->wanted->remove ? "would be removed" : "stays (delete=yes removes it)");
	if (!g->m->wanted->of_whole)
		make_say(order, "plan=yes: nothing was done");
}

/* Doing it. */

static char *back_facts_of(const struct bringing_back *g, const struct mirror_back_counts *c)
{
	char size[16];

	return mem_printf("%s: written=%" PRIu64 " bytes=%" PRIu64 " (%s) same=%" PRIu64 " deleted=%" PRIu64
	                  " left=%" PRIu64 " failed=%" PRIu64 " requests=%" PRIu64,
	                  g->to.url, c->written.count, c->written.bytes,
	                  str_format_bytes(size, sizeof(size), c->written.bytes), c->same.count,
	                  c->removed.count, c->left.count + c->extra.count - c->removed.count,
	                  c->failed.count + c->refused.count, c->requests);
}

/* Somebody's bucket was written. */
static void note_back_in_audit(const struct bringing_back *g, const char *facts, int r)
{
	const struct restore_mirror *m = g->m;
	struct catalog_audit entry = {.at_us = make_now_us(m->ctx),
	                              .uid = -1,
	                              .pid = -1,
	                              .command = "keepfs",
	                              .action = "mirror-back"};
	_cleanup(free) char *detail = mem_printf("run %" PRId64 ": into %s", m->order->run_id, facts);
	struct error err = {0};

	str_copy(entry.result, sizeof(entry.result), r == 0 ? "ok" : "failed");
	str_cut(entry.object, sizeof(entry.object), m->backup->path);
	str_cut(entry.detail, sizeof(entry.detail), detail);
	if (catalog_add_audit(m->ctx->repository->catalog, &entry, &err) < 0)
		make_warn(m->order, "that %s was brought back could not be noted in the audit: %s",
		          m->backup->path, err.message);
}

static int judge_left(const struct bringing_back *g, const struct mirror_back_counts *c, struct error *err)
{
	if (c->left.count == 0)
		return 0;
	return error_set(
	        err, ERROR_CONFLICT, EEXIST,
	        "%" PRIu64
	        " objects of %s turned out to be others, and stayed: %.300s; to replace them write confirm=%s",
	        c->left.count, g->to.url, str_text(&c->left.first), g->to.url);
}

/* All of it came back, each object compared with what was read when it was mirrored. */
static void note_mirror_proof(const struct bringing_back *g, const struct mirror_back_counts *c)
{
	const struct restore_mirror *m = g->m;
	struct error err = {0};

	if (m->below || c->same.count > 0 || c->written.count == 0)
		return;
	if (backup_set_proof(m->backup, PROOF_RESTORED, make_now_us(m->ctx), m->order->run_id, &err) < 0)
		make_warn(m->order, "that %s can be restored could not be kept: %s", m->backup->path,
		          err.message);
}

static int bring_objects_back(struct bringing_back *g, struct error *err)
{
	_cleanup(mirror_back_counts) struct mirror_back_counts done = {0};
	_cleanup(free) char *facts = NULL;
	struct error why = {0};
	int r = mirror_back_run(g->back, &done, &why);

	facts = back_facts_of(g, &done);
	make_say(g->m->order, "%s", facts);
	if (r == 0)
		r = judge_left(g, &done, &why);
	note_back_in_audit(g, facts, r);
	if (r == 0)
		note_mirror_proof(g, &done);
	if (r < 0 && err)
		*err = why;
	return r;
}

static int bring_back_with_hooks(struct bringing_back *g, struct error *err)
{
	const struct restore_order *wanted = g->m->wanted;
	const struct restore_hook around = {.order = g->m->order,
	                                    .backup = g->m->backup->path,
	                                    .variable = "KEEPFS_TARGET",
	                                    .target = g->to.url};
	struct error why = {0}, hook = {0};
	int r = restore_hook_run(&around, "pre_hook", wanted->pre_hook, "running", g->m->order->cancel, &why);

	if (r == 0)
		r = bring_objects_back(g, &why);
	/* What the first one has stopped is started again, whatever became of the restore. */
	if (restore_hook_run(&around, "post_hook", wanted->post_hook, r == 0 ? "completed" : "failed", NULL,
	                     &hook) < 0)
		make_warn(g->m->order, "%s", hook.message);
	if (r < 0 && err)
		*err = why;
	return r;
}

static int open_back(struct bringing_back *g, struct error *err)
{
	const struct restore_mirror *m = g->m;
	const struct conf_job *job = conf_find_job(g->conf, job_of(m));
	struct mirror_back_options options = {.ctx = m->reading ? m->reading : m->ctx,
	                                      .cancel = m->order->cancel,
	                                      .order = m->order,
	                                      .part = g->part,
	                                      .path = g->path,
	                                      .to = &g->to,
	                                      .connections = job && job->kind == CONF_JOB_MIRROR
	                                                             ? (unsigned)job->mirror.connections
	                                                             : CONNECTIONS,
	                                      .replace = m->wanted->confirm != NULL,
	                                      .remove = m->wanted->remove,
	                                      .rate = g->rate};
	int r = take_below(m, &g->below, &options.alone, err);

	options.below = m->below ? str_text(&g->below) : NULL;
	if (r == 0)
		r = mirror_back_place(g->conf, job_of(m), m->wanted->place, &g->to, err);
	if (r == 0)
		r = check_mirror_place(m, g->to.url, err);
	return r < 0 ? r : mirror_back_open(&options, &g->back, err);
}

static int plan_and_bring(struct bringing_back *g, struct error *err)
{
	_cleanup(mirror_back_counts) struct mirror_back_counts plan = {0};
	const struct restore_mirror *m = g->m;
	int r = mirror_back_plan(g->back, &plan, err);

	if (r < 0)
		return r;
	make_say(m->order, "%s%s%s, of %s, was held against %s", m->backup->path, m->below ? "/" : "",
	         str_or_empty(m->below), str_or_empty(mirror_back_source(g->back)), g->to.url);
	mirror_back_tell(m->order, &plan);
	if (m->wanted->plan) {
		tell_mirror_plan(g, &plan);
		return 0;
	}
	r = check_allowed(g, &plan, err);
	return r < 0 ? r : bring_back_with_hooks(g, err);
}

/* Of a part of a bundle the listing is the bundle's. */
static void take_artifact_path(struct bringing_back *g)
{
	const struct backup *b = g->m->backup;

	g->path =
	        b->is_part ? catalog_path(b->ctx->repository->catalog, b->artifact_ino) : mem_strdup(b->path);
	g->part = b->is_part && g->path ? b->path + strlen(g->path) + 1 : NULL;
}

int restore_mirror_run(const struct restore_mirror *m, struct error *err)
{
	struct bringing_back g = {.m = m, .conf = make_conf_ref(m->ctx)};
	int r = 0;

	if (m->wanted->place && !restore_may_command(m->order))
		r = error_set(
		        err, ERROR_DENIED, EPERM,
		        "to= writes with the rights and the credentials of keepfs: only its user, and root, may give it");
	take_artifact_path(&g);
	if (r == 0 && !g.path)
		r = error_set(err, ERROR_NOT_FOUND, ENOENT, "%s is not there any more", m->backup->path);
	g.rate = m->wanted->rate_bytes ? rate_new(m->wanted->rate_bytes) : NULL;
	if (r == 0)
		r = open_back(&g, err);
	if (r == 0)
		r = plan_and_bring(&g, err);
	mirror_back_free(g.back);
	rate_free(g.rate);
	str_finish(&g.below);
	free(g.path);
	make_conf_unref(m->ctx, g.conf);
	return r;
}
