// SPDX-License-Identifier: Apache-2.0
/* The phases of a drill, one after the other, with the time that each took. The first that fails is the last. */
#include "copied.h"
#include "drill.h"
#include "proving.h"
#include "restore_database.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/pg.h>
#include <keepfs/pg/restored.h>
#include <keepfs/pg/scratch.h>
#include <keepfs/use/erasures.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* What was found. */

static void add_report_text(struct json *list, uint64_t have, uint64_t most, const char *text)
{
	if (list && have < most)
		json_append_string(list, text);
}

static void take_difference(struct drill *d, const char *text)
{
	pthread_mutex_lock(&d->lock);
	if (d->differences == 0)
		str_cut(d->first_text, sizeof(d->first_text), text);
	add_report_text(d->first, d->differences++, DRILL_DIFFERENCES_SHOWN, text);
	pthread_mutex_unlock(&d->lock);
}

static void take_note(struct drill *d, const char *text)
{
	pthread_mutex_lock(&d->lock);
	add_report_text(d->told, d->notes++, DRILL_NOTES_SHOWN, text);
	pthread_mutex_unlock(&d->lock);
}

static void tell_drill(struct drill *d, void (*take)(struct drill *d, const char *text), const char *text)
{
	_cleanup(free) char *of_part = d->whole ? mem_printf("%s: %s", d->part, text) : NULL;

	take(d, text);
	if (of_part)
		take(d->whole, of_part);
}

void drill_differs(struct drill *d, const char *fmt, ...)
{
	_cleanup(str) struct str text = {0};
	va_list args;

	va_start(args, fmt);
	str_vappendf(&text, fmt, args);
	va_end(args);
	tell_drill(d, take_difference, str_text(&text));
	make_say(d->order, "differs: %s", str_text(&text));
}

void drill_note(struct drill *d, const char *fmt, ...)
{
	_cleanup(str) struct str text = {0};
	va_list args;

	va_start(args, fmt);
	str_vappendf(&text, fmt, args);
	va_end(args);
	tell_drill(d, take_note, str_text(&text));
	make_say(d->order, "%s", str_text(&text));
}

static void say_of_drill(void *arg, const char *line)
{
	make_say(((struct drill *)arg)->order, "%s", line);
}

static void note_of_globals(void *arg, const char *line)
{
	drill_note(arg, "%s", line);
}

/* The phases. */

static int version_of_backup(const struct drill *d)
{
	const char *text = manifest_fact(&d->backup->m, "server_version");
	long major = text ? strtol(text, NULL, 10) : 0;

	return major >= 10 ? (int)major * 10000 : 100000;
}

void drill_take_scratch(struct drill *d)
{
	d->server = pg_scratch_conninfo(d->scratch);
	d->cancel = pg_scratch_cancel(d->scratch);
	d->server_version_num = pg_scratch_version_num(d->scratch);
	str_copy(d->server_version, sizeof(d->server_version), pg_scratch_version(d->scratch));
}

static int make_server(struct drill *d, struct error *err)
{
	_cleanup(free) char *directory = conf_drill_dir(d->conf);
	const struct pg_scratch_options options = {
	        .directory = directory,
	        .user = d->conf->drill_user,
	        .bindir = d->conf->drill_bindir,
	        .version_num = version_of_backup(d),
	        .memory_bytes = d->conf->drill_memory_bytes,
	        .connections = 2 * d->jobs,
	        .disk_bytes = d->conf->drill_disk_bytes,
	        .cancel = d->order->cancel,
	};
	int r = pg_scratch_new(&options, &d->scratch, err);

	if (r < 0)
		return r;
	drill_take_scratch(d);
	snprintf(d->pg_dump, sizeof(d->pg_dump), "%.480s/pg_dump", pg_scratch_bindir(d->scratch));
	return 0;
}

static int prepare_server(struct drill *d, struct error *err)
{
	char version[128];
	int r;

	if (!d->server)
		return make_server(d, err);
	r = pg_restored_version(d->server, d->cancel, &d->server_version_num, err);
	if (r == 0)
		r = pg_find_program("pg_dump", NULL, d->server_version_num, d->pg_dump, version, err);
	snprintf(d->server_version, sizeof(d->server_version), "%d", d->server_version_num / 10000);
	return r;
}

static int feed_globals(void *arg, const void *data, size_t len, struct error *err)
{
	return pg_globals_feed(arg, data, len, err);
}

static int restore_globals(struct drill *d, struct error *err)
{
	_cleanup(pg_globals) struct pg_globals *globals = NULL;
	struct backup_out out = {.write = feed_globals};
	struct catalog_entry file;
	unsigned failed = 0;
	int r = backup_find(d->backup, "globals.sql.gz", &file);

	if (r == -ENOENT)
		r = backup_find(d->backup, "globals.sql", &file);
	if (r == -ENOENT) {
		drill_note(
		        d,
		        "the backup has no roles (globals): owners and rights are those of the throw-away server");
		return 0;
	}
	if (r < 0)
		return error_system(err, -r, "the catalog cannot be read");
	r = pg_globals_new(d->scratch, note_of_globals, d, &globals, err);
	out.arg = globals;
	if (r == 0)
		r = backup_read_plain(d->backup, &file, &out, err);
	return r < 0 ? r : pg_globals_end(globals, &failed, err);
}

