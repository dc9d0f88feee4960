// SPDX-License-Identifier: Apache-2.0
/*
 * An archive that is restored for a trial. It is read once to be checked, then unpacked, and read once more to be held against what is there then: all by the code of a restore.
 */
#include "drill_part.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/scratch_place.h>
#include <keepfs/base/str.h>
#include <keepfs/files/unpack.h>

#include <errno.h>
#include <inttypes.h>
#include <sys/statvfs.h>
#include <unistd.h>

struct trial {
	struct drill_part *p;
	struct scratch_place place;
	char *to; /* heap */
	struct files_comparison before, after;
	struct files_outcome outcome;
};

static int feed_trial(void *arg, const void *data, size_t len, struct error *err)
{
	return files_unpack_write(arg, data, len, err);
}

static int read_trial(struct trial *t, struct files_unpack *u, struct error *err)
{
	const struct backup_out out = {.write = feed_trial, .arg = u};
	struct catalog_entry own;
	int r = backup_own(t->p->backup, &own);

	if (r < 0)
		return error_system(err, -r, "the catalog cannot be read");
	r = backup_read_plain(t->p->backup, &own, &out, err);
	return r < 0 ? r : files_unpack_finish(u, err);
}

/* Of what is secret nobody reads a name. */
static void note_of_trial(void *arg, const char *line)
{
	const struct trial *t = arg;

	if (!t->p->is_secret)
		drill_note(t->p->d, "%s: %s", t->p->name, line);
}

static struct files_unpack_options trial_options(struct trial *t)
{
	return (struct files_unpack_options){.directory = t->to,
	                                     .stage = FILES_STAGE_PREFIX "drill",
	                                     .by_number = geteuid() == 0,
	                                     .cancel = t->p->d->cancel,
	                                     .warn = note_of_trial,
	                                     .arg = t};
}

static int compare_trial(struct trial *t, struct files_comparison *ret, struct error *err)
{
	const struct files_unpack_options options = trial_options(t);
	_cleanup(files_unpack) struct files_unpack *u = NULL;
	int r = files_compare_begin(&options, ret, &u, err);

	return r < 0 ? r : read_trial(t, u, err);
}

static int extract_trial(struct trial *t, struct error *err)
{
	const struct files_unpack_options options = trial_options(t);
	_cleanup(files_unpack) struct files_unpack *u = NULL;
	int r = files_extract_begin(&options, &t->before, &t->outcome, &u, err);

	return r < 0 ? r : read_trial(t, u, err);
}

/* As much as a throw-away server may have. */
static int check_trial_room(const struct trial *t, const char *directory, struct error *err)
{
	uint64_t most = t->p->d->conf->drill_disk_bytes, room, tenth;
	char needed[16], left[16];
	struct statvfs fs;

	if (statvfs(directory, &fs) < 0)
		return error_system(err, errno, "the free space of %s cannot be learned", directory);
	room = (uint64_t)fs.f_bavail * fs.f_frsize;
	tenth = (uint64_t)fs.f_blocks * fs.f_frsize / 10;
	room -= room < tenth ? room : tenth;
	if (room > most)
		room = most;
	if (t->before.needed_bytes <= room)
		return 0;
	return error_set(
	        err, ERROR_NO_SPACE, ENOSPC,
	        "unpacked it takes about %s, and %s may take %s (drill_disk, and a tenth of the file system is to stay free): raise [keepfs] drill_disk, or name a drill_dir with more room",
	        str_format_bytes(needed, sizeof(needed), t->before.needed_bytes), directory,
	        str_format_bytes(left, sizeof(left), room));
}

static int make_trial_place(struct trial *t, const char *directory, struct error *err)
{
	int r;

	t->place.dir_fd = scratch_open(directory, true, err);
	if (t->place.dir_fd < 0)
		return t->place.dir_fd;
	if (scratch_place_clear(directory, err) < 0)
		return -EIO;
	r = scratch_place_new(directory, geteuid(), getegid(), &t->place, err);
	if (r == 0)
		t->to = mem_printf("%s/files", t->place.path);
	return r;
}

