// SPDX-License-Identifier: Apache-2.0
/*
 * Where something is there already, a new database is filled beside it, and the names are exchanged when all of it is there and was
 * looked at: until then nobody notices anything, and after it the old one is still there under another name. What is about to be
 * changed is in the catalog before it is, so that after a crash somebody can be told.
 */
#include "restore_settle.h"

#include "copied.h"
#include "restore_foresee.h"
#include "restore_hook.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog/restores.h>
#include <keepfs/pg.h>
#include <keepfs/pg/lacking.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* Longer names are cut off by servers. */
#define NAME_MOST 63

#define SESSIONS_REFUSED 5 /* that a refusal lists */

bool restore_target_is_beside(const struct restore_target *t)
{
	return !str_equal(t->made, t->database);
}

static struct pg_server_place place_of_target(const struct restore_target *t)
{
	return (struct pg_server_place){.server = t->server, .cancel = t->order->cancel};
}

/* Looking. */

static void name_with(char ret[static 64], const char *name, const char *suffix)
{
	size_t room = NAME_MOST - strlen(suffix), len = strlen(name);

	if (len > room)
		len = room;
	/* No UTF-8 character is cut in two. */
	while (len < strlen(name) && len > 0 && ((unsigned char)name[len] & 0xC0) == 0x80)
		len--;
	snprintf(ret, 64, "%.*s%s", (int)len, name, suffix);
}

/* What the old one will be called was told before the backup was checked, which may take hours. */
static void choose_names(struct restore_target *t)
{
	time_t now = (time_t)((t->named_at_us ? t->named_at_us : make_now_us(t->ctx)) / US_PER_S);
	char suffix[40];
	struct tm tm;

	t->named_at_us = (int64_t)now * US_PER_S;
	str_copy(t->made, sizeof(t->made), t->database);
	t->before[0] = '\0';
	if (t->look.exists && !t->wanted->swap)
		return;
	/* Beside it also where there is none: what somebody makes under that name meanwhile is his. */
	snprintf(suffix, sizeof(suffix), "_restoring_%" PRId64, t->order->run_id);
	name_with(t->made, t->database, suffix);
	if (!t->look.exists)
		return;
	gmtime_r(&now, &tm);
	strftime(suffix, sizeof(suffix), "_before_%Y%m%dT%H%M%SZ", &tm);
	name_with(t->before, t->database, suffix);
}

/* Another one may have ended in the same second: the old database that it has left keeps its name. */
static int avoid_taken_name(struct restore_target *t, struct error *err)
{
	const struct pg_server_place place = place_of_target(t);
	struct pg_database_look other = {.exists = true};
	int r = 0;

	while (r == 0 && t->before[0] && other.exists) {
		r = pg_database_look(&place, t->before, &other, err);
		if (r == 0 && other.exists) {
			t->named_at_us += US_PER_S;
			choose_names(t);
		}
	}
	return r;
}

static int check_confirmed(const struct restore_target *t, struct error *err)
{
	_cleanup(str) struct str sessions = {0};
	char size[16];

	if (t->wanted->plan || str_equal(t->wanted->confirm, t->database))
		return 0;
	if (t->wanted->confirm)
		return error_set(err, ERROR_USAGE, EINVAL,
		                 "confirm=%.80s: it would be restored into %s, so nothing was done",
		                 t->wanted->confirm, t->database);
	if (!t->look.exists)
		return 0;
	restore_append_sessions(t, SESSIONS_REFUSED, &sessions);
	return error_set(
	        err, ERROR_USAGE, EINVAL,
	        "the database %s exists on that server (%s, %u sessions%s%s): to restore over it write confirm=%s; to restore beside it, into=ANOTHER_NAME; plan=yes shows what would be done",
	        t->database, str_format_bytes(size, sizeof(size), t->look.bytes), t->look.sessions,
	        sessions.len > 0 ? ": " : "", str_text(&sessions), t->database);
}

static bool is_of_server(const char *database)
{
	return str_equal(database, "postgres") || str_equal(database, "template0") ||
	       str_equal(database, "template1");
}

