// SPDX-License-Identifier: Apache-2.0
/*
 * A bundle, restored for a trial as the whole that it is: every part of it is tried, also when one before it has failed, so that a report tells all that is wrong. What it proves is
 * what its databases have in common, as long as everything else came back; of what has no database equal files are all that can be proven.
 */
#include "drill.h"
#include "drill_part.h"
#include "drill_place.h"
#include "restore_bundle.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>

struct trying {
	struct drill *d;
	const struct drill_words *words; /* as they are for each part */
	const char *place;               /* of mirrors; NULL: none is named */
	int level;                       /* the lowest so far */
	bool has_database;
	int result; /* of the first part that failed */
	struct error first;
};

/* struct tried - a part, while it is tried. */
struct tried {
	struct trying *t;
	const char *name, *kind; /* for people */
	struct drill_part part;  /* of what is no database */
	struct drill *database;
	int64_t began_us, took_us;
	enum drill_result result;
	int level, wrong_level;
	struct json *details; /* of a database; NULL */
};

bool drill_is_whole(const struct backup *b)
{
	return str_equal(b->m.kind, RESTORE_BUNDLE_KIND) || str_equal(b->m.kind, "files");
}

static struct catalog *catalog_of_drill(const struct drill *d)
{
	return d->backup->ctx->repository->catalog;
}

/* What is kept of one part. */

static void report_tried(const struct tried *p, const struct error *why, struct json *out)
{
	json_set_string(out, "name", p->name);
	json_set_string(out, "kind", p->kind);
	json_set_string(out, "result", drill_result_name(p->result));
	json_set_int(out, "level", p->level);
	json_set_string(out, "how", p->database ? "restored" : p->part.how);
	json_set_real(out, "seconds", (double)p->took_us / (double)US_PER_S);
	if (!p->database) {
		json_set_int(out, "count", (int64_t)p->part.count);
		json_set_int(out, "bytes", (int64_t)p->part.bytes);
	}
	json_set_string(out, "error", why->message[0] ? why->message : NULL);
}

/* Of thousands of databases the report has some, and those with which something is wrong. */
static void keep_tried(struct tried *p, const struct error *why)
{
	struct drill *d = p->t->d;
	size_t count = json_count(d->parts);
	struct json *out;

	if (count >= DRILL_PARTS_SHOWN && (p->result == DRILL_PASSED || count >= 2 * DRILL_PARTS_SHOWN))
		return;
	out = json_object_new();
	report_tried(p, why, out);
	if (p->details && count < DRILL_PARTS_WITH_ALL)
		json_set(out, "database", take_ptr(&p->details));
	json_append(d->parts, out);
}

static void add_figures_of_part(struct tried *p)
{
	struct catalog_drill *row = &p->t->d->row;
	const struct catalog_drill *own = p->database ? &p->database->row : NULL;

	row->restore_us += own ? own->restore_us : p->part.restore_us;
	row->bytes += own ? own->bytes : p->part.bytes;
	if (!own)
		return;
	p->t->d->tables += p->database->tables;
	p->t->d->rows += p->database->rows;
	p->t->d->bytes += p->database->bytes;
}

/* What is no database, and came back, keeps no database from its own level. */
static void lower_level(struct tried *p)
{
	struct trying *t = p->t;
	bool has_all =
	        !p->database && p->level >= (int)(t->d->wanted < PROOF_EQUAL ? t->d->wanted : PROOF_EQUAL);

	t->has_database |= p->database != NULL;
	if (!has_all && p->level < t->level)
		t->level = p->level;
	if (p->wrong_level > 0 && (t->d->row.wrong_level == 0 || p->wrong_level < t->d->row.wrong_level))
		t->d->row.wrong_level = p->wrong_level;
}

