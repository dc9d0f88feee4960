// SPDX-License-Identifier: Apache-2.0
/* One part of a bundle: it is looked at, planned and restored by what does so with a backup of its kind. */
#include "restore_bundle.h"

#include "restore_dump.h"
#include "restore_mirror.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/codec/listing.h>
#include <keepfs/mirror/back.h>

#include <errno.h>
#include <string.h>

static struct catalog *catalog_of_whole(const struct restore_whole *w)
{
	return w->t->backup->ctx->repository->catalog;
}

static char *stem_of_part(const struct catalog_part *at)
{
	const char *slash = strrchr(at->name, '/');
	size_t before = slash ? (size_t)(slash + 1 - at->name) : 0;

	if (at->is_directory)
		return mem_strdup(at->name);
	return mem_printf("%.*s", (int)(before + strcspn(at->name + before, ".")), at->name);
}

int restore_part_kind(struct catalog *c, const struct catalog_part *at, enum restore_part_kind *ret)
{
	struct catalog_entry file = {0};
	int r = 0;

	if (str_equal(at->kind, "dump"))
		*ret = RESTORE_PART_DATABASE;
	else if (str_equal(at->kind, LISTING_KIND_MIRROR))
		*ret = RESTORE_PART_MIRROR;
	else if (!str_equal(at->kind, "files"))
		*ret = RESTORE_PART_OTHER;
	else if ((r = catalog_entry_by_ino(c, at->ino, &file)) == 0)
		*ret = file.secret ? RESTORE_PART_SECRET : RESTORE_PART_ARCHIVE;
	return r;
}

static void close_part_of_whole(struct restore_part *p)
{
	backup_finish(&p->backup);
	free(p->stem);
	free(p->to);
}

/* What differs is replaced: that is what the name of the deployment was given for. */
static int aim_mirror(struct restore_part *p, const char *place, struct error *err)
{
	struct conf_store to;
	int r = mirror_back_place(p->whole->conf, p->backup.m.job, place, &to, err);

	if (r < 0)
		return r;
	p->wanted.place = place;
	p->to = mem_strdup(to.url);
	p->wanted.confirm = p->to;
	return 0;
}

/* A database comes back under its own name, and an archive where it was, unless something else was said. */
static int aim_part(struct restore_part *p, struct error *err)
{
	const struct restore_order *all = p->whole->t->wanted;
	const char *place = restore_order_place(all, p->stem);
	int r = 0;

	p->wanted = *all;
	p->wanted.of_whole = true;
	p->wanted.word_of_others = p->wanted.word_of_one = NULL;
	p->wanted.overwrite = restore_order_overwrites(all, p->stem);
	if (p->kind == RESTORE_PART_DATABASE) {
		p->wanted.into = place ? place : manifest_fact(&p->backup.m, "database");
		p->wanted.confirm = p->wanted.into;
	}
	if (p->kind == RESTORE_PART_MIRROR)
		return aim_mirror(p, place, err);
	if (p->kind == RESTORE_PART_ARCHIVE || p->kind == RESTORE_PART_SECRET) {
		if (!place)
			place = str_or_empty(manifest_fact(&p->backup.m, "path"));
		r = restore_order_directory("target", place, &p->to, err);
		p->wanted.to = p->to;
		p->wanted.confirm = p->to;
	}
	return r;
}

static int open_part_of_whole(struct restore_part *p, struct error *err)
{
	const struct restore_target *t = p->whole->t;
	int r;

	p->backup = (struct backup){.ctx = t->backup->ctx, .cancel = t->backup->cancel};
	r = backup_open(&p->backup, p->at.ino, err);
	return r < 0 ? r : aim_part(p, err);
}

static bool is_chosen_part(const struct restore_whole *w, const struct restore_part *p)
{
	const struct restore_order *wanted = w->t->wanted;

	return (!wanted->parts || restore_order_has_part(wanted->parts, p->stem)) &&
	       (p->kind != RESTORE_PART_SECRET || wanted->secrets);
}

static int visit_part(struct restore_part *p, int (*each)(struct restore_part *p, struct error *err),
                      struct error *err)
{
	int r = open_part_of_whole(p, err);

	if (r == 0)
		r = each(p, err);
	if (r < 0 && !cancel_is_set(p->whole->t->order->cancel))
		error_prefix(err, "the part %s", p->at.name);
	p->whole->visited++;
	return r;
}