static void end_trial(struct trial *t)
{
	struct error err = {0};

	if (t->place.lock_fd >= 0 && scratch_place_remove(&t->place, &err) < 0)
		make_warn(t->p->d->order, "%s", err.message);
	scratch_place_finish(&t->place);
	files_comparison_finish(&t->before);
	files_comparison_finish(&t->after);
	free(t->to);
}

/* What these rights do not allow to be made, and attributes that the file system does not have, say nothing against the backup. */
static void tell_what_was_left_out(struct trial *t)
{
	const struct files_outcome *o = &t->outcome;

	if (o->left_out > 0)
		drill_note(t->p->d,
		           "%s: %" PRIu64 " devices could not be made by this user, and were not tried",
		           t->p->name, o->left_out);
	if (o->partly > 0)
		drill_note(
		        t->p->d,
		        "%s: %" PRIu64
		        " files got not all of their attributes or their owner, which is so in this directory",
		        t->p->name, o->partly);
}

static void judge_names(struct trial *t, enum files_difference what, uint64_t allowed, const char *words)
{
	const struct files_names *n = &t->after.names[what];

	if (n->count > allowed)
		drill_differs(t->p->d, "%s: %" PRIu64 " files %s: %.200s", t->p->name, n->count, words,
		              str_text(&n->first));
}

static int hold_against(struct trial *t, struct error *err)
{
	uint64_t before = t->p->d->differences;
	int r = compare_trial(t, &t->after, err);

	if (r < 0)
		return r;
	judge_names(t, FILES_ADDED, t->outcome.left_out, "were not there once it was unpacked");
	judge_names(t, FILES_DIFFERENT, t->outcome.partly, "are others, once they were unpacked");
	judge_names(t, FILES_CHANGED_DIRECTORY, t->outcome.partly, "are directories with other attributes");
	judge_names(t, FILES_ONLY_HERE, 0, "are not in the archive");
	judge_names(t, FILES_IN_THE_WAY, 0, "are in the way");
	if (t->p->d->differences == before)
		t->p->level = PROOF_EQUAL;
	return 0;
}

static int unpack_trial(struct trial *t, const char *directory, struct error *err)
{
	int64_t began_us = clock_mono_us();
	int r = check_trial_room(t, directory, err);

	if (r == 0)
		r = extract_trial(t, err);
	if (r < 0)
		return r;
	t->p->how = "unpacked";
	t->p->restore_us = clock_mono_us() - began_us;
	t->p->count = t->outcome.files;
	t->p->bytes = t->outcome.bytes;
	t->p->level = PROOF_RESTORED;
	tell_what_was_left_out(t);
	return t->p->d->wanted >= PROOF_EQUAL ? hold_against(t, err) : 0;
}

/* All of it is an archive, to its last byte, and could be unpacked. */
static void note_opened(struct trial *t)
{
	t->p->how = "opened";
	t->p->count = t->before.names[FILES_ADDED].count;
	t->p->bytes = t->before.bytes;
	t->p->level = PROOF_EQUAL;
	drill_note(t->p->d, "%s is secret: it was opened and read to its end, and nothing of it was written",
	           t->p->name);
}

int drill_part_files(struct drill_part *p, struct error *err)
{
	_cleanup(free) char *directory = conf_drill_dir(p->d->conf);
	struct trial t = {.p = p, .place = {.dir_fd = -1, .lock_fd = -1}};
	int r = make_trial_place(&t, directory, err);

	if (r == 0 && p->d->order->progress)
		p->backup->done_bytes = &p->d->order->progress->read_bytes;
	if (r == 0)
		r = compare_trial(&t, &t.before, err);
	if (r == 0 && p->is_secret)
		note_opened(&t);
	else if (r == 0)
		r = unpack_trial(&t, directory, err);
	if (r == 0)
		r = backup_read_rest(p->backup, false, err);
	if (r < 0)
		p->level = -1;
	end_trial(&t);
	return r;
}