static void tell_tried(const struct tried *p, const struct error *why)
{
	const struct make_order *order = p->t->d->order;

	if (p->result != DRILL_PASSED)
		make_say(order, "part %s: %s: %s", p->name, drill_result_name(p->result),
		         why->message[0] ? why->message : "see above");
	else if (p->database)
		make_say(order, "part %s: restored, level %d", p->name, p->level);
	else
		make_say(order, "part %s: %s, %" PRIu64 " %s, level %d", p->name, p->part.how, p->part.count,
		         str_equal(p->kind, "mirror") ? "objects" : "files", p->level);
}

static void end_tried(struct tried *p, int r, const struct error *why)
{
	struct trying *t = p->t;
	struct json *phase = json_object_new();

	p->took_us = p->began_us ? clock_mono_us() - p->began_us : 0;
	json_set_string(phase, "name", p->name);
	json_set_real(phase, "seconds", (double)p->took_us / (double)US_PER_S);
	if (json_count(t->d->phases) < DRILL_PARTS_SHOWN)
		json_append(t->d->phases, phase);
	else
		json_free(phase);
	t->d->parts_tried++;
	t->d->parts_failed += p->result != DRILL_PASSED;
	add_figures_of_part(p);
	lower_level(p);
	tell_tried(p, why);
	keep_tried(p, why);
	/* What differs is on record already. */
	if (r < 0 && t->result == 0 && p->result != DRILL_DIFFERS) {
		t->result = r;
		t->first = *why;
		if (str_equal(t->d->backup->m.kind, RESTORE_BUNDLE_KIND))
			error_prefix(&t->first, "the part %s", p->name);
	}
}

/* One part. */

static int check_tables_are_there(const struct backup *b, struct error *err)
{
	if (!str_equal(manifest_fact(&b->m, "content"), "data"))
		return 0;
	return error_set(
	        err, ERROR_USAGE, EINVAL,
	        "it holds rows alone, without the tables that they belong into, and cannot be tried");
}

static int try_database(struct tried *p, struct backup *b, struct error *err)
{
	const struct drill *whole = p->t->d;
	struct drill one = {.ctx = whole->ctx,
	                    .order = whole->order,
	                    .conf = whole->conf,
	                    .backup = b,
	                    .copy = whole->copy,
	                    .whole = p->t->d,
	                    .part = p->name};
	int r;

	drill_begin(&one, p->t->words);
	r = check_tables_are_there(b, err);
	r = r < 0 ? drill_end(&one, r, err) : drill_rehearse(&one, err);
	p->database = &one;
	p->result = one.row.result;
	p->level = one.row.level;
	p->wrong_level = one.row.wrong_level;
	p->details = drill_part_report(&one);
	end_tried(p, r, err);
	p->database = NULL;
	json_free(p->details);
	drill_finish(&one);
	return r;
}

static int refuse_unknown_part(const struct tried *p, struct error *err)
{
	return error_set(
	        err, ERROR_USAGE, EINVAL,
	        "it is of a kind that this keepfs cannot restore (%s): use the newer one that made it",
	        p->kind);
}

static int try_no_database(struct tried *p, enum restore_part_kind kind, struct error *err)
{
	struct drill *d = p->t->d;
	uint64_t before = d->differences;
	int r;

	if (kind == RESTORE_PART_MIRROR)
		r = drill_part_mirror(&p->part, err);
	else if (kind == RESTORE_PART_ARCHIVE || kind == RESTORE_PART_SECRET)
		r = drill_part_files(&p->part, err);
	else
		r = refuse_unknown_part(p, err);
	if (r < 0)
		drill_mark_wrong(d, p->part.backup, err);
	p->level = p->part.level;
	p->result = d->differences > before ? DRILL_DIFFERS : r < 0 ? DRILL_FAILED : DRILL_PASSED;
	if (d->differences > before)
		p->wrong_level = PROOF_EQUAL;
	if (r < 0 && backup_is_wrong(err) && !drill_is_of_elsewhere(d, err))
		p->wrong_level = PROOF_RESTORED;
	end_tried(p, r, err);
	return r;
}

