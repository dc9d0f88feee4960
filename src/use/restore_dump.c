// SPDX-License-Identifier: Apache-2.0
/* One dump of a database: where it goes to, whether it is right, and then bringing it there. */
#include "restore_dump.h"

#include "copied.h"
#include "proving.h"
#include "restore_files.h"
#include "words.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/artifacts.h>

#include <errno.h>

/* Where to. */

int restore_check_not_damaged(const struct backup *b, struct error *err)
{
	_cleanup(free) char *good = NULL;

	if (!b->damage)
		return 0;
	good = catalog_good_beside(b->ctx->repository->catalog, b->ino);
	return error_set(
	        err, ERROR_CORRUPT, EINVAL,
	        "%s is marked as damaged (%s), and nothing was changed; %s%s; when it is right again, keepfs verify %s level=1 takes the mark away",
	        b->path, b->damage, good ? "the nearest good one is " : "there is no good one beside it",
	        good ? good : "", b->path);
}

static int choose_restored_database(struct restore_target *t, struct error *err)
{
	int r = restore_check_not_damaged(t->backup, err);
	const char *of_backup = manifest_fact(&t->backup->m, "database");

	if (r < 0)
		return r;
	if (str_equal(t->backup->m.kind, "export"))
		return words_refuse_export(t->backup->path, err);
	if (!str_equal(t->backup->m.kind, "dump"))
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "%s is neither a dump of a database nor an archive of files: it is copied from the mount",
		        t->backup->path);
	if (t->wanted->word_of_others)
		return restore_order_refuse_word(t->wanted, err);
	t->server = words_server(t->ctx->conf, t->wanted->server, t->backup->m.job, err);
	t->database = t->wanted->into ? t->wanted->into : of_backup;
	if (t->server && !t->database)
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "%s does not say of which database it is: name the one to restore into with into=NAME",
		        t->backup->path);
	return t->server ? restore_target_look(t, err) : -EINVAL;
}

int restore_dump_choose(struct restore_target *t, struct error *err)
{
	int r = choose_restored_database(t, err);

	return r < 0 ? r : restore_target_foresee(t, err);
}

/* The database is another run's when it is the same one of the same server, however that is called. */
char *restore_dump_claim(const struct restore_target *t)
{
	return mem_printf("the database %s (server started %s)", t->database, t->look.instance);
}

/* However it is spelled. */
char *restore_files_claim(const char *directory)
{
	_cleanup(free) char *place = restore_files_place(directory);

	return mem_printf("the directory %s", place);
}

/* 0: not known, of a part of it. */
int64_t restore_dump_time(const struct restore_target *t)
{
	struct restore_expectation e;

	restore_expect(t, &e);
	return e.check_us && e.restore_us ? e.check_us + e.restore_us : 0;
}

static void expect_to_end_in(const struct restore_target *t, int64_t us)
{
	if (t->order->progress)
		atomic_store(&t->order->progress->ends_us, us ? clock_mono_us() + us : 0);
}

/* Doing it. */

/* What [store] has of it is not right, or cannot be had: what is read with the help of a copy in a further store may be. */
static int prove_with_copies(const struct restore_target *t, struct proving *p)
{
	struct error why = {0};
	int r;

	if (cancel_is_set(t->order->cancel))
		return p->result;
	r = proving_copy(p, t->backup->ino, &why);
	if (r == 0)
		make_warn(t->order, "%s is restored from its copy in a further store: %s", t->backup->path,
		          p->first.message);
	else if (r != -ENOENT)
		make_say(t->order, "nor is it right with the help of its copies: %s", why.message);
	return r == 0 ? 0 : p->result;
}

int restore_prove_first(const struct restore_target *t, struct error *err)
{
	struct proving p = {.ctx = t->backup->ctx,
	                    .order = t->order,
	                    .copy = t->copy,
	                    .name = t->backup->path,
	                    .level = t->wanted->level};

	if (!proving_backup(&p, t->backup->ino))
		return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled before anything was changed");
	/* It was frozen since it was looked at. */
	if (p.frozen > 0 && p.result == 0) {
		if (err)
			*err = p.why_frozen;
		error_prefix(err, "nothing was changed");
		return -EIO;
	}
	/* What was removed meanwhile is neither right nor wrong. */
	if (p.result == 0 && p.right == 0)
		return error_set(err, ERROR_NOT_FOUND, ENOENT,
		                 "%s was removed while it was read, and nothing was changed",
		                 t->backup->path);
	/* Whoever names a copy wants that one. */
	if (p.result == 0 || (!t->copy && prove_with_copies(t, &p) == 0))
		return 0;
	if (err)
		*err = p.first;
	error_prefix(err, p.damaged > 0 ? "the backup is damaged, and nothing was changed"
	                                : "the backup could not be checked, and nothing was changed");
	return p.result;
}

int restore_dump_run(struct restore_target *t, struct error *err)
{
	struct restore_expectation e;
	int r = restore_dump_choose(t, err);

	if (r < 0)
		return r;
	restore_target_tell(t);
	if (t->wanted->plan) {
		make_say(t->order, "plan=yes: nothing was done");
		return 0;
	}
	restore_expect(t, &e);
	expect_to_end_in(t, restore_dump_time(t));
	r = restore_prove_first(t, err);
	if (r < 0)
		return r;
	expect_to_end_in(t, e.restore_us);
	r = restore_target_run(t, err);
	/* What the server, or a parser, says of right bytes is nothing against them. */
	if (r < 0 && err->damage)
		proving_again(t->backup->ctx, t->order, t->copy, t->backup->ino);
	return r;
}
