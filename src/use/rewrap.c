// SPDX-License-Identifier: Apache-2.0
/*
 * Rewrapping: encrypted backups get the recipients that the configuration names now (artifact_rewrap()). A target is a backup, or a directory of them, of which one after the
 * other is looked at, so memory does not grow with how many there are. What fails with one is no reason to leave the others as they are.
 */
#include "words.h"

#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/parts.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/audit.h>
#include <keepfs/codec/age.h>
#include <keepfs/codec/name.h>
#include <keepfs/keyring.h>
#include <keepfs/use.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

struct rewrap_work {
	const struct make_context *ctx;
	const struct make_order *order;
	const struct conf *conf;
	bool no_copying; /* the store cannot */
	bool plans;      /* says what would be done, and does nothing */
	bool again;      /* also what has these recipients */
	uint64_t done, done_bytes, right, plain, failed;
	int result;
	struct error first; /* failure */
};

/* The words. */

static int take_rewrap_yes(const struct command_line *line, const char *key, bool *ret, struct error *err)
{
	const char *value = words_pair(line, key);

	*ret = value && str_equal(value, "yes");
	if (!value || *ret || str_equal(value, "no"))
		return 0;
	return error_set(err, ERROR_USAGE, EINVAL, "%s=%.20s: allowed are yes and no", key, value);
}

static int take_rewrap_words(const struct command_line *line, bool *ret_plans, bool *ret_again,
                             struct error *err)
{
	static const char *const allowed[] = {"plan", "again", "note", NULL};
	int r = words_check_pairs(line, allowed, err);

	if (r == 0 && line->word_count == 0)
		r = error_set(err, ERROR_USAGE, EINVAL, "name a backup, a job, or: all");
	if (r == 0)
		r = take_rewrap_yes(line, "plan", ret_plans, err);
	return r < 0 ? r : take_rewrap_yes(line, "again", ret_again, err);
}

/* To plan it nothing has to be decrypted. */
static int check_identity(const struct make_context *ctx, bool plans, struct error *err)
{
	if (plans || keyring_can_read(ctx->repository->keyring))
		return 0;
	return error_set(
	        err, ERROR_DENIED, ENOKEY,
	        "this host has no identity, and who gives a backup other recipients has to be able to read it: %s. That may be another host than the one that makes the backups",
	        keyring_advice());
}

static int rewrap_accepts(const struct make_context *ctx, const struct conf_job *job,
                          const struct make_wanted *wanted, struct error *err)
{
	_cleanup(make_targets) struct make_targets targets = {0};
	bool plans, again;
	int r = take_rewrap_words(wanted->line, &plans, &again, err);

	if (r == 0)
		r = check_identity(ctx, plans, err);
	return r < 0 ? r : words_targets(ctx, job, wanted, &targets, err);
}

/* One backup. */

static void note_rewrap_failure(struct rewrap_work *w, const char *path, int r, const struct error *why)
{
	w->failed++;
	make_say(w->order, "%s: %s", path, why->message);
	if (w->result == 0) {
		w->result = r;
		w->first = *why;
		if (!str_equal(path, str_or_empty(w->order->target->name)))
			error_prefix(&w->first, "%s", path);
	}
}

static void note_in_audit(struct rewrap_work *w, const struct manifest *was, const char *now)
{
	_cleanup(free) char *detail = mem_printf("run %" PRId64 ": encrypted to %s; was to %s",
	                                         w->order->run_id, now, was->encrypted_to);
	struct catalog_audit entry = {.at_us = make_now_us(w->ctx),
	                              .uid = -1,
	                              .pid = -1,
	                              .command = "keepfs",
	                              .action = "rewrap",
	                              .result = "ok"};
	struct error err = {0};

	str_cut(entry.object, sizeof(entry.object), was->path);
	str_cut(entry.detail, sizeof(entry.detail), detail);
	if (catalog_add_audit(w->ctx->repository->catalog, &entry, &err) < 0)
		log_warning("that %s was rewrapped could not be noted in the audit: %s", was->path,
		            err.message);
}

static const struct conf_job *job_of_backup(const struct rewrap_work *w, const struct manifest *m)
{
	return conf_find_job(w->conf, m->job);
}

static int rewrap_for(struct rewrap_work *w, uint64_t ino, const struct manifest *m,
                      const struct age_recipients *recipients, struct error *err)
{
	const struct conf_store *store = &w->conf->store;
	struct make_progress *progress = w->order->progress;
	_cleanup(str) struct str now = {0};
	struct artifact_rewrap how = {.recipients = recipients,
	                              .part_bytes = store->part_bytes,
	                              .max_parts = store->max_parts > 0 ? (unsigned)store->max_parts : 0,
	                              .run_id = w->order->run_id,
	                              .no_copying = w->no_copying,
	                              .cancel = w->order->cancel};
	int r;

	if (progress) {
		how.read_bytes = &progress->read_bytes;
		how.sent_bytes = &progress->sent_bytes;
		how.verified_bytes = &progress->verified_bytes;
	}
	r = artifact_rewrap(w->ctx->repository, ino, &how, err);
	w->no_copying = how.no_copying;
	if (r < 0)
		return r;
	keyring_recipients_text(recipients, &now);
	note_in_audit(w, m, str_text(&now));
	make_say(w->order, "%s is encrypted to %s now%s%s%s", m->path, str_text(&now),
	         how.copied_bytes ? "; the store has copied its bytes" : "",
	         how.is_waiting ? "; what it had before is still in the store: " : "",
	         how.is_waiting ? how.why : "");
	return 0;
}

