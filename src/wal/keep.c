// SPDX-License-Identifier: Apache-2.0
/*
 * Files that nobody needs go, the oldest of each timeline first, in batches: noted as going, which hides them; removed from the store; struck from the catalog, with one line of the audit. So a crash leaves files that are noted as
 * going, whole in the store or gone from it, and whoever comes next finishes them. For a catalog that is made anew they are files like others, and go once more.
 */
#include "wal_private.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/compare.h>
#include <keepfs/codec/name.h>
#include <keepfs/wal/keep.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH_FILES ((size_t)128)
#define BATCHES_OF_PLAN                                                                                      \
	16 /* before it is planned anew: what has changed meanwhile, but for pins, counts then */
#define LIST_PAGE 1000

static void describe_wal_removal(const struct catalog_wal *rows, size_t count, uint64_t bytes, const char *by,
                                 struct catalog_audit *ret)
{
	*ret = (struct catalog_audit){.at_us = clock_now_us(),
	                              .uid = -1,
	                              .pid = -1,
	                              .command = "keepfs",
	                              .action = "remove",
	                              .result = "ok"};
	snprintf(ret->object, sizeof(ret->object), "wal/%.250s", rows[0].job);
	snprintf(ret->detail, sizeof(ret->detail), "%.100s: %zu file%s of %" PRIu64 " bytes, from %s to %s",
	         by, count, count == 1 ? "" : "s", bytes, rows[0].name, rows[count - 1].name);
}

/* The first @count of @rows, which the store has no more. */
static int strike_removed(struct repository *repo, const struct catalog_wal *rows, size_t count,
                          const char *by, struct wal_keep_outcome *o, struct error *err)
{
	struct catalog_audit audit;
	uint64_t bytes = 0;
	int r;

	if (count == 0)
		return 0;
	for (size_t i = 0; i < count; i++)
		bytes += rows[i].stored_bytes;
	describe_wal_removal(rows, count, bytes, by, &audit);
	r = catalog_wal_end_removal(repo->catalog, rows, count, &audit, err);
	if (r < 0)
		return r;
	if (o->files == 0)
		str_copy(o->first, sizeof(o->first), rows[0].name);
	str_copy(o->last, sizeof(o->last), rows[count - 1].name);
	o->files += count;
	o->stored_bytes += bytes;
	return 0;
}

/* REMOVAL_LOCKED: it is locked, and stays. */
#define REMOVAL_LOCKED 1

static int remove_wal_object(struct repository *repo, const struct catalog_wal *row, struct cancel *cancel,
                             struct error *err)
{
	const struct store_call call = {.cancel = cancel};
	int64_t until_us;
	int r = wal_locked_until(repository_store(repo), &call, row->key, &until_us, err);

	if (r == 0 && until_us) {
		r = catalog_wal_set_locked(repo->catalog, row->job, row->name, until_us, err);
		return r < 0 ? r : REMOVAL_LOCKED;
	}
	return r < 0 ? r : store_remove(repository_store(repo), &call, row->key, err);
}

/* Of @rows those of the first one's job; what is gone from the store comes first in it then. */
static int remove_wal_objects(struct repository *repo, struct catalog_wal *rows, size_t count,
                              struct cancel *cancel, size_t *ret_removed, struct error *err)
{
	char job[CATALOG_WAL_JOB_BYTES];
	int r = 0;

	*ret_removed = 0;
	str_copy(job, sizeof(job), rows[0].job);
	for (size_t i = 0; r >= 0 && i < count && str_equal(rows[i].job, job); i++) {
		r = remove_wal_object(repo, &rows[i], cancel, err);
		if (r == 0 && *ret_removed != i)
			rows[*ret_removed] = rows[i];
		*ret_removed += r == 0;
	}
	return r < 0 ? r : 0;
}

/* One batch of what is going, of @job or (NULL) of any. @ret_left: there may be more. */
static int remove_going(struct repository *repo, const char *job, const char *by, struct cancel *cancel,
                        struct wal_keep_outcome *o, bool *ret_left, struct error *err)
{
	_cleanup(free) struct catalog_wal *rows = mem_array(BATCH_FILES, sizeof(*rows));
	ssize_t count = catalog_wal_going(repo->catalog, job, rows, BATCH_FILES);
	struct error own = {0};
	char of[CATALOG_WAL_JOB_BYTES];
	size_t removed = 0;
	int r, result;

