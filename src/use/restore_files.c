// SPDX-License-Identifier: Apache-2.0
/*
 * What is there is never replaced unless that was asked for, and what would be replaced was told before. A file gets its name when it is
 * whole, so whatever ends a restore in its middle leaves whole files; the catalog knows of it before the first one is there.
 */
#include "restore_files.h"
#include "words.h"

#include "proving.h"
#include "restore_hook.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/restores.h>
#include <keepfs/codec/json.h>

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* Looking. */

static int check_kind(const struct restore_files *f, struct error *err)
{
	const struct manifest *m = &f->backup->m;

	if (str_equal(m->kind, "export"))
		return words_refuse_export(f->backup->path, err);
	if (!str_equal(m->kind, "files"))
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "to= is for the archives of files jobs, and %s is none: a dump goes into a database (into=NAME)",
		        f->backup->path);
	if (!str_equal(manifest_fact(m, "format"), "tar"))
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "%s is in a format that this keepfs does not know: use the newer one that made it",
		        f->backup->path);
	if (f->wanted->word_of_others)
		return restore_order_refuse_word(f->wanted, err);
	if (f->wanted->to)
		return 0;
	return error_set(
	        err, ERROR_USAGE, EINVAL,
	        "%s is an archive of files: say with to=/DIRECTORY where they are restored to (it is of %s)",
	        f->backup->path, str_or_empty(manifest_fact(m, "path")));
}

static bool is_path_within(const char *path, const char *directory)
{
	size_t len = strlen(directory);

	return len > 0 && strncmp(path, directory, len) == 0 && (path[len] == '/' || !path[len]);
}

char *restore_files_place(const char *directory)
{
	_cleanup(free) char *above = NULL, *real = realpath(directory, NULL);
	const char *name = strrchr(directory, '/');

	if (real)
		return take_ptr(&real);
	above = name && name > directory ? mem_printf("%.*s", (int)(name - directory), directory) : NULL;
	real = above ? realpath(above, NULL) : NULL;
	return real ? mem_printf("%s%s", str_equal(real, "/") ? "" : real, name) : mem_strdup(directory);
}

/* What lies there by a link lies there as well. The mount is not asked for its own path: it would ask keepfs. */
static bool lies_within(const char *to, const char *directory, bool is_mount)
{
	_cleanup(free) char *place = restore_files_place(to),
	                    *own = is_mount ? NULL : restore_files_place(directory);

	return is_path_within(to, directory) || is_path_within(place, directory) ||
	       (own && is_path_within(place, own));
}

/* A write into what keepfs serves itself would wait for keepfs. */
int restore_files_check_place(const struct conf *conf, const char *directory, struct error *err)
{
	const char *url = str_or_empty(conf->store.url);
	const struct {
		const char *directory, *what;
	} own[] = {{conf->mountpoint, "where keepfs is mounted"},
	           {conf->state_dir, "where keepfs has its catalog"},
	           {str_starts(url, "dir:") ? url + strlen("dir:") : NULL, "where keepfs stores backups"}};

	for (size_t i = 0; i < ARRAY_SIZE(own); i++)
		if (own[i].directory && lies_within(directory, own[i].directory, i == 0))
			return error_set(err, ERROR_USAGE, EINVAL,
			                 "to=%s lies in %s, %s: choose another directory", directory,
			                 own[i].directory, own[i].what);
	return 0;
}

static int check_directory_confirmed(const struct restore_files *f, struct error *err)
{
	const char *confirm = f->wanted->confirm;
	size_t len = confirm ? strlen(confirm) : 0;

	while (len > 1 && confirm[len - 1] == '/')
		len--;
	if (!confirm || (len == strlen(f->wanted->to) && strncmp(confirm, f->wanted->to, len) == 0))
		return 0;
	return error_set(err, ERROR_USAGE, EINVAL,
	                 "confirm=%.200s: it would be restored into %s, so nothing was done", confirm,
	                 f->wanted->to);
}

static char *directory_above(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == path ? mem_strdup("/") : mem_printf("%.*s", (int)(slash - path), path);
}