static bool has_globals(const struct drill *d)
{
	struct catalog_entry file;

	return backup_find(d->backup, "globals.sql.gz", &file) == 0 ||
	       backup_find(d->backup, "globals.sql", &file) == 0;
}

static void learn_size(struct drill *d)
{
	struct pg_session *s = NULL;

	if (pg_session_open(d->server, d->database, "keepfs drill", d->cancel, &s, NULL) == 0)
		(void)pg_restored_bytes(s, &d->row.bytes, NULL);
	pg_session_free(s);
}

static int restore_it(struct drill *d, struct error *err)
{
	struct restore_database_options options = {
	        .backup = d->backup,
	        .server = d->server,
	        .database = d->database,
	        .create = true,
	        .is_closed = !d->scratch,
	        .counts_later = true,
	        .jobs = d->jobs,
	        .cancel = d->cancel,
	        .done_bytes = d->order->progress ? &d->order->progress->read_bytes : NULL,
	        .say = say_of_drill,
	        .arg = d,
	};
	struct restore_outcome outcome;
	int r;

	/* Elsewhere, and where the roles are missing, the owners and rights of the backup mean nothing. */
	d->with_rights = d->scratch && has_globals(d);
	options.no_owner = options.no_privileges = !d->with_rights;
	r = drill_note_database(d, err);
	if (r < 0)
		return r;
	r = restore_database(&options, &outcome, err);
	d->made = outcome.made == RESTORE_MADE_IT && !d->scratch;
	if (r < 0)
		return r;
	if (outcome.harmless > 0)
		drill_note(d, "%" PRIu64 " errors that mean nothing were passed over; the run's log has them",
		           outcome.harmless);
	learn_size(d);
	return 0;
}

static int compare_it(struct drill *d, struct error *err)
{
	bool provable = false;
	int r = drill_equal(d, &provable, err);

	if (r == 0 && !provable)
		drill_note(
		        d,
		        "the backup does not say what its rows are, so it cannot be proven that it is equal: no more than level 2");
	if (r == 0 && provable && d->differences == 0)
		d->row.level = PROOF_EQUAL;
	return r;
}

static int look_at_it(struct drill *d, struct error *err)
{
	uint64_t before = d->differences;
	bool provable = false;
	int r = drill_sound(d, &provable, err);

	if (r == 0 && provable && d->differences == before && d->row.level == PROOF_EQUAL)
		d->row.level = PROOF_SOUND;
	return r;
}

static int ask_it(struct drill *d, struct error *err)
{
	uint64_t before = d->differences;
	unsigned asked = 0;
	int r = drill_ask(d, &asked, err);

	if (r == 0 && asked == 0)
		drill_note(d, "there is no [check NAME] that is asked of it");
	if (r == 0 && asked > 0 && d->differences == before && d->row.level == PROOF_SOUND)
		d->row.level = PROOF_YOURS;
	return r;
}

/* What it was tried on, or the store, has failed: of the backup nothing is known. */
bool drill_is_of_elsewhere(const struct drill *d, const struct error *err)
{
	switch (err->class) {
	case ERROR_DENIED:
	case ERROR_UNAVAILABLE:
	case ERROR_TIMEOUT:
	case ERROR_NO_SPACE:
	case ERROR_CANCELLED:
		return true;
	default:
		return cancel_is_set(d->cancel);
	}
}

void drill_note_wrong(struct drill *d, enum proof_level level, int r, const struct error *err)
{
	bool wrong = d->differences > 0 || (r < 0 && !drill_is_of_elsewhere(d, err));

	if (wrong && d->row.wrong_level == 0)
		d->row.wrong_level = (int)level;
}

int drill_run_phase(struct drill *d, const char *name, int (*phase)(struct drill *d, struct error *err),
                    struct error *err)
{
	int64_t began_us = clock_mono_us(), took_us;
	struct json *one = json_object_new();
	int r = cancel_is_set(d->cancel) ? error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled")
	                                 : phase(d, err);

	took_us = clock_mono_us() - began_us;
	json_set_string(one, "name", name);
	json_set_real(one, "seconds", (double)took_us / (double)US_PER_S);
	json_append(d->phases, one);
	if (r == 0)
		make_say(d->order, "%s: %.1f s", name, (double)took_us / (double)US_PER_S);
	return r;
}

/* What was read of the backup so far is right; the rest of it is read, too, so that a proof means all of it. */
static int read_rest(struct drill *d, struct error *err)
{
	return backup_read_rest(d->backup, false, err);
}