static int plan_rewrap(struct rewrap_work *w, const struct manifest *m,
                       const struct age_recipients *recipients)
{
	_cleanup(str) struct str now = {0};
	char size[16];

	keyring_recipients_text(recipients, &now);
	make_say(w->order, "%s, %s, would be encrypted to %s; now it is to %s", m->path,
	         str_format_bytes(size, sizeof(size), m->size_bytes), str_text(&now), m->encrypted_to);
	return 0;
}

static int rewrap_encrypted(struct rewrap_work *w, uint64_t ino, const struct manifest *m, struct error *err)
{
	_cleanup(age_recipients) struct age_recipients *recipients = NULL;
	int r = keyring_recipients(w->conf, job_of_backup(w, m), w->order->cancel, &recipients, err);

	if (r < 0)
		return r;
	if (!recipients)
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "it is encrypted to %s, and the configuration names nobody for whom it should be: set encrypt_to of [keepfs] or of its job. Rewrapping does not decrypt",
		        m->encrypted_to);
	if (!w->again && artifact_is_encrypted_for(m->encrypted_to, recipients)) {
		w->right++;
		return 0;
	}
	r = w->plans ? plan_rewrap(w, m, recipients) : rewrap_for(w, ino, m, recipients, err);
	if (r == 0) {
		w->done++;
		w->done_bytes += m->size_bytes;
	}
	return r;
}

static void rewrap_backup(struct rewrap_work *w, uint64_t ino)
{
	_cleanup(manifest) struct manifest m = {0};
	struct error why = {0};
	int r = catalog_manifest(w->ctx->repository->catalog, ino, &m);

	/* It was removed meanwhile. */
	if (r == -ENOENT)
		return;
	if (r == 0 && !*str_or_empty(m.encrypted_to)) {
		w->plain++;
		return;
	}
	r = r < 0 ? error_system(&why, -r, "the catalog cannot be read") : rewrap_encrypted(w, ino, &m, &why);
	if (r < 0 && !cancel_is_set(w->order->cancel))
		note_rewrap_failure(w, m.path ? m.path : "a backup", r, &why);
}

static bool rewrap_one(void *arg, uint64_t ino)
{
	struct rewrap_work *w = arg;

	/* Of a part: the artifact, whose objects have the same recipients. */
	(void)catalog_artifact_of(w->ctx->repository->catalog, ino, &ino);
	if (!cancel_is_set(w->order->cancel))
		rewrap_backup(w, ino);
	return !cancel_is_set(w->order->cancel);
}

static void tell_rewrap_sums(const struct rewrap_work *w)
{
	char size[16];

	make_say(w->order,
	         "%s: %" PRIu64 " backups (%s) %s; %" PRIu64 " had these recipients already, %" PRIu64
	         " are not encrypted, %" PRIu64 " failed",
	         w->order->target->label, w->done, str_format_bytes(size, sizeof(size), w->done_bytes),
	         w->plans ? "would be rewrapped" : "were rewrapped", w->right, w->plain, w->failed);
}

static int rewrap_make(const struct make_context *ctx, const struct make_order *order, struct manifest *ret,
                       struct error *err)
{
	const struct conf *conf = make_conf_ref(ctx);
	struct rewrap_work w = {.ctx = ctx, .order = order, .conf = conf};
	int r = take_rewrap_words(order->line, &w.plans, &w.again, err);

	if (r == 0)
		r = check_identity(ctx, w.plans, err);
	if (r == 0)
		r = words_each_backup(ctx->repository->catalog, order->target->name, rewrap_one, &w, err);
	make_conf_unref(ctx, conf);
	if (r < 0)
		return r;
	tell_rewrap_sums(&w);
	if (w.result == 0)
		return 0;
	*err = w.first;
	if (w.failed > 1)
		error_prefix(err, "%" PRIu64 " backups could not be rewrapped; the first", w.failed);
	return w.result;
}

static enum make_lane rewrap_lane(const struct command_line *line)
{
	return MAKE_LANE_VERIFY;
}

const struct make_kind use_rewrap = {
        .name = "rewrap",
        .targets_name = "places",
        .lane = rewrap_lane,
        .accepts = rewrap_accepts,
        .targets = words_targets,
        .make = rewrap_make,
};