/* Databases that can be exchanged for no other, or that nobody can restore into. */
static int check_nature(const struct restore_target *t, struct error *err)
{
	const struct pg_server_place place = place_of_target(t);
	struct pg_database_nature nature;
	int r = t->look.exists ? pg_database_nature(&place, t->database, &nature, err) : 0;

	if (r < 0 || !t->look.exists)
		return r;
	if (restore_target_is_beside(t) && is_of_server(t->database))
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "%s is a database of the server itself, and no other takes its place: write swap=no to restore into it, or into=ANOTHER_NAME",
		        t->database);
	if (!restore_target_is_beside(t) && !nature.takes_connections)
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "nobody may connect to the database %s, so nothing can be restored into it: ALTER DATABASE … ALLOW_CONNECTIONS true, or write into=ANOTHER_NAME",
		        t->database);
	if (restore_target_is_beside(t) && t->look.prepared > 0)
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "%s has %u prepared transactions, with which nobody can rename it: COMMIT PREPARED or ROLLBACK PREPARED them (pg_prepared_xacts lists them), or write into=ANOTHER_NAME",
		        t->database, t->look.prepared);
	return 0;
}

/* A part of a database in the place of all of it is hardly meant. */
static int check_takes_whole(const struct restore_target *t, struct error *err)
{
	const struct manifest *m = &t->backup->m;
	const char *content = manifest_fact(m, "content");
	bool is_whole = !m->partial && (!content || str_equal(content, "full"));

	if (is_whole || !t->look.exists || !t->wanted->swap || t->wanted->swap_given)
		return 0;
	return error_set(
	        err, ERROR_USAGE, EINVAL,
	        "%s holds a part of the database (content %s%s), and would take the place of all of %s: restore it beside that, into=ANOTHER_NAME; or into it, swap=no; or write swap=yes, if it is meant",
	        t->backup->path, content ? content : "full", m->partial ? ", less than its job asks for" : "",
	        t->database);
}

int restore_target_look(struct restore_target *t, struct error *err)
{
	const struct pg_server_place place = place_of_target(t);
	int r;

	if (strlen(t->database) > NAME_MOST)
		return error_set(err, ERROR_USAGE, EINVAL, "into=%.80s: a name has at most %d bytes",
		                 t->database, NAME_MOST);
	r = pg_database_look(&place, t->database, &t->look, err);
	if (r < 0)
		return r;
	free(t->shown_server);
	t->shown_server = pg_conninfo_with_database(t->server, t->database);
	choose_names(t);
	r = avoid_taken_name(t, err);
	if (r == 0)
		r = check_nature(t, err);
	if (r < 0)
		return r;
	if (!t->look.exists && !t->wanted->create)
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "there is no database %s on that server, and create=no: make it, or leave create=no away",
		        t->database);
	r = check_confirmed(t, err);
	return r < 0 ? r : check_takes_whole(t, err);
}

/* Checks. */

static int check_by_query(const struct restore_target *t, const char *sql, struct error *err)
{
	const struct pg_server_place place = place_of_target(t);
	_cleanup(free) char *value = NULL;
	int r = pg_database_check(&place, t->made, sql, &value, err);

	make_say(t->order, "check: %s: %s", sql, r < 0 ? "failed" : value ? value : "no answer");
	if (r < 0)
		return r;
	if (str_equal(value, "t"))
		return 0;
	return error_set(err, ERROR_CONFLICT, EBADMSG,
	                 "the check \"%.200s\" is answered with %.80s, and not with true (t)", sql,
	                 value ? value : "nothing");
}

static int run_checks(const struct restore_target *t, struct error *err)
{
	const struct command_line *line = t->wanted->line;
	int r = 0;

	for (size_t i = 0; r == 0 && i < line->pair_count; i++)
		if (str_equal(line->pairs[i].key, "check"))
			r = check_by_query(t, line->pairs[i].value, err);
	return r;
}

/* The steps. */