int restore_part_each(struct restore_whole *w, enum restore_part_kind kind,
                      int (*each)(struct restore_part *p, struct error *err), struct error *err)
{
	struct catalog_part at;
	int64_t after = -1;
	int r, found;

	for (r = 0;
	     r == 0 && (found = catalog_next_part(catalog_of_whole(w), w->t->backup->ino, after, &at)) == 0;
	     after = at.number) {
		struct restore_part p = {.whole = w, .at = at};

		p.stem = stem_of_part(&at);
		r = restore_part_kind(catalog_of_whole(w), &at, &p.kind);
		if (r < 0)
			error_system(err, -r, "the part %s cannot be looked up in the catalog", at.name);
		else if (p.kind == kind && is_chosen_part(w, &p))
			r = visit_part(&p, each, err);
		close_part_of_whole(&p);
	}
	if (r == 0 && found != -ENOENT)
		return error_system(err, -found, "the catalog cannot be read");
	return r;
}

/* The words. */

static bool has_part_named(const struct restore_whole *w, const char *name, bool exactly)
{
	char *const names[] = {(char *)name, NULL};
	struct catalog_part at;
	bool found = false;

	for (int64_t after = -1;
	     !found && catalog_next_part(catalog_of_whole(w), w->t->backup->ino, after, &at) == 0;
	     after = at.number) {
		_cleanup(free) char *stem = stem_of_part(&at);

		found = exactly ? str_equal(stem, name) : restore_order_has_part(names, stem);
	}
	return found;
}

static int refuse_part_name(const struct restore_whole *w, const char *key, const char *name,
                            struct error *err)
{
	_cleanup(str) struct str list = {0};
	struct catalog_part at;

	for (int64_t after = -1;
	     list.len < 400 && catalog_next_part(catalog_of_whole(w), w->t->backup->ino, after, &at) == 0;
	     after = at.number) {
		_cleanup(free) char *stem = stem_of_part(&at);

		str_appendf(&list, "%s%s", list.len > 0 ? ", " : "", stem);
	}
	return error_set(err, ERROR_USAGE, EINVAL, "%s=%.80s: %s has no such part; it has %s", key, name,
	                 w->t->backup->path, str_text(&list));
}

static int check_part_names(const struct restore_whole *w, const char *key, char *const *names,
                            struct error *err)
{
	for (; names && *names; names++)
		if (!has_part_named(w, *names, false))
			return refuse_part_name(w, key, *names, err);
	return 0;
}

static int check_targets(const struct restore_whole *w, struct error *err)
{
	const struct command_line *line = w->t->wanted->line;

	for (size_t i = 0; i < line->pair_count; i++) {
		const char *value = line->pairs[i].value;
		_cleanup(free) char *name = mem_printf("%.*s", (int)strcspn(value, ":"), value);

		if (str_equal(line->pairs[i].key, "target") && !has_part_named(w, name, true))
			return refuse_part_name(w, "target", name, err);
	}
	return 0;
}

int restore_part_check_words(const struct restore_whole *w, struct error *err)
{
	const struct restore_order *wanted = w->t->wanted;
	int r;

	if (wanted->word_of_one)
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "%s= is for one backup, and %s is a bundle: target=PART:PLACE says where one of its parts goes to, and each part can be restored by itself",
		        wanted->word_of_one, w->t->backup->path);
	r = check_part_names(w, "parts", wanted->parts, err);
	if (r == 0)
		r = check_part_names(w, "overwrite", wanted->overwrites, err);
	return r < 0 ? r : check_targets(w, err);
}

/* Databases. */

static struct restore_target target_of_part(const struct restore_part *p)
{
	const struct restore_target *t = p->whole->t;

	return (struct restore_target){.ctx = t->ctx,
	                               .order = t->order,
	                               .wanted = &p->wanted,
	                               .backup = (struct backup *)&p->backup,
	                               .copy = t->copy};
}

static void note_place_of_part(struct restore_whole *w, const char *what, const char *name)
{
	str_appendf(&w->places, "%s%s %s", w->places.len > 0 ? ", " : "", what, name);
}

static bool has_line(const struct str *lines, const char *line)
{
	size_t len = strlen(line);

	for (const char *at = str_text(lines); *at; at += strcspn(at, "\n"), at += *at == '\n')
		if (strcspn(at, "\n") == len && memcmp(at, line, len) == 0)
			return true;
	return false;
}