static int refuse_access(const char *directory, const char *what, int errnum, struct error *err)
{
	_cleanup(free) char *user = restore_files_user();

	return error_set(
	        err, ERROR_DENIED, errnum,
	        "%s cannot be %s: %s. keepfs runs as %s; as root, 'keepfs restore' works without a mount, too",
	        directory, what, strerror(errnum), user);
}

static int may_write(const struct restore_files *f, const char *directory, struct error *err)
{
	if (f->wanted->plan || eaccess(directory, W_OK | X_OK) == 0)
		return 0;
	return refuse_access(directory, "written into", errno, err);
}

static int check_new_directory(const struct restore_files *f, struct error *err)
{
	_cleanup(free) char *above = directory_above(f->wanted->to);

	if (access(above, F_OK) == 0)
		return may_write(f, above, err);
	if (errno != ENOENT)
		return refuse_access(above, "looked at", errno, err);
	return error_set(err, ERROR_USAGE, EINVAL,
	                 "to=%s: there is no directory %s that it could be made in: make that first",
	                 f->wanted->to, above);
}

static int check_target_directory(const struct restore_files *f, struct error *err)
{
	const char *to = f->wanted->to;
	struct stat st;

	if (stat(to, &st) < 0)
		return errno == ENOENT ? check_new_directory(f, err)
		                       : refuse_access(to, "looked at", errno, err);
	if (!S_ISDIR(st.st_mode))
		return error_set(err, ERROR_USAGE, EINVAL, "to=%s is no directory", to);
	if (eaccess(to, R_OK | X_OK) < 0)
		return refuse_access(to, "read", errno, err);
	return may_write(f, to, err);
}

int restore_files_look(const struct restore_files *f, struct error *err)
{
	int r = check_kind(f, err);

	if (r == 0)
		r = restore_files_check_place(f->ctx->conf, f->wanted->to, err);
	if (r == 0)
		r = check_directory_confirmed(f, err);
	return r < 0 ? r : check_target_directory(f, err);
}

/* Reading. */

static int pass_to_unpack(void *arg, const void *data, size_t len, struct error *err)
{
	return files_unpack_write(arg, data, len, err);
}

static int read_into(struct restore_files *f, struct files_unpack *u, struct error *err)
{
	const struct backup_out out = {.write = pass_to_unpack, .arg = u};
	struct catalog_entry own;
	int r = backup_own(f->backup, &own);

	if (r < 0)
		return error_system(err, -r, "the catalog cannot be read");
	r = backup_read_plain(f->backup, &own, &out, err);
	return r < 0 ? r : files_unpack_finish(u, err);
}

/* What fails at the directory may look alike, and so does a backup that somebody removes: only what reading all of it once more finds
 * marks it. */
static bool is_damaged(const struct restore_files *f, const struct error *why)
{
	struct proving p = {.ctx = f->backup->ctx,
	                    .order = f->order,
	                    .copy = f->copy,
	                    .name = f->backup->path,
	                    .level = PROOF_STRUCTURE};

	if (!backup_is_wrong(why) || cancel_is_set(f->order->cancel) || backup_is_removed(f->backup))
		return false;
	(void)proving_backup(&p, f->backup->ino);
	return p.damaged > 0;
}

static uint64_t fact_number(const struct restore_files *f, const char *name)
{
	const struct json *facts = f->backup->m.facts;
	int64_t number = 0;

	return facts && json_get_int(facts, name, &number) && number > 0 ? (uint64_t)number : 0;
}

static void warn_of_unpacking(void *arg, const char *line)
{
	make_warn(((const struct restore_files *)arg)->order, "%s", line);
}

static struct files_unpack_options unpack_options(struct restore_files *f)
{
	return (struct files_unpack_options){
	        .directory = f->wanted->to,
	        .paths = f->wanted->paths,
	        .stage = f->stage,
	        /* What was told of and confirmed; else what has come, or was changed, since it was compared stays. */
	        .overwrite = f->wanted->overwrite && f->wanted->confirm,
	        .keep = f->wanted->of_whole && !f->wanted->overwrite,
	        .contents = f->wanted->of_whole && !f->is_told ? restore_files_contents : NULL,
	        .by_number = f->wanted->owners_by_number,
	        .entries = fact_number(f, "files") + fact_number(f, "directories") + fact_number(f, "links") +
	                   fact_number(f, "others"),
	        .cancel = f->order->cancel,
	        .warn = warn_of_unpacking,
	        .found = restore_files_name,
	        .arg = f,
	};
}