static void say_database_line(void *arg, const char *line)
{
	make_say(((const struct restore_target *)arg)->order, "%s", line);
}

static int note_first_change(void *arg, struct error *err)
{
	struct restore_target *t = arg;

	return restore_settle_begin(
	        t, restore_target_is_beside(t) ? RESTORE_PHASE_BESIDE : RESTORE_PHASE_IN_PLACE, err);
}

static struct restore_database_options options_of_target(struct restore_target *t)
{
	const struct restore_order *w = t->wanted;

	return (struct restore_database_options){
	        .backup = t->backup,
	        .server = t->server,
	        .database = t->made,
	        .create = restore_target_is_beside(t),
	        .jobs = w->jobs,
	        .content = w->content,
	        .schemas = (const char *const *)w->schemas,
	        .tables = (const char *const *)w->tables,
	        .clean = w->clean && !restore_target_is_beside(t),
	        .no_owner = w->no_owner,
	        .no_privileges = w->no_privileges,
	        .no_extensions = w->no_extensions,
	        .keep_going = w->keep_going,
	        .before_change = note_first_change,
	        .cancel = t->order->cancel,
	        .done_bytes = t->order->progress ? &t->order->progress->read_bytes : NULL,
	        .say = say_database_line,
	        .arg = t,
	};
}

int restore_target_foresee(struct restore_target *t, struct error *err)
{
	const struct restore_database_options options = options_of_target(t);

	return restore_foresee(&options, err);
}

static int fill(struct restore_target *t, struct error *err)
{
	const struct restore_database_options options = options_of_target(t);
	int r = restore_database(&options, &t->outcome, err);

	if (r == 0 && t->outcome.harmless > 0)
		make_say(t->order, "%" PRIu64 " harmless errors, each told above", t->outcome.harmless);
	return r;
}

/* Before anything is changed: once it is, nobody may be kept waiting by a register that cannot be read. */
static int load_erasures(struct restore_target *t, struct error *err)
{
	int r = copied_erasures(t->ctx, t->copy, t->order, &t->erasures, err);

	if (r == 0)
		r = erasures_refuse_database(t->erasures, manifest_fact(&t->backup->m, "database"), err);
	if (r < 0)
		error_prefix(err, "no database was changed");
	return r;
}

/* What was registered while rows were loaded counts, too. */
static int apply_erasures_of(struct restore_target *t, const struct erasures_target *target,
                             struct error *err)
{
	_cleanup(erasures) struct erasures *now = NULL;
	struct error why = {0};
	int read = copied_erasures(t->ctx, t->copy, t->order, &now, &why);
	int r = erasures_apply(read < 0 ? t->erasures : now, target, err);

	if (r == 0 && read == 0)
		r = erasures_refuse_database(now, target->source, err);
	if (r == 0 && read < 0 && err)
		*err = why;
	return r < 0 ? r : read;
}

/* Before anybody may use the database, unless it was there before. */
static int apply_erasures(struct restore_target *t, struct error *err)
{
	const struct conf *conf = make_conf_ref(t->ctx);
	const struct erasures_target target = {
	        .conf = conf,
	        .server = t->server,
	        .database = t->made,
	        .source = str_or_empty(manifest_fact(&t->backup->m, "database")),
	        .cancel = t->order->cancel,
	        .say = say_database_line,
	        .arg = t,
	};
	int r = t->wanted->content == RESTORE_SCHEMA ? 0 : apply_erasures_of(t, &target, err);

	make_conf_unref(t->ctx, conf);
	return r;
}

static void analyze(const struct restore_target *t)
{
	const struct pg_server_place place = place_of_target(t);
	struct error err = {0};

	if (t->wanted->analyze && pg_database_analyze(&place, t->made, &err) < 0)
		make_warn(t->order, "the planner's statistics could not be made (run: ANALYZE): %s",
		          err.message);
}

static void keep_owner(const struct restore_target *t)
{
	const struct pg_server_place place = place_of_target(t);
	struct error err = {0};

	if (t->look.exists && t->wanted->no_owner &&
	    pg_database_own(&place, t->made, t->look.owner, &err) < 0)
		make_warn(t->order, "the new database could not be given to %s, the old one's owner: %s",
		          t->look.owner, err.message);
}