	*ret_left = count > 0;
	if (count < 0)
		return error_system(err, (int)-count, "the catalog cannot be read");
	if (count == 0)
		return 0;
	str_copy(of, sizeof(of), rows[0].job);
	result = remove_wal_objects(repo, rows, (size_t)count, cancel, &removed, err);
	r = strike_removed(repo, rows, removed, by, o, result < 0 ? &own : err);
	if (result < 0 && r < 0)
		log_warning("files of WAL that are gone are struck from the catalog later: %s", own.message);
	/* It stays so until somebody changes the rights: as long they are there, and are needed by nobody. */
	if (result < 0 && err && artifact_is_forbidden(result, err) &&
	    catalog_wal_give_back(repo->catalog, of, &own) < 0)
		log_warning("files of WAL that cannot be removed are not listed for now: %s", own.message);
	return result < 0 ? result : r;
}

static int finish_going(struct repository *repo, const char *job, const char *by, struct cancel *cancel,
                        struct wal_keep_outcome *o, struct error *err)
{
	bool left = true;
	int r = 0;

	while (r == 0 && left)
		r = remove_going(repo, job, by, cancel, o, &left, err);
	return r;
}

int wal_finish_removals(struct repository *repository, struct cancel *cancel, struct error *err)
{
	struct wal_keep_outcome o = {0};

	return finish_going(repository, NULL, "retention", cancel, &o, err);
}

/* Is the catalog one to go by? */

/* A base backup that the store has and the catalog does not know might need any segment. */
static int look_for_strangers(const struct prune *p, const char *path, struct cancel *cancel,
                              struct wal_keep_outcome *o, struct error *err)
{
	const struct store_call call = {.cancel = cancel};
	_cleanup(free) char *key = manifest_key(path);
	_cleanup(free) char *prefix = mem_printf("%.*s/", (int)(strlen(key) - strlen(".json")), key);
	char after[STORE_KEY_BYTES] = "";
	bool more = true;
	int r = 0;

	while (r == 0 && more && !o->why[0]) {
		_cleanup(free) struct store_object *objects = NULL;
		size_t count = 0;

		r = store_list(repository_store(p->repository), &call, prefix, after[0] ? after : NULL,
		               LIST_PAGE, &objects, &count, &more, err);
		for (size_t i = 0; r == 0 && i < count && !o->why[0]; i++) {
			_cleanup(free) char *found = manifest_path_of_key(objects[i].key);

			if (found && catalog_knows(p->repository->catalog, found) == 0)
				snprintf(
				        o->why, sizeof(o->why),
				        "the store has %.300s, which the catalog does not list: it might need any of it",
				        found);
		}
		if (r == 0 && count)
			str_copy(after, sizeof(after), objects[count - 1].key);
	}
	return r;
}

static int check_bases_of_store(const struct prune *p, const struct conf_job *job, struct cancel *cancel,
                                struct wal_keep_outcome *o, struct error *err)
{
	_cleanup(free) char *path = tree_path(job->name);
	struct artifact_comparison counts = {0};
	/* Those that it lacks count as damaged from now on, and nothing is built on them. */
	int r = artifact_find_missing(p->repository, path, &counts, err);

	return r < 0 ? r : look_for_strangers(p, path, cancel, o, err);
}

/* Carrying out. */

static int begin_batch(const struct prune *p, const struct wal_survey *s, bool *ret_begun, struct error *err)
{
	size_t count = 0;
	int r = 0;

	for (size_t i = 0; r == 0 && count == 0 && i < s->count; i++)
		r = catalog_wal_begin_removal(p->repository->catalog, &s->stretches[i], BATCH_FILES, &count,
		                              err);
	*ret_begun = count > 0;
	return r;
}

static bool is_to_stop(const struct wal_keep_order *order)
{
	return (order->cancel && cancel_is_set(order->cancel)) || (order->stop && order->stop(order->arg));
}

static int remove_by_plan(const struct prune *p, const struct wal_survey *s,
                          const struct wal_keep_order *order, struct wal_keep_outcome *o, bool *ret_begun,
                          struct error *err)
{
	bool begun = true;
	int r = 0;

	*ret_begun = false;
	for (unsigned i = 0; r == 0 && begun && i < BATCHES_OF_PLAN && !is_to_stop(order); i++) {
		r = begin_batch(p, s, &begun, err);
		*ret_begun |= begun;
		if (r == 0)
			r = finish_going(p->repository, s->job->name, order->by, order->cancel, o, err);
	}
	return r;
}