/* All bytes are those that were sent, and they are an archive: before that nothing is written. */
static int check_and_compare(struct restore_files *f, struct error *err)
{
	const struct files_unpack_options options = unpack_options(f);
	_cleanup(files_unpack) struct files_unpack *u = NULL;
	struct error why = {0};
	int r = files_compare_begin(&options, &f->found, &u, &why);

	if (r == 0)
		r = read_into(f, u, &why);
	if (r == 0)
		return 0;
	if (is_damaged(f, &why))
		error_prefix(&why, "the backup is damaged, and nothing was changed");
	if (err)
		*err = why;
	return r;
}

/* Judging. */

static int check_differences(const struct restore_files *f, struct error *err)
{
	const struct files_names *names = f->found.names;
	const char *to = f->wanted->to;

	if (names[FILES_IN_THE_WAY].count > 0)
		return error_set(
		        err, ERROR_CONFLICT, EEXIST,
		        "nothing was changed: in %s stand directories where the backup has files, or something above what was chosen that is no directory (%.300s); move these away",
		        to, str_text(&names[FILES_IN_THE_WAY].first));
	if (f->wanted->of_whole)
		return 0;
	if (!f->wanted->overwrite && names[FILES_DIFFERENT].count > 0)
		return error_set(
		        err, ERROR_CONFLICT, EEXIST,
		        "nothing was changed: %" PRIu64
		        " files of %s differ from the backup (%.300s); to replace them write overwrite=yes confirm=%s; to leave them, restore into another directory, or with paths= only what is wanted",
		        names[FILES_DIFFERENT].count, to, str_text(&names[FILES_DIFFERENT].first), to);
	if (f->wanted->overwrite && restore_files_changes(f) > 0 && !f->wanted->confirm)
		return error_set(
		        err, ERROR_CONFLICT, EEXIST,
		        "nothing was changed: %" PRIu64
		        " files and directories of %s would become those of the backup: to do that write confirm=%s",
		        restore_files_changes(f), to, to);
	return 0;
}

static int check_room(const struct restore_files *f, struct error *err)
{
	_cleanup(free) char *above = f->found.is_there ? NULL : directory_above(f->wanted->to);
	struct statvfs st;
	uint64_t there, files;
	char needed[16], left[16];

	if (f->wanted->any_room || statvfs(above ? above : f->wanted->to, &st) < 0)
		return 0;
	there = (uint64_t)(geteuid() == 0 ? st.f_bfree : st.f_bavail) * st.f_frsize;
	files = geteuid() == 0 ? st.f_ffree : st.f_favail;
	if (f->found.needed_bytes > there)
		return error_set(
		        err, ERROR_NO_SPACE, ENOSPC,
		        "nothing was changed: about %s are needed in %s, and its disk has %s left; restore elsewhere, or with paths= only a part (room=any tries it all the same)",
		        str_format_bytes(needed, sizeof(needed), f->found.needed_bytes), f->wanted->to,
		        str_format_bytes(left, sizeof(left), there));
	/* A file system without a limit has none. */
	if (st.f_files > 0 && f->found.needed_files > files)
		return error_set(err, ERROR_NO_SPACE, ENOSPC,
		                 "nothing was changed: %" PRIu64
		                 " new files and directories are needed in %s, and its disk takes %" PRIu64
		                 " more (df -i)",
		                 f->found.needed_files, f->wanted->to, files);
	return 0;
}

/* How many are not as the backup has them, and stay so: of one archive that is refused. */
static uint64_t files_that_stay_different(const struct restore_files *f)
{
	return f->wanted->overwrite ? 0 : f->found.names[FILES_DIFFERENT].count;
}