static int swap_names(struct restore_target *t, struct error *err)
{
	const struct pg_server_place place = place_of_target(t);
	const struct pg_database_swap names = {.living = t->database, .made = t->made, .before = t->before};
	int r;

	keep_owner(t);
	r = restore_settle_begin(t, RESTORE_PHASE_SWAP, err);
	if (r == 0) {
		t->swaps = true;
		r = pg_database_swap(&place, &names, err);
		if (r < 0)
			r = restore_settle_swap(t, r, err);
	}
	if (r < 0) {
		error_prefix(err, "while the names were exchanged");
		return r;
	}
	if (!t->before[0])
		make_say(t->order, "%s is there now", t->database);
	else
		make_say(
		        t->order,
		        "%s is the restored database now; what was there before is %s: drop it when nobody needs it any more",
		        t->database, t->before);
	return 0;
}

/* All of it was restored without an error, and each table held what was counted. */
static void note_proof(const struct restore_target *t)
{
	struct error err = {0};

	if (restore_is_partial(t->wanted))
		return;
	if (backup_set_proof(t->backup, PROOF_RESTORED, make_now_us(t->ctx), t->order->run_id, &err) < 0)
		make_warn(t->order, "that %s can be restored could not be kept: %s", t->backup->path,
		          err.message);
}

static int change_server(struct restore_target *t, struct error *err)
{
	int64_t began_us = clock_mono_us(), took_us = 0;
	int r;

	if (t->wanted->roles && !(t->wanted->no_owner && t->wanted->no_privileges))
		restore_roles(t);
	r = fill(t, err);
	if (r == 0)
		r = apply_erasures(t, err);
	if (r == 0) {
		analyze(t);
		took_us = clock_mono_us() - began_us;
		r = run_checks(t, err);
	}
	if (r == 0)
		restore_note_pace(t, took_us);
	if (r == 0 && restore_target_is_beside(t))
		r = swap_names(t, err);
	if (r < 0) {
		restore_settle_failure(t, err);
		return r;
	}
	restore_settle_end(t);
	note_proof(t);
	return 0;
}

/* Much time has passed since it was looked at, and a hook may have changed something. */
static int look_once_more(struct restore_target *t, struct error *err)
{
	int r = restore_target_look(t, err);

	if (r < 0)
		error_prefix(err, "no database was changed");
	return r;
}

int restore_target_run(struct restore_target *t, struct error *err)
{
	const struct restore_hook around = {.order = t->order,
	                                    .backup = t->backup->path,
	                                    .variable = "KEEPFS_DATABASE",
	                                    .target = t->database};
	struct error why = {0}, hook = {0};
	int r;

	if ((t->wanted->pre_hook || t->wanted->post_hook) && !restore_may_command(t->order))
		return error_set(
		        err, ERROR_DENIED, EPERM,
		        "pre_hook and post_hook run commands as the user of keepfs: only that user, and root, may give them");
	r = restore_hook_run(&around, "pre_hook", t->wanted->pre_hook, "running", t->order->cancel, &why);
	if (r < 0)
		error_prefix(&why, "no database was changed");
	if (r == 0)
		r = load_erasures(t, &why);
	if (r == 0)
		r = look_once_more(t, &why);
	if (r == 0)
		r = change_server(t, &why);
	/* What the first one has stopped is started again, whatever became of the restore. */
	if (restore_hook_run(&around, "post_hook", t->wanted->post_hook, r == 0 ? "completed" : "failed",
	                     NULL, &hook) < 0)
		make_warn(t->order, "%s", hook.message);
	if (r == 0 && !restore_is_partial(t->wanted))
		restore_settle_earlier(t);
	if (r < 0 && err)
		*err = why;
	return r;
}

void restore_target_finish(struct restore_target *t)
{
	erasures_free(t->erasures);
	free(t->shown_server);
}