/* Of two that go to one place the later one would take the place of the other, which would be told as restored. @claim: consumed */
static int note_claim_of_part(struct restore_part *p, char *claim, struct error *err)
{
	_cleanup(free) char *own = claim;
	struct restore_whole *w = p->whole;

	if (has_line(&w->claims, own))
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "it would go to where another part of %s goes, too (%s): say with target=%s:PLACE where else, or restore them one after the other with parts=",
		        w->t->backup->path, own, p->stem);
	str_appendf(&w->claims, "%s%s", w->claims.len > 0 ? "\n" : "", own);
	return 0;
}

static int look_at_part_database(struct restore_part *p, struct error *err)
{
	_cleanup(restore_target) struct restore_target t = target_of_part(p);
	int r = restore_dump_choose(&t, err);

	if (r < 0)
		return r;
	note_place_of_part(p->whole, "the database", t.database);
	return note_claim_of_part(p, restore_dump_claim(&t), err);
}

static int plan_database(struct restore_part *p, struct error *err)
{
	_cleanup(restore_target) struct restore_target t = target_of_part(p);
	int r = restore_dump_choose(&t, err);

	if (r == 0)
		restore_target_tell(&t);
	return r;
}

static int restore_part_database(struct restore_part *p, struct error *err)
{
	_cleanup(restore_target) struct restore_target t = target_of_part(p);
	int r = restore_dump_choose(&t, err);

	if (r < 0)
		return r;
	if (p->whole->t->order->progress)
		p->backup.done_bytes = &p->whole->t->order->progress->read_bytes;
	r = restore_target_run(&t, err);
	/* What is filled beside it changes nothing until both are about to get their new names. */
	if (r == 0 || t.swaps || (!restore_target_is_beside(&t) && t.is_noted))
		p->whole->has_changed = true;
	return r;
}

/* Archives. */

static struct restore_files files_restore_of_part(const struct restore_part *p)
{
	const struct restore_target *t = p->whole->t;

	return (struct restore_files){.ctx = t->ctx,
	                              .order = t->order,
	                              .wanted = &p->wanted,
	                              .backup = (struct backup *)&p->backup,
	                              .copy = t->copy};
}

/* Does a target= say that something goes there? */
static bool has_target_at(const struct restore_part *p, const char *claim)
{
	const struct command_line *line = p->whole->t->wanted->line;
	bool found = false;

	for (size_t i = 0; !found && i < line->pair_count; i++) {
		const char *place = strchr(line->pairs[i].value, ':');
		_cleanup(free) char *directory = NULL, *other = NULL;

		if (!str_equal(line->pairs[i].key, "target") || !place ||
		    restore_order_directory("target", place + 1, &directory, NULL) < 0)
			continue;
		other = restore_files_claim(directory);
		found = str_equal(other, claim);
	}
	return found;
}

static int look_at_part_archive(struct restore_part *p, struct error *err)
{
	const struct restore_files f = files_restore_of_part(p);
	int r = restore_files_look(&f, err);
	char *claim;

	if (r < 0)
		return r;
	note_place_of_part(p->whole, "the directory", p->to);
	claim = restore_files_claim(p->to);
	/* Several jobs may archive one directory, each another part of it. */
	if (!has_target_at(p, claim) && has_line(&p->whole->claims, claim)) {
		free(claim);
		return 0;
	}
	return note_claim_of_part(p, claim, err);
}

static int plan_archive(struct restore_part *p, struct error *err)
{
	_cleanup(restore_files) struct restore_files f = files_restore_of_part(p);
	int r = restore_files_compare(&f, err);

	return r < 0 ? r : restore_files_judge(&f, err);
}

static int restore_part_archive(struct restore_part *p, struct error *err)
{
	_cleanup(restore_files) struct restore_files f = files_restore_of_part(p);
	int r;

	f.is_told = true;
	r = restore_files_run(&f, err);
	p->whole->has_changed |= f.outcome.files + f.outcome.directories > 0;
	return r;
}

/* Mirrors. */

static bool is_url_within(const char *url, const char *other)
{
	size_t len = strlen(other);

	while (len > 0 && other[len - 1] == '/')
		len--;
	return strncmp(url, other, len) == 0 && (!url[len] || url[len] == '/');
}