static int try_one(struct trying *t, enum restore_part_kind kind, const char *name, struct backup *b,
                   struct error *err)
{
	struct tried p = {.t = t,
	                  .name = name,
	                  .kind = b->m.kind,
	                  .level = -1,
	                  .part = {.d = t->d,
	                           .backup = b,
	                           .name = name,
	                           .is_secret = kind == RESTORE_PART_SECRET,
	                           .place = t->place,
	                           .level = -1}};

	p.began_us = clock_mono_us();
	return kind == RESTORE_PART_DATABASE ? try_database(&p, b, err) : try_no_database(&p, kind, err);
}

static int try_part(struct trying *t, const struct catalog_part *at, enum restore_part_kind kind)
{
	_cleanup(backup) struct backup b = {.ctx = t->d->backup->ctx, .cancel = t->d->backup->cancel};
	struct error why = {0};
	int r;

	make_say(t->d->order, "part %s is tried", at->name);
	r = backup_open(&b, at->ino, &why);
	if (r < 0) {
		struct tried p = {
		        .t = t, .name = at->name, .kind = at->kind, .level = -1, .result = DRILL_FAILED};

		end_tried(&p, r, &why);
		return r;
	}
	r = try_one(t, kind, at->name, &b, &why);
	backup_note_read(t->d->backup, &b);
	return r;
}

/* Kind by kind, as a restore does. One that fails keeps no other from being tried. */
static int try_kind(struct trying *t, enum restore_part_kind kind, struct error *err)
{
	struct catalog *c = catalog_of_drill(t->d);
	struct catalog_part at;
	enum restore_part_kind its;
	int64_t after = -1;
	int found, r;

	while ((found = catalog_next_part(c, t->d->backup->ino, after, &at)) == 0) {
		after = at.number;
		if (cancel_is_set(t->d->cancel))
			return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled");
		r = restore_part_kind(c, &at, &its);
		if (r < 0)
			return error_system(err, -r, "the part %s cannot be looked up in the catalog",
			                    at.name);
		if (its == kind)
			(void)try_part(t, &at, kind);
	}
	return found == -ENOENT ? 0 : error_system(err, -found, "the catalog cannot be read");
}

static int count_parts_of_bundle(const struct trying *t, uint64_t *ret, struct error *err)
{
	struct catalog_part at;
	int64_t after = -1;
	int found;

	*ret = 0;
	while ((found = catalog_next_part(catalog_of_drill(t->d), t->d->backup->ino, after, &at)) == 0) {
		after = at.number;
		(*ret)++;
	}
	return found == -ENOENT ? 0 : error_system(err, -found, "the catalog cannot be read");
}

/* A bundle that another host has removed, or that the store has lost, ends each walk early: its parts go with its row. */
static int try_parts(struct trying *t, struct error *err)
{
	uint64_t count = 0;
	int r = count_parts_of_bundle(t, &count, err);

	for (int kind = 0; r == 0 && kind < RESTORE_PART_KINDS; kind++)
		r = try_kind(t, (enum restore_part_kind)kind, err);
	if (r == 0 && t->d->parts_tried != count)
		r = error_set(err, ERROR_NOT_FOUND, ENOENT,
		              "%s is not there any more: %" PRIu64 " of its %" PRIu64 " parts were tried",
		              t->d->backup->path, t->d->parts_tried, count);
	return r;
}

static int try_archive(struct trying *t)
{
	struct backup *b = t->d->backup;
	struct catalog_entry own;
	struct error why = {0};
	bool is_secret = backup_own(b, &own) == 0 && own.secret;
	const char *slash = strrchr(b->path, '/');

	return try_one(t, is_secret ? RESTORE_PART_SECRET : RESTORE_PART_ARCHIVE, slash ? slash + 1 : b->path,
	               b, &why);
}