static bool is_nothing_to_do(const struct restore_files *f)
{
	return f->found.is_there && f->found.names[FILES_ADDED].count + f->found.new_directories == 0 &&
	       (!f->wanted->overwrite || restore_files_changes(f) == 0);
}

static void tell_nothing_to_do(const struct restore_files *f)
{
	uint64_t stay = files_that_stay_different(f);

	if (stay > 0)
		make_say(f->order,
		         "there is nothing to add: %s has all of it, but %" PRIu64
		         " files that differ, and stay as they are",
		         f->wanted->to, stay);
	else
		make_say(f->order, "there is nothing to do: %s has all of it", f->wanted->to);
}

/* What is kept of it while it is at work. */

static int note_begin(const struct restore_files *f, struct error *err)
{
	struct catalog_restore x = {.run_id = f->order->run_id,
	                            .phase = f->wanted->overwrite ? RESTORE_PHASE_FILES_OVER
	                                                          : RESTORE_PHASE_FILES,
	                            .begun_at_us = make_now_us(f->ctx)};

	str_copy(x.target, sizeof(x.target), f->wanted->to);
	str_cut(x.backup, sizeof(x.backup), f->copy ? f->order->target->name : f->backup->path);
	str_copy(x.made, sizeof(x.made), f->stage);
	return catalog_set_restore(f->ctx->repository->catalog, &x, err);
}

/* Of a directory there is no server. */
static struct catalog_restore_which which_files(const struct restore_files *f)
{
	return (struct catalog_restore_which){
	        .run_id = f->order->run_id, .target = f->wanted->to, .server = ""};
}

static void note_files_end(const struct restore_files *f)
{
	const struct catalog_restore_which which = which_files(f);
	struct error err = {0};

	if (catalog_end_restore(f->ctx->repository->catalog, &which, &err) < 0)
		make_warn(f->order, "that the restore left nothing could not be kept: %s", err.message);
}

static void note_files_left(const struct restore_files *f, const char *problem)
{
	const struct catalog_restore_which which = which_files(f);
	struct error err = {0};

	if (catalog_leave_restore(f->ctx->repository->catalog, &which, problem, &err) < 0)
		make_warn(f->order, "what the restore left could not be kept: %s", err.message);
}

static void describe_files(const struct restore_files *f, bool made, struct str *text)
{
	if (made)
		str_appendf(
		        text,
		        "In %s are %" PRIu64 " files of the backup by now, each of them whole, %" PRIu64
		        " of which something was replaced; the others are not. Restored once more it goes on with these",
		        f->wanted->to, f->outcome.files, f->outcome.replaced);
	else
		str_appendf(text, "Nothing of %s was changed", f->wanted->to);
}

static void settle_files_failure(const struct restore_files *f, struct error *err)
{
	_cleanup(str) struct str text = {0}, state = {0};
	bool made = f->outcome.files + f->outcome.directories > 0;

	describe_files(f, made, &state);
	/* The history has no further words for what was cancelled. */
	make_say(f->order, "%s", str_text(&state));
	str_appendf(&text, "%s%s %s", err->message, str_ends(err->message, ".") ? "" : ".", str_text(&state));
	str_cut(err->message, sizeof(err->message), str_text(&text));
	if (made)
		note_files_left(f, err->message);
	else
		note_files_end(f);
}

/* All of it came back as it was, so it can be restored. */
static void note_files_proof(const struct restore_files *f)
{
	struct error err = {0};

	if (f->wanted->paths || f->outcome.left_out + f->outcome.partly + f->found.foreign_owners > 0)
		return;
	if (files_that_stay_different(f) > 0)
		return;
	if (backup_set_proof(f->backup, PROOF_RESTORED, make_now_us(f->ctx), f->order->run_id, &err) < 0)
		make_warn(f->order, "that %s can be restored could not be kept: %s", f->backup->path,
		          err.message);
}

/* Doing it. */

static int unpack(struct restore_files *f, struct error *err)
{
	const struct files_unpack_options options = unpack_options(f);
	_cleanup(files_unpack) struct files_unpack *u = NULL;
	int r = files_extract_begin(&options, &f->found, &f->outcome, &u, err);

	return r < 0 ? r : read_into(f, u, err);
}