static int restore_phases(struct drill *d, struct error *err)
{
	int64_t began_us;
	int r = drill_run_phase(d, "server", prepare_server, err);

	if (r < 0)
		return r;
	began_us = clock_mono_us();
	if (d->scratch)
		r = drill_run_phase(d, "globals", restore_globals, err);
	if (r == 0)
		r = drill_run_phase(d, "restore", restore_it, err);
	if (r == 0) {
		d->row.restore_us = clock_mono_us() - began_us;
		r = drill_run_phase(d, "rest", read_rest, err);
	}
	if (r == 0)
		d->row.level = PROOF_RESTORED;
	drill_note_wrong(d, PROOF_RESTORED, r, err);
	return r;
}

int drill_look_phase(struct drill *d, enum proof_level level, const char *name,
                     int (*phase)(struct drill *d, struct error *err), struct error *err)
{
	int r = d->wanted >= level ? drill_run_phase(d, name, phase, err) : 0;

	drill_note_wrong(d, level, r, err);
	return r;
}

/*
 * What the error is about it does not say: a server, too, misses what it was told to use, or has corrupt pages. So the backup is read by
 * itself, as verify does, and that decides: what is marked loses its place as the newest one, and retention no longer counts on it.
 */
void drill_mark_wrong(struct drill *d, struct backup *b, const struct error *why)
{
	struct proving p = {
	        .ctx = b->ctx, .order = d->order, .copy = d->copy, .name = b->path, .level = PROOF_STRUCTURE};

	if (!backup_is_wrong(why) || cancel_is_set(d->cancel) || backup_is_removed(b))
		return;
	make_say(d->order, "is that the backup's fault? It is read once more, by itself");
	(void)proving_backup(&p, b->ino);
}

/* It stays, so that somebody may use it: once it was held against the backup, what was erased goes again. */
static int apply_erasures_to_drill(struct drill *d, struct error *err)
{
	_cleanup(erasures) struct erasures *e = NULL;
	const struct erasures_target target = {
	        .conf = d->conf,
	        .server = d->server,
	        .database = d->database,
	        .source = str_or_empty(manifest_fact(&d->backup->m, "database")),
	        .cancel = d->cancel,
	        .say = say_of_drill,
	        .arg = d,
	};
	int r = copied_erasures(d->ctx, d->copy, d->order, &e, err);

	return r < 0 ? r : erasures_apply(e, &target, err);
}

static int all_phases(struct drill *d, struct error *err)
{
	int r = restore_phases(d, err);

	if (r < 0)
		drill_mark_wrong(d, d->backup, err);
	if (r == 0)
		r = drill_look_phase(d, PROOF_EQUAL, "equal", compare_it, err);
	if (r == 0)
		r = drill_look_phase(d, PROOF_SOUND, "sound", look_at_it, err);
	if (r == 0)
		r = drill_look_phase(d, PROOF_YOURS, "yours", ask_it, err);
	return r == 0 && d->keep ? apply_erasures_to_drill(d, err) : r;
}

static enum drill_result judge_drill(const struct drill *d, int r)
{
	if (cancel_is_set(d->order->cancel))
		return DRILL_CANCELLED;
	/* Also when not everything could be looked at afterwards. */
	if (d->differences > 0)
		return DRILL_DIFFERS;
	return r < 0 ? DRILL_FAILED : DRILL_PASSED;
}

/* Nothing is wrong with it, and nothing is proven by it. */
static int give_up_removed(struct drill *d, struct error *err)
{
	d->row.result = DRILL_CANCELLED;
	d->row.level = -1;
	return error_set(err, ERROR_NOT_FOUND, ENOENT,
	                 "%s was removed while it was restored for a trial: nothing was proven",
	                 d->backup->path);
}

int drill_end(struct drill *d, int r, struct error *err)
{
	d->row.result = judge_drill(d, r);
	if (r < 0 && d->differences > 0)
		error_prefix(err, "it was restored, and is not what it should be: %s; then", d->first_text);
	if (r == 0 && d->differences > 0)
		r = error_set(err, ERROR_CORRUPT, EBADMSG,
		              "it was restored, and is not what it should be: %s%s", d->first_text,
		              d->differences > 1 ? "; and others, see the run's log and its report in drills/"
		                                 : "");
	if (backup_is_removed(d->backup))
		r = give_up_removed(d, err);
	if (r < 0)
		str_cut(d->row.error, sizeof(d->row.error), err->message);
	d->row.finished_at_us = make_now_us(d->ctx);
	return r;
}

int drill_rehearse(struct drill *d, struct error *err)
{
	int r = all_phases(d, err);

	/* Whatever was under way then fails in words of its own. */
	if (r < 0 && d->scratch && pg_scratch_failure(d->scratch, err) < 0)
		r = -ENOSPC;
	r = drill_end(d, r, err);
	drill_end_database(d);
	return r;
}