/* All of it. */

static int find_mirror(const struct drill *d, char **ret_job, struct error *err)
{
	struct catalog *c = catalog_of_drill(d);
	struct catalog_part at;
	enum restore_part_kind kind;
	int64_t after = -1;
	int r;

	while ((r = catalog_next_part(c, d->backup->ino, after, &at)) == 0) {
		_cleanup(manifest) struct manifest m = {0};

		after = at.number;
		r = restore_part_kind(c, &at, &kind);
		if (r < 0)
			break;
		if (kind != RESTORE_PART_MIRROR)
			continue;
		r = catalog_backup_manifest(c, at.ino, &m);
		if (r < 0)
			break;
		*ret_job = mem_strdup(m.job);
		return 1;
	}
	return r == -ENOENT ? 0 : error_system(err, -r, "the catalog cannot be read");
}

/* Before hours are spent on databases. */
static int look_at_place(struct trying *t, struct error *err)
{
	_cleanup(free) char *job = NULL;
	struct drill *d = t->d;
	int r = t->place ? find_mirror(d, &job, err) : 0;
	const struct drill_place place = {.ctx = d->ctx,
	                                  .order = d->order,
	                                  .conf = d->conf,
	                                  .base = t->place,
	                                  .mirror = job,
	                                  .backup = d->backup->path};

	return r <= 0 ? r : drill_place_check(&place, err);
}

static void choose_mirror_place(struct trying *t, const struct drill_words *words)
{
	const struct conf_job *job = t->d->job;
	const char *own = job && job->kind == CONF_JOB_BUNDLE ? job->bundle.drill_mirror : NULL;

	t->place = words->mirror ? words->mirror : own;
	if (!*str_or_empty(t->place))
		t->place = NULL;
}

static void set_level(struct trying *t)
{
	int most = t->has_database ? PROOF_YOURS : PROOF_EQUAL;

	if (most > (int)t->d->wanted)
		most = (int)t->d->wanted;
	t->d->row.level = t->d->parts_tried == 0 ? -1 : t->level < most ? t->level : most;
}

static int judge_parts(const struct trying *t, struct error *err)
{
	if (t->result == 0)
		return 0;
	if (err)
		*err = t->first;
	if (err && t->d->parts_failed > 1)
		error_prefix(err,
		             "%" PRIu64 " of %" PRIu64
		             " parts did not pass, see its report in drills/; the first",
		             t->d->parts_failed, t->d->parts_tried);
	return t->result;
}

/* Its own descriptions. */
static int read_what_is_no_part(struct trying *t, struct error *err)
{
	struct drill *d = t->d;
	int r = backup_read_rest(d->backup, false, err);

	if (r == 0)
		return 0;
	d->row.level = -1;
	drill_mark_wrong(d, d->backup, err);
	if (backup_is_wrong(err) && !drill_is_of_elsewhere(d, err))
		d->row.wrong_level = PROOF_RESTORED;
	return r;
}

static int try_all(struct trying *t, struct error *err)
{
	int r = look_at_place(t, err);

	if (r < 0)
		return r;
	if (!str_equal(t->d->backup->m.kind, RESTORE_BUNDLE_KIND))
		(void)try_archive(t);
	else
		r = try_parts(t, err);
	set_level(t);
	if (r == 0 && t->d->parts_failed == 0)
		r = read_what_is_no_part(t, err);
	return r < 0 ? r : judge_parts(t, err);
}

int drill_whole(struct drill *d, const struct drill_words *words, struct error *err)
{
	struct drill_words own = *words;
	struct trying t = {.d = d, .words = &own, .level = INT_MAX};
	int r;

	/* What is said of the bundle comes before what its parts say. */
	own.level = (int)d->wanted;
	own.server = d->server;
	d->parts = json_array_new();
	choose_mirror_place(&t, words);
	r = try_all(&t, err);
	return drill_end(d, r, err);
}