static int change_directory(struct restore_files *f, struct error *err)
{
	int r = note_begin(f, err);
	char size[16];

	if (r < 0)
		return r;
	r = unpack(f, err);
	if (r < 0) {
		(void)is_damaged(f, err);
		settle_files_failure(f, err);
		return r;
	}
	note_files_end(f);
	note_files_proof(f);
	make_say(f->order,
	         "%s: %" PRIu64 " files (%s) and %" PRIu64 " directories were written, %" PRIu64
	         " of them in the place of something else; all of it is on the disk",
	         f->wanted->to, f->outcome.files, str_format_bytes(size, sizeof(size), f->outcome.bytes),
	         f->outcome.directories, f->outcome.replaced);
	return 0;
}

static int change_with_hooks(struct restore_files *f, struct error *err)
{
	const struct restore_hook around = {.order = f->order,
	                                    .backup = f->backup->path,
	                                    .variable = "KEEPFS_DIRECTORY",
	                                    .target = f->wanted->to};
	struct error why = {0}, hook = {0};
	int r = restore_hook_run(&around, "pre_hook", f->wanted->pre_hook, "running", f->order->cancel, &why);

	if (r == 0)
		r = change_directory(f, &why);
	/* What the first one has stopped is started again, whatever became of the restore. */
	if (restore_hook_run(&around, "post_hook", f->wanted->post_hook, r == 0 ? "completed" : "failed",
	                     NULL, &hook) < 0)
		make_warn(f->order, "%s", hook.message);
	if (r < 0 && err)
		*err = why;
	return r;
}

int restore_files_judge(const struct restore_files *f, struct error *err)
{
	int r = check_differences(f, err);

	return r < 0 ? r : check_room(f, err);
}

static int change_when_allowed(struct restore_files *f, struct error *err)
{
	const struct catalog_restore_which which = {.target = f->wanted->to, .server = ""};
	uint64_t settled;
	int r = restore_files_judge(f, err);

	if (r < 0)
		return r;
	if (is_nothing_to_do(f))
		tell_nothing_to_do(f);
	else
		r = change_with_hooks(f, err);
	/* A part settles nothing, nor does one that leaves what an earlier restore has not reached. */
	if (r == 0 && !f->wanted->paths && files_that_stay_different(f) == 0)
		catalog_forget_restores(f->ctx->repository->catalog, &which, &settled, NULL);
	return r;
}

static void tell_plan(const struct restore_files *f)
{
	struct error why = {0};

	if (restore_files_judge(f, &why) < 0)
		make_say(f->order, "it would be refused: %s", why.message);
	make_say(f->order, "plan=yes: nothing was done");
}

int restore_files_compare(struct restore_files *f, struct error *err)
{
	char size[16];
	int r = restore_files_look(f, err);

	if (r < 0)
		return r;
	if (!restore_may_command(f->order))
		return error_set(
		        err, ERROR_DENIED, EPERM,
		        "to= reads and writes files as the user of keepfs: only that user, and root, may give it; whoever can read the mount unpacks the archive from there (tar -xpf)");
	if (f->order->progress)
		f->backup->done_bytes = &f->order->progress->read_bytes;
	snprintf(f->stage, sizeof(f->stage), "%s%" PRId64, FILES_STAGE_PREFIX, f->order->run_id);
	if (!f->is_told)
		make_say(f->order, "%s (%s) is read, checked, and held against %s", f->backup->path,
		         str_format_bytes(size, sizeof(size), f->backup->m.size_bytes), f->wanted->to);
	r = check_and_compare(f, err);
	if (r == 0 && !f->is_told)
		restore_files_tell(f);
	return r;
}

int restore_files_run(struct restore_files *f, struct error *err)
{
	int r = restore_files_compare(f, err);

	if (r < 0)
		return r;
	if (!f->wanted->plan)
		return change_when_allowed(f, err);
	tell_plan(f);
	return 0;
}

void restore_files_finish(struct restore_files *f)
{
	files_comparison_finish(&f->found);
}