/* delete=yes would remove below one place what another part has brought back there. */
static int note_removal_of_part(struct restore_part *p, struct error *err)
{
	struct str *urls = &p->whole->urls;
	size_t len;

	for (const char *at = str_text(urls); p->wanted.remove && *at; at += len, at += *at == '\n') {
		_cleanup(free) char *other = NULL;

		len = strcspn(at, "\n");
		other = mem_printf("%.*s", (int)len, at);
		if (is_url_within(p->to, other) || is_url_within(other, p->to))
			return error_set(
			        err, ERROR_USAGE, EINVAL,
			        "with delete=yes its objects and those of another part would remove each other, since %s and %s lie within one another: leave delete=yes out, or say with target=%s:PLACE where else they go",
			        p->to, other, p->stem);
	}
	str_appendf(urls, "%s%s", urls->len > 0 ? "\n" : "", p->to);
	return 0;
}

static int look_at_part_mirror(struct restore_part *p, struct error *err)
{
	const struct restore_target *t = p->whole->t;
	const struct restore_mirror m = {
	        .ctx = t->ctx, .order = t->order, .wanted = &p->wanted, .backup = &p->backup};
	char *claim;
	int r;

	if (t->backup->ctx != t->ctx)
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "it is a mirror, whose objects come back from [store] alone, and this is a copy in a further store: bring the bundle back first (keepfs replicate, from=), or name the other parts with parts=");
	r = restore_mirror_look(&m, &claim, err);

	if (r < 0)
		return r;
	note_place_of_part(p->whole, "the objects of", p->to);
	r = note_claim_of_part(p, claim, err);
	return r < 0 ? r : note_removal_of_part(p, err);
}

static int bring_back_part(struct restore_part *p, bool plan, struct error *err)
{
	const struct restore_target *t = p->whole->t;
	struct make_context own = *t->ctx;
	const struct restore_mirror m = {
	        .ctx = &own, .order = t->order, .wanted = &p->wanted, .backup = &p->backup};
	int r;

	p->wanted.plan = plan;
	own.pool = pool_new(MIRROR_BACK_POOL_BYTES);
	if (!own.pool)
		return error_system(err, ENOMEM, "there is no memory for bringing objects back");
	r = restore_mirror_run(&m, err);
	pool_free(own.pool);
	return r;
}

static int plan_mirror(struct restore_part *p, struct error *err)
{
	return bring_back_part(p, true, err);
}

/* Of one that failed nobody knows which objects it has reached. */
static int restore_part_mirror(struct restore_part *p, struct error *err)
{
	p->whole->has_changed = true;
	return bring_back_part(p, false, err);
}

/* Any. */

static const struct {
	int (*look)(struct restore_part *p, struct error *err);
	int (*plan)(struct restore_part *p, struct error *err);
	int (*restore)(struct restore_part *p, struct error *err);
} part_kinds[RESTORE_PART_OTHER] = {
        [RESTORE_PART_DATABASE] = {look_at_part_database, plan_database, restore_part_database},
        [RESTORE_PART_MIRROR] = {look_at_part_mirror, plan_mirror, restore_part_mirror},
        [RESTORE_PART_ARCHIVE] = {look_at_part_archive, plan_archive, restore_part_archive},
        [RESTORE_PART_SECRET] = {look_at_part_archive, plan_archive, restore_part_archive},
};

static int refuse_part_kind(const struct restore_part *p, struct error *err)
{
	return error_set(
	        err, ERROR_USAGE, EINVAL,
	        "it is of a kind that cannot be restored with its bundle (%s): name those that can with parts=",
	        p->at.kind);
}

int restore_part_look(struct restore_part *p, struct error *err)
{
	int r = restore_check_not_damaged(&p->backup, err);

	if (r < 0)
		return r;
	return p->kind == RESTORE_PART_OTHER ? refuse_part_kind(p, err) : part_kinds[p->kind].look(p, err);
}

int restore_part_plan(struct restore_part *p, struct error *err)
{
	return part_kinds[p->kind].plan(p, err);
}

int restore_part_restore(struct restore_part *p, struct error *err)
{
	struct restore_whole *w = p->whole;
	int r;

	make_say(w->t->order, "part %s is restored", p->at.name);
	r = part_kinds[p->kind].restore(p, err);
	if (r < 0)
		return r;
	w->restored++;
	str_appendf(&w->done, "%s%s", w->done.len > 0 ? ", " : "", p->at.name);
	return 0;
}