static int remove_batches(const struct prune *p, const struct conf_job *job,
                          const struct wal_keep_order *order, struct wal_keep_outcome *o,
                          struct wal_survey *last, struct error *err)
{
	bool begun = true;
	int r = 0;

	while (r == 0 && begun) {
		wal_survey_finish(last);
		r = wal_survey(p, job, last, err);
		if (r < 0 || last->why[0] || is_to_stop(order))
			break;
		r = remove_by_plan(p, last, order, o, &begun, err);
	}
	return r;
}

static int note_kept(const struct prune *p, const struct wal_survey *s, const char *why, struct error *err)
{
	struct catalog_wal_kept k = s->kept;

	k.planned_at_us = p->time.now_us;
	str_copy(k.why, sizeof(k.why), why);
	/* By a wrong clock a delay is over too early. */
	if (!s->shorter_until_us && !s->is_doubtful) {
		k.window_us = s->window_us;
		k.shorter_since_us = 0;
	} else if (s->shorter_until_us) {
		k.shorter_since_us = s->shorter_until_us - p->conf->policy_delay_ms * 1000;
	}
	return catalog_wal_set_kept(p->repository->catalog, s->job->name, &k, err);
}

int wal_keep_carry_out(const struct prune *p, const struct conf_job *job, const struct wal_keep_order *order,
                       struct wal_keep_outcome *ret, struct error *err)
{
	_cleanup(wal_survey) struct wal_survey s = {0};
	int64_t seen_us;
	struct error own = {0};
	int r;

	*ret = (struct wal_keep_outcome){0};
	r = artifact_see_clock(p->repository, &p->time, &seen_us, err);
	if (r == 0)
		r = wal_survey(p, job, &s, err);
	if (r < 0)
		return r;
	if (wal_lock_bases(p->repository, job, order->cancel, &own) < 0)
		log_warning("WAL that base backups need is locked for longer later: %s", own.message);
	r = finish_going(p->repository, job->name, order->by, order->cancel, ret, err);
	if (p->repository->wal && !wal_is_learnt(p->repository->wal))
		str_copy(ret->why, sizeof(ret->why),
		         "the store is being listed, to find out which files it has: try again");
	if (r == 0 && s.goes.files > 0 && !s.why[0] && !ret->why[0])
		r = check_bases_of_store(p, job, order->cancel, ret, err);
	if (r == 0 && s.goes.files > 0 && !s.why[0] && !ret->why[0])
		r = remove_batches(p, job, order, ret, &s, err);
	if (r == 0 && s.why[0] && s.goes.files > 0)
		str_copy(ret->why, sizeof(ret->why), s.why);
	if (r < 0 && err)
		str_cut(ret->why, sizeof(ret->why), err->message);
	if (ret->files && p->repository->wal)
		wal_copier_kick(p->repository->wal->copier);
	if (s.job && note_kept(p, &s, ret->why, &own) < 0)
		log_warning("what was decided of wal/%s could not be written: %s", job->name, own.message);
	return r;
}

void wal_keep_append_outcome(const struct wal_keep_outcome *o, struct str *out)
{
	char size[16];

	if (o->files)
		str_appendf(out, "%" PRIu64 " file%s of WAL removed, of %s, from %s to %s", o->files,
		            o->files == 1 ? "" : "s", str_format_bytes(size, sizeof(size), o->stored_bytes),
		            o->first, o->last);
	if (o->why[0])
		str_appendf(out, "%sWAL stays that nobody needs: %s", o->files ? "; " : "", o->why);
}

void wal_keep_all(const struct prune *p, struct cancel *cancel)
{
	struct wal *w = p->repository->wal;
	const struct wal_keep_order order = {.by = "retention",
	                                     .cancel = cancel ? cancel
	                                               : w    ? &w->cancel
	                                                      : NULL};

	for (size_t i = 0; i < p->conf->job_count; i++) {
		const struct conf_job *job = &p->conf->jobs[i];
		struct wal_keep_outcome o;
		_cleanup(str) struct str text = {0};
		struct error err = {0};

		if (!wal_is_archived(job))
			continue;
		if (wal_keep_carry_out(p, job, &order, &o, &err) < 0)
			log_warning("retention of wal/%s: %s", job->name, err.message);
		else
			wal_keep_append_outcome(&o, &text);
		if (text.len)
			log_info("retention of wal/%s: %s", job->name, str_text(&text));
	}
}
