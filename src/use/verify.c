// SPDX-License-Identifier: Apache-2.0
/*
 * Verifying: what the store holds is read, and what is wrong is marked, as when somebody reads a damaged backup. A target is a backup, or
 * a directory of them, of which one after the other is looked at: so memory does not grow with how many there are.
 */
#include "copied.h"
#include "proving.h"
#include "words.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/name.h>
#include <keepfs/use.h>

#include <errno.h>
#include <inttypes.h>

/* The words. */

static int take_level(const char *text, enum proof_level *ret, struct error *err)
{
	*ret = PROOF_STRUCTURE;
	if (!text || str_equal(text, "1"))
		return 0;
	*ret = PROOF_BYTES;
	if (str_equal(text, "0"))
		return 0;
	return error_set(
	        err, ERROR_USAGE, EINVAL,
	        "level=%.20s: allowed are 0 (every byte is what was sent) and 1 (it is also decompressed, and its rows are counted); "
	        "higher ones are proven by a drill",
	        text);
}

static int take_rate(const char *text, uint64_t *ret, struct error *err)
{
	*ret = 0;
	if (!text || conf_parse_rate(text, ret) == 0)
		return 0;
	return error_set(err, ERROR_USAGE, EINVAL,
	                 "rate=%.20s: how many bytes are read per second, such as 10M", text);
}

static int take_words(const struct command_line *line, enum proof_level *ret_level, uint64_t *ret_rate,
                      struct error *err)
{
	static const char *const allowed[] = {"level", "rate", "note", NULL};
	int r = words_check_pairs(line, allowed, err);

	if (r == 0 && line->word_count == 0)
		r = error_set(err, ERROR_USAGE, EINVAL, "name a backup, a job, or: all");
	if (r == 0)
		r = take_level(words_pair(line, "level"), ret_level, err);
	return r < 0 ? r : take_rate(words_pair(line, "rate"), ret_rate, err);
}

static int stop_at_first(void *arg, const char *name, struct error *err)
{
	return 1;
}

/* A target is what was named: what is in it is looked for when it is its turn. */
static int add_copies(struct catalog *c, const char *word, struct make_targets *ret, struct error *err)
{
	int r = copied_each(c, word, stop_at_first, NULL, err);
	struct make_target *t;

	if (r < 0)
		return r;
	t = make_targets_add(ret);
	t->name = mem_strdup(word);
	t->label = mem_strdup(word);
	t->directory = mem_strdup(word);
	return 0;
}

static int verify_targets(const struct make_context *ctx, const struct conf_job *job,
                          const struct make_wanted *wanted, struct make_targets *ret, struct error *err)
{
	struct catalog *catalog = ctx->repository->catalog;
	int r = 0;

	for (size_t i = 0; r == 0 && i < wanted->line->word_count; i++) {
		const char *word = wanted->line->words[i];
		_cleanup(free) char *path = words_path(word);

		r = copied_is_word(word) ? add_copies(catalog, word, ret, err)
		                         : words_add_targets(catalog, path, ret, err);
	}
	return r;
}

static int verify_accepts(const struct make_context *ctx, const struct conf_job *job,
                          const struct make_wanted *wanted, struct error *err)
{
	_cleanup(make_targets) struct make_targets targets = {0};
	enum proof_level level;
	uint64_t rate;
	int r = take_words(wanted->line, &level, &rate, err);

	return r < 0 ? r : verify_targets(ctx, job, wanted, &targets, err);
}

static bool verify_one(void *arg, uint64_t ino)
{
	return proving_backup(arg, ino);
}

struct verifying_copies {
	const struct make_context *ctx;
	struct proving *p;
};

static void note_unread(struct proving *p, int r, const struct error *why)
{
	if (backup_is_wrong(why))
		p->damaged++;
	else
		p->unknown++;
	make_say(p->order, "%s", why->message);
	if (p->result == 0) {
		p->result = r;
		p->first = *why;
	}
}

/* One that somebody removed meanwhile is none. */
static int verify_copy(void *arg, const char *name, struct error *err)
{
	struct verifying_copies *v = arg;
	struct proving *p = v->p;
	_cleanup(copied) struct copied copy = {0};
	struct error why = {0};
	uint64_t right = p->right;
	bool goes_on = true;
	int r = copied_open(v->ctx, name, p->order->cancel, &copy, &why);

	if (r == 0) {
		p->ctx = &copy.ctx;
		p->copy = &copy;
		goes_on = proving_backup(p, ino_of_artifact(copy.path));
		if (p->right > right)
			copied_found_right(&copy);
		p->ctx = v->ctx;
		p->copy = NULL;
	} else if (cancel_is_set(p->order->cancel)) {
		goes_on = false;
	} else {
		note_unread(p, r, &why);
	}
	return goes_on ? 0 : error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled");
}

static int verify_target(const struct make_context *ctx, struct proving *p, struct error *err)
{
	struct catalog *catalog = ctx->repository->catalog;
	struct verifying_copies copies = {.ctx = p->ctx, .p = p};

	return copied_is_word(p->name) ? copied_each(catalog, p->name, verify_copy, &copies, err)
	                               : words_each_backup(catalog, p->name, verify_one, p, err);
}

static int tell_result(const struct proving *p, struct error *err)
{
	if (p->frozen > 0)
		make_say(p->order, "%" PRIu64 " frozen backups were skipped: nothing is known of them",
		         p->frozen);
	if (p->right + p->damaged + p->unknown == 0 && p->frozen > 0) {
		*err = p->why_frozen;
		error_prefix(err, "nothing was looked at");
		return -EIO;
	}
	if (p->right + p->damaged + p->unknown == 0)
		return error_set(err, ERROR_NOT_FOUND, ENOENT,
		                 "there is no backup %s any more: nothing was looked at", p->name);
	if (p->lowest > 0)
		make_say(
		        p->order,
		        "of %" PRIu64
		        " the bytes are right, and nothing more can be proven of their format without restoring them",
		        p->lowest);
	if (p->result == 0)
		return 0;
	*err = p->first;
	if (p->right + p->damaged + p->unknown > 1)
		error_prefix(err,
		             "of %" PRIu64 " backups %" PRIu64 " are damaged, and of %" PRIu64
		             " it could not be found out; the first",
		             p->right + p->damaged + p->unknown, p->damaged, p->unknown);
	return p->result;
}

static int verify_make(const struct make_context *ctx, const struct make_order *order, struct manifest *ret,
                       struct error *err)
{
	struct make_context own = *ctx;
	struct proving p = {.ctx = &own, .order = order, .name = order->target->name};
	uint64_t rate;
	int r = take_words(order->line, &p.level, &rate, err);

	if (r < 0)
		return r;
	own.pool = pool_new(PROVING_POOL_BYTES);
	if (!own.pool)
		return error_system(err, ENOMEM, "there is no memory for reading backups");
	p.rate = rate ? rate_new(rate) : NULL;
	r = verify_target(ctx, &p, err);
	rate_free(p.rate);
	pool_free(own.pool);
	return r < 0 ? r : tell_result(&p, err);
}

static enum make_lane verify_lane(const struct command_line *line)
{
	return MAKE_LANE_VERIFY;
}

const struct make_kind use_verify = {
        .name = "verify",
        .targets_name = "places",
        .lane = verify_lane,
        .accepts = verify_accepts,
        .targets = verify_targets,
        .make = verify_make,
};
